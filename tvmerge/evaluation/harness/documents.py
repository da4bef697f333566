"""A task's documents as they are asked: prompts with their examples, built once a study."""

from __future__ import annotations

from typing import Any

from lm_eval.api.instance import Instance

from tvmerge.errors import ConfigError
from tvmerge.evaluation.harness.model import sampling_of
from tvmerge.evaluation.harness.task import Document
from tvmerge.records import Question

GREEDY = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "num_beams": 1}
"""Settings of sampling that tvmerge's engines have not, and what is as good as not setting them."""


def documents_of(name: str, task: Any, limit: int | None) -> tuple[Document, ...]:
    """The first `limit` documents of an lm-eval task, or all.

    Raises:
        ConfigError: There are none, or texts are to be drawn in a way engines do not know.
    """
    documents = tuple(
        _document(name, task, number, content)
        for number, content in task.doc_iterator(rank=0, limit=limit, world_size=1)
    )
    if not documents:
        raise ConfigError(f"task '{name}' has no documents")
    for request in documents[0].requests:
        if request.request_type == "generate_until":
            _refuse_unknown_sampling(name, request.args[1])
    return documents


def _document(name: str, task: Any, number: int, content: Any) -> Document:
    context = task.fewshot_context(
        content,
        num_fewshot=task.config.num_fewshot or 0,
        system_instruction=None,
        apply_chat_template=False,
        fewshot_as_multiturn=False,
        chat_template=None,
        gen_prefix=task.doc_to_prefix(content),
    )
    made = task.construct_requests(
        doc=content,
        ctx=context,
        metadata=(name, number, task.config.repeats),
        apply_chat_template=False,
        chat_template=None,
    )
    requests = tuple(made) if isinstance(made, list) else (made,)
    return Document(_question(name, task, number, content, requests), content, requests)


def _question(name: str, task: Any, number: int, content: Any, requests: tuple[Instance, ...]) -> Question:
    """A document for people: its text without the examples, and the right answer."""
    text = task.doc_to_text(content)
    return Question(
        question_id=f"{name}/{number}",
        category=name,
        turns=(text if isinstance(text, str) and text.strip() else str(requests[0].args[0]),),
        reference=(_reference(task, content),),
    )


def _reference(task: Any, content: Any) -> str:
    target = task.doc_to_target(content)
    has_choices = task.config.doc_to_choice is not None
    if isinstance(target, int) and has_choices:
        choices = task.doc_to_choice(content)
        return str(choices[target]) if 0 <= target < len(choices) else str(target)
    return str(target)


def _refuse_unknown_sampling(name: str, settings: dict[str, Any]) -> None:
    if sampling_of(settings).default_temperature == 0:
        return
    unknown = [key for key, value in GREEDY.items() if settings.get(key, value) != value]
    if unknown:
        raise ConfigError(
            f"task '{name}' draws its texts with {', '.join(unknown)}, which tvmerge's engines do not know; "
            "set do_sample: false in a task file of your own"
        )
