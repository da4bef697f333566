"""Says in a few words why the hub gave no model."""

from __future__ import annotations


def why_not_on_hub(error: Exception) -> str:
    """Return what to say of the hub after `... is not a folder here, and`, with what to do.

    Args:
        error: What the hub's client raised; it does not translate errors of its HTTP library.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "the hub does not have it: it is gated; accept its terms there and set HF_TOKEN"
    if isinstance(error, LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so the hub is not asked; unset it"
    reason = str(error).strip().partition("\n")[0].removeprefix("Got: ").rstrip(".") or type(error).__name__
    if isinstance(error, LocalEntryNotFoundError):
        return f"the hub cannot be reached: {reason}; check the network"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub does not have it, or hides it from your HF_TOKEN; check the name"
    return f"the hub does not have it: {reason}; check the name and the network"
