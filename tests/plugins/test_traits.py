"""What only one thing knows stands in its own file: nothing else needs to know its name.

Several modules: whichever ask the plug-in that each test brings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.results import simple
from tvmerge.config import RunConfig
from tvmerge.engines.place import place
from tvmerge.errors import AssetError, CheckpointError, ConfigError
from tvmerge.judging.client.ledger import Ledger
from tvmerge.judging.client.request_policy import RequestPolicy
from tvmerge.judging.client.shared_limits import open_rate_limit_group
from tvmerge.judging.preflight import check_batched, check_ready
from tvmerge.judging.registry import find_spec
from tvmerge.judging.spec import spec_for_model
from tvmerge.merging.group_rules import GroupRules
from tvmerge.report.page.page import render_page
from tvmerge.report.run_result import RunResult
from tvmerge.tasks.judged import judge_memory
from tvmerge.tasks.kinds import open_kinds
from tvmerge.tasks.settings import TaskConfig

Bring = Callable[[str, str, str], None]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Install a package of one module: the group of its entry point, its name, its text."""
    monkeypatch.syspath_prepend(tmp_path)

    def bring(group: str, name: str, text: str) -> None:
        (tmp_path / f"{name}_tv.py").write_text(text, encoding="utf-8")
        info = tmp_path / f"{name}_tv-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}_tv\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_tv\n")

    return bring


HERE = """
from tvmerge.errors import CheckpointError
from tvmerge.judging.providers import Provider


def ready(spec):
    if spec.model == "gone":
        raise CheckpointError(f"the judge '{spec.name}': there is no model '{spec.model}'")


PROVIDER = Provider(
    chat=lambda spec, key: None,
    ready=ready,
    memory=lambda spec, gpus: {"cpu": 1000, "cuda:0": 10 * gpus},
    more_packages=lambda spec: ("no_such_package",) if spec.quantization == "8bit" else (),
    batches=True,
    joins_requests=True,
)
"""


def test_a_provider_looks_for_its_model_counts_its_memory_and_joins_requests(
    bring: Bring, tmp_path: Path
) -> None:
    bring("tvmerge.judges", "here", HERE)
    judge = spec_for_model("here", "m")
    check_ready(judge, {})
    with pytest.raises(CheckpointError, match="there is no model 'gone'"):
        check_ready(spec_for_model("here", "gone"), {})
    check_ready(spec_for_model("here", "gone"), {}, reach=False)
    assert judge_memory([judge, judge])["cpu"] == 2000
    assert (
        open_rate_limit_group([judge], RequestPolicy(), Ledger()).concurrency_limiter.places
        == judge.batch_size
    )
    (tmp_path / "small.toml").write_text('provider = "here"\nmodel = "m"\nquantization = "8bit"\n')
    with pytest.raises(ConfigError, match="'no_such_package' is not installed, which the provider 'here'"):
        check_ready(find_spec(str(tmp_path / "small.toml")), {})


def test_a_provider_with_batches_is_named_to_those_who_want_them(bring: Bring) -> None:
    bring("tvmerge.judges", "posting", HERE)
    with pytest.raises(ConfigError, match=r"a provider of .*openai, posting"):
        check_batched([spec_for_model("cohere", "command")])


def test_a_provider_that_asks_no_model_is_not_named_for_models(bring: Bring) -> None:
    text = "from tvmerge.judging.providers import Provider\n\nPROVIDER = Provider(judge=lambda spec: None)\n"
    bring("tvmerge.judges", "dice", text)
    with pytest.raises(AssetError) as caught:
        find_spec("no-such-judge")
    offered = str(caught.value).rpartition("with a provider of ")[2]
    assert "openai" in offered
    assert "dice" not in offered
    assert "rules" not in offered


ENGINE = """
from tvmerge.engines.kinds import EngineKind

ENGINE = EngineKind(open=lambda models, settings, chat: None, tensor_parallel=True)
"""


def test_an_engine_says_which_table_is_its_own_and_whether_gpus_can_share_a_model(bring: Bring) -> None:
    bring("tvmerge.engines", "wide", ENGINE)

    def placed(**settings: object) -> dict[str, str]:
        models = {"target_model": ("t",), "base_model": "b", "tuned_model": "c", "bench_name": ("demo",)}
        return place(RunConfig(**models, device="cpu", **settings)).identity  # type: ignore[arg-type]

    assert placed(engine="wide", engine_options={"n": 1})["engine_options"] == '{"n": 1}'
    with pytest.raises(ConfigError, match="the table engine_options is for --engine wide, and this run uses"):
        placed(engine="transformers", engine_options={"n": 1})
    with pytest.raises(ConfigError, match="the table vllm is for --engine vllm, and this run uses wide"):
        placed(engine="wide", vllm={"max_model_len": 9})
    with pytest.raises(ConfigError, match="--tensor-parallel is for --engine vllm or --engine wide"):
        placed(engine="transformers", tensor_parallel=2)


def test_a_grouping_says_whether_its_layers_can_be_joined(bring: Bring) -> None:
    head = "from tvmerge.merging.groupings import Grouping\n\nGROUPING = Grouping(label=lambda p, _: {}, "
    bring("tvmerge.groupings", "halves", head + "by_layer=True)\n")
    bring("tvmerge.groupings", "ends", head + "patterns=True)\n")
    assert GroupRules("halves", layer_granularity=2).layer_granularity == 2
    with pytest.raises(ConfigError, match="need optimize_mode block or layer or halves, not ends"):
        GroupRules("ends", patterns=(("a", "b"),), layer_granularity=2)
    with pytest.raises(ConfigError, match="patterns are for optimize_mode regex or ends, not for halves"):
        GroupRules("halves", patterns=(("a", "b"),))


KIND = """
from tvmerge.tasks.kinds import TaskKind

TASK_KIND = TaskKind(open=lambda options, note: options, inherits={inherits})
"""


def test_a_kind_of_tasks_inherits_the_settings_that_it_reads(bring: Bring) -> None:
    bring("tvmerge.tasks", "chatty", KIND.format(inherits=("apply_chat_template",)))
    bring("tvmerge.tasks", "mute", KIND.format(inherits=()))
    tables = ({"kind": "chatty"}, {"kind": "chatty", "apply_chat_template": False}, {"kind": "mute", "n": 1})
    config = TaskConfig(task_kinds=tables, apply_chat_template=True)
    opened = open_kinds(config.task_kinds, print, config.prompt_settings)
    assert [*opened] == [{"apply_chat_template": True}, {"apply_chat_template": False}, {"n": 1}]
    for settings in ({"apply_chat_template": True}, {"system_instruction": "Be brief."}):
        (name,) = settings
        with pytest.raises(ConfigError, match=f"{name} applies to the prompts of tasks, but no task is set"):
            TaskConfig(task_kinds=({"kind": "mute"},), **settings)


FIGURE = """
from tvmerge.report.drawing.svg import figure
from tvmerge.report.figures import Figure

FIGURE = Figure(
    draw=lambda result: figure("pace", "Pace", "It took a while.", 40, []),
    heading="Pace",
    caption=lambda result: "Slow & steady",
    section="search",
)
"""


def test_a_figure_stands_in_the_section_that_it_names(bring: Bring) -> None:
    bring("tvmerge.figures", "pace", FIGURE)
    result = simple()
    names = [*RunResult.of(result, Path()).figures]
    assert names == ["scores", "history", "pace", "heatmap", "weights", "scatter", "spending"]
    page = render_page(result)
    assert page.index('id="search"') < page.index("Slow &amp; steady") < page.index('id="weights"')
    assert 'id="figure-pace"' not in page
