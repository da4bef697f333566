"""What the winner's GGUF files take: disk space, answers and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tvmerge.dry_run.duration import speed_of
from tvmerge.merging.gguf.folder import gguf_folder
from tvmerge.report.numbers import count, duration, size

if TYPE_CHECKING:
    from tvmerge.dry_run.remaining import Candidates
    from tvmerge.engines.transformers.memory import MemoryEstimate
    from tvmerge.run.spec import RunSpec

_AT_ONCE = 4
"""Number of answers that llama-server generates at once."""


def gguf_lines(
    run_spec: RunSpec,
    sizes: Mapping[str, int],
    compared: Candidates,
    memory: Sequence[MemoryEstimate],
    tokens: int,
) -> Iterator[str]:
    """Yield what the files take, one line each; nothing if no files are wanted.

    A step of generation reads a file once, at the speed of memory that the estimate of a merge assumes. This
    leaves out the prompts, and the time in which the files are made.

    Args:
        run_spec: The run.
        sizes: About how many bytes each file has, by its type.
        compared: What each file is asked: the questions of the comparison.
        memory: What the run puts on each device; llama-server is assumed to use the first.
        tokens: Tokens of an answer, with all turns.
    """
    if run_spec.gguf is None:
        return
    types = run_spec.gguf.tools.types
    files = [f"{kind} (about {size(sizes[kind])})" for kind in types]
    made_from = [
        f"; {kind} ({size(whole)}) while they are made" for kind, whole in sizes.items() if kind not in types
    ]
    yield f"GGUF files: {', '.join(files)} in {gguf_folder(run_spec.paths.model)}{''.join(made_from)}"
    answers = len(compared.questions) * compared.sampling.samples
    asked = f"GGUF answers: {count(answers, 'answer')} of each file in llama-server"
    if not memory:
        yield asked
        return
    steps = answers * tokens / _AT_ONCE
    likely = sum(sizes[kind] for kind in types) * steps / speed_of(memory[0])
    yield f"{asked}, likely more than {duration(likely)} on {memory[0].device} (an estimate)"
