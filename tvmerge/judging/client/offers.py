"""Which judges are there, for where the one that was asked for is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tvmerge._util.assets import names
from tvmerge.judging.client.chat import ChatModel, ChatReply, ChatRequest, ChatWrapper, UnknownModelError
from tvmerge.judging.spec import JudgeSpec, read_spec

_MOST = 4


class OffersChat(ChatWrapper):
    """Names other judges where the provider has no such model.

    Args:
        inner: The model asked.
        spec: The judge.
        today: Tells the day.
    """

    def __init__(self, inner: ChatModel, spec: JudgeSpec, today: Callable[[], date] = date.today) -> None:
        super().__init__(inner)
        self._spec = spec
        self._today = today

    async def send(self, request: ChatRequest) -> ChatReply:
        """The wrapped model's reply.

        Raises:
            UnknownModelError: There is no such model; it names some that are.
        """
        try:
            return await self._inner.send(request)
        except UnknownModelError as error:
            message = f"{error}{_others(self._spec, self._today())}"
            raise UnknownModelError(message, said=error.said, status=error.status) from error


def _others(spec: JudgeSpec, today: date) -> str:
    """The end of a sentence that names judges other than `spec` which their providers offer on that day."""
    files = (read_spec(path) for path in names("judges").values())
    offered = [
        file
        for file in files
        if file.on_server
        and file.model != spec.model
        and file.key_required
        and not (file.retired and today >= date.fromisoformat(file.retired))
    ]
    # Those first that the same key is for.
    offered.sort(key=lambda file: (file.api_key_env != spec.api_key_env, file.name))
    found = dict.fromkeys([*spec.successors, *(file.name for file in offered)])
    named = ", ".join(list(found)[:_MOST])
    server = " one that the server has, or" if spec.base_url else ""
    return f": name{server} another judge, as {named} (`tvmerge list judges`)"
