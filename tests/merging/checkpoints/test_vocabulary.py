"""Embeddings and heads of models with other tokens: rows of shared tokens get the vector, others nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from tests.merging.families import saved_model
from tests.merging.tokens import save_byte_level, save_tekken, save_tokenizer
from tvmerge.errors import CheckpointError
from tvmerge.merging.checkpoints.vocabulary import Vocabulary, match_tokens
from tvmerge.merging.export.merge_folder import write_merge
from tvmerge.merging.open import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.merging.request import Vocabulary as Policy
from tvmerge.records import Recipe

_TABLES = ("model.embed_tokens.weight", "lm_head.weight")


def _model(folder: Path, words: list[str], *, rows: int | None = None, seed: int = 0, **roles: str) -> Path:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    saved_model(folder, "llama", seed=seed, vocab_size=rows or len(words), **sizes)
    save_tokenizer(folder, words, **roles)
    return folder


def _open(target: Path, base: Path, tuned: Path, policy: Policy = "align", **options: Any) -> Merge:
    vector = TaskVector(tuned=str(tuned), base=str(base))
    request = MergeRequest(targets=(str(target),), vectors=(vector,), vocabulary=policy)
    return open_request(request, **options)


def _lines(merge: Merge) -> list[str]:
    return [remark.line() for remark in merge.remarks()]


def _merged(merge: Merge, weight: float) -> dict[str, torch.Tensor]:
    return dict(merge.merger.merge(Recipe(dict.fromkeys(merge.group_names, weight))))


def _tables(*folders: Path) -> list[dict[str, torch.Tensor]]:
    factory: Any = AutoModelForCausalLM
    return [factory.from_pretrained(folder).state_dict() for folder in folders]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, list[str], list[str]]:
    """A base of 32000 tokens, and a target with 500 more, all of them shuffled, and padding rows."""
    root = tmp_path_factory.mktemp("extended")
    words = [f"w{number}" for number in range(32000)]
    theirs = words + [f"語{number}" for number in range(500)]
    random.Random(0).shuffle(theirs)
    base = _model(root / "base", words, seed=1)
    tuned = _model(root / "tuned", words, seed=2)
    target = _model(root / "target", theirs, rows=32512, seed=3)
    (target / "chat_template.jinja").write_text("{{ messages }}")
    return target, base, tuned, words, theirs


def test_shared_rows_are_exact_and_own_rows_untouched_in_a_reordered_extended_vocabulary(
    extended: tuple[Path, Path, Path, list[str], list[str]], tmp_path: Path
) -> None:
    target, base, tuned, words, theirs = extended
    merge = _open(target, base, tuned)
    write_merge(merge, tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.75)))
    got, own, old, new = _tables(tmp_path / "out", target, base, tuned)
    number = {word: index for index, word in enumerate(words)}
    shared = [(row, number[word]) for row, word in enumerate(theirs) if word in number]
    rows, others = (torch.tensor(column) for column in zip(*shared, strict=True))
    assert len(rows) == 32000
    for name in _TABLES:
        exact = own[name][rows].float() + 0.75 * (new[name][others].float() - old[name][others].float())
        assert torch.equal(got[name][rows], exact.bfloat16())
        rest = torch.ones(32512, dtype=torch.bool)
        rest[rows] = False
        assert rest.sum() == 512
        assert torch.equal(got[name][rest], own[name][rest])
    first = ", ".join([word for word in theirs if word not in number][:4])
    assert _lines(merge) == [
        "tokens: tuned: 32000 tokens shared; 500 of the target's own, 12 rows of padding",
        f"tokens that get nothing of tuned, since not all models have them: {first} and 496 more",
    ]
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages }}"
    factory: Any = AutoTokenizer
    assert factory.from_pretrained(tmp_path / "out").get_vocab() == {word: i for i, word in enumerate(theirs)}


def test_skip_leaves_embeddings_and_head_alone_and_without_a_weight(
    extended: tuple[Path, Path, Path, list[str], list[str]],
) -> None:
    target, base, tuned, *_ = extended
    merge = _open(target, base, tuned, "skip")
    assert merge.group_names == ("layers.0", "norm")
    merged, own = _merged(merge, 1.0), _tables(target)[0]
    assert all(torch.equal(merged[name], own[name]) for name in _TABLES)
    assert _lines(merge) == [
        "no weight, as in the target: model.embed_tokens.weight, lm_head.weight "
        "(tokens of tuned differ, with --vocab skip)"
    ]


def test_error_refuses_other_tokens(extended: tuple[Path, Path, Path, list[str], list[str]]) -> None:
    target, base, tuned, *_ = extended
    with pytest.raises(
        CheckpointError, match=r"base 32000.*model\.embed_tokens\.weight is \[32000, 8\] in ba"
    ):
        _open(target, base, tuned, "error")


def test_as_many_tokens_in_another_order_are_matched_too(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(64)]
    base = _model(tmp_path / "base", words, seed=1)
    tuned = _model(tmp_path / "tuned", words, seed=2)
    target = _model(tmp_path / "target", words[::-1], seed=3)
    merged = _merged(_open(target, base, tuned), 1.0)
    own, old, new = _tables(target, base, tuned)
    name = _TABLES[0]
    exact = own[name].float() + (new[name].float() - old[name].float()).flip(0)
    assert torch.equal(merged[name], exact.bfloat16())
    with pytest.raises(CheckpointError, match=r"tokens differ: .*--vocab align or --vocab skip"):
        _open(target, base, tuned, "error")


def test_special_tokens_are_matched_by_role_where_their_text_differs(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(62)]
    base = _model(tmp_path / "base", [*words, "<s>", "</s>"], seed=1, bos_token="<s>", eos_token="</s>")
    tuned = _model(tmp_path / "tuned", [*words, "<s>", "</s>"], seed=2, bos_token="<s>", eos_token="</s>")
    target = _model(tmp_path / "target", ["<|end|>", "<own>", *words], seed=3, eos_token="<|end|>")
    merge = _open(target, base, tuned)
    merged, (own, old, new) = _merged(merge, 0.5), _tables(target, base, tuned)
    name = _TABLES[1]
    assert torch.equal(
        merged[name][0],
        (own[name][0].float() + 0.5 * (new[name][63].float() - old[name][63].float())).bfloat16(),
    )
    assert torch.equal(merged[name][1], own[name][1])
    assert _lines(merge)[-3:] == [
        "tokens: tuned: 63 tokens shared, <|end|> by role; 1 of the target's own",
        "tokens that get nothing of tuned, since not all models have them: <own>",
        "tokens that tuned has and that go nowhere, since not all models have them: <s>",
    ]


def test_without_a_tokenizer_equal_sizes_are_trusted_and_told_and_unequal_ones_refused(
    tmp_path: Path,
) -> None:
    words = [f"w{number}" for number in range(64)]
    base, tuned = (_model(tmp_path / name, words) for name in ("base", "tuned"))
    target = _model(tmp_path / "target", [*words, "more"])
    (base / "tokenizer.json").unlink()
    assert _lines(_open(tuned, base, tuned)) == [
        "tokens: tuned: taken to be numbered alike, though without a tokenizer: base"
    ]
    with pytest.raises(CheckpointError, match=r"without a tokenizer they cannot be matched: base lacks one"):
        _open(target, base, tuned)


def test_a_tokenizer_that_cannot_be_read_is_refused_though_sizes_are_equal(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(64)]
    target, base = (_model(tmp_path / name, words) for name in ("target", "base"))
    (target / "tokenizer.json").rename(target / "tokenizer.model")
    with pytest.raises(CheckpointError, match=r"the same token ids: target: .*; --vocab skip leaves"):
        _open(target, base, base)
    assert _open(target, base, base, "skip").group_names == ("layers.0", "norm")


def test_vocabularies_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    base, tuned = (_model(tmp_path / name, [f"w{i}" for i in range(64)]) for name in ("base", "tuned"))
    target = _model(tmp_path / "target", [f"v{i}" for i in range(64)])
    with pytest.raises(CheckpointError, match="have no token in common; pass --vocab skip"):
        _open(target, base, tuned)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    base, tuned = (_model(tmp_path / name, [f"w{i}" for i in range(64)]) for name in ("base", "tuned"))
    (tuned / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tuned: the tokenizer cannot be loaded: tokenizer\.json is"):
        _open(base, base, tuned)


def _moved(target: Path, base: Path, tuned: Path) -> dict[str, tuple[int, int]]:
    """Text of each token that moved -> of which rows of base and tuned model it got the difference."""
    factory: Any = AutoTokenizer
    name = _TABLES[0]
    own, old, new = (table[name].float() for table in _tables(target, base, tuned))
    got = _merged(_open(target, base, tuned), 1.0)[name].float() - own
    moved = {}
    for text, row in factory.from_pretrained(target).get_vocab().items():
        if row < len(own) and got[row].abs().max() > 0:
            errors = (new[None] - old[:, None] - got[row]).abs().amax(-1)
            assert errors.min() < 0.02
            in_base, in_tuned = divmod(int(errors.argmin()), len(new))
            moved[text] = (in_base, in_tuned)
    return moved


WORDS = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(3, 40))]


def test_a_role_that_base_and_tuned_model_give_to_different_tokens_matches_nothing(tmp_path: Path) -> None:
    chat = [*WORDS, "<|im_end|>", "<|im_start|>"]
    base = _model(tmp_path / "base", WORDS, seed=1, eos_token="</s>")
    tuned = _model(tmp_path / "tuned", chat, seed=2, eos_token="<|im_end|>")
    target = _model(tmp_path / "target", chat, seed=3, eos_token="<|im_end|>")
    assert _moved(target, base, tuned) == {word: (row, row) for row, word in enumerate(WORDS)}


@pytest.mark.parametrize(
    ("in_base", "in_tuned"), [("<unk>", "</s>"), ("<unk>", "<unk>"), ("</s>", "</s>"), ("w3", "w4")]
)
def test_a_padding_token_of_its_own_gets_nothing_of_another_token_that_the_target_has(
    in_base: str, in_tuned: str, tmp_path: Path
) -> None:
    base = _model(tmp_path / "base", WORDS, seed=1, eos_token="</s>", pad_token=in_base)
    tuned = _model(tmp_path / "tuned", WORDS, seed=2, eos_token="</s>", pad_token=in_tuned)
    target = _model(tmp_path / "target", [*WORDS, "[PAD]"], seed=3, eos_token="</s>", pad_token="[PAD]")
    assert _moved(target, base, tuned) == {word: (row, row) for row, word in enumerate(WORDS)}


def test_a_token_of_two_roles_is_matched_once_by_the_first(tmp_path: Path) -> None:
    words = WORDS[3:]
    base = _model(tmp_path / "base", [*words, "</s>", "<pad>"], seed=1, eos_token="</s>", pad_token="<pad>")
    tuned = _model(tmp_path / "tuned", [*words, "</s>", "<pad>"], seed=2, eos_token="</s>", pad_token="<pad>")
    target = _model(tmp_path / "target", [*words, "<end>"], seed=3, eos_token="<end>", pad_token="<end>")
    assert _moved(target, base, tuned)["<end>"] == (len(words), len(words))


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        (("<|reserved_0|>", "<|reserved_1|>"), {"<|reserved_0|>": (40, 40), "<|reserved_1|>": (41, 41)}),
        (("<|im_start|>", "<|reserved_1|>"), {"<|im_start|>": (40, 40), "<|reserved_1|>": (41, 41)}),
        (("<|reserved_0|>", "<|im_start|>"), {"<|im_start|>": (40, 40)}),
        (("<|call|>", "<|reserved_1|>"), {"<|reserved_1|>": (41, 41)}),
    ],
)
def test_what_was_learnt_of_a_reserved_token_under_a_new_name_goes_to_its_row(
    names: tuple[str, ...], moved: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    base = _model(tmp_path / "base", [*WORDS, "<|reserved_0|>", "<|reserved_1|>"], seed=1)
    tuned = _model(tmp_path / "tuned", [*WORDS, "<|im_start|>", "<|reserved_1|>"], seed=2)
    target = _model(tmp_path / "target", [*WORDS, *names], seed=3)
    got = _moved(target, base, tuned)
    assert {text: place for text, place in got.items() if text not in WORDS} == moved


def test_words_that_were_replaced_and_tokens_that_were_renumbered_are_not_renamed(tmp_path: Path) -> None:
    base = _model(tmp_path / "base", [*WORDS, "word", "<|reserved|>"], seed=1)
    replaced = _model(tmp_path / "replaced", [*WORDS, "other", "<|reserved|>"], seed=2)
    shuffled = _model(tmp_path / "shuffled", [*WORDS[::-1], "word", "<|named|>"], seed=2)
    assert "word" not in _moved(base, base, replaced)
    assert "<|reserved|>" not in _moved(base, base, shuffled)


ADDED = {"<|im_start|>": 40, "<|im_end|>": 41}


def _in_a_file(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps(ADDED))


def _in_the_settings(folder: Path, gap: int = 0) -> None:
    told = {str(number + gap): {"content": text, "special": True} for text, number in ADDED.items()}
    _set(folder, added_tokens_decoder=told)


def _in_the_roles(folder: Path) -> None:
    _set(folder, bos_token="<|im_start|>", eos_token="<|im_end|>")


def _set(folder: Path, **settings: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    "write",
    [
        _in_a_file,
        _in_the_settings,
        partial(_in_the_settings, gap=1),
        partial(_in_the_settings, gap=9),
        _in_the_roles,
    ],
)
def test_tokens_that_stand_outside_of_the_tokenizers_file_count_as_transformers_numbers_them(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    base = _model(tmp_path / "base", [*WORDS, *ADDED], seed=1)
    tuned = _model(tmp_path / "tuned", WORDS, rows=44, seed=2)
    target = _model(tmp_path / "target", WORDS, rows=48, seed=3)
    write(tuned)
    write(target)
    factory: Any = AutoTokenizer
    there = factory.from_pretrained(tuned).get_vocab()
    moved = _moved(target, base, tuned)
    assert {text: moved[text] for text in ADDED} == {text: (row, there[text]) for text, row in ADDED.items()}


def test_tokens_beyond_the_rows_do_not_make_vocabularies_differ(tmp_path: Path) -> None:
    base, tuned = (_model(tmp_path / name, WORDS, seed=seed) for seed, name in enumerate(("base", "tuned")))
    _in_the_settings(tuned)
    assert _lines(_open(base, base, tuned)) == []


def _without_tokenizer(folder: Path, rows: int, seed: int) -> Path:
    _model(folder, WORDS, rows=rows, seed=seed)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    return folder


def test_tokens_of_tekken_are_matched_by_the_text_a_tokenizers_file_has(tmp_path: Path) -> None:
    base, tuned = (
        _without_tokenizer(tmp_path / name, 278, seed) for seed, name in enumerate(("base", "tuned"))
    )
    save_tekken(base, [" the", "語"])
    save_tekken(tuned, ["語", " the"])
    factory: Any = PreTrainedTokenizerFast
    number = factory.from_pretrained(base).get_vocab()["Ġthe"]
    factory.from_pretrained(base).save_pretrained(base)
    (base / "tekken.json").unlink()
    assert _moved(base, base, tuned)["Ġthe"] == (number, number + 1)


_BYTES = """
from transformers import PreTrainedTokenizer
class Own(PreTrainedTokenizer):
    words = [b"the", b"th", *(bytes([number]) for number in range(256))]
    @property
    def vocab_size(self): return len(self.words)
    def get_vocab(self): return {word: number for number, word in enumerate(self.words)}
    def _tokenize(self, text, **kw): return [bytes([byte]) for byte in text.encode()]
    def _convert_token_to_id(self, token): return self.get_vocab().get(token, 2)
    def _convert_id_to_token(self, number): return self.words[number]
"""


def test_tokens_in_bytes_are_those_of_a_byte_level_tokenizer(tmp_path: Path) -> None:
    base, own = (_without_tokenizer(tmp_path / name, 258, seed) for seed, name in enumerate(("base", "own")))
    save_byte_level(base)
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (own / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["words.Own", null]}}')
    (own / "words.py").write_text(_BYTES)
    vector = TaskVector(tuned=str(base), base=str(base))
    request = MergeRequest(targets=(str(own),), vectors=(vector,), trust_remote_code=True)
    assert _lines(open_request(request))[0].startswith("tokens: base: 258 tokens shared")


def test_which_rows_were_matched_is_part_of_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tuned = (_model(tmp_path / name, WORDS, eos_token="</s>") for name in ("base", "tuned"))
    target = _model(tmp_path / "target", [*WORDS[3:], "<end>"], eos_token="<end>")
    by_role = _open(target, base, tuned).fingerprint
    monkeypatch.setattr("tvmerge.merging.checkpoints.vocabulary.ROLES", ())
    by_text = _open(target, base, tuned).fingerprint
    assert {name for name in by_role if by_role[name] != by_text[name]} == {"plan"}


_TOKENS = st.lists(st.sampled_from([f"t{i}" for i in range(12)]), unique=True, min_size=1)


@given(target=_TOKENS, base=_TOKENS, tuned=_TOKENS, rows=st.integers(1, 12))
def test_each_matched_row_is_the_same_token_in_all_three(
    target: list[str], base: list[str], tuned: list[str], rows: int
) -> None:
    models = [
        Vocabulary(name, {word: i for i, word in enumerate(words)}, {}, rows)
        for name, words in (("target", target), ("base", base), ("tuned", tuned))
    ]
    common = set(target[:rows]) & set(base[:rows]) & set(tuned[:rows])
    if not common:
        with pytest.raises(CheckpointError, match="no token in common"):
            match_tokens(*models)
        return
    matched = match_tokens(*models)
    texts = [
        [words[row] for row in column]
        for words, column in (
            (target, matched.rows.target),
            (base, matched.rows.base),
            (tuned, matched.rows.tuned),
        )
    ]
    assert texts[0] == texts[1] == texts[2]
    assert set(texts[0]) == common
    assert list(matched.rows.target) == sorted(matched.rows.target)
    assert len(matched.own) + matched.padding + len(common) == rows
