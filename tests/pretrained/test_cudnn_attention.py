"""The switch of cuDNN's attention, which a process has only one of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tvmerge.pretrained.cudnn_attention import cudnn_attention_off

_cuda: Any = torch.backends.cuda
enabled = _cuda.cudnn_sdp_enabled


@pytest.fixture(autouse=True)
def _switch() -> Iterator[None]:
    before = enabled()
    yield
    _cuda.enable_cudnn_sdp(before)


@pytest.mark.parametrize("host", [True, False])
def test_blocks_that_overlap_restore_the_hosts_setting_at_the_last_end(host: bool) -> None:
    _cuda.enable_cudnn_sdp(host)
    first, second = cudnn_attention_off(), cudnn_attention_off()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not enabled()
    second.__exit__(None, None, None)
    assert enabled() == host


def test_a_block_that_fails_restores_it_too() -> None:
    _cuda.enable_cudnn_sdp(True)
    with pytest.raises(ZeroDivisionError), cudnn_attention_off():
        1 / (0 if not enabled() else 1)
    assert enabled()
