"""Engines on the demo's models, as other processes open them."""

from __future__ import annotations

from pathlib import Path

import torch

from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.engines.transformers.engine import TransformersEngine
from tvmerge.merging.live import load_into
from tvmerge.protocols import Engine, Merger
from tvmerge.testing.models import open_models, stop_ids


def open_demo_engine(folder: str, batch_tokens: int = 16384) -> Engine:
    """A transformers engine on the models in `folder`; an entry for other processes."""
    torch.set_num_threads(1)
    merge = open_models(Path(folder))
    target = merge.target.folder
    return TransformersEngine(
        target,
        ChatFormat(target),
        merge.merger,
        load_into,
        stop_tokens=stop_ids(target),
        batch_tokens=batch_tokens,
    )


def open_demo_merger(folder: str) -> Merger:
    """What vLLM's workers open."""
    torch.set_num_threads(1)
    return open_models(Path(folder)).merger


def open_slow_merger(folder: str) -> Merger:
    """What vLLM's workers open; its remarks say that files cannot be read by a GPU."""
    torch.set_num_threads(1)
    merger = open_models(Path(folder)).merger
    merger.remarks.append("cuda:0 cannot read the models' files itself, which is slower: not supported")
    return merger
