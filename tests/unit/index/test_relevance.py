"""Statistics of relevance, against SciPy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from vecdb_index.relevance import cuts, logistic
from vecdb_index.relevance.calibrator import RECALLS, Judged, RelevanceCalibrator, auc
from vecdb_index.relevance.calibrator import _bars as bars_of  # pyright: ignore[reportPrivateUsage]
from vecdb_index.relevance.progressive import far_below, line, probes, verdict
from vecdb_index.relevance.tails import Normal, Tail, mean_excess


def background(seed: int, rows: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.1, 0.08, rows)


def test_normal_chances_are_those_of_scipy() -> None:
    sample, scores = background(1), np.linspace(-0.2, 0.9, 23)

    model = Normal.of(sample)

    expected = stats.norm.sf(scores, sample.mean(), sample.std(ddof=1))
    np.testing.assert_allclose(model.chances(scores), expected, rtol=1e-12)
    assert model.score_at(1e-4) == pytest.approx(stats.norm.isf(1e-4, sample.mean(), sample.std(ddof=1)))


def test_the_tail_is_exponential_beyond_the_threshold_and_the_sample_below_it() -> None:
    sample = background(2)

    tail = Tail.of(sample)

    far = tail.threshold + np.array([0.01, 0.05, 0.2])
    np.testing.assert_allclose(
        tail.chances(far), tail.beyond * stats.expon.sf(far, loc=tail.threshold, scale=tail.scale), rtol=1e-12
    )
    near = np.quantile(sample, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(tail.chances(near), [(sample >= one).mean() for one in near])
    assert tail.beyond == np.count_nonzero(sample > tail.threshold) / len(sample)


@pytest.mark.parametrize("untrusted", [1, 7, 40])
def test_mean_excess_maximises_the_likelihood_of_what_was_looked_at(untrusted: int) -> None:
    excess = np.sort(np.random.default_rng(untrusted).exponential(0.03, 100))
    data = stats.CensoredData(uncensored=excess[:-untrusted], right=np.full(untrusted, excess[-untrusted - 1]))

    found = mean_excess(excess, untrusted)

    assert found == pytest.approx(stats.expon.fit(data, floc=0)[1], rel=1e-3)


@pytest.mark.parametrize("model", [Normal, Tail])
def test_the_score_at_a_chance_has_that_chance(model: type[Normal] | type[Tail]) -> None:
    fitted = model.of(background(3))

    for chance in (1e-9, 1e-5, 1e-3):
        assert fitted.chances(np.array([fitted.score_at(chance)]))[0] == pytest.approx(chance, rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), expect_false=st.floats(0.01, 50))
def test_a_row_is_kept_when_one_with_a_lower_score_is(seed: int, expect_false: float) -> None:
    rng = np.random.default_rng(seed)
    sample, scores = rng.normal(0.1, 0.1, 300), np.sort(rng.normal(0.3, 0.2, 40))[::-1]
    tail = Tail.of(sample)
    kept = [
        cuts.expected(Normal.of(sample), scores, 5000, expect_false),
        cuts.expected(tail, scores, 5000, expect_false),
        cuts.higher_criticism(tail.chances(scores), scores, 5000),
        cuts.largest_gap(scores),
    ]

    for one in kept:
        assert not np.any(~one.keep[:-1] & one.keep[1:])


def test_about_as_many_background_rows_are_kept_as_are_expected() -> None:
    rng = np.random.default_rng(5)
    kept = []
    for _ in range(100):
        rows = rng.exponential(0.1, 5000)
        tail = Tail.of(rows[:2000])
        kept.append(cuts.expected(tail, rows, len(rows), 3.0).keep.sum())

    assert 2 < np.mean(kept) < 4.5


def test_higher_criticism_is_its_formula() -> None:
    chances = np.sort(np.random.default_rng(6).random(50))
    n = 200

    found = cuts.criticisms(chances, n)

    for i, p in enumerate(chances, 1):
        assert found[i - 1] == pytest.approx(np.sqrt(n) * (i / n - p) / np.sqrt(p * (1 - p)))


def test_higher_criticism_keeps_the_rows_that_stand_out() -> None:
    rng = np.random.default_rng(7)
    chances = np.r_[np.full(6, 1e-6), np.sort(rng.random(994))]
    scores = -chances

    found = cuts.higher_criticism(chances, scores, 1000)

    assert found.keep[:6].all()
    assert found.keep.sum() <= 8


def test_higher_criticism_rarely_takes_noise_for_something() -> None:
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(400):
        chances = np.sort(rng.random(1000))
        alarms += bool(cuts.higher_criticism(chances, -chances, 1000).keep.any())

    assert alarms / 400 < 0.08


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30), st.integers(0, 3), st.integers(0, 3))
def test_the_largest_gap_is_that_of_a_plain_loop(values: list[float], skip: int, extra: int) -> None:
    scores = np.array(sorted(values, reverse=True), np.float64)

    found = cuts.largest_gap(scores, skip, extra)

    first = min(skip, len(scores) - 2)
    best, place = -1.0, first
    for at in range(first, min(max(skip + 1, (len(scores) + 1) // 2), len(scores) - 1)):
        if scores[at] - scores[at + 1] > best:
            best, place = scores[at] - scores[at + 1], at
    assert found.keep.sum() == min(place + 1 + extra, len(scores))
    assert found.statistic == best


def test_logistic_regression_finds_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(9)
    inputs = rng.normal(0, [1, 5, 0.1], (400, 3))
    labels = rng.random(400) < logistic.sigmoid(inputs @ np.array([1.0, -0.3, 4.0]) - 0.5)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)

    found = logistic.fit(inputs, labels)

    def loss(weights: np.ndarray) -> float:
        return logistic.log_loss(scaled @ weights[:3] + weights[3], labels).sum() + 0.5 * (weights[:3] ** 2).sum()

    best = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(found.weights * inputs.std(axis=0), best[:3], atol=1e-4)


def test_weights_that_must_rise_do_not_fall() -> None:
    rng = np.random.default_rng(10)
    inputs = rng.normal(0, 1, (300, 2))
    labels = inputs[:, 0] + 0.1 * rng.normal(0, 1, 300) < 0

    found = logistic.fit(inputs, labels, rising=1)

    assert found.weights[0] == 0


def pairs(seed: int, queries: int = 120, hits: int = 30, spread: float = 0.0) -> list[Judged]:
    """Queries whose scores all lie around an offset of their own; relevant hits lie above the others."""
    rng = np.random.default_rng(seed)
    made = []
    for at in range(queries):
        offset, answerable = rng.normal(0, 0.3), at % 2 == 0
        scores = np.sort(rng.normal(offset, 0.05, hits))[::-1]
        relevant = np.zeros(hits, bool)
        if answerable:
            relevant[0] = True
            scores[0] = offset + rng.normal(0.35, spread)
        context = np.array([scores[0], scores[1:10].mean()])
        made.append(Judged(scores[:, None].copy(), context, rng.normal(0, 1, 8), relevant, answerable))
    return made


def test_a_calibrator_learns_what_one_bar_on_the_score_cannot_tell() -> None:
    found = RelevanceCalibrator.fit(pairs(11))

    assert found.report["auc_raw"] < 0.8
    assert found.report["auc"] > 0.95
    assert found.report["kept"] < 0.7 * found.report["kept_raw"]


def test_a_calibrator_keeps_the_share_of_relevant_hits_that_was_asked_for() -> None:
    found, fresh = RelevanceCalibrator.fit(pairs(12, 600, spread=0.15)), pairs(13, 600, spread=0.15)
    for recall in (0.6, 0.9):
        told = np.concatenate([found.logits(one.scores, one.context, one.vector)[one.relevant] for one in fresh])

        assert (told >= found.bar(recall)).mean() == pytest.approx(recall, abs=0.06)
    assert np.all(np.diff(found.bars) <= 0)
    assert len(found.bars) == len(RECALLS)


@given(seed=st.integers(0, 2**16))
def test_a_calibrator_never_changes_the_order_of_one_score(seed: int) -> None:
    found = RelevanceCalibrator.fit(pairs(14, queries=20))
    scores = np.sort(np.random.default_rng(seed).normal(0, 1, 20))[::-1]

    told = found.logits(scores[:, None], np.array([scores[0], scores[1:10].mean()]), np.zeros(8))

    assert np.all(np.diff(told) <= 1e-12)


def test_what_speaks_for_an_answer_never_counts_against_it() -> None:
    rng = np.random.default_rng(18)
    given = [
        one._replace(about=np.array([one.answerable, -float(one.answerable)]) + rng.random(2)) for one in pairs(18)
    ]

    answers = RelevanceCalibrator.fit(given).answers

    assert answers is not None
    best, helps, hurts, _ = answers.weights
    assert best >= 0
    assert helps > 0
    assert hurts == 0


def test_the_chance_of_an_answer_falls_where_hits_behind_the_best_are_as_good() -> None:
    found, one = RelevanceCalibrator.fit(pairs(19)), pairs(19)[0]
    logits = np.array([0.0, -1, -1, -5])

    alone, among = (found.answer(each, one.about) for each in (logits, np.array([0.0, 0, 0, -5])))

    assert alone is not None
    assert among is not None
    assert among < alone
    assert found.answer(np.array([0.0]), one.about) == pytest.approx(found.answer(np.zeros(3), one.about))


def test_a_calibrator_comes_back_from_json() -> None:
    found = RelevanceCalibrator.fit(pairs(15))

    again = RelevanceCalibrator.from_json(found.to_json())

    one = pairs(16)[0]
    np.testing.assert_array_equal(
        again.logits(one.scores, one.context, one.vector), found.logits(one.scores, one.context, one.vector)
    )
    assert again.bar(0.77) == found.bar(0.77)


def test_a_calibrator_refuses_what_is_too_little_to_learn_from() -> None:
    with pytest.raises(ValueError, match="too few"):
        RelevanceCalibrator.fit(pairs(17, queries=3))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_auc_counts_pairs(better: list[int], worse: list[int]) -> None:
    wins = sum((one > other) + 0.5 * (one == other) for one in better for other in worse)

    assert auc(np.array(better, float), np.array(worse, float)) == pytest.approx(wins / (len(better) * len(worse)))


# -- what a cheap score leaves open ------------------------------------------------------------------------------------


def scored(seed: int, error: float, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return cheap and dear scores of some rows; the cheap ones are on another scale, and off by an error."""
    rng = np.random.default_rng(seed)
    dear = rng.normal(0.4, 0.1, rows)
    return -30 + 55 * (dear + rng.normal(0, error, rows)), dear


def test_the_line_is_that_of_numpy() -> None:
    cheap, dear = scored(20, 0.05)

    assert line(cheap, dear) == pytest.approx(tuple(np.polyfit(cheap, dear, 1)))
    assert line(np.ones(5), np.arange(5.0)) == (0.0, 2.0)


def test_probes_are_the_best_and_some_of_all_ranks() -> None:
    cheap, _ = scored(21, 0.05)

    found = probes(cheap, 10)

    order = np.argsort(-cheap).tolist()
    assert found[:10].tolist() == order[:10]
    assert len(set(found.tolist())) == len(found)
    assert order[-1] in found.tolist()
    assert probes(cheap[:4], 10).tolist() == np.argsort(-cheap[:4]).tolist()


def test_nothing_is_dropped_that_is_among_the_best_with_a_wide_margin() -> None:
    kept, missed = [], 0
    for seed in range(200):
        cheap, dear = scored(seed, 0.02)
        known = np.full(len(dear), np.nan)
        asked = probes(cheap, 10)
        known[asked] = dear[asked]

        found = verdict(cheap, known, 10, 3.5)

        missed += not found.open[np.argsort(-dear)[:10]].all()
        kept.append(found.open.mean())
        assert found.bar == np.sort(dear[asked])[-10]
    assert missed <= 2
    assert np.mean(kept) < 0.5


def test_clusters_below_the_last_place_are_far_below_only_where_they_lie_apart() -> None:
    apart = np.concatenate([np.linspace(9, 10, 8), np.linspace(5, 6, 20), np.linspace(0, 1, 30)])
    order = np.random.default_rng(6).permutation(len(apart))

    assert apart[order][far_below(apart[order], 5, 4.0)].max() == 6
    assert apart[order][far_below(apart[order], 10, 4.0)].max() == 1
    assert not far_below(apart, 30, 4.0).any()
    assert not far_below(np.linspace(0, 1, 60), 5, 4.0).any()
    assert not far_below(apart[:5], 5, 4.0).any()


@given(seed=st.integers(0, 2**16), keep=st.integers(1, 20))
def test_the_best_are_never_far_below(seed: int, keep: int) -> None:
    scores = np.random.default_rng(seed).standard_normal(30).round(1)

    dropped = far_below(scores, keep, 0.5)

    assert dropped.sum() <= 30 - keep
    assert scores[dropped].max(initial=-np.inf) <= scores[~dropped].min()


def test_a_row_whose_dear_score_is_known_is_judged_by_it() -> None:
    cheap, dear = scored(22, 0.02)

    found = verdict(cheap, dear, 10, 3.0)

    assert np.flatnonzero(found.open).tolist() == sorted(np.argsort(-dear)[:10].tolist())


def test_too_few_probes_leave_everything_open() -> None:
    cheap, dear = scored(23, 0.02)
    known = np.full(len(dear), np.nan)
    known[:3] = dear[:3]

    assert verdict(cheap, known, 2, 3.0).open.all()


@pytest.mark.parametrize("count", [19, 48, 99, 250])
def test_bars_of_few_hits_keep_as_much_of_hits_to_come_as_they_say(count: int) -> None:
    rng = np.random.default_rng(count)
    at = RECALLS.index(0.95)
    learned, to_come = rng.standard_normal((4000, count)), rng.standard_normal(4000)

    kept = np.array([bars_of(some)[at] for some in learned]) <= to_come
    naive = np.array([np.quantile(some, 0.05, method="lower") for some in learned]) <= to_come

    assert kept.mean() >= 0.95 - 0.01  # three standard deviations of a share of 4,000
    if count == 48:
        assert naive.mean() < kept.mean()


def test_too_few_hits_for_a_share_have_their_lowest_as_the_bar() -> None:
    assert bars_of(np.array([3.0, 1.0, 2.0]))[RECALLS.index(0.95)] == 1.0
