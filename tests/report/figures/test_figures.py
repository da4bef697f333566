"""The figures, parsed as a reader's program would.

Several modules: all figures.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.report import results
from tvmerge.records import Rating, Recipe
from tvmerge.report.drawing.svg import BOLD, NARROW, WIDTH, text_width
from tvmerge.report.figures import (
    categories,
    heatmap,
    importance,
    scatter,
    scores,
    spending,
    weights,
)
from tvmerge.report.figures.history import draw_history
from tvmerge.report.figures.scores import draw_contenders
from tvmerge.report.figures.weights import draw_weights, short_names
from tvmerge.report.history import history
from tvmerge.report.result import RunRecord
from tvmerge.report.unfinished import Unfinished

SVG = "{http://www.w3.org/2000/svg}"

Draw = Callable[[RunRecord], str]
DRAWINGS: dict[str, Draw] = {
    "history": lambda run: draw_history(history(run)),
    "weights": lambda run: draw_weights(weights.weights(run)),
    "contenders": lambda run: draw_contenders(scores.contenders(run)),
    "narrow history": lambda run: draw_history(history(run), NARROW),
    "narrow weights": lambda run: draw_weights(weights.weights(run), NARROW),
    "narrow contenders": lambda run: draw_contenders(scores.contenders(run), NARROW),
    "spending": lambda run: spending.draw_spending(spending.spending(run)),
}

LARGE = tuple(
    f"model.layers.{layer}.mlp.{kind}_proj.weight" for layer in range(194) for kind in ("a", "b", "c")
)
HOSTILE = (
    '</svg><script>alert("x")</script>',
    "重み・埋め込み層",
    "a\x00b\x1bc\ud800",
    "\u202eevil",
    "&amp;",
)


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def under(root: ET.Element, class_: str, tag: str) -> list[ET.Element]:
    """Elements called `tag` inside the group that has `class_`."""
    groups = [g for g in root.iter(f"{SVG}g") if class_ in (g.get("class") or "").split()]
    return [node for g in groups for node in g.iter(f"{SVG}{tag}")]


def texts(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def number(node: ET.Element, name: str) -> float:
    return float(node.attrib[name])


def height(root: ET.Element) -> float:
    return float(root.attrib["viewBox"].split()[3])


@pytest.fixture(params=DRAWINGS)
def draw(request: pytest.FixtureRequest) -> Draw:
    return DRAWINGS[request.param]


def test_every_figure_has_a_title_and_a_description_for_those_who_cannot_see_it(draw: Draw) -> None:
    root = parse(draw(results.simple()))
    assert root.get("role") == "img"
    named = {node.get("id"): node for node in root if node.tag in {f"{SVG}title", f"{SVG}desc"}}
    labels = [named[name].text for name in root.attrib["aria-labelledby"].split()]
    assert len(labels) == 2
    assert all(labels)


def test_every_figure_follows_the_readers_light_or_dark_scheme(draw: Draw) -> None:
    root = parse(draw(results.simple()))
    (style,) = root.iter(f"{SVG}style")
    assert "prefers-color-scheme: dark" in (style.text or "")
    coloured = [node for node in root.iter() if {"fill", "stroke", "style"} & set(node.attrib)]
    assert coloured == []


def test_every_class_in_a_figure_that_colours_is_in_the_style_sheet(draw: Draw) -> None:
    root = parse(draw(results.simple()))
    (style,) = root.iter(f"{SVG}style")
    drawn = {"line", "path", "circle", "rect", "text"}
    for node in root.iter():
        if node.tag.removeprefix(SVG) in drawn:
            names = node.attrib["class"].split()
            assert any(re.search(rf"\.{name}\b", style.text or "") for name in names), names


def test_no_figure_asks_the_network(draw: Draw) -> None:
    text = draw(results.simple()).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_strange_group_names_stay_text(name: str) -> None:
    run = results.simple()
    best = replace(run.contenders[0], weights={name: 0.5, "norm": 1.0})
    text = draw_weights(weights.weights(replace(run, contenders=(best,))))
    root = parse(text)
    assert {node.tag for node in root.iter()}.isdisjoint({f"{SVG}script", "script"})
    assert "<script" not in text
    text.encode("utf-8")


def test_a_run_without_a_score_still_gives_figures(draw: Draw) -> None:
    run = replace(results.without_holdout(), trials=())
    root = parse(draw(replace(run, contenders=run.contenders[:1])))
    assert root.get("role") == "img"
    assert texts(root)


def test_the_history_has_a_dot_a_trial_a_cross_a_failure_and_a_line_a_baseline() -> None:
    run = results.simple()
    root = parse(draw_history(history(run)))
    scored = [trial for trial in run.trials if trial.state == "COMPLETE"]
    dots = under(root, "trials", "circle")
    assert len(dots) == len(scored)
    assert [dot.findtext(f"{SVG}title") for dot in dots][:1] == [f"trial 0: {scored[0].value:.2f} ± 0.21"]
    assert [c.findtext(f"{SVG}title") for c in under(root, "failures", "path")] == [
        "trial 10: failed",
        "trial 21: failed",
        "trial 32: failed",
    ]
    assert len(under(root, "references", "line")) == 3
    assert len(under(root, "running-best", "path")) == 1


def test_a_higher_score_stands_higher() -> None:
    run = results.simple()
    dots = under(parse(draw_history(history(run))), "trials", "circle")
    scores = [trial.value for trial in run.trials if trial.value is not None]
    by_score = sorted(zip(scores, dots, strict=True), key=lambda pair: pair[0])
    heights = [number(dot, "cy") for _, dot in by_score]
    assert heights == sorted(heights, reverse=True)


def test_five_hundred_trials_stay_readable() -> None:
    run = replace(results.simple(), trials=results.trials(500))
    root = parse(draw_history(history(run)))
    numbers = [text for text in texts(root) if text.isdigit() and int(text) >= 50]
    assert len(numbers) <= 12
    places = [number(dot, "cx") for dot in under(root, "trials", "circle")]
    assert min(places) > 0
    assert max(places) < WIDTH
    assert under(root, "whiskers", "line") == []


@pytest.mark.parametrize("width", [WIDTH, NARROW])
def test_names_of_contenders_fit_beside_their_scores(width: float) -> None:
    run = results.simple()
    odd = [replace(c, weights={"norm": 0.333}) if c.key == "uniform" else c for c in run.contenders]
    root = parse(draw_contenders(scores.contenders(replace(run, contenders=tuple(odd))), width))
    names = [node for node in root.iter(f"{SVG}text") if node.get("class") == "series-label"]
    assert "uniform 0.333" in [node.text for node in names]
    assert all(number(node, "x") > text_width(node.text or "", BOLD) - 1 for node in names)


def test_labels_of_close_baselines_do_not_overlap() -> None:
    run = results.simple()
    close = [replace(c, search=replace(c.search, mean=6.3)) for c in run.contenders]
    root = parse(draw_history(history(replace(run, contenders=tuple(close)))))
    heights = sorted(number(node, "y") for node in under(root, "series-labels", "text"))
    assert all(b - a >= 14 for a, b in pairwise(heights))


def test_every_weight_has_a_bar_in_model_order_that_grows_with_it() -> None:
    run = results.simple()
    bars = under(parse(draw_weights(weights.weights(run))), "bars", "rect")
    values = run.contenders[0].weights
    assert [bar.findtext(f"{SVG}title") for bar in bars][:1] == [f"embeddings: {values['embeddings']:.3g}"]
    assert len(bars) == len(values)
    places = [number(bar, "x") for bar in bars]
    assert places == sorted(places)
    by_weight = sorted(zip(values.values(), bars, strict=True), key=lambda pair: pair[0])
    heights = [number(bar, "height") for _, bar in by_weight]
    assert heights == sorted(heights)


def test_a_negative_weight_hangs_below_the_line() -> None:
    run = results.simple()
    best = replace(run.contenders[0], weights={"a": 0.5, "b": -0.5})
    root = parse(draw_weights(weights.weights(replace(run, contenders=(best,), weight_range=(-1.0, 1.0)))))
    above, below = under(root, "bars", "rect")
    assert number(above, "y") + number(above, "height") == pytest.approx(number(below, "y"), abs=0.02)


def test_the_weights_show_0_and_1_and_the_bounds() -> None:
    root = parse(draw_weights(weights.weights(results.simple())))
    assert {"0 = target", "1 = plain", "2 = largest"} <= set(texts(root))


def test_weight_1_of_a_sparse_vector_is_not_drawn_as_the_plain_one() -> None:
    run = results.simple()
    sparse = replace(run, contenders=tuple(replace(c, sparse="TIES, density 0.2") for c in run.contenders))
    found = texts(parse(draw_weights(weights.weights(sparse))))
    assert "1 = sparse" in found
    assert "1 = plain" not in found


def test_582_weights_stay_readable() -> None:
    run = results.simple()
    best = replace(run.contenders[0], weights=results.varied(LARGE))
    root = parse(draw_weights(weights.weights(replace(run, contenders=(best,)))))
    bars = under(root, "bars", "rect")
    assert len(bars) == 582
    assert min(number(bar, "width") for bar in bars) >= 1
    assert max(number(bar, "x") + number(bar, "width") for bar in bars) < WIDTH
    names = under(root, "names", "text")
    assert 20 <= len(names) <= 36
    assert max(number(name, "x") for name in names) + 26 * 6.4 * 0.58 <= WIDTH
    assert height(root) < 500


def test_names_under_bars_lose_what_all_share_and_keep_their_ends() -> None:
    names = [
        "model.layers.0.mlp.up_proj.weight",
        "layers.3",
        "model.layers.10.post_attention_layernorm.weight",
    ]
    short = short_names(names)
    assert short[:2] == ["layers.0.mlp.up_proj", "layers.3"]
    assert short[2].startswith("layers.10.")
    assert short[2].endswith("layernorm")
    assert len(short[2]) == 26


def test_each_contender_has_a_row_with_both_scores_in_order() -> None:
    root = parse(draw_contenders(scores.contenders(results.simple())))
    found = texts(root)
    labels = [text for text in found if text in {"weight 0", "weight 1", "uniform 0.7", "winner"}]
    assert labels == ["weight 0", "weight 1", "uniform 0.7", "winner"]
    assert "6.70 ± 0.25" in found
    assert "7.40 ± 0.21" in found
    assert len(under(root, "best", "circle")) == 2


def test_without_held_out_questions_no_mark_speaks_of_them() -> None:
    root = parse(draw_contenders(scores.contenders(results.without_holdout())))
    assert "held-out questions" not in texts(root)
    assert len(under(root, "best", "circle")) == 1


KINDS = ("self_attn", "mlp")
GRID = ("embed_tokens", *(f"layers.{layer}.{kind}" for layer in range(3) for kind in KINDS), "lm_head")
USAGE = {
    "judge": "judge-x",
    "calls": 3210,
    "calls_in_batches": 0,
    "cache_hits": 812,
    "failed_attempts": 3,
    "input_tokens": 3_210_000,
    "output_tokens": 512_345,
    "cost_usd": 12.345,
    "latency_seconds": {"p50": 1.23, "p90": 2.2, "p99": 4.56},
}


def searched(n: int = 80) -> RunRecord:
    """A run in which the score depends on the weight of one kind in one layer only."""
    drawn = []
    for trial in results.trials(n):
        weights = results.varied(GRID, seed=trial.number)
        score = 8.0 - 3.0 * abs(weights["layers.1.mlp"] - 1.0)
        drawn.append(replace(trial, recipe=Recipe(weights), value=score, values=(score,), state="COMPLETE"))
    run = results.rated(9, GRID, drawn)
    return replace(run, usage=(USAGE,))


def test_the_map_has_a_row_per_kind_and_a_column_per_layer() -> None:
    data = heatmap.heat_map(searched())
    assert data.layers == (0, 1, 2)
    assert list(data.rows) == ["embed_tokens", "self_attn", "mlp", "lm_head"]
    best = searched().contenders[0].weights
    assert data.rows["mlp"] == {layer: best[f"layers.{layer}.mlp"] for layer in range(3)}
    assert data.rows["lm_head"] == {None: best["lm_head"]}
    cells = under(parse(heatmap.draw_heat_map(data)), "cells", "rect")
    assert len(cells) == len(GRID)
    shades = {cell.findtext(f"{SVG}title"): number(cell, "fill-opacity") for cell in cells}
    ordered = sorted(shades.items(), key=lambda pair: pair[1])
    assert [float((title or "").rpartition(" ")[2]) for title, _ in ordered] == sorted(
        float((title or "").rpartition(" ")[2]) for title in shades
    )


def test_weights_below_0_have_another_colour_in_the_map() -> None:
    run = searched()
    best = replace(run.contenders[0], weights={**run.contenders[0].weights, "layers.0.mlp": -0.5})
    data = heatmap.heat_map(replace(run, contenders=(best,), weight_range=(-1.0, 1.0)))
    cells = under(parse(heatmap.draw_heat_map(data)), "cells", "rect")
    assert [c.findtext(f"{SVG}title") for c in cells if "below" in c.attrib["class"]] == [
        "mlp, layer 0: -0.5"
    ]


def test_weights_without_layers_have_no_map() -> None:
    run = searched()
    best = replace(run.contenders[0], weights={"everything": 0.7})
    assert heatmap.draw_heat_map(heatmap.heat_map(replace(run, contenders=(best,)))) == ""


def test_the_weight_that_decides_the_score_is_the_most_important() -> None:
    data = importance.important_weights(searched())
    assert next(iter(data.shares)) == "layers.1.mlp"
    assert sum(data.shares.values()) == pytest.approx(1.0)
    root = parse(importance.draw_importance(data))
    widths = [number(bar, "width") for bar in under(root, "bars", "rect")]
    assert widths == sorted(widths, reverse=True)


def test_importances_of_too_few_candidates_are_not_computed() -> None:
    data = importance.important_weights(searched(49))
    assert importance.draw_importance(data) == ""
    assert data.description == "Importances need 50 drawn candidates with a score; this search has 49."


def test_given_weights_have_no_part_in_the_importances_and_estimates_of_blocks_have() -> None:
    run = searched(60)
    given = tuple(replace(t, attrs={**t.attrs, "fixed": True}) for t in run.trials[:11])
    assert not importance.important_weights(replace(run, trials=(*given, *run.trials[11:]))).shares
    estimated = tuple(
        replace(t, value=None, values=(), state="RUNNING", attrs={"mean": t.value}) for t in run.trials
    )
    shares = importance.important_weights(replace(run, trials=estimated)).shares
    assert next(iter(shares)) == "layers.1.mlp"


def test_scores_are_drawn_against_the_mean_and_the_most_important_weights() -> None:
    run = searched()
    data = scatter.scores_by_weight(run)
    assert [panel.name for panel in data.panels[:2]] == ["mean weight", "layers.1.mlp"]
    assert [len(panel.dots) for panel in data.panels] == [80] * len(data.panels)
    root = parse(scatter.draw_scatter(data))
    drawn = [
        node.attrib["d"].count("M") for node in root.iter(f"{SVG}path") if "drawn" in node.attrib["class"]
    ]
    assert drawn == [80] * len(data.panels)
    best = next(trial for trial in run.trials if trial.number == run.contenders[0].trial)
    assert data.panels[1].best == scatter.Dot(
        best.recipe.weights["layers.1.mlp"], best.value or 0.0, given=False
    )


def test_the_means_by_category_are_those_of_the_ratings() -> None:
    run = searched()
    data = categories.categories(run)
    assert {(row.name, row.questions) for row in data.rows} == {
        ("math", 3),
        ("humanities", 3),
        ("writing", 3),
    }
    ratings = [
        judgment.score
        for sample in run.contenders[0].samples
        if sample.question.category == "math"
        for judgment in sample.judgments
        if isinstance(judgment, Rating)
    ]
    (math,) = (row for row in data.rows if row.name == "math")
    assert math.means["best"] == pytest.approx(sum(ratings) / len(ratings))
    assert list(math.means) == ["weight_0", "weight_1", "uniform", "best"]
    root = parse(categories.draw_categories(data))
    assert len(under(root, "row", "path")) == 12


def test_calls_are_as_long_as_there_are_many_and_the_cost_is_written() -> None:
    root = parse(spending.draw_spending(spending.spending(searched())))
    calls, hits = under(root, "judge", "rect")
    assert number(calls, "width") / number(hits, "width") == pytest.approx(3210 / 812, rel=0.01)
    assert {"judge-x", "12.35 USD", "The run worked for 2 h 14 min."} <= set(texts(root))
    assert "3 failed attempts" in " ".join(texts(root))


def test_without_a_judge_nothing_was_paid() -> None:
    data = spending.spending(results.simple())
    assert data.time == "The run worked for 2 h 14 min. No judge was called, so judging cost nothing."


def test_nothing_is_said_of_the_cost_of_a_run_whose_ledger_is_not_at_hand() -> None:
    progress = Unfinished("trial", 3, 9, held=False, rough=False, leader=1, mean=6.0, se=None)
    run = replace(results.simple(), progress=progress, seconds=0.0)
    assert spending.draw_spending(spending.spending(run)) == ""


@pytest.mark.parametrize("width", [WIDTH, NARROW])
def test_no_text_of_a_figure_ends_outside(width: float) -> None:
    run = searched()
    drawings = [
        heatmap.draw_heat_map(heatmap.heat_map(run), width),
        importance.draw_importance(importance.important_weights(run), width),
        scatter.draw_scatter(scatter.scores_by_weight(run), width),
        categories.draw_categories(categories.categories(run), width),
        spending.draw_spending(spending.spending(run), width),
    ]
    for drawing in drawings:
        root = parse(drawing)
        assert root.attrib["viewBox"].split()[2] == f"{width:g}"
        for node in root.iter(f"{SVG}text"):
            wide = (
                text_width(node.text or "")
                * {"start": 1.0, "middle": 0.5, "end": 0.0}[node.attrib["text-anchor"]]
            )
            assert number(node, "x") + wide <= width + 1, node.text
