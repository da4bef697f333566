"""Keys of replies that users have paid for: what is sent for prompts that exist must stay as it was.

Several modules: prompts, judges and providers decide a key together.
"""

from __future__ import annotations

import pytest

from tvmerge.judging.prompts.prompts import JudgePrompt
from tvmerge.judging.prompts.reply_format import RatingFormat, ReplyFormat, VerdictFormat
from tvmerge.judging.registry import create_chat, create_judge
from tvmerge.judging.spec import JudgeSpec

ENV = {"K": "k"}
PLAIN = (RatingFormat(), VerdictFormat())
PAID = [
    ("openai", "gpt-4o", PLAIN, "aa2fc96ec615acee45f8036dd76e9574e4497ed85ae95e7aa7b92769adc04b59"),
    (
        "openai",
        "gpt-4o",
        [RatingFormat(0, 5, True)],
        "766534d57f817583020f185158337583428d7cc80ab41969b1297322884e3f8a",
    ),
    (
        "openai",
        "gpt-4o",
        [VerdictFormat(True)],
        "caf950f1c1f03646878a1b2a72bed437e793d8804c3bd10c7b6aa3af7846b394",
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        PLAIN,
        "f7435046fbcc41b3e36745d3d08ec845e52984d5093268cf19d3f9c32b28d575",
    ),
    (
        "anthropic",
        "claude-sonnet-4-5",
        [RatingFormat(0, 5, True)],
        "53309ecec14454c160bf4f4108e8945391d17ff233874d55fa6c2bc6100a036e",
    ),
    (
        "cohere",
        "command-a-03-2025",
        PLAIN,
        "1a8ebdd0cac6364b2c227dcac7a526c65c4a98c6de0515716910b35bd8ed49e2",
    ),
    (
        "cohere",
        "command-a-03-2025",
        [VerdictFormat(True)],
        "9badaea5f5d224ab5ec5402861badbc355a087313d33b3c2a7a12aa20662c5b3",
    ),
]


def spec(provider: str, model: str) -> JudgeSpec:
    return JudgeSpec("j", provider, model=model, base_url="https://judge.example/v1", api_key_env="K")


@pytest.mark.parametrize(("provider", "model", "forms", "key"), PAID)
def test_the_key_of_a_request_is_that_of_the_first_release(
    provider: str, model: str, forms: list[ReplyFormat], key: str
) -> None:
    chat = create_chat(spec(provider, model), ENV)
    for form in forms:
        assert chat.request("Be fair.", "[Q]\n都道府県は？", form, sample=1).key == key


def test_a_prompt_without_a_form_of_its_own_has_the_fingerprint_that_studies_hold() -> None:
    prompt = JudgePrompt(
        "single-v1", "single", "Be fair.", "{question}\n{answer}", "[[rating]]", source="f:1"
    )
    judge = create_judge(spec("openai", "gpt-4o"), {"single-v1": prompt}, env=ENV)
    assert judge.fingerprint["prompts"] == {
        "single-v1": "2f56466ab3db89743f49adc9595ab214d439e9211fe7338eef7797649f3d7674"
    }
