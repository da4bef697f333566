"""The contract of chat models, for each provider on a server of this machine.

Several modules: all providers pass one suite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.judging.chats import KEY, a_spec
from tests.servers.anthropic_server import AnthropicServer
from tests.servers.cohere_server import CohereServer
from tests.servers.openai_server import OpenAIServer
from tvmerge.judging.client.chat import ChatModel
from tvmerge.judging.registry import create_chat
from tvmerge.testing import ChatModelContract

PROVIDERS = {
    "openai": (OpenAIServer, "gpt-4o"),
    "anthropic": (AnthropicServer, "claude-sonnet-5-5"),
    "cohere": (CohereServer, "command-r-plus-08-2024"),
}


class TestProviders(ChatModelContract):
    secrets = (KEY,)

    @pytest.fixture(params=PROVIDERS)
    async def chat(self, request: pytest.FixtureRequest) -> AsyncIterator[ChatModel]:
        server_class, model = PROVIDERS[request.param]
        with server_class() as server:
            spec = a_spec(server.base_url, provider=request.param, model=model)
            chat = create_chat(spec, {"TEST_KEY": KEY})
            yield chat
            await chat.close()
