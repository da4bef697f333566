"""Uploads a written model to a model hub."""

from __future__ import annotations

import os
from pathlib import Path

from tvmerge.errors import CheckpointError


def push_to_hub(folder: Path, repo: str, *, private: bool = False) -> str:
    """Upload a model folder in one commit to a repository, which is created if it does not exist.

    Args:
        folder: A folder written by tvmerge.
        repo: `owner/name`.
        private: Whether a new repository is private.

    Returns:
        The repository's URL.

    Raises:
        CheckpointError: The hub rejects the upload or cannot be reached; the folder is unchanged.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Merge with tvmerge")
    except Exception as error:  # the hub's client does not translate errors of its HTTP library
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{folder} could not be uploaded to {repo}: {reason}; is HF_TOKEN set, and may it write there?"
        ) from error
    return str(url)
