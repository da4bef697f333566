"""The winner of the held-out comparison is named in the study, on its trial, and in its note."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.study.blocks.searches import drive as drive_blocks
from tests.study.blocks.searches import open_blocks
from tests.study.studies import drive, open_at
from tvmerge._util.urls import sqlite_url
from tvmerge.errors import StudyError
from tvmerge.study.status import read_status
from tvmerge.study.storage import StoredStudy, open_storage, read_study
from tvmerge.study.winner import Winner, told_of

TRIALS = 8


def named(trial: int, told: int, best: int = 3) -> Winner:
    return Winner(trial, best, "better", f"The winner, trial {trial}, beats all.", told, chosen_on=20)


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = sqlite_url(tmp_path / "study.db")
    drive(lambda: open_at(found), TRIALS)
    return found


def stored(url: str) -> StoredStudy:
    return read_study(url, "s")


def name(url: str, trial: int) -> None:
    study = open_at(url)
    study.name_winner(named(trial, told_of(study.trials), best_of_search(url)))
    study.close()


def best_of_search(url: str) -> int:
    return stored(url).choose("best-search").trial.number


def another(url: str) -> int:
    return next(t.number for t in stored(url).trials if t.scored and t.number != best_of_search(url))


def notes(url: str) -> dict[int, str]:
    """What optuna-dashboard shows, by trial: the pieces of its note in order."""
    storage = open_storage(url)
    study_id = storage.get_study_id_from_name("s")
    attrs: dict[str, Any] = storage.get_study_system_attrs(study_id)
    found = {}
    for trial in storage.get_all_trials(study_id):
        if f"dashboard:{trial._trial_id}:note_ver" in attrs:
            pieces = [k for k in attrs if k.startswith(f"dashboard:{trial._trial_id}:note_str:")]
            found[trial.number] = "".join(attrs[k] for k in sorted(pieces))
    return found


def test_without_a_comparison_the_winner_is_the_best_of_the_search_and_the_line_says_so(url: str) -> None:
    best = best_of_search(url)
    choice = stored(url).choose("winner")
    assert choice.trial.number == best
    assert choice.line == f"trial {best}: the best of the search; no held-out comparison has named a winner"
    assert read_status(url, "s").winner is None
    assert "winner: none yet" in str(read_status(url, "s"))


def test_the_former_name_of_the_winner_is_refused_with_its_name(url: str) -> None:
    with pytest.raises(StudyError, match=r"no trial 'best' \(did you mean winner\?\); it has 0 to "):
        stored(url).choose("best")


def test_the_winner_and_the_best_of_the_search_are_chosen_by_their_names(url: str) -> None:
    best, winner = best_of_search(url), another(url)
    name(url, winner)
    choice = stored(url).choose("winner")
    assert choice.trial.number == winner
    assert choice.line == (
        f"trial {winner}: the winner of the held-out comparison; the best of the search is trial {best} "
        "(--trial best-search)"
    )
    searched = stored(url).choose("best-search")
    assert searched.trial.number == best
    assert searched.line == (
        f"trial {best}: the best of the search; the winner of the held-out comparison is trial {winner} "
        "(--trial winner)"
    )
    assert stored(url).choose("0").line == "trial 0"


def test_a_winner_that_is_the_best_of_the_search_is_said_to_be_both(url: str) -> None:
    best = best_of_search(url)
    name(url, best)
    assert stored(url).choose("winner").line.endswith("comparison, and the best of the search")
    assert stored(url).choose("best-search").line.endswith(", and the winner of the held-out comparison")


def test_a_winner_that_was_not_chosen_among_several_is_said_to_be_the_best_of_the_search(url: str) -> None:
    best, study = best_of_search(url), open_at(url)
    study.name_winner(replace(named(best, told_of(study.trials), best), chosen_on=0))
    assert f"winner: trial {best}, the best of the search, since no others" in str(read_status(url, "s"))


def test_a_winner_holds_until_the_search_goes_on(url: str) -> None:
    winner = another(url)
    name(url, winner)
    assert f"winner: trial {winner}, named by the held-out comparison" in str(read_status(url, "s"))
    drive(lambda: open_at(url), TRIALS + 2)
    choice = stored(url).choose("winner")
    assert choice.trial.number == best_of_search(url)
    assert f"has gone on since the held-out comparison that named trial {winner}" in choice.line
    status = read_status(url, "s")
    assert not status.winner_holds
    assert f"winner: trial {winner} of an earlier comparison" in str(status)
    assert status.as_json()["winner"]["holds"] is False


def test_the_winner_s_trial_has_a_mark_and_a_note_and_the_one_before_has_neither(url: str) -> None:
    first, second = another(url), best_of_search(url)
    for winner in (first, second, second):
        name(url, winner)
        assert [t.number for t in stored(url).trials if t.attrs.get("winner")] == [winner]
        assert [number for number, text in notes(url).items() if "The winner of" in text] == [winner]
        assert notes(url)[winner].startswith(
            f"**tvmerge:** The winner of the held-out comparison. The winner, trial {winner}, beats all."
        )
    before = [t for t in stored(url).trials if t.number == first]
    assert "winner" not in before[0].attrs


def test_what_a_user_wrote_in_a_note_stays(url: str) -> None:
    storage, winner = open_storage(url), another(url)
    study_id = storage.get_study_id_from_name("s")
    identity = storage.get_trial_id_from_study_id_trial_number(study_id, winner)
    mine = "看板: mine\n\n" + "long " * 1000
    for number in range(-(-len(mine) // 2045)):
        piece = mine[number * 2045 : (number + 1) * 2045]
        storage.set_study_system_attr(study_id, f"dashboard:{identity}:note_str:{number}", piece)
    storage.set_study_system_attr(study_id, f"dashboard:{identity}:note_ver", 4)
    name(url, winner)
    assert notes(url)[winner].startswith("**tvmerge:** The winner")
    assert notes(url)[winner].endswith(mine)
    assert storage.get_study_system_attrs(study_id)[f"dashboard:{identity}:note_ver"] == 5
    name(url, best_of_search(url))
    assert notes(url)[winner].endswith(mine)
    assert "The winner of" not in notes(url)[winner]


def test_a_search_by_blocks_has_a_winner_until_more_is_answered(tmp_path: Path) -> None:
    study = drive_blocks(lambda: open_blocks(tmp_path, 4), 80)
    study.settle(3)
    url = sqlite_url(tmp_path / "study.db")
    winner = next(t.number for t in reversed(study.trials) if t.state == "COMPLETE")
    study.name_winner(named(winner, told_of(study.trials)))
    study.close()
    assert stored(url).choose("winner").trial.number == winner
    assert open_blocks(tmp_path, 4).trials[winner].attrs["winner"] is True
    more = drive_blocks(lambda: open_blocks(tmp_path, 4), 120)
    more.settle(3)
    assert "gone on since" in stored(url).choose("winner").line


def test_a_name_of_a_trial_that_is_misspelt_is_suggested(url: str) -> None:
    with pytest.raises(StudyError, match=r"has no trial 'winer' \(did you mean winner\?\); it has 0 to 7"):
        stored(url).choose("winer")


@pytest.mark.parametrize("wanted", ["99", "worst", "-1", ""])
def test_a_trial_that_does_not_exist_is_refused_in_a_line(url: str, wanted: str) -> None:
    with pytest.raises(StudyError, match=r"it has 0 to 7, `winner` and `best-search`$"):
        stored(url).choose(wanted)
