"""Fakes and contract suites for tests of code that uses or extends tvmerge."""

from __future__ import annotations

from tvmerge.testing.demo import demo_config

__all__ = ["demo_config"]
