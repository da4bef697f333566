"""Loads a model's tokenizer with transformers, or says what is missing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tvmerge._util.regular import irregular, kind_of
from tvmerge.errors import CheckpointError

FAST = "tokenizer.json"
TEKKEN = "tekken.json"

EXTRA = "tokenizers"
"""The extra with the packages for tokenizers without a `tokenizer.json`."""

_SENTENCEPIECE = ("sentencepiece", "tiktoken")  # *.model files can be of either package
_TIKTOKEN = ("tiktoken",)
_PATTERNS = (FAST, TEKKEN, "tokenizer*", "vocab*", "merges*", "*.model", "*.tiktoken", "*.vocab", "*.bpe")


def vocabulary_files(folder: Path) -> list[str]:
    """Return the names of a folder's files that may contain a tokenizer, judging by their names.

    A file with only settings is not a tokenizer, unless it names remote code that finds the tokens.
    """
    found = {path.name for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    settings = folder / "tokenizer_config.json"
    if settings.name in found and not _names_code(settings):
        found.remove(settings.name)
    return sorted(name for name in found if not name.endswith(".py"))


def _names_code(settings: Path) -> bool:
    try:
        return b'"auto_map"' in settings.read_bytes()
    except OSError:
        return False  # loading the tokenizer reports the error


class TokenizerError(CheckpointError):
    """A model has no tokenizer, or it cannot be loaded."""


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder has the files of a tokenizer."""
    return bool(vocabulary_files(folder))


def load_tokenizer(folder: Path, name: str, *, generic: bool = False, trust_remote_code: bool = False) -> Any:
    """Load the tokenizer of the model in `folder`.

    Args:
        folder: A model's folder.
        name: The model's name in messages.
        generic: Whether to use transformers' generic class instead of the one that the folder names.
        trust_remote_code: Whether the tokenizer may run code from its files.

    Raises:
        TokenizerError: There is none, it cannot be loaded or it has no vocabulary; the message names the
            package or flag that it needs.
    """
    if not has_tokenizer(folder):
        raise TokenizerError(f"{name} has no tokenizer; save one there with transformers")
    if (
        odd := irregular(folder)
    ) is not None:  # transformers would wait for a pipe, and read a device for ever
        raise TokenizerError(f"{odd}: is {kind_of(odd.stat().st_mode)} and not a file; remove it")
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    factory: Any = PreTrainedTokenizerFast if generic else AutoTokenizer
    failed = f"{name}: the tokenizer cannot be loaded"
    missing = _missing(folder)
    if set(_SENTENCEPIECE) <= set(missing):
        raise TokenizerError(f"{failed}: {_install(missing)}")
    try:
        tokenizer = factory.from_pretrained(folder, trust_remote_code=trust_remote_code)
        words = set(tokenizer.get_vocab()) - marked_tokens(tokenizer)
        _check_unknown(tokenizer)
    except Exception as error:  # transformers and remote code may raise anything
        reason = _install(missing) if missing else _reason(folder, error)
        raise TokenizerError(f"{failed}: {reason}") from error
    # A class of transformers that finds no vocabulary, or a damaged one, has only special tokens.
    if not words:
        reason = _install(missing) if missing else f"{_files(folder)} has only special tokens"
        raise TokenizerError(f"{failed}: {reason}")
    longest = getattr(tokenizer, "model_max_length", 0)
    if not isinstance(longest, int | float):
        raise TokenizerError(
            f"{failed}: model_max_length in its settings is {longest!r:.40} and not a number"
        )
    return tokenizer


def marked_tokens(tokenizer: Any) -> set[Any]:
    """Return the special tokens of a tokenizer, and those added to its vocabulary."""
    added = getattr(tokenizer, "get_added_vocab", dict)  # mistral-common's tokenizers have no added tokens
    return {*tokenizer.all_special_tokens, *added()}


def _check_unknown(tokenizer: Any) -> None:
    """Check that a tokenizer has its token for unknown ones, for whose id transformers would ask for ever.

    Raises:
        ValueError: It has not.
    """
    try:
        getattr(tokenizer, "unk_token_id", None)
    except RecursionError as error:
        raise ValueError(f"it has no token {tokenizer.unk_token!r:.40}, which is its unk_token") from error


def _reason(folder: Path, error: Exception) -> str:
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    first = lines[0].rstrip(" .:") if lines else ""
    if "custom code" in first:
        return "it is remote code; pass --trust-remote-code if you trust it"
    if first.startswith("Couldn't instantiate the backend tokenizer"):
        return f"transformers cannot read {_files(folder)} as one"
    if isinstance(error, (ValueError, OSError, ImportError, RuntimeError)) and first:
        return first
    return f"{_files(folder)} is damaged or of another kind ({type(error).__name__}: {first})"


def _files(folder: Path) -> str:
    return ", ".join(vocabulary_files(folder))


def _missing(folder: Path) -> list[str]:
    """Return the packages that may be needed for the files in `folder` but are not installed."""
    if (folder / FAST).is_file() or (folder / TEKKEN).is_file():
        return []
    readers = {"*.model": _SENTENCEPIECE, "*.tiktoken": _TIKTOKEN}
    wanted = {name for pattern, names in readers.items() if any(folder.glob(pattern)) for name in names}
    return sorted(name for name in wanted if find_spec(name) is None)


def _install(packages: list[str]) -> str:
    return f"that needs {' and '.join(packages)}; pip install 'tvmerge[{EXTRA}]'"
