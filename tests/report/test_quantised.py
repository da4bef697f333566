"""What is said of the winner's files: no more than the intervals allow."""

from __future__ import annotations

from tests.report import results
from tvmerge.report.quantised import quantised_lines, quantised_rows
from tvmerge.report.terminal.plain import plain_text
from tvmerge.report.terminal.table import result_table

RUN = results.quantised(results.rated(9))


def test_a_sentence_claims_a_loss_only_if_its_interval_excludes_zero() -> None:
    assert list(quantised_lines(RUN)) == [
        "As Q2_K the winner loses 0.80 on 30 held-out questions (95% interval [+0.50, +1.10]).",
        "As Q4_K_M the winner scores 0.10 lower on 30 held-out questions, but the 95% interval of what is "
        "lost, [-0.20, +0.40], includes 0: no clear difference.",
        "As Q6_K the winner scores 0.05 higher on 30 held-out questions, but the 95% interval of what is "
        "lost, [-0.30, +0.20], includes 0: no clear difference.",
        "As Q8_0 the winner scores the same on 30 held-out questions, but the 95% interval of what is lost, "
        "[-0.10, +0.10], includes 0: no clear difference.",
        "As IQ4_XS the winner gains 0.30 on 30 held-out questions (95% interval of what is lost [-0.50, "
        "-0.10]).",
        "As Q3_K_S the winner scores 0.30 lower on 5 held-out questions: too few questions to say what is "
        "lost (fewer than 6).",
        "As Q5_0 the winner scores 0.30 lower on 30 held-out questions (no 95% interval).",
        "What the winner loses as IQ1_S is not known, since too few answers were rated.",
    ]


def test_the_table_begins_with_the_unquantised_winner() -> None:
    rows = list(quantised_rows(RUN))
    assert (rows[0].name, rows[0].holdout) == ("not quantised", RUN.contenders[0].holdout)
    assert (rows[1].name, rows[1].size, rows[1].lost) == ("Q2_K", "4.6 GB", "+0.80 [+0.50, +1.10]")
    assert rows[-1].lost == "-"


def test_a_run_without_files_says_nothing_of_them() -> None:
    plain = results.rated(9)
    assert [*quantised_rows(plain), *quantised_lines(plain)] == []
    assert "GGUF" not in plain_text(result_table(plain))
    assert "the winner as GGUF files" in plain_text(result_table(RUN))
