"""Loading a model's tokenizer with transformers, and saying what is missing where it cannot be loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tvmerge._util.files import folder_name
from tvmerge.errors import CheckpointError

FAST = "tokenizer.json"
TEKKEN = "tekken.json"

EXTRA = "tokenizers"
"""The extra that brings what reads tokenizers without a `tokenizer.json`."""

_SENTENCEPIECE = ("sentencepiece", "tiktoken")  # what is called *.model can be of either
_TIKTOKEN = ("tiktoken",)
_PATTERNS = (FAST, TEKKEN, "tokenizer*", "vocab*", "merges*", "*.model", "*.tiktoken", "*.vocab", "*.bpe")


def vocabulary_files(folder: Path) -> list[str]:
    """Names of the files in a model's folder that hold a tokenizer, as far as names tell.

    Settings alone are none, unless they name code that knows where its tokens are.
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
        return False  # who loads the tokenizer says why


class TokenizerError(CheckpointError):
    """A model has no tokenizer, or none that can be loaded."""


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has a tokenizer's files."""
    return bool(vocabulary_files(folder))


def load_tokenizer(
    folder: Path, *, name: str | None = None, generic: bool = False, trust_remote_code: bool = False
) -> Any:
    """The tokenizer of the model in `folder`.

    Args:
        folder: A model's folder.
        name: What messages call the model; the folder's name unless given.
        generic: Let transformers' generic class read it, whatever class the folder names.
        trust_remote_code: Whether it may bring code of its own.

    Raises:
        TokenizerError: There is none, or it cannot be loaded or knows no words; names the package or the flag
            that it needs.
    """
    known = name or folder_name(folder)
    if not has_tokenizer(folder):
        raise TokenizerError(f"{known} has no tokenizer; save one there with transformers")
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    factory: Any = PreTrainedTokenizerFast if generic else AutoTokenizer
    failed = f"{known}: the tokenizer cannot be loaded"
    missing = _missing(folder)
    if set(_SENTENCEPIECE) <= set(missing):
        raise TokenizerError(f"{failed}: {_install(missing)}")
    try:
        tokenizer = factory.from_pretrained(folder, trust_remote_code=trust_remote_code)
        words = set(tokenizer.get_vocab()) - marked_tokens(tokenizer)
    except Exception as error:  # transformers and the code of tokenizers raise what they like
        reason = _install(missing) if missing else _reason(folder, error)
        raise TokenizerError(f"{failed}: {reason}") from error
    # Classes of transformers that find no vocabulary, or a damaged one, have their special tokens alone.
    if not words:
        reason = _install(missing) if missing else f"{_files(folder)} has no token but special ones"
        raise TokenizerError(f"{failed}: {reason}")
    return tokenizer


def marked_tokens(tokenizer: Any) -> set[Any]:
    """The special tokens of a tokenizer, and those that were added to its vocabulary."""
    added = getattr(tokenizer, "get_added_vocab", dict)  # mistral-common's tokenizers add none
    return {*tokenizer.all_special_tokens, *added()}


def _reason(folder: Path, error: Exception) -> str:
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    first = lines[0].rstrip(" .:") if lines else ""
    if "custom code" in first:
        return "it is code that comes with the model; pass --trust-remote-code if you trust it"
    if first.startswith("Couldn't instantiate the backend tokenizer"):
        return f"transformers cannot read {_files(folder)} as one"
    if isinstance(error, (ValueError, OSError, ImportError, RuntimeError)) and first:
        return first
    return f"{_files(folder)} is damaged or of another kind ({type(error).__name__}: {first})"


def _files(folder: Path) -> str:
    return ", ".join(vocabulary_files(folder))


def _missing(folder: Path) -> list[str]:
    """The packages that may be needed for the files in `folder` and are not installed."""
    if (folder / FAST).is_file() or (folder / TEKKEN).is_file():
        return []
    readers = {"*.model": _SENTENCEPIECE, "*.tiktoken": _TIKTOKEN}
    wanted = {name for pattern, names in readers.items() if any(folder.glob(pattern)) for name in names}
    return sorted(name for name in wanted if find_spec(name) is None)


def _install(packages: list[str]) -> str:
    return f"that needs {' and '.join(packages)}; pip install 'tvmerge[{EXTRA}]'"
