"""Embeddings and heads of models with other tokens: rows of shared tokens get the vector, others nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.merging.families import saved_model
from tests.merging.tokens import save_tokenizer
from tvmerge.errors import CheckpointError
from tvmerge.merging.opening import Merge, open_request
from tvmerge.merging.request import MergeRequest, TaskVector
from tvmerge.merging.request import Vocabulary as Policy
from tvmerge.merging.vocabulary import Vocabulary, match_tokens
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
    merge.write(tmp_path / "out", Recipe(dict.fromkeys(merge.group_names, 0.75)))
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
    assert [remark.line() for remark in merge.remarks()] == [
        "tokens: tuned: 32000 tokens shared; 500 of the target's own, 12 rows of padding"
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
    assert [remark.line() for remark in merge.remarks()] == [
        "no weight, as in the target: model.embed_tokens.weight, lm_head.weight "
        "(tokens of tuned differ, and --vocab skip)"
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
    assert [remark.line() for remark in merge.remarks()][-1:] == [
        "tokens: tuned: 63 tokens shared, <|end|> by role; 1 of the target's own"
    ]


def test_without_tokenizers_equal_sizes_are_trusted_and_unequal_ones_refused(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(64)]
    base, tuned = (_model(tmp_path / name, words) for name in ("base", "tuned"))
    target = _model(tmp_path / "target", [*words, "more"])
    (base / "tokenizer.json").unlink()
    assert not _open(tuned, base, tuned).remarks()
    with pytest.raises(CheckpointError, match=r"without a tokenizer.json they cannot be matched: base lacks"):
        _open(target, base, tuned)


def test_vocabularies_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    base, tuned = (_model(tmp_path / name, [f"w{i}" for i in range(64)]) for name in ("base", "tuned"))
    target = _model(tmp_path / "target", [f"v{i}" for i in range(64)])
    with pytest.raises(CheckpointError, match="have no token in common; pass --vocab skip"):
        _open(target, base, tuned)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    base, tuned = (_model(tmp_path / name, [f"w{i}" for i in range(64)]) for name in ("base", "tuned"))
    (tuned / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tuned.tokenizer\.json: cannot be read as a tokenizer"):
        _open(base, base, tuned)


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
    assert matched.own + matched.padding + len(common) == rows
