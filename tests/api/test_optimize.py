"""`tvmerge.optimize` and `tvmerge.optimize_async` on the demo's models."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tvmerge
from tests import ready
from tests.api.conftest import Small, small_flags
from tvmerge.errors import ConfigError, OutputError


def test_a_run_is_silent_unless_asked(small: Small, run_dir: Path) -> None:
    script = (
        "import tvmerge\n"
        f"config = tvmerge.testing.demo_config(run_dir={str(run_dir)!r}, **{small!r})\n"
        "tvmerge.plan(config)\n"
        "result = tvmerge.optimize(config)\n"
        "tvmerge.load_result(result.folder), tvmerge.status(result.folder)\n"
        "tvmerge.merge(result.folder / 'again', config=config, weights=result.recipe)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (run_dir / "again" / "model.safetensors").is_file()


def test_progress_goes_to_a_function_or_to_standard_error(
    small: Small, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    config = tvmerge.testing.demo_config(run_dir=run_dir, **small)
    tvmerge.optimize(config, progress=lines.append)
    assert any(line.startswith("search 3/3") for line in lines)
    assert any(line.startswith("model: ") for line in lines)
    assert capsys.readouterr() == ("", "")
    tvmerge.optimize(config, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "search 3/3" in shown.err


def test_a_failed_upload_withholds_nothing(
    small: Small, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvmerge.run.optimize.check_upload", lambda repo: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    config = tvmerge.testing.demo_config(run_dir=run_dir, push_to_hub="owner/merged", **small)
    with pytest.raises(OutputError, match=f"To upload it later: hf upload owner/merged {run_dir}/model"):
        tvmerge.optimize(config)
    for name in ("result.json", "report.html", "trials.jsonl", "model/model.safetensors"):
        assert (run_dir / name).is_file()


def test_a_run_that_begins_where_another_is_to_write_its_model_stays(small: Small, run_dir: Path) -> None:
    out = run_dir.with_name("out")

    def progress(line: str) -> None:
        if line.startswith("search 1/3"):
            (out / "other").mkdir(parents=True)
            (out / "other" / ".study").write_text("other")

    config = tvmerge.testing.demo_config(run_dir=run_dir, output_dir=out, overwrite=True, **small)
    with pytest.raises(OutputError, match="out holds the results of another run; choose a separate folder"):
        tvmerge.optimize(config, progress=progress)
    assert [path.name for path in out.rglob("*")] == ["other", ".study"]


async def test_a_run_works_while_a_loop_is_running(small: Small, run_dir: Path) -> None:
    here = threading.current_thread()
    threads: list[threading.Thread] = []
    config = tvmerge.testing.demo_config(run_dir=run_dir, **small)
    result = tvmerge.optimize(config, progress=lambda _: threads.append(threading.current_thread()))
    assert len(result.trials) == 3
    assert threads
    assert here not in threads
    assert tvmerge.plan(config, n_trials=4).left == 1


async def test_the_loop_goes_on_while_a_run_is_awaited(small: Small, run_dir: Path) -> None:
    config = tvmerge.testing.demo_config(run_dir=run_dir, **small)
    running = asyncio.create_task(tvmerge.optimize_async(config))
    turns = 0
    while not running.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert turns > 5
    assert len((await running).trials) == 3


async def test_a_run_that_is_cancelled_goes_on_where_it_stopped(small: Small, run_dir: Path) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    config = tvmerge.testing.demo_config(run_dir=run_dir, **{**small, "n_trials": 12})

    def progress(line: str) -> None:
        if line.startswith("search 1/12"):
            loop.call_soon_threadsafe(told.set)

    running = asyncio.create_task(tvmerge.optimize_async(config, progress=progress))
    await told.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before = tvmerge.status(run_dir)
    assert 1 <= before.told < 12
    assert not before.held
    assert len((await tvmerge.optimize_async(config)).trials) == 12


def stopped(run_dir: Path, in_loop: bool) -> None:
    """A run in a process of its own, stopped by Ctrl+C, and what is left of it there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it

    def progress(line: str) -> None:
        if "answers  trial" in line:
            os.kill(os.getpid(), signal.SIGINT)

    def work() -> None:
        config = tvmerge.testing.demo_config(run_dir=run_dir, n_trials=4, max_new_tokens=4)
        tvmerge.optimize(config, progress=progress)

    async def cell() -> None:
        work()

    try:
        if in_loop:
            asyncio.new_event_loop().run_until_complete(cell())
        else:
            work()
    except KeyboardInterrupt:
        left = [t.name for t in threading.enumerate() if t.name.startswith("tvmerge")]
        sys.stdout.write(f"stopped {left} {signal.getsignal(signal.SIGINT) is signal.default_int_handler}")


@pytest.mark.parametrize("in_loop", [False, True], ids=["plain", "notebook"])
def test_ctrl_c_ends_a_run_and_keeps_what_is_done(run_dir: Path, in_loop: bool, tmp_path: Path) -> None:
    done = ready.call(tmp_path / "logs", stopped, run_dir, in_loop)
    assert done.stdout.strip() == "stopped [] True", done.stderr
    found = tvmerge.status(run_dir)
    assert found.answers is not None
    assert found.answers.total == 4 * 120
    assert 1 <= found.answers.told < found.answers.total
    assert not found.held


def test_settings_may_be_plain_python_values(run_dir: Path) -> None:
    config = tvmerge.testing.demo_config(run_dir=run_dir, uniform_weights=[1], judge="rules")
    assert (config.uniform_weights, config.judge, config.run_dir) == ((1.0,), ("rules",), str(run_dir))
    assert type(config.uniform_weights[0]) is float


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_trails": 3}, "unknown setting n_trails; known: "),
        ({"n_trials": "3"}, "n_trials must be int, got str '3'"),
        ({"n_trials": True}, "n_trials must be int, got bool True"),
        ({"bench_name": ["demo", 7]}, "bench_name must be str, got int 7"),
        ({"optimize_mode": "tensor"}, "optimize_mode must be one of all, block"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_is_not_usable_is_named(settings: dict[str, Any], message: str) -> None:
    for call in (tvmerge.optimize, tvmerge.plan):
        with pytest.raises(ConfigError, match=message):
            call(tvmerge.testing.demo_config(), **settings)


def test_settings_that_are_lacking_are_named() -> None:
    with pytest.raises(tvmerge.TvmergeError, match="missing: --target-model, --tuned-model"):
        tvmerge.optimize(bench_name="demo")


def test_a_study_of_the_command_line_goes_on_in_python(
    small: Small, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tvmerge.cli.app import run

    flags = small_flags(small)
    assert run(["demo", f"--run-dir={run_dir}", "--weight-min=0", *flags]) == 0
    result = tvmerge.optimize(
        tvmerge.testing.demo_config(run_dir=run_dir, **{**small, "n_trials": 4, "weight_min": 0})
    )
    assert len(result.trials) == 4
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["trials"]["failed"] == 0
