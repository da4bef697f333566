"""Builds a task's documents: prompts with their examples, once per study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.defaults import DEFAULT_OTHER_SEED

from tvmerge.errors import ConfigError
from tvmerge.records import Question
from tvmerge.tasks.lm_eval.model import sampling_of
from tvmerge.tasks.lm_eval.task import Document
from tvmerge.tasks.lm_eval.task_errors import blamed, shown

DRAWN = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "typical_p": 1.0}
"""Sampling settings that tvmerge's engines do not support, with the values that have no effect."""

SEARCHED = {
    "repetition_penalty": 1.0,
    "num_beams": 1,
    "no_repeat_ngram_size": 0,
    "min_new_tokens": 0,
    "min_length": 0,
    "penalty_alpha": 0,
    "bad_words_ids": [],
    "suppress_tokens": [],
}
"""The same for settings that change even the likeliest text."""


@dataclass(frozen=True, slots=True)
class Prompting:
    """How the messages of a prompt become a text, as set by lm-eval's flags of the same names.

    Attributes:
        system_instruction: Text before everything else; None for none.
        chat: Writes messages in the chat template, with or without the beginning of the model's message
            (`add_generation_prompt`); None concatenates them.
        multiturn: Whether examples in a chat are separate turns instead of part of the question.
    """

    system_instruction: str | None = None
    chat: Callable[..., str] | None = None
    multiturn: bool = False


PLAIN = Prompting()
"""Prompts without a chat template or system message."""


def documents_of(
    name: str, task: Any, limit: int | None, prompting: Prompting = PLAIN
) -> tuple[Document, ...]:
    """Return the first `limit` documents of an lm-eval task, or all.

    Raises:
        ConfigError: There are none, no prompt can be built from one, or a sampling setting is not supported
            by engines; the message names task and document.
    """
    with blamed(f"task '{name}'", "reading its documents", "see its splits and process_docs"):
        contents = list(task.doc_iterator(rank=0, limit=limit, world_size=1))
    if not contents:
        raise ConfigError(f"task '{name}' has no documents; see its splits and process_docs")
    return prompted(name, task, contents, prompting)


def prompted(
    name: str, task: Any, contents: Iterable[tuple[int, Any]], prompting: Prompting
) -> tuple[Document, ...]:
    """Return documents with prompts, given their numbers and contents.

    Raises:
        ConfigError: As for `documents_of`.
    """
    # This generator draws the examples of one document after the other.
    task.set_fewshot_seed(DEFAULT_OTHER_SEED)
    documents = tuple(_document(name, task, number, content, prompting) for number, content in contents)
    for request in documents[0].requests:
        if request.request_type == "generate_until":
            with blamed(f"task '{name}'", "reading generation_kwargs", "fix them in the task's file"):
                _refuse_unknown_sampling(request.args[1])
    return documents


def answerless(task: Any, documents: Iterable[Document]) -> list[int]:
    """Return the numbers of documents whose right answer is none of their choices."""
    if task.config.doc_to_choice is None or task.config.process_results is not None:
        return []
    return [number for number, document in enumerate(documents) if not _has_answer(task, document)]


def _has_answer(task: Any, document: Document) -> bool:
    content = document.content
    gold = task.doc_to_text(content) if task.multiple_input else task.doc_to_target(content)
    choices = task.doc_to_choice(content)
    golds = gold if isinstance(gold, list) else [gold]
    return any(0 <= one < len(choices) if isinstance(one, int) else one in choices for one in golds)


def _document(name: str, task: Any, number: int, content: Any, prompting: Prompting) -> Document:
    where = f"task '{name}', document {number}"
    kept = deepcopy(content)
    advice = "fix the task's file or its data"
    if task.config.num_fewshot:
        advice += f", or lower its {task.config.num_fewshot} examples (--num-fewshot)"
    with blamed(where, "writing its prompt", advice):
        requests = _requests(name, task, number, content, prompting)
        _check_texts(requests)
        question = _question(name, task, number, content, requests)
    return Document(question, kept, requests)


def _requests(name: str, task: Any, number: int, content: Any, prompting: Prompting) -> tuple[Instance, ...]:
    in_chat = prompting.chat is not None
    context = task.fewshot_context(
        content,
        num_fewshot=task.config.num_fewshot or 0,
        system_instruction=prompting.system_instruction,
        apply_chat_template=in_chat,
        fewshot_as_multiturn=prompting.multiturn,
        chat_template=prompting.chat,
        gen_prefix=task.doc_to_prefix(content),
    )
    made = task.construct_requests(
        doc=content,
        ctx=context,
        metadata=(name, number, task.config.repeats),
        apply_chat_template=in_chat,
        chat_template=prompting.chat,
    )
    return tuple(made) if isinstance(made, list) else (made,)


def _check_texts(requests: tuple[Instance, ...]) -> None:
    """Reject requests that cannot be sent to a model.

    Raises:
        ConfigError: There is no request, or a prompt or answer is not a text.
    """
    if not requests:
        raise ConfigError("there are no choices; see doc_to_choice")
    for request in requests:
        rates = request.request_type == "loglikelihood"
        texts = request.args[: 2 if rates else 1]
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise ConfigError(f"a prompt or an answer is {shown(wrong)}, not a text; see doc_to_target")
        if rates and not any(texts):
            raise ConfigError("both a prompt and its answer are empty; see doc_to_text and doc_to_target")


def _question(name: str, task: Any, number: int, content: Any, requests: tuple[Instance, ...]) -> Question:
    """Return a document as shown to people: its text without examples, and the right answer."""
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


def _refuse_unknown_sampling(settings: dict[str, Any]) -> None:
    greedy = sampling_of(settings).default_temperature == 0
    known = SEARCHED if greedy else SEARCHED | DRAWN
    unknown = [key for key, usual in known.items() if settings.get(key) not in (None, usual)]
    if unknown:
        way_out = f"leave {'it' if len(unknown) == 1 else 'them'} out" if greedy else "set do_sample: false"
        raise ConfigError(
            f"it draws its texts with {', '.join(unknown)}, which tvmerge's engines do not know; "
            f"{way_out} in the generation_kwargs of a task file of your own"
        )
