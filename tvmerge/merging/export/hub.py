"""Uploads a written model to a model hub."""

from __future__ import annotations

import os
from pathlib import Path

from tvmerge.errors import CheckpointError


def push_to_hub(folder: Path, repo: str, *, private: bool = False) -> str:
    """Upload a model folder, in one commit, to a repository that is made where it does not exist.

    Args:
        folder: A folder that was written by tvmerge.
        repo: `owner/name`.
        private: Make a new repository private.

    Returns:
        The repository's address.

    Raises:
        CheckpointError: The hub refuses it, or cannot be reached; the folder is as it was.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Merge with tvmerge")
    except Exception as error:  # the hub's client lets errors of its HTTP library through
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{folder} could not be uploaded to {repo}: {reason}; is HF_TOKEN set, and may it write there?"
        ) from error
    return str(url)
