"""A process of llama-server: how it starts, ends and fails."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.llama_cpp import write_programs
from tvmerge.engines.llama_server.server import LlamaServer, decisive_settings, server_version
from tvmerge.engines.remote.lost import EngineLostError
from tvmerge.errors import ConfigError


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    return write_programs(tmp_path)


async def start(programs: Path, context: int = 64) -> LlamaServer:
    file = programs / "model.gguf"
    file.write_bytes(b"GGUF" + json.dumps({"type": "Q8_0"}).encode())
    return await LlamaServer.start((str(programs / "llama-server"),), file, context=context, slots=2)


def exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


BODY = {"prompt": [1, 5], "n_predict": 3}


async def test_it_answers_whoever_started_it_and_is_gone_after_it_is_closed(programs: Path) -> None:
    server = await start(programs)
    assert (await server.post("/completion", BODY))["tokens"] == [40, 41, 42]
    await server.close()
    assert not any(map(exists, (server.pid, int((programs / "pid").read_text()))))


async def test_a_server_ends_with_the_process_that_started_it_even_if_that_is_killed(programs: Path) -> None:
    file = programs / "model.gguf"
    file.write_bytes(b"GGUF" + json.dumps({"type": "Q8_0"}).encode())
    start_and_wait = (
        "import asyncio, sys; from pathlib import Path;"
        "from tvmerge.engines.llama_server.server import LlamaServer\n"
        "async def main():\n"
        "    await LlamaServer.start((sys.argv[1],), Path(sys.argv[2]), context=64, slots=2)\n"
        "    print('ready', flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", start_and_wait, str(programs / "llama-server"), str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"ready\n"
    server = int((programs / "pid").read_text())
    owner.kill()
    await owner.wait()
    while exists(server):
        await asyncio.sleep(0.02)


async def test_a_server_that_does_not_load_the_model_says_why_in_a_line(programs: Path) -> None:
    (programs / "unwell").touch()
    with pytest.raises(EngineLostError, match=r"ended with code 1: .*error: failed to load the model$"):
        await start(programs)


async def test_a_server_that_gives_less_room_than_asked_for_is_refused(programs: Path) -> None:
    (programs / "narrow").touch()
    with pytest.raises(ConfigError, match="gives a conversation 32 tokens instead of 64; unset"):
        await start(programs)


async def test_a_crash_is_a_lost_engine(programs: Path) -> None:
    server = await start(programs)
    (programs / "crash").touch()
    with pytest.raises(EngineLostError, match="llama-server ended with code 3"):
        await server.post("/completion", BODY)
    await server.close()


async def test_a_refused_request_is_an_error_with_the_servers_words(programs: Path) -> None:
    server = await start(programs)
    with pytest.raises(ConfigError, match=r"llama-server refuses a request: request \(99 tokens\) exceeds"):
        await server.post("/completion", {"prompt": [1] * 99, "n_predict": 1})
    await server.close()


async def test_a_server_of_a_cancelled_start_is_ended(programs: Path) -> None:
    starting = asyncio.create_task(start(programs))
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_the_version_is_what_the_program_states(programs: Path) -> None:
    assert await server_version((str(programs / "llama-server"),)) == "version: 4242 (fake)"
    with pytest.raises(ConfigError, match="does not tell its version"):
        await server_version((sys.executable, "-ISc", "pass"))


def test_settings_from_the_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CACHE_TYPE_K", "q8_0")
    assert decisive_settings()["LLAMA_ARG_CACHE_TYPE_K"] == "q8_0"
