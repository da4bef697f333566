"""The task vector as it is."""

from __future__ import annotations

from tvmerge.merging.methods import Method

METHOD = Method(mergekit="task_arithmetic")
