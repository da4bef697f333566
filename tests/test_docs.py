"""The documents say what is true: commands parse, paths exist, examples load, tables are complete.

No module: the documents.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import optuna
import pytest

import tvmerge
from docs import gpu_fit
from docs.picture import PICTURE, picture
from docs.settings import PAGE, page
from tests.documents import (
    DOCUMENTS,
    ROOT,
    Block,
    Command,
    anchors,
    blocks,
    commands,
    headings,
    links,
    listing,
    make_targets,
    paths,
    table_keys,
)
from tests.small_runs import few_questions
from tvmerge._util.assets import find
from tvmerge.cli.app import app, run
from tvmerge.cli.options import given
from tvmerge.config import JudgeConfig, MergeConfig, RunConfig, load_config, options
from tvmerge.config.demo import demo_defaults
from tvmerge.engines.prompting.chat_format import ChatFormat
from tvmerge.errors import AssetError, ConfigError
from tvmerge.judging.prompts.prompts import check_prompts, load_prompts
from tvmerge.judging.registry import find_spec
from tvmerge.judging.spec import read_spec
from tvmerge.merging.build import merge_request
from tvmerge.records import Question
from tvmerge.scoring.split import split
from tvmerge.study.storage import read_study
from tvmerge.tasks.fastchat.benchmark import load_benchmark
from tvmerge.tasks.fastchat.benchmark_toml import read_settings

READMES = (ROOT / "README.md", ROOT / "README.ja.md")
TRANSLATIONS = (
    READMES,
    *((ROOT / "docs" / page.name, page) for page in sorted((ROOT / "docs" / "ja").glob("*.md"))),
)
ARCHITECTURE = ROOT / "docs" / "architecture.md"
FILES = ROOT / "docs" / "files.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
SHOWN = [block for document in DOCUMENTS for block in blocks(document) if block.path]
TYPED = [command for document in DOCUMENTS for command in commands(document)]


def by_name(item: Path | Block) -> str:
    return item.name if isinstance(item, Path) else f"{item.document.name}: {item.path}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory as the documents assume it: the examples, and the files they tell to write."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("demo"))
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    for block in SHOWN:
        write(block, folder)
    return folder


def write(block: Block, folder: Path) -> Path:
    path = folder / block.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return path


def parsed(command: Command) -> dict[str, Any]:
    """The options of a command line, checked as the program checks them but not carried out."""
    name, *rest = command.argv
    try:
        if name.startswith("-"):
            app.make_context("tvmerge", [name, *rest])
            return {}
        parent, found = app.make_context("tvmerge", [name]), subcommand(app, name)
        if isinstance(found, click.Group) and rest:
            parent = found.make_context(name, [rest[0]], parent=parent)
            found, rest = subcommand(found, rest[0]), rest[1:]
        return found.make_context(name, rest, parent=parent).params
    except click.exceptions.Exit:  # --help and --version
        return {}
    except (click.MissingParameter, click.BadOptionUsage, click.exceptions.NoArgsIsHelpError):
        assert not command.whole  # in running text a command is named, not written out
        return {}


def subcommand(group: click.Group, name: str) -> click.Command:
    assert name in group.commands, f"there is no command '{name}'"
    return group.commands[name]


@pytest.mark.parametrize("command", TYPED, ids=str)
def test_every_command_line_can_be_typed(
    command: Command, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    settings = parsed(command)
    if not command.whole:
        return
    if command.argv[0] in ("optimize", "demo"):
        of_runs = {key: value for key, value in settings.items() if key in options()}
        defaults = demo_defaults() if command.argv[0] == "demo" else None
        check_run(load_config(given(of_runs), settings["config"], defaults))
    elif command.argv[0] == "judge":
        check_judging(JudgeConfig(**given({f.name: settings[f.name] for f in fields(JudgeConfig)})))
    elif command.argv[0] == "merge":
        of_study = settings["trial"] or settings["run_dir"]
        assert sum(found is not None for found in (settings["weight"], settings["weights"], of_study)) == 1


@pytest.mark.parametrize("path", EXAMPLES, ids=by_name)
def test_every_example_is_a_run_config(path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    check_run(load_config({}, path))


def test_examples_do_not_get_into_each_others_way() -> None:
    assert len({load_config({}, path).run_folder for path in EXAMPLES}) == len(EXAMPLES) >= 2


def check_run(config: RunConfig) -> None:
    check_judging(config.judging)
    merge_request(config.merge)
    assert config.chat_template is None or Path(config.chat_template).is_file()


def check_judging(config: JudgeConfig) -> None:
    for judge in config.judge:
        spec = find_spec(judge)
        assert config.judge_base_url is None or spec.at(config.judge_base_url)
    for name, _ in config.benchmarks:
        load_benchmark(find("benchmarks", name))
    load_prompts(find("prompts", config.judge_file or "judge_prompts"))


@pytest.mark.parametrize("block", SHOWN, ids=by_name)
def test_every_file_that_is_shown_is_what_it_is_called(block: Block, tmp_path: Path) -> None:
    path = write(block, tmp_path)
    kind = block.path.split("/")[0]
    if kind == "judges":
        assert read_spec(path).description
    elif path.name == "question.jsonl":
        assert all(split(load_benchmark(path.parent).questions, None, 42))
    elif path.name == "benchmark.toml":
        assert read_settings(path).description
    elif kind == "prompts":
        prompts = load_prompts(path)
        together = any(prompt.turn_template for prompt in prompts.values())
        check_prompts(prompts, [Question(1, "writing", ("?",))], together=together)
        assert all(prompt.fence for prompt in prompts.values())
    else:
        check_run(load_config({}, path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_link_and_every_path_leads_somewhere(document: Path, checkout: Path) -> None:
    for target in links(document):
        assert (document.parent / target).exists(), f"link to {target}"
    for path in paths(document):
        assert (ROOT / path).exists() or (checkout / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_make_target_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert make_targets(document) <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_the_tree_names_what_there_is() -> None:
    names = listing(ROOT / "CONTRIBUTING.md", "The repository")
    assert len(names) > 20
    for name in names:
        assert (ROOT / name).exists(), name
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert pages <= set(names)


@pytest.mark.parametrize(("english", "japanese"), TRANSLATIONS, ids=by_name)
def test_a_translation_shows_the_same_commands_and_links_back(english: Path, japanese: Path) -> None:
    assert [command.argv for command in commands(english)] == [command.argv for command in commands(japanese)]
    assert make_targets(english) == make_targets(japanese)
    assert english.resolve() in {(japanese.parent / target).resolve() for target in links(japanese)}
    assert japanese.resolve() in {(english.parent / target).resolve() for target in links(english)}


def test_the_readmes_begin_with_make_and_stay_short() -> None:
    for readme in READMES:
        assert make_targets(readme) >= {"demo", "test"}
        assert len(readme.read_text(encoding="utf-8").splitlines()) <= 170


@pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)
def test_every_link_to_a_heading_finds_it(document: Path) -> None:
    for target, anchor in anchors(document):
        assert anchor in headings(target), f"{target.name}#{anchor}"


def test_the_documents_count_the_judges_calls_right() -> None:
    config = load_config({}, ROOT / "examples" / "chat-vector.toml")
    questions = load_benchmark(find("benchmarks", config.bench_name[0])).questions
    search, _ = split(questions, config.holdout, config.optuna_seed)
    calls = sum(len(question.turns) for question in search)
    total = f"{calls * config.n_trials:,}"
    pages = (ROOT / "docs" / "getting-started.md", ROOT / "docs" / "ja" / "getting-started.md")
    for document in (*pages, ROOT / "examples" / "chat-vector.toml"):
        numbers = set(re.findall(r"\d[\d,]*", document.read_text(encoding="utf-8")))
        assert {str(len(questions)), str(len(search)), str(calls), total} <= numbers


def test_the_picture_of_the_report_is_drawn_from_a_report(finished: Path) -> None:
    drawn = ElementTree.fromstring(picture((finished / "runs" / "demo" / "report.html").read_text("utf-8")))
    shown = ElementTree.fromstring(PICTURE.read_text(encoding="utf-8"))
    name = "{http://www.w3.org/2000/svg}svg"
    titles = [[figure[0].text for figure in picture.findall(name)] for picture in (drawn, shown)]
    assert titles[0] == titles[1]
    assert len(titles[0]) == 2
    assert PICTURE.stat().st_size < 30_000


def test_the_page_of_settings_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python docs/settings.py"
    assert all(f"| `{key}` |" in page() for key in options())


def test_the_table_of_what_fits_on_a_gpu_is_what_a_run_would_estimate() -> None:
    assert gpu_fit.PAGE.read_text(encoding="utf-8") == gpu_fit.page(), "run: python docs/gpu_fit.py"


def test_every_file_that_a_help_text_names_is_there() -> None:
    texts = [option.help for option, _ in options().values()]
    for command in (app, *app.commands.values()):
        texts += [command.help or "", *(getattr(parameter, "help", "") or "" for parameter in command.params)]
    named = {
        path for text in texts for path in re.findall(r"[\w-]+(?:/[\w.-]+)*\.(?:md|toml|jinja|py)\b", text)
    }
    assert "docs/search.md" in named
    for path in named:
        assert (ROOT / path).is_file(), path


def test_the_shipped_chat_template_writes_mistrals_format(demo_models: Path) -> None:
    chat = ChatFormat(demo_models / "target", ROOT / "examples" / "mistral-instruct.jinja")
    messages = [
        {"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"))
    ]
    text = chat.render(messages)
    bos, eos = chat.tokenizer.bos_token, chat.tokenizer.eos_token
    assert text == f"{bos}[INST] a [/INST] b{eos}[INST] c [/INST]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the demo has run, with as little to do as possible."""
    folder = tmp_path_factory.mktemp("finished")
    few_questions(folder / "benchmarks", 24)  # what a working directory has is found first
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TVMERGE_CACHE_DIR", str(folder / "cache"))
        assert run(["demo", "--n-trials=2", "--max-new-tokens=2"]) == 0
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def test_the_listing_of_the_run_folder_is_complete(finished: Path) -> None:
    folder = finished / "runs" / "demo"
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    general = {re.sub(r"^model/.*", "model/", name) for name in there if not re.search("-(wal|shm)$", name)}
    general = {re.sub(r"^model_answer/\d+\.", "model_answer/<trial>.", name) for name in general}
    general = {
        re.sub(r"^holdout/model_answer/\w+\.", "holdout/model_answer/<model>.", name) for name in general
    }
    general = {name.replace("/rules_single", "/<judge>_single") for name in general}
    # The demo's rules are not called, so they leave no ledger, no journal and no batches.
    assert general | {"ledger.jsonl", "ledger.journal", "batches.db"} == set(listing(FILES, "The run folder"))


def test_the_keys_of_the_result_are_all_described(finished: Path) -> None:
    result = json.loads((finished / "runs" / "demo" / "result.json").read_text(encoding="utf-8"))
    assert table_keys(FILES, "result.json") == set(result)
    about = json.loads((finished / "runs" / "demo" / "model" / "tvmerge.json").read_text(encoding="utf-8"))
    assert table_keys(FILES, "model/") == set(about)


def test_the_attributes_of_a_trial_are_all_described(finished: Path) -> None:
    storage = f"sqlite:///{(finished / 'runs' / 'demo' / 'study.db').as_posix()}"
    study = optuna.load_study(study_name="demo", storage=storage)
    of_several_benchmarks, of_failures = {"parts", "overall"}, {"failure"}
    of_whole_trials, of_given_weights = {"scores"}, {"fixed"}
    of_blocks = {"blocks", "mean"}
    found = {*study.best_trial.user_attrs, "winner"}  # which may be another trial
    assert of_blocks <= found
    assert table_keys(FILES, "study.db") == (
        found - of_blocks | of_several_benchmarks | of_failures | of_whole_trials | of_given_weights
    )
    listed = FILES.read_text(encoding="utf-8")
    assert all(f"`{attribute}`" in listed for attribute in of_blocks)
    text = FILES.read_text(encoding="utf-8")
    assert all(f"`{attribute}`" in text for attribute in study.user_attrs)


def test_the_settings_in_the_fingerprint_are_all_named(finished: Path) -> None:
    stored = read_study(f"sqlite:///{(finished / 'runs' / 'demo' / 'study.db').as_posix()}", "demo")
    (section,) = re.findall(
        r"## The fingerprint\n(.*?)\n## ", ARCHITECTURE.read_text(encoding="utf-8"), re.DOTALL
    )
    compared, _, free = section.partition("may change")
    settings = set(stored.fingerprint) & set(options())
    assert len(settings) > 10
    for name in settings:
        assert f"`{name}`" in compared or name.replace("_", " ") in compared, name
    assert not settings & set(re.findall(r"`(\w+)`", free))


def test_the_listing_of_the_cache_is_complete(finished: Path) -> None:
    there = {f"{path.name}/" for path in (finished / "cache").iterdir()}
    # Nothing was judged in batches.
    assert there | {"batches/"} == set(listing(FILES, "The cache folder"))


def test_the_keys_of_judges_and_benchmarks_are_all_described(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_text("odd = 1", encoding="utf-8")
    for heading, read in (("Judges", read_spec), ("Benchmarks", read_settings)):
        with pytest.raises(AssetError, match="odd") as refusal:
            read(file)
        known = set(str(refusal.value).split("known")[-1].split(":", 1)[1].replace(",", " ").split())
        described = table_keys(FILES, heading)
        assert known <= described
        assert described - known <= {f.name for f in fields(Question)}


def test_the_keys_of_the_tables_in_a_run_config_are_all_described() -> None:
    tables = (
        {"task_vectors": ({"odd": 1},)},
        {"optimize_mode": "regex", "patterns": ({"odd": 1},)},
        {"target_model": ("a", "b"), "gate": "hidden", "experts": ({"odd": 1},)},
    )
    known: set[str] = set()
    for table in tables:
        settings = {"target_model": ("a",), "tuned_model": "c", "base_model": "d"} | table
        with pytest.raises(ConfigError, match="unknown key odd") as refusal:
            merge_request(MergeConfig(**settings))
        known |= set(str(refusal.value).rsplit(": ", 1)[1].split(", "))
    assert known == table_keys(FILES, "Run configs")


def test_the_python_snippets_run(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished)
    snippets = [b for document in DOCUMENTS for b in blocks(document) if b.language == "python"]
    assert snippets
    monkeypatch.setenv("TVMERGE_CACHE_DIR", str(finished / "cache"))
    for snippet in snippets:
        exec(compile(snippet.text, str(snippet.document), "exec"), {"__name__": "snippet"})
    assert capsys.readouterr().out


def test_the_citation_names_this_version() -> None:
    assert f"version: {tvmerge.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_container_is_built_from_all_that_the_wheel_contains() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for part in (*wheel["packages"], *wheel["force-include"]):
        assert f"COPY {part} {part}\n" in recipe
