"""Finds the judge file for `--judge NAME`, and creates judges from judge files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from tvmerge._util.assets import find, names
from tvmerge.errors import AssetError, ConfigError
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.client.pipeline import pipeline
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.judges.conversation import ConversationJudge
from tvmerge.judging.judges.llm import LLMJudge
from tvmerge.judging.judges.pairwise import PairwiseJudge
from tvmerge.judging.preflight import api_key, check_packages
from tvmerge.judging.prompts.prompts import JudgePrompt, check_prompts, needed_prompts
from tvmerge.judging.providers import PROVIDERS
from tvmerge.judging.servers import as_openai
from tvmerge.judging.spec import JudgeSpec, is_loopback, read_spec, spec_for_model
from tvmerge.records import Question

if TYPE_CHECKING:
    from tvmerge.protocols import Judge


def find_spec(name: str, *, assets: Path | None = None) -> JudgeSpec:
    """Return the judge called `name`: a file of `judges/`, an alias, a path, or `provider/model`.

    Args:
        name: The name that the user gave.
        assets: The user's folder with `judges/` inside.

    Raises:
        AssetError: The name is unknown, or the file is malformed.
    """
    known = names("judges", assets)
    provider, _, model = name.partition("/")
    if name not in known and not Path(name).is_file():
        specs = [read_spec(path) for path in known.values()]
        for spec in specs:
            if name in spec.aliases:
                return spec
        if model and provider in PROVIDERS.names():
            return _dated(spec_for_model(provider, model), specs)
    try:
        return read_spec(find("judges", name, assets))
    except AssetError as error:
        if name in known or Path(name).exists():
            raise
        like = "" if "/" in name else _provider_of(name, known.values())
        example = f", such as {like}/{name}," if like else ""
        models = ", ".join(known for known in PROVIDERS.names() if PROVIDERS.load(known).chat is not None)
        meant = as_openai(provider) if model else ""
        server = f"; for '{provider}', a judge file of yours says: {meant}" if meant else ""
        raise AssetError(
            f"{error}; or provider/model{example} with a provider of {models}{server}"
        ) from error


def _provider_of(model: str, files: Iterable[Path]) -> str:
    """Return the provider of a model, from judge files whose models have names that begin like this one.

    Empty if they are on servers with addresses of their own; `openai` if there are none.
    """
    families = {
        _family(spec.model): "" if spec.base_url else spec.provider
        for spec in map(read_spec, files)
        if spec.key_required
    }
    return families.get(_family(model), "openai")


def _family(model: str) -> str:
    found = re.match("[a-z]+", model.lower())
    return found[0] if found else ""


def _dated(spec: JudgeSpec, known: Iterable[JudgeSpec]) -> JudgeSpec:
    """Return a judge without a file, with its model's retirement date if a judge file has it."""
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
    compares: bool = False,
    together: bool = False,
    policy: RequestPolicy | None = None,
    env: Mapping[str, str] = environ,
) -> Judge:
    """Create a judge.

    Args:
        spec: The judge.
        prompts: Judge prompts by name; rule-based judges need none.
        questions: The questions to judge, to check that the prompts they need exist.
        samples: Independent ratings of each turn; None for the judge file's value.
        compares: Whether to compare answers with those of a baseline, given later by
            `tvmerge.judging.judges.comparing.with_baseline`, instead of rating them.
        together: Whether all turns of an answer are rated in one request; not with `compares`.
        policy: Cache, ledger, budget, limits and patience; None is without any, at the default pace.
        env: The environment with the keys.

    Raises:
        AssetError: A prompt that is needed is missing or invalid.
        CheckpointError: A local judge's folder does not exist.
        ConfigError: The cost is limited but the judge has no price, or a rule-based judge should compare.
        CredentialsError: The key is missing.
        MissingExtraError: The provider's SDK is not installed.
    """
    if (judge := PROVIDERS.load(spec.provider).judge) is not None:
        if compares:
            raise ConfigError(
                f"the judge '{spec.name}' rates answers and cannot compare them; choose another judge"
            )
        check_packages(spec)
        return judge(spec)
    questions = tuple(questions)
    check_prompts(prompts, questions, pairwise=compares, together=together)
    prompts = needed_prompts(prompts, questions, pairwise=compares, together=together)
    chat = pipeline(create_chat(spec, env), spec, policy or RequestPolicy())
    model, samples = identity_of(spec), samples or spec.samples
    kind = PairwiseJudge if compares else ConversationJudge if together else LLMJudge
    return kind(name=spec.name, chat=chat, prompts=prompts, model=model, samples=samples)


def create_chat(spec: JudgeSpec, env: Mapping[str, str] = environ) -> ChatModel:
    """Create the bare chat model of a judge, without cache, retries and limits.

    Raises:
        CredentialsError: The key is missing.
        MissingExtraError: The provider's SDK is not installed.
    """
    check_packages(spec)
    key = api_key(spec, env)
    chat = PROVIDERS.load(spec.provider).chat
    assert chat is not None, "a judge that rates by itself has no chat model"
    return chat(spec, key)


def identity_of(spec: JudgeSpec) -> dict[str, object]:
    """Return the parts of a judge file that affect ratings."""
    own = PROVIDERS.load(spec.provider).identity
    identity: dict[str, object] = {
        "provider": spec.provider,
        "model": spec.model,
        "parameters": dict(spec.parameters),
        "omit_parameters": list(spec.omit_parameters),
        "structured_output": spec.structured_output,
    }
    # A server on this machine is the same judge even on another port.
    if spec.endpoint and not is_loopback(spec.endpoint):
        identity["endpoint"] = spec.endpoint
    if spec.api_version:
        identity["api_version"] = spec.api_version
    return identity if own is None else identity | own(spec)


def own_scale(specs: Iterable[JudgeSpec]) -> tuple[float, float] | None:
    """Return the scale of judges that all rate without prompts; None if one of them is a model."""
    providers = [PROVIDERS.load(spec.provider) for spec in specs]
    if any(provider.chat is not None for provider in providers):
        return None
    lows, highs = zip(*(provider.scale for provider in providers), strict=True)
    return min(lows), max(highs)


def packages(specs: Iterable[JudgeSpec]) -> dict[str, str]:
    """Return the installed packages that the judges' providers come from, for a study's fingerprint."""
    found = dict.fromkeys(package for spec in specs if (package := PROVIDERS.origin(spec.provider)))
    return {"judge_package": ", ".join(found)} if found else {}
