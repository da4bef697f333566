"""`--judge NAME`: from a name to a judge file, and from a judge file to a judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.assets import find, names
from tvmerge.errors import AssetError, ConfigError
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.llm import LLMJudge
from tvmerge.judging.judges.pairwise import PairwiseJudge
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.local import checkpoint
from tvmerge.judging.preflight import api_key, check_packages
from tvmerge.judging.prompts.prompts import JudgePrompt, check_prompts, without_unneeded_conversations
from tvmerge.judging.spec import ENDPOINTS, PROVIDERS, JudgeSpec, is_loopback, read_spec, spec_for_model
from tvmerge.records import Answer, Question, QuestionId

if TYPE_CHECKING:
    from tvmerge.protocols import Judge

_CLASSES: Mapping[str, tuple[str, str]] = {
    "openai": ("tvmerge.judging.providers.openai", "OpenAIChat"),
    "anthropic": ("tvmerge.judging.providers.anthropic", "AnthropicChat"),
    "cohere": ("tvmerge.judging.providers.cohere", "CohereChat"),
    "local": ("tvmerge.judging.providers.local", "LocalChat"),
}


def find_spec(name: str, *, assets: Path | None = None) -> JudgeSpec:
    """The judge called `name`: a file of `judges/`, an alias one has, a path, or `provider/model`.

    Args:
        name: What the user wrote.
        assets: A folder of the user's with `judges/` inside.

    Raises:
        AssetError: Nothing has that name, or the file is malformed.
    """
    known = names("judges", assets)
    provider, _, model = name.partition("/")
    if name not in known and not Path(name).is_file():
        specs = [read_spec(path) for path in known.values()]
        for spec in specs:
            if name in spec.aliases:
                return spec
        if model and provider in PROVIDERS:
            return _dated(spec_for_model(provider, model), specs)
    try:
        return read_spec(find("judges", name, assets))
    except AssetError as error:
        if name in known or Path(name).exists():
            raise
        example = "" if "/" in name else f", such as openai/{name},"
        raise AssetError(
            f"{error}; or provider/model{example} with a provider of {', '.join(ENDPOINTS)}, local"
        ) from error


def _dated(spec: JudgeSpec, known: Iterable[JudgeSpec]) -> JudgeSpec:
    """A judge without a file, with the day on which its provider retires the model where a file tells it."""
    for other in known:
        if (other.provider, other.model, other.base_url) == (spec.provider, spec.model, ""):
            return replace(spec, retired=other.retired, successors=other.successors)
    return spec


def create_judge(
    spec: JudgeSpec,
    prompts: Mapping[str, JudgePrompt],
    questions: Iterable[Question] = (),
    *,
    samples: int | None = None,
    baseline: Mapping[QuestionId, Answer] | None = None,
    conduct: RequestPolicy | None = None,
    env: Mapping[str, str] = environ,
) -> Judge:
    """A judge ready to be asked.

    Args:
        spec: Who judges.
        prompts: Judge prompts by name; the rules need none.
        questions: The questions to come, to check that the prompts they need are there.
        samples: Independent ratings of each turn; None is as the judge file says.
        baseline: Answers to compare with, by question, for pairwise judging; it may be filled later. None
            is for ratings.
        conduct: Cache, ledger, budget, limits and patience; None is without any, at the default pace.
        env: The environment that holds the keys.

    Raises:
        AssetError: A prompt that is needed is missing or unsound.
        CheckpointError: A local judge's folder is not there.
        ConfigError: The cost is limited and the judge has no price, or the rules are to compare.
        CredentialsError: The key is missing.
        MissingExtraError: The provider's SDK is not installed.
    """
    if spec.provider == "rules":
        if baseline is not None:
            raise ConfigError("the judge 'rules' rates answers and cannot compare them; take another judge")
        return RulesJudge()
    questions = tuple(questions)
    check_prompts(prompts, questions, pairwise=baseline is not None)
    prompts = without_unneeded_conversations(prompts, questions, pairwise=baseline is not None)
    chat = pipeline(create_chat(spec, env), spec, conduct or RequestPolicy())
    model, samples = _identity(spec), samples or spec.samples
    if baseline is None:
        return LLMJudge(name=spec.name, chat=chat, prompts=prompts, model=model, samples=samples)
    return PairwiseJudge(
        name=spec.name, chat=chat, prompts=prompts, model=model, baseline=baseline, samples=samples
    )


def create_chat(spec: JudgeSpec, env: Mapping[str, str] = environ) -> ChatModel:
    """The bare chat model of a judge, without cache, retries and limits.

    Raises:
        CredentialsError: The key is missing.
        MissingExtraError: The provider's SDK is not installed.
    """
    check_packages(spec)
    key = api_key(spec, env)
    module, name = _CLASSES[spec.provider]
    chat: ChatModel = getattr(import_module(module), name)(spec, key)
    return chat


def _identity(spec: JudgeSpec) -> dict[str, object]:
    """What decides a rating, of all that a judge file holds."""
    identity: dict[str, object] = {
        "provider": spec.provider,
        # A folder may hold another model next time.
        "model": checkpoint.identity(spec.model) if spec.provider == "local" else spec.model,
        "parameters": dict(spec.parameters),
        "omit_parameters": list(spec.omit_parameters),
        "structured_output": spec.structured_output,
    }
    # A server of this machine may come back on another port and is still the same judge.
    if spec.endpoint and not is_loopback(spec.endpoint):
        identity["endpoint"] = spec.endpoint
    if spec.api_version:
        identity["api_version"] = spec.api_version
    if spec.provider == "local":
        identity |= {"dtype": spec.dtype, "quantization": spec.quantization}
    return identity
