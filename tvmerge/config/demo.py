"""The settings of the demo, an ordinary run on models and questions shipped with tvmerge."""

from __future__ import annotations

from typing import Any

from tvmerge._util.assets import bundled_demo_models


def demo_defaults() -> dict[str, Any]:
    """Return the defaults of `tvmerge demo`, by the keys of `RunConfig`."""
    models = bundled_demo_models()
    return {
        "target_model": (str(models / "target"),),
        "base_model": str(models / "base"),
        "tuned_model": str(models / "tuned"),
        "bench_name": ("demo",),
        "judge": ("rules",),
        "study_name": "demo",
        "n_trials": 8,
        "trials_in_flight": 2,
        "parallel": 16,
        "max_new_tokens": 16,
    }
