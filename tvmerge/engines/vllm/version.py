"""Which vLLM the vLLM engine is known to work with.

Only public calls are used, but they change from one release to the next, and a wrong answer looks like a
right one.
"""

from __future__ import annotations

import importlib
import importlib.util

from tvmerge.errors import ConfigError, MissingExtraError, UserError

TESTED = ("0.32",)
"""Releases that the contract tests have passed with."""


def check_version() -> str:
    """The installed release.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: It is one that was not tested, or it does not start here.
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
    """Check that there is a vLLM, without the seconds that it takes to import it.

    Raises:
        MissingExtraError: There is none.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm")


def is_usable() -> bool:
    """Whether a tested release is here and can be imported."""
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
