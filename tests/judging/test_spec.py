"""Judge files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tvmerge._util.assets import bundled_root
from tvmerge.errors import AssetError, ConfigError
from tvmerge.judging.spec import JudgeSpec, is_loopback, read_spec, spec_for_model

SHIPPED = sorted((bundled_root() / "judges").glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_judge_file_is_read(tmp_path: Path) -> None:
    spec = read_spec(
        write(
            tmp_path,
            """
            description = "テスト用"
            provider = "openai"
            model = "gpt-4o"
            base_url = "http://127.0.0.1:8000/v1/"
            aliases = ["me"]
            rpm = 60
            price_input = 2.5
            timeout = 30
            [parameters]
            temperature = 0.2
            """,
        )
    )
    assert spec == JudgeSpec(
        name="mine",
        provider="openai",
        model="gpt-4o",
        description="テスト用",
        base_url="http://127.0.0.1:8000/v1/",
        aliases=("me",),
        api_key_env="OPENAI_API_KEY",
        key_required=False,
        rpm=60,
        price_input=2.5,
        timeout=30,
        parameters={"temperature": 0.2},
    )
    assert spec.endpoint == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_judge_file_is_sound_and_sets_no_limits(path: Path) -> None:
    spec = read_spec(path)
    assert spec.description
    assert (spec.rpm, spec.tpm, spec.rpd) == (None, None, None)
    assert (spec.price_input is None) == (spec.price_output is None) == (not spec.price_date)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'provider = "openai"\nmodel = "m"\nrpmm = 3',
            "unknown key 'rpmm' (did you mean rpm?); known keys: prov",
        ),
        (
            'provider = "openai"\nmodel = "m"\nbase-url = ""',
            "unknown key 'base-url' (did you mean base_url?)",
        ),
        ('model = "m"', "the key 'provider' is missing"),
        ('provider = "openai"', "the key 'model' is missing"),
        (
            'provider = "opnai"\nmodel = "m"',
            "unknown provider 'opnai' (did you mean openai?); known: anthropic",
        ),
        (
            'provider = "Google"\nmodel = "m"',
            "there is no provider 'Google'; write provider = \"openai\" with base_url = "
            '"https://generativelanguage.googleapis.com/v1beta/openai" and its key',
        ),
        (
            'provider = "lm-studio"\nmodel = "m"',
            'write provider = "openai" with base_url = "http://localhost:1234/v1"',
        ),
        ('provider = "azure_openai"\nmodel = "m"', "with api_version and the address of your resource"),
        ('provider = "openai"\nmodel = 3', "'model' must be a text; got 3"),
        ('provider = "openai"\nmodel = "m"\nrpm = 0', "'rpm' must be an integer of at least 1"),
        ('provider = "openai"\nmodel = "m"\nrpm = true', "'rpm' must be an integer"),
        ('provider = "openai"\nmodel = "m"\nrpm = 1000000001', "'rpm' must be an integer"),
        ('provider = "openai"\nmodel = "m"\nsamples = 1001', "'samples' must be an integer from 1 to 1000"),
        ('provider = "openai"\nmodel = "m"\ntimeout = 0', "'timeout' must be a number of seconds above 0"),
        (
            'provider = "openai"\nmodel = "m"\nprice_input = -1',
            "'price_input' must be a number of at least 0",
        ),
        ('provider = "openai"\nmodel = "m"\nbase_url = "here"', "'base_url' must be an address must read"),
        ('provider = "openai"\nmodel = "m"\nbase_url = "http://me:pw@host"', "user, key or query in it"),
        ('provider = "openai"\nmodel = "m"\nbase_url = "http://host:99999"', "an address must read"),
        ('provider = "openai"\nmodel = "m"\nparameters = 1', "'parameters' must be a table"),
        ('provider = "openai"\nmodel = "m"\naliases = "a"', "'aliases' must be a list of texts"),
        ('provider = "local"\nmodel = "m"\nquantization = "3bit"', "one of none, 4bit, 8bit, bitsandbytes"),
        ('provider = "openai"\nmodel = "m"\n[parameters]\nday = 2024-01-01', "that JSON can hold"),
        ('provider = "openai"\nmodel = "m"\n[parameters]\ntop_p = nan', "that JSON can hold"),
        ('provider = "openai"\nmodel = "m"\nbase_url = "http://my host/v1"', "no space"),
        ('provider = "openai"\nmodel = "m"\nbase_url = "http://.host/v1"', "an address must read"),
        ('provider = "openai"\nmodel = "m"\napi_version = "1"', "the key 'base_url' is missing"),
        ('provider = "anthropic"\nmodel = "m"\nomit_parameters = ["max_tokens"]', "must not name max_tokens"),
        ('provider = "openai"\nmodel = "m"\nretired = "2026-13-01"', "'retired' must be a day, YYYY-MM-DD"),
        ("provider = ", "not a readable TOML file"),
    ],
)
def test_a_wrong_judge_file_is_an_error_that_says_what_and_where(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(AssetError) as caught:
        read_spec(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("", True),
        ('api_key_env = "MY_KEY"', True),
        ('base_url = "http://localhost:8000/v1"', False),
        ('base_url = "http://[::1]:8000/v1"', False),
        ('base_url = "http://gpu-box:8000/v1"', True),
        ('base_url = "http://127.0.0.1:8000/v1"\napi_key_env = "MY_KEY"', True),
    ],
)
def test_only_a_server_of_this_machine_needs_no_key(tmp_path: Path, text: str, required: bool) -> None:
    spec = read_spec(write(tmp_path, f'provider = "openai"\nmodel = "m"\n{text}'))
    assert spec.key_required is required


def test_every_attribute_can_be_set_in_a_judge_file(tmp_path: Path) -> None:
    with pytest.raises(AssetError) as caught:
        read_spec(write(tmp_path, "nonsense = 1"))
    known = str(caught.value).split("known keys: ")[1].split(", ")
    assert {*known, "name", "key_required"} == {field.name for field in fields(JudgeSpec)}


def test_a_model_without_a_file_is_named_by_its_last_part() -> None:
    spec = spec_for_model("local", "CohereForAI/c4ai-command-r-plus-4bit")
    assert (spec.name, spec.model) == ("c4ai-command-r-plus-4bit", "CohereForAI/c4ai-command-r-plus-4bit")
    assert not spec.key_required
    assert spec_for_model("openai", "gpt-4o").key_required


def test_another_server_can_be_asked() -> None:
    moved = spec_for_model("openai", "gpt-4o").at("http://127.0.0.1:9/v1")
    assert moved.endpoint == "http://127.0.0.1:9/v1"
    assert not moved.key_required
    with pytest.raises(ConfigError, match="--judge-base-url"):
        moved.at("nowhere")
    with pytest.raises(ConfigError, match="not on a server"):
        read_spec(bundled_root() / "judges" / "rules.toml").at("http://127.0.0.1:9/v1")


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://localhost:1", True),
        ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_a_loopback_address_is_known(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
