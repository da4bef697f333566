"""The result of a run for Python and notebooks: the record with its table, figures and data frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmerge.errors import MissingExtraError
from tvmerge.records import Recipe
from tvmerge.report.conclusion import conclude, shown
from tvmerge.report.figures import drawn
from tvmerge.report.numbers import estimate
from tvmerge.report.result import Contender, RunRecord
from tvmerge.report.terminal.plain import plain_text
from tvmerge.report.terminal.table import result_table, score_rows

if TYPE_CHECKING:
    import pandas as pd


class Figure(str):
    """An SVG document as text; a notebook displays it as a figure."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> Path:
        """Write the figure to a file whose name ends in `.svg`, or in `.png`, which needs a browser.

        Raises:
            TvmergeError: No Chromium or Chrome was found to draw a PNG, or it failed.
            OSError: The file cannot be written.
        """
        place = Path(path)
        if place.suffix.lower() == ".png":
            from tvmerge.report.png import write_png

            write_png(place, self)
        else:
            place.write_text(self, encoding="utf-8")
        return place


@dataclass(frozen=True, slots=True, repr=False)
class RunResult(RunRecord):
    """A run: the winner, the baselines and all trials.

    `print` shows the table that the command line shows; a notebook shows the figures too.

    Attributes:
        folder: The run folder, with `result.json`, `report.html` and the study.
    """

    folder: Path = Path()

    @classmethod
    def of(cls, record: RunRecord, folder: Path) -> RunResult:
        """Make a result from a run's record and folder."""
        return cls(**{f.name: getattr(record, f.name) for f in fields(RunRecord)}, folder=folder)

    @property
    def best(self) -> Contender:
        """The winner, or without a held-out comparison the best of the search.

        `best.holdout` is its held-out score; `best.search` is biased upwards.
        """
        return self.contenders[0]

    @property
    def recipe(self) -> Recipe:
        """The winner's weights, in the form that `tvmerge.merge` accepts."""
        return Recipe(self.best.weights)

    @property
    def conclusion(self) -> str:
        """Whether the winner beats the strongest baseline, claiming no more than is known."""
        return conclude(self).sentence

    @property
    def model_folder(self) -> Path:
        """The folder of the merged model."""
        return Path(self.output)

    @property
    def report(self) -> Path:
        """The HTML page of the run."""
        return self.folder / "report.html"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The figures of the report by name, those of installed packages included."""
        return {name: Figure(figure.svg) for name, figure in drawn(self).items() if figure.svg}

    def write_report(self, path: str | Path | None = None, *, lang: str = "en") -> Path:
        """Write the HTML page and return its path.

        Args:
            path: The file; None for `report.html` in the run folder.
            lang: The language of the page: `en` or `ja`.

        Raises:
            TvmergeError: There is no such language.
            OSError: The file cannot be written.
        """
        from tvmerge.report.page.page import write_page

        place = self.report if path is None else Path(path)
        write_page(place, self, lang)
        return place

    def trials_dataframe(self) -> pd.DataFrame:
        """Return all trials as a pandas data frame, one row per trial, with Optuna's column names.

        The columns are `number`, `value` (or `values_0`, `values_1`, ... for several objectives), `state`,
        the weights as `params_<name>` and what was recorded with the score as `user_attrs_<name>`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingExtraError("pandas", "pandas") from error
        objectives = max((len(trial.values) for trial in self.trials), default=1)
        names = ["value"] if objectives < 2 else [f"values_{number}" for number in range(objectives)]
        return pd.DataFrame(
            [
                {
                    "number": trial.number,
                    **dict(zip(names, (*trial.values, *[None] * objectives), strict=False)),
                    "state": trial.state,
                    **{f"params_{name}": weight for name, weight in trial.recipe.weights.items()},
                    **{f"user_attrs_{name}": value for name, value in trial.attrs.items()},
                }
                for trial in self.trials
            ],
            columns=None if self.trials else ["number", *names, "state"],
        )

    def __repr__(self) -> str:
        best = f"trial {self.best.trial} with {estimate(shown(self, self.best))}"
        return f"<RunResult of study '{self.study}': {best}; model: {self.output}>"

    def __str__(self) -> str:
        return plain_text(result_table(self))

    def _repr_html_(self) -> str:
        return "\n".join(
            (f"<p>{escape(self.conclusion)}</p>", _table(score_rows(self)), *self.figures.values())
        )


def _table(rows: list[dict[str, str]]) -> str:
    """Return rows of cells as an HTML table."""
    return f"<table>{''.join(_lines(rows))}</table>"


def _lines(rows: list[dict[str, str]]) -> Iterator[str]:
    def line(cells: Any, tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    yield line(rows[0], "th")
    yield from (line(row.values(), "td") for row in rows)
