"""The unchanged task vector."""

from __future__ import annotations

from tvmerge.merging.methods import Method

METHOD = Method(mergekit="task_arithmetic")
