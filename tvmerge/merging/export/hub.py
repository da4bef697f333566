"""Uploads a written model to a model hub, and checks beforehand that this will be possible."""

from __future__ import annotations

import glob
import os
import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tvmerge.errors import CheckpointError, ConfigError
from tvmerge.merging.export.folders import MARKER, read_marker, written_files

_NAME = re.compile(r"(?!-|\.)(?!.*(--|\.\.))[\w.-]{1,96}(?<![-.])(?<!\.git)", re.ASCII)
"""Names that the hub takes for owners and repositories."""

_BLANK = frozenset({".gitattributes", "README.md"})
"""Files of a repository that was made on the hub's site."""


def check_repository(repo: str) -> None:
    """Check the name of a repository, without asking the hub.

    Args:
        repo: `owner/name`.

    Raises:
        ConfigError: The hub has no repositories of such a name.
    """
    owner, _, name = repo.partition("/")
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)):
        raise ConfigError(
            f"--push-to-hub {repo!r} is not the name of a repository: owner/name, each of up to 96 letters, "
            "digits, '-', '_' and '.'"
        )


def check_upload(repo: str) -> None:
    """Check that the hub knows the token, that its user may write there, and what a repository holds.

    Args:
        repo: `owner/name`.

    Raises:
        ConfigError: There is no token, the hub rejects it or cannot be reached, it may not write there, or
            the repository holds files that tvmerge did not write.
    """
    from huggingface_hub import HfApi, get_token

    check_repository(repo)
    flag = f"--push-to-hub {repo}"
    if not get_token():
        raise ConfigError(f"{flag}: there is no token of the hub; set HF_TOKEN, or run `hf auth login`")
    try:
        user: Any = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).whoami()
    except Exception as error:  # the hub's client does not translate errors of its HTTP library
        raise ConfigError(
            f"{flag}: the hub cannot be asked, or rejects the token (HF_TOKEN): {_reason(error)}"
        ) from error
    if not isinstance(user, dict):
        return
    owner = repo.partition("/")[0]
    mine = [user.get("name"), *(org.get("name") for org in user.get("orgs") or () if isinstance(org, dict))]
    if owner not in mine:
        raise ConfigError(f"{flag}: the token is that of {mine[0]}, who is not a member of {owner}")
    if _role(user) == "read":
        raise ConfigError(f"{flag}: the token may only read; make one that may write, and set HF_TOKEN to it")
    try:
        _earlier_files(repo)
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error}") from error
    except Exception as error:  # as above
        raise ConfigError(f"{flag}: the hub does not tell what it holds: {_reason(error)}") from error


def push_to_hub(folder: Path, repo: str, *, private: bool | None = None) -> str:
    """Upload a model folder in one commit to a repository, which is created if it does not exist.

    Files of an earlier upload that the folder does not have are deleted in the same commit.

    Args:
        folder: A folder written by tvmerge.
        repo: `owner/name`.
        private: Whether a new repository is private; None for the default of its owner.

    Returns:
        The repository's URL.

    Raises:
        CheckpointError: The hub rejects the upload or cannot be reached, or the repository holds other files;
            the folder is unchanged.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message="Merge with tvmerge",
            delete_patterns=[glob.escape(file) for file in _earlier_files(repo)],
        )
    except ConfigError as error:
        raise CheckpointError(f"{folder} is written, but was not uploaded to {repo}: {error}") from error
    except Exception as error:  # the hub's client does not translate errors of its HTTP library
        raise CheckpointError(
            f"{folder} is written, but could not be uploaded to {repo}: {_reason(error)}; may HF_TOKEN write "
            f"there? To upload it later: hf upload {repo} {shlex.quote(str(folder))} ."
        ) from error
    return str(url)


def _earlier_files(repo: str) -> list[str]:
    """Return the files in a repository that an earlier upload has written.

    Raises:
        ConfigError: It holds files, but none of tvmerge.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        held = set(api.list_repo_files(repo))
    except RepositoryNotFoundError:
        return []
    if MARKER in held:
        with TemporaryDirectory() as scratch:
            api.hf_hub_download(repo, MARKER, local_dir=scratch)
            written = set(written_files(read_marker(Path(scratch))))
        return [file for file in held if file.partition("/")[0] in written]
    if others := sorted(held - _BLANK):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise ConfigError(
            f"the repository has files that tvmerge did not write ({others[0]}{more}); name another one, or "
            "delete them on the hub"
        )
    return []


def _role(user: dict[str, Any]) -> object:
    """Return what a token may do: `read`, `write` or `fineGrained`; None if the hub does not tell."""
    found: Any = user
    for key in ("auth", "accessToken", "role"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
