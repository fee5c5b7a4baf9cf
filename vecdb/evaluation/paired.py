"""Do two configurations differ on the same questions, or is it chance?

The randomisation test (Fisher; Smucker, Allan and Carterette 2007 recommend it for retrieval) asks how often swapping
the two answers of questions at random gives a mean difference at least as large. The t-test assumes normal differences
and agrees with it for some tens of questions. Both intervals are of the mean difference, at 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.evaluation.extra import library

Test = Literal["randomisation", "t"]
RESAMPLES = 9_999
LEVEL = 0.95
_SEED = 20_240_917


@dataclass(frozen=True)
class Comparison:
    """One measure of two configurations over the same questions.

    Attributes:
        measure: what was measured.
        first, second: names of the configurations.
        difference: the mean over the questions of the second's value less the first's.
        low, high: the 95 % confidence interval of the difference.
        p_value: how likely a difference this large is if there is none.
        test: which test said so.
        better, worse, equal: questions for which the second has more, less and as much.

    """

    measure: str
    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    better: int
    worse: int
    equal: int


def compared(
    measure: str, first: tuple[str, np.ndarray], second: tuple[str, np.ndarray], test: Test = "randomisation"
) -> Comparison:
    """Compare the values of two configurations, question by question.

    Raises:
        InvalidInputError: there are fewer than two questions, or no such test.
        MissingExtraError: scipy is not installed.

    """
    if test not in get_args(Test):
        raise InvalidInputError(f"there is no test {test!r}: there are {', '.join(get_args(Test))}", field="test")
    apart = second[1] - first[1]
    if len(apart) < 2:
        raise InvalidInputError(f"{len(apart)} question cannot be compared: give two at least", field="questions")
    if np.ptp(apart) == 0:
        # No spread: a resample is always the same, and so is its mean.
        low = high = float(apart[0])
        p_value = 1.0 if low == 0 else 2.0 ** (1 - len(apart))
    else:
        low, high, p_value = _randomised(apart) if test == "randomisation" else _student(apart)
    counts = (int(np.sum(apart > 0)), int(np.sum(apart < 0)), int(np.sum(apart == 0)))
    return Comparison(measure, first[0], second[0], float(apart.mean()), low, high, p_value, test, *counts)


def _randomised(apart: np.ndarray) -> tuple[float, float, float]:
    stats = library("scipy.stats", "a paired test")
    rng = np.random.default_rng(_SEED)

    def mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(values, axis=axis)

    told = stats.permutation_test(
        (apart,), mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES, batch=1_000, rng=rng
    )
    spread = stats.bootstrap(
        (apart,), mean, confidence_level=LEVEL, n_resamples=RESAMPLES, batch=1_000, method="percentile", rng=rng
    ).confidence_interval
    return float(spread.low), float(spread.high), float(told.pvalue)


def _student(apart: np.ndarray) -> tuple[float, float, float]:
    told = library("scipy.stats", "a paired test").ttest_1samp(apart, 0.0)
    spread = told.confidence_interval(LEVEL)
    return float(spread.low), float(spread.high), float(told.pvalue)
