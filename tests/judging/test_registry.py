"""From a name to a judge, and what is checked on the way."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.http import Request, Response
from tests.servers.openai_server import OpenAIServer
from tvmerge._util.assets import names
from tvmerge.config import JudgeConfig
from tvmerge.errors import AssetError, CheckpointError, ConfigError, CredentialsError, MissingExtraError
from tvmerge.judging.judges.rules import RulesJudge
from tvmerge.judging.preflight import api_key, check_offered, check_ready
from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.registry import create_judge, find_spec
from tvmerge.judging.spec import spec_for_model
from tvmerge.records import Question


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "judges"
    folder.mkdir()
    text = 'provider = "openai"\nmodel = "special"\naliases = ["nickname"]\n'
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_judge_is_found_by_name_alias_path_or_model(assets: Path) -> None:
    mine = assets / "judges" / "mine.toml"
    for name in ("mine", "nickname", str(mine)):
        assert find_spec(name, assets=assets).model == "special"
    assert find_spec("gpt-4").model == "gpt-4"
    assert find_spec("openai/gpt-5").model == "gpt-5"
    assert find_spec("local/org/model").model == "org/model"


SHIPPED = (
    "claude",
    "claude-haiku",
    "command-r",
    "command-r-plus",
    "command-r-plus-4bit",
    "gemini",
    "gemini-flash-lite",
    "gpt-4",
    "gpt-4.1",
    "gpt-4o",
    "gpt-6-luna",
    "gpt-6.1-sol",
    "gpt-6.1-terra",
    "llama-server",
    "ollama",
    "rules",
    "vllm-server",
)


def test_all_judges_are_shipped() -> None:
    assert set(SHIPPED) <= set(names("judges"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_judge_can_be_made(name: str, prompts: dict[str, JudgePrompt]) -> None:
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "CO_API_KEY": KEY, "GEMINI_API_KEY": KEY}
    judge = create_judge(find_spec(name), prompts, [Question("q", "c", ("1", "2"))], env=keys)
    assert judge.name == name
    assert KEY not in str(judge.fingerprint)


def test_a_base_url_replaces_the_judges_own(assets: Path) -> None:
    spec = find_spec("mine", assets=assets).at("http://127.0.0.1:1/v1")
    assert spec.endpoint == "http://127.0.0.1:1/v1"


def test_an_unknown_judge_is_an_error_that_names_the_known_ones(assets: Path) -> None:
    for name in ("nobody", "nobody/model"):
        with pytest.raises(AssetError, match=r"unknown judge.*gpt-4.*mine.*rules.*provider/model"):
            find_spec(name, assets=assets)


def test_a_judge_that_is_nearly_a_known_one_is_suggested_and_a_model_can_be_named(assets: Path) -> None:
    with pytest.raises(
        AssetError, match=r"did you mean gemini\?\).*such as openai/gemni, with a provider of"
    ):
        find_spec("gemni", assets=assets)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("claude-2", "such as anthropic/claude-2,"),
        ("gpt-3.5-turbo", "such as openai/gpt-3.5-turbo,"),
        ("command-nightly", "such as cohere/command-nightly,"),
        ("gemini-1.5-pro", "or provider/model with a provider of"),  # it has an address of its own
    ],
)
def test_the_model_of_an_old_command_line_is_named_with_its_provider(name: str, example: str) -> None:
    with pytest.raises(AssetError, match=re.escape(example)):
        find_spec(name)


def test_a_wrong_judge_file_is_named_and_not_called_unknown(assets: Path) -> None:
    (assets / "judges" / "broken.toml").write_text("what = 1", encoding="utf-8")
    with pytest.raises(AssetError, match="unknown key 'what'"):
        find_spec("broken", assets=assets)


def test_the_rules_need_no_prompts() -> None:
    assert isinstance(create_judge(find_spec("rules"), {}), RulesJudge)


def test_prompts_are_checked_before_a_judge_is_made(prompts: dict[str, JudgePrompt]) -> None:
    only = {"single-v1": prompts["single-v1"]}
    spec = a_spec("http://127.0.0.1:1/v1")
    with pytest.raises(AssetError, match="single-v1-multi-turn"):
        create_judge(spec, only, [Question("q", "c", ("1", "2"))], env={"TEST_KEY": KEY})


def test_a_missing_key_is_named_by_its_variable(prompts: dict[str, JudgePrompt]) -> None:
    for env in ({}, {"OPENAI_API_KEY": " "}):
        with pytest.raises(CredentialsError, match="variable OPENAI_API_KEY, or choose another judge"):
            check_ready(find_spec("gpt-4"), env)
        with pytest.raises(CredentialsError, match="environment variable OPENAI_API_KEY"):
            create_judge(find_spec("gpt-4"), prompts, env=env)


@pytest.mark.parametrize(("name", "day"), [("gpt-4", "2026-10-23"), ("gpt-4o", "2027-01-14")])
def test_a_model_that_is_shut_down_is_told_from_that_day_on(name: str, day: str) -> None:
    last = date.fromisoformat(day)
    for spec in (find_spec(name), find_spec(f"openai/{name}")):
        check_offered(spec, last - timedelta(days=1))
        with pytest.raises(
            ConfigError, match=f"shut {name} down on {day}; use --judge .* or --judge "
        ) as caught:
            check_offered(spec, last)
        assert all(f"--judge {other}" in str(caught.value) for other in spec.successors)
        assert {find_spec(other).retired for other in spec.successors} == {""}


@pytest.mark.parametrize("name", ["gpt-4", "openai/gpt-4"])
def test_a_model_that_is_shut_down_may_be_served_elsewhere(name: str) -> None:
    spec = find_spec(name).at("http://127.0.0.1:1/v1")
    assert spec.model == "gpt-4"
    check_offered(spec, date(2030, 1, 1))


def test_the_default_judge_is_served_and_thinks_as_much_as_its_file_says() -> None:
    (name,) = JudgeConfig().judge
    spec = find_spec(name)
    assert spec.parameters == {"reasoning_effort": "medium"}
    assert (spec.retired, bool(spec.price_date)) == ("", True)


@pytest.mark.parametrize("wrong", ["sk-ключ", "sk-a\nb", "sk-\u200bx"])
def test_a_key_that_no_header_can_hold_is_named_by_its_variable_and_not_shown(wrong: str) -> None:
    with pytest.raises(CredentialsError, match="variable OPENAI_API_KEY contains") as caught:
        check_ready(find_spec("gpt-4"), {"OPENAI_API_KEY": wrong})
    assert wrong not in str(caught.value)


def test_a_proxy_that_cannot_be_used_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"nothing answers at .* or the proxy$"):
        check_ready(a_spec("http://server.invalid/v1"), {"TEST_KEY": KEY})


def test_a_key_that_is_not_needed_is_still_used() -> None:
    spec = spec_for_model("openai", "m").at("http://127.0.0.1:1/v1")
    assert api_key(spec, {}) == ""
    assert api_key(spec, {"OPENAI_API_KEY": KEY}) == KEY


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_status_shows_that_a_server_listens_and_nothing_is_paid(status: int) -> None:
    class Listening(OpenAIServer):
        def handle(self, request: Request) -> Response:
            return Response({}, status=status)

    with Listening() as server:
        check_ready(a_spec(server.base_url), {"TEST_KEY": KEY})
        assert [request.method for request in server.requests] == ["GET"]
        assert KEY not in str(server.requests)


def test_a_server_that_does_not_listen_is_an_error_before_anything_is_loaded() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ConfigError, match=f"nothing answers at {url}"):
            check_ready(a_spec(url), {"TEST_KEY": KEY})


def test_a_server_that_never_ends_its_headers_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping(OpenAIServer):
        def handle(self, request: Request) -> Response:
            return Response({}, breakage="drip")

    monkeypatch.setattr("tvmerge.judging.preflight.REACH_SECONDS", 0.2)
    with Dripping() as server, pytest.raises(ConfigError, match=r"no headers within 0\.2 s"):
        check_ready(a_spec(server.base_url), {"TEST_KEY": KEY})


def test_an_address_of_a_provider_that_nothing_answers_at_may_be_the_networks_fault() -> None:
    with pytest.raises(ConfigError, match=r"nothing answers at .*; check the network, base_url or the proxy"):
        check_ready(a_spec("http://judge.invalid/v1"), {"TEST_KEY": KEY})


def test_a_local_model_that_cannot_be_had_is_told_before_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    missing = find_spec("local/nobody/nothing")
    with pytest.raises(
        CheckpointError, match=r"'nobody/nothing' is not a folder here, .*choose another judge"
    ):
        check_ready(missing, {})
    check_ready(missing, {}, reach=False)


def test_a_missing_sdk_names_the_extra() -> None:
    code = """
import sys
sys.modules["openai"] = None
from tvmerge.errors import MissingExtraError
from tvmerge.judging.preflight import check_ready
from tvmerge.judging.spec import spec_for_model
try:
    check_ready(spec_for_model("openai", "gpt-4o"), {"OPENAI_API_KEY": "x"})
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(MissingExtraError("openai", "openai"))


def test_a_checkpoint_quantized_before_needs_the_package_too() -> None:
    code = """
import sys
sys.modules["bitsandbytes"] = None
from tvmerge.errors import MissingExtraError
from tvmerge.judging.preflight import check_ready
from tvmerge.judging.registry import find_spec
try:
    check_ready(find_spec("cohere"), {})
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(MissingExtraError("bitsandbytes", "local"))


def test_judges_are_known_without_torch_or_an_sdk() -> None:
    code = """
import sys
from tvmerge.judging.registry import find_spec
find_spec("gpt-4")
print({"torch", "transformers", "openai", "anthropic", "cohere"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
