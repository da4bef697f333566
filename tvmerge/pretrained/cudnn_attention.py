"""Attention on GPUs by other kernels than cuDNN's.

For every new number of rows and tokens cuDNN's makes a plan, which takes seconds, and in a search nearly
every batch is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch

# torch types few of its switches.
_cuda: Any = torch.backends.cuda


class _Switch:
    """torch's switch, which is one for the whole process: turned off by the first, restored by the last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._before = True

    def turn_off(self) -> None:
        with self._lock:
            if not self._blocks:
                self._before = _cuda.cudnn_sdp_enabled()
                _cuda.enable_cudnn_sdp(False)
            self._blocks += 1

    def restore(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                _cuda.enable_cudnn_sdp(self._before)


_switch = _Switch()


@contextmanager
def cudnn_attention_off() -> Iterator[None]:
    """Turn cuDNN's attention off in this process while the block runs.

    Blocks may overlap in any order and in several threads: when the last one ends, the setting is again what
    it was before the first one began.
    """
    _switch.turn_off()
    try:
        yield
    finally:
        _switch.restore()
