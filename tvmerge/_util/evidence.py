"""How many questions a comparison of two candidates needs, and what few questions leave unknown."""

from __future__ import annotations

import math
from statistics import NormalDist

FEWEST_QUESTIONS = 6
"""The fewest questions that a verdict rests on.

It is the fewest with which even a sign test could find a difference: if all of n questions favour the same of
two equal candidates, chance did it with a probability of 2 / 2^n, which is 6% for 5 questions and 3% for 6.
"""

SCALE_POINTS = 9.0
"""How far apart the lowest and the highest rating of the judges' scale from 1 to 10 are."""

GAIN_POINTS = 0.5
"""The gain, in points of that scale, for which `questions_needed` is reported."""

ASSUMED_SD_POINTS = 2.0
"""The standard deviation of two candidates' differences by question that is assumed if none is known."""

POWER = 0.8
"""How likely a gain is to be seen with as many questions as `questions_needed` says."""

LEVEL = 0.95
"""The level of the intervals that a verdict rests on."""


def least_sd(span: float, n: int) -> float:
    """Return the least standard deviation of differences that an interval from `n` questions assumes.

    Judges' ratings have many ties and rare failures. A few questions often show none of the failures, and
    then vary less than questions do, or not at all: two with the same difference have a variance of 0. So a
    standard deviation below 4 span / (n + 6) is not believed. On a scale from 1 to 10 that is 4.5 for 2
    questions, 2.25 for 10, 0.78 for 40 and 0.29 for 120, which is less than differences usually vary by. It
    was chosen by simulation (`perf/small_samples.py`).

    Args:
        span: The difference between the highest and the lowest rating.
        n: Number of questions.
    """
    return 4 * span / (n + 6)


def questions_needed(gain: float, sd: float, span: float) -> int:
    """Return with how many questions a gain is seen with a probability of `POWER`.

    It is seen if the 95% interval is above 0. That takes n questions with (t s + z sd) / sqrt(n) = gain: s is
    the larger one of sd and `least_sd`, t the quantile of Student's t and z the normal one of `POWER`.

    Args:
        gain: The true mean difference.
        sd: Standard deviation of the differences by question.
        span: The difference between the highest and the lowest rating.
    """
    power, n = NormalDist().inv_cdf(POWER), FEWEST_QUESTIONS
    n = max(n, math.floor(((NormalDist().inv_cdf((1 + LEVEL) / 2) + power) * sd / gain) ** 2))
    while student_quantile(LEVEL, n - 1) * max(sd, least_sd(span, n)) + power * sd > gain * math.sqrt(n):
        n += 1
    return n


def student_quantile(level: float, freedom: float) -> float:
    """Return the quantile t such that Student's t is in [-t, t] with probability `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))
