"""The releases of vLLM that the engine is tested with.

Only public calls are used, but they change between releases, and a wrong answer cannot be recognized as
wrong.
"""

from __future__ import annotations

import importlib
import importlib.util

from tvmerge.errors import ConfigError, MissingExtraError, UserError

TESTED = ("0.32",)
"""The releases with which the contract tests pass."""


def check_version() -> str:
    """Return the installed release.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: The release has not been tested, or cannot be imported.
    """
    try:
        found = str(importlib.import_module("vllm").__version__)
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise _broken(error) from error
        raise MissingExtraError("vllm", "vllm") from error
    except (ImportError, RuntimeError, OSError) as error:
        raise _broken(error) from error
    release = ".".join(found.split(".")[:2])
    if release not in TESTED:
        raise ConfigError(
            f"vLLM {found} has not been tested with tvmerge; install a tested release ({', '.join(TESTED)}), "
            "or use --engine transformers"
        )
    return found


def check_installed() -> None:
    """Check that vLLM is installed, without importing it, which takes seconds.

    Raises:
        MissingExtraError: It is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm")


def is_usable() -> bool:
    """Return whether a tested release is installed and can be imported."""
    try:
        check_installed()
        check_version()
    except UserError:
        return False
    return True


def _broken(error: Exception) -> ConfigError:
    first_line = str(error).strip().split("\n")[0]
    return ConfigError(
        f"vLLM cannot be imported here: {first_line}; fix the installation, or use --engine transformers"
    )
