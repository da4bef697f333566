"""Suggests other judges when a provider does not have the requested model."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tvmerge._util.assets import names
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, UnknownModelError
from tvmerge.judging.spec import JudgeSpec, read_spec

_MOST = 4


class SuggestingChat(ChatWrapper):
    """Adds the names of other judges to the error for an unknown model.

    Args:
        inner: The wrapped model.
        spec: The judge.
        today: Returns the current day.
    """

    def __init__(self, inner: ChatModel, spec: JudgeSpec, today: Callable[[], date] = date.today) -> None:
        super().__init__(inner)
        self._spec = spec
        self._today = today

    async def send(self, request: ChatRequest) -> ChatReply:
        """Return the wrapped model's reply.

        Raises:
            UnknownModelError: The model does not exist; the message names some that do.
        """
        try:
            return await self._inner.send(request)
        except UnknownModelError as error:
            message = f"{error}{_others(self._spec, self._today())}"
            raise UnknownModelError(message, said=error.said, status=error.status) from error


def _others(spec: JudgeSpec, today: date) -> str:
    """Return the end of a sentence that names judges, other than `spec`, that are available on that day."""
    files = (read_spec(path) for path in names("judges").values())
    offered = [
        file
        for file in files
        if file.on_server
        and file.model != spec.model
        and file.key_required
        and not (file.retired and today >= date.fromisoformat(file.retired))
    ]
    # Judges that use the same key come first.
    offered.sort(key=lambda file: (file.api_key_env != spec.api_key_env, file.name))
    found = dict.fromkeys([*spec.successors, *(file.name for file in offered)])
    named = ", ".join(list(found)[:_MOST])
    server = " one that the server has, or" if spec.base_url else ""
    return f": name{server} another judge, as {named} (`tvmerge list judges`)"
