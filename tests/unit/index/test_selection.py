"""Selection of sets: the greedy choice of each rule against a plain one in NumPy, and against the best set there is."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from vecdb_index.selection.greedy import COPIES, CROWD, SATURATION, Name, Rule, select
from vecdb_index.selection.limits import UNLIMITED, Attribute, Limits
from vecdb_index.selection.pool import Pool, median, scaled, unit
from vecdb_index.selection.represent import represented

RULES: tuple[Rule, ...] = (
    Rule("mmr", 0.4),
    Rule("cut", 0.5, 6, "two_thirds"),
    Rule("facility", 0.5, 2, "median"),
    Rule("saturated", 0.5, 2, "median"),
    Rule("dpp", 0.5),
    Rule("dispersion", 0.5),
)
NAMES = [rule.name for rule in RULES]
Value = Callable[[list[int]], float]


def pool(seed: int, count: int, dimension: int = 12, clusters: int = 5) -> Pool:
    """Candidates in clusters, the most relevant first."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimension))
    units = unit(centres[rng.integers(0, clusters, count)] + 0.6 * rng.standard_normal((count, dimension)))
    scores = units @ units[0]
    order = np.argsort(-scores, kind="stable")
    return Pool(np.ascontiguousarray(units[order]), scaled(scores[order]))


def kernel(pool: Pool, rule: Rule) -> np.ndarray:
    base = max(0.0, {"median": median(pool), "two_thirds": 3 * median(pool) - 2}.get(str(rule.baseline), 0.0))
    cosines = pool.units.astype(np.float64) @ pool.units.T.astype(np.float64)
    return np.maximum((cosines - base) / (1 - base), 0) ** rule.sharpness


def worths(pool: Pool, rule: Rule, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """What sets (m, size) are worth, (m,), as the head of greedy.py says, in float64."""
    similar, relevance = kernel(pool, rule), pool.relevance * (1 - rule.balance)
    same = pool.units @ pool.units.T >= 0.999
    weights = pool.relevance / pool.relevance.sum()

    def of(sets: np.ndarray) -> np.ndarray:
        own = relevance[sets].sum(axis=1)
        if rule.name == "cut":
            first, second = (sets[:, at] for at in np.triu_indices(sets.shape[1], 1))
            crowd = CROWD / k * similar[first, second].sum(axis=1) + COPIES * same[first, second].sum(axis=1)
            return own - rule.balance * crowd
        if rule.name == "facility":
            return own + rule.balance * k * (similar[sets].max(axis=1, initial=0) @ weights)
        cap = SATURATION * k * similar.mean(axis=0)
        got = np.minimum(similar[sets].sum(axis=1), cap)
        return own + rule.balance * k * (got @ weights) / (weights @ cap)

    return of


def objective(pool: Pool, rule: Rule, k: int) -> Value:
    """What one set is worth."""
    of = worths(pool, rule, k)
    return lambda chosen: float(of(np.array([chosen], np.int64))[0])


def plain_greedy(count: int, k: int, gain: Callable[[list[int], int], float]) -> list[int]:
    chosen: list[int] = []
    for _ in range(k):
        left = [at for at in range(count) if at not in chosen]
        chosen.append(max(left, key=lambda at: (round(gain(chosen, at), 9), -at)))
    return chosen


@pytest.mark.parametrize("name", ["cut", "facility", "saturated"])
@pytest.mark.parametrize("seed", range(6))
def test_choices_are_those_of_plain_greedy_selection(name: Name, seed: int) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    some = pool(seed, 60)
    value = objective(some, rule, 8)

    found = select(some, rule, 8)

    expected = plain_greedy(60, 8, lambda chosen, at: value([*chosen, at]) - value(chosen))
    assert value(found.picks.tolist()) == pytest.approx(value(expected), rel=1e-5)
    assert found.gains.sum() == pytest.approx(value(found.picks.tolist()), rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_mmr_and_dispersion_choose_as_their_formulas_say(seed: int) -> None:
    some = pool(seed, 60)
    cosines = some.units @ some.units.T

    def marginal(chosen: list[int], at: int) -> float:
        near = max((float(cosines[at, one]) for one in chosen), default=0.0)
        return 0.6 * some.relevance[at] - 0.4 * near

    def spread(chosen: list[int], at: int) -> float:
        away = np.sqrt(np.maximum((1 - cosines[at, chosen]) / 2, 0)).sum() if chosen else 0.0
        return 0.5 * some.relevance[at] + 0.5 * 2 / 7 * away

    assert select(some, Rule("mmr", 0.4), 8).picks.tolist() == plain_greedy(60, 8, marginal)
    assert select(some, Rule("dispersion", 0.5), 8).picks.tolist() == plain_greedy(60, 8, spread)


@pytest.mark.parametrize("seed", range(6))
def test_a_determinant_grows_as_numpy_says(seed: int) -> None:
    some = pool(seed, 40)
    spread = some.relevance.std()
    qualities = np.exp(0.5 * (some.relevance - some.relevance.max()) / spread)
    matrix = kernel(some, Rule("dpp", 0.5)) * np.outer(qualities, qualities)

    found = select(some, Rule("dpp", 0.5), 6)

    for size in range(1, 7):
        chosen = found.picks[:size].tolist()
        assert found.gains[:size].sum() == pytest.approx(np.linalg.slogdet(matrix[np.ix_(chosen, chosen)])[1], abs=1e-5)
    best = plain_greedy(40, 6, lambda chosen, at: np.linalg.slogdet(matrix[np.ix_([*chosen, at], [*chosen, at])])[1])
    assert found.picks.tolist() == best


@pytest.mark.parametrize("name", ["cut", "facility", "saturated"])
def test_greedy_sets_are_nearly_the_best_of_all_sets(name: Name) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    shares, sets = [], np.array(list(combinations(range(16), 4)))
    for seed in range(200):
        some = pool(seed, 16)
        worth = worths(some, rule, 4)
        shares.append(worth(select(some, rule, 4).picks[None])[0] / worth(sets).max())

    assert min(shares) >= 1 - 1 / np.e
    assert np.mean(shares) >= 0.95


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_balance_zero_is_the_order_of_relevance(rule: Rule) -> None:
    some = pool(3, 80)

    assert select(some, rule._replace(balance=0.0), 10).picks.tolist() == list(range(10))


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_the_same_pool_gives_the_same_set(rule: Rule) -> None:
    first, second = (select(pool(4, 120), rule, 12) for _ in range(2))

    assert first.picks.tolist() == second.picks.tolist()
    assert first.gains.tolist() == second.gains.tolist()


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_of_equal_candidates_the_first_is_chosen(rule: Rule) -> None:
    units = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3, 3]]
    some = Pool(units, np.ones(8))

    assert select(some, rule, 4).picks.tolist() == [0, 2, 4, 6]


def test_given_similarities_stand_in_for_vectors() -> None:
    some = pool(5, 50)
    given = some._replace(given=some.units @ some.units.T)

    for rule in RULES:
        assert select(some, rule, 6).picks.tolist() == select(given, rule, 6).picks.tolist()


@pytest.mark.parametrize("name", ["facility", "saturated"])
def test_sampled_selection_comes_near_the_exact_one(name: Name) -> None:
    rule = Rule(name, 0.7, 2, "median")
    some = pool(6, 2_400)
    value = objective(some, rule, 10)

    sampled, exact = select(some, rule, 10), select(some, rule, 10, exact=True)

    assert value(sampled.picks.tolist()) >= 0.95 * value(exact.picks.tolist())
    assert select(some, rule, 10).picks.tolist() == sampled.picks.tolist()


def test_a_universe_of_its_own_is_what_is_represented() -> None:
    units = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    some = Pool(units, np.array([1.0, 0.9, 0.5, 0.1]), universe=units[3:], weights=np.ones(1))

    found = select(some, Rule("facility", 0.9, 1, 0.0), 2)

    assert found.picks.tolist() == [3, 0]


# -- limits ------------------------------------------------------------------------------------------------------------


def attribute(codes: list[int], bounds: dict[int, tuple[int, int]]) -> Attribute:
    groups = max(codes) + 1
    low, high = np.zeros(groups, np.int32), np.full(groups, UNLIMITED, np.int32)
    for group, (least, most) in bounds.items():
        low[group], high[group] = least, most
    return Attribute(np.array(codes, np.int32), low, high)


def possible(limits: Limits, k: int) -> bool:
    """Whether an integer program finds a set of k candidates within the bounds."""
    count = len(limits.attributes[0].codes)
    rows, low, high = [np.ones(count)], [float(k)], [float(k)]
    for one in limits.attributes:
        for group in range(len(one.low)):
            rows.append((one.codes == group).astype(float))
            low.append(float(one.low[group]))
            high.append(float(min(one.high[group], count)))
    if limits.cost is not None:
        rows.append(limits.cost)
        low.append(0.0)
        high.append(limits.budget)
    between = LinearConstraint(np.array(rows), np.array(low), np.array(high))  # pyright: ignore[reportArgumentType]
    found = milp(np.zeros(count), constraints=between, integrality=np.ones(count), bounds=(0, 1))
    return found.status == 0


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
@pytest.mark.parametrize("attributes", [1, 2, 3])
def test_quotas_are_met_exactly_where_an_integer_program_can(rule: Rule, attributes: int) -> None:
    met = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bounds = []
        for _ in range(attributes):
            codes = rng.integers(0, 3, 14).tolist()
            bounds.append(
                attribute(
                    codes,
                    {group: (int(rng.integers(0, 3)), int(rng.integers(2, 5))) for group in range(max(codes) + 1)},
                )
            )
        limits = Limits(bounds)

        found = select(pool(seed, 14), rule, 6, limits)

        lows_possible = any(possible(limits, size) for size in range(7))
        assert (found.ended != "bounds") == lows_possible
        if found.ended == "bounds":
            continue
        met += 1
        for one in limits.attributes:
            counts = np.bincount(one.codes[found.picks], minlength=len(one.low))
            assert (counts >= one.low).all()
            assert (counts <= one.high).all()
        if attributes == 1:
            assert (len(found.picks) == 6) == possible(limits, 6)
    assert met >= 5


def test_a_quota_that_cannot_be_met_is_told() -> None:
    limits = Limits([attribute([0] * 9 + [1], {1: (2, 3)})])

    assert select(pool(0, 10), RULES[1], 4, limits).ended == "bounds"


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_budget_is_kept_and_lower_bounds_are_paid_for(rule: Rule) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        cost = rng.integers(1, 30, 20).astype(np.float64)
        limits = Limits([attribute(rng.integers(0, 2, 20).tolist(), {0: (2, 4), 1: (1, 4)})], cost=cost, budget=60.0)

        found = select(pool(seed, 20), rule, 8, limits)

        assert cost[found.picks].sum() <= 60
        feasible = any(possible(limits, size) for size in range(3, 9))
        assert (found.ended != "bounds") == feasible


def test_one_candidate_worth_the_whole_budget_beats_many_cheap_ones() -> None:
    units = np.eye(5, dtype=np.float32)
    some = Pool(units, np.array([1.0, 0.01, 0.01, 0.01, 0.01]))
    limits = Limits(cost=np.array([10.0, 0.05, 0.05, 0.05, 0.05]), budget=10.0)

    assert select(some, Rule("cut", 0.1), 5, limits).picks.tolist() == [0]


def test_many_cheap_candidates_beat_one_that_takes_the_whole_budget() -> None:
    units = np.eye(5, dtype=np.float32)
    some = Pool(units, np.array([1.0, 0.9, 0.8, 0.7, 0.6]))
    limits = Limits(cost=np.array([10.0, 2.0, 2.0, 2.0, 2.0]), budget=10.0)

    assert sorted(select(some, Rule("cut", 0.1), 5, limits).picks.tolist()) == [1, 2, 3, 4]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_candidates_too_close_to_a_chosen_one_are_left_out(rule: Rule) -> None:
    some = pool(7, 60)

    found = select(some, rule, 20, Limits(closest=0.8))

    chosen = some.units[found.picks]
    among = chosen @ chosen.T
    assert among[np.triu_indices(len(chosen), 1)].max() < 0.8
    left = np.setdiff1d(np.arange(60), found.picks)
    if len(found.picks) < 20:
        assert found.ended == "candidates"
        assert ((some.units[left] @ chosen.T).max(axis=1) >= 0.8).all()


@pytest.mark.parametrize("name", ["cut", "facility", "saturated"])
def test_selection_stops_at_a_floor_of_the_gains(name: Name) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    some = pool(8, 60)
    whole = select(some, rule, 20)

    found = select(some, rule, 20, Limits(floor=0.5))

    assert found.ended == "gain"
    assert found.picks.tolist() == whole.picks[: len(found.picks)].tolist()
    assert (found.gains >= 0.5 * found.gains[0]).all()
    assert whole.gains[len(found.picks)] < 0.5 * whole.gains[0]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_fixed_members_come_first_and_count(rule: Rule) -> None:
    some = pool(9, 40)
    limits = Limits([attribute([0] * 20 + [1] * 20, {0: (0, 3), 1: (0, 3)})])

    found = select(some, rule, 6, limits, fixed=[35, 2])

    assert found.picks[:2].tolist() == [35, 2]
    assert np.bincount(limits.attributes[0].codes[found.picks]).tolist() == [3, 3]


def test_members_are_the_rows_closest_to_each_chosen_one() -> None:
    units = unit(np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.2], [0, 0, 1], [1, 0, 0.05]], np.float32))
    some = Pool(units, np.ones(6))

    found = represented(some, np.array([0, 2]))

    assert [one.tolist() for one in found.members] == [[5, 1], [3]]
    assert 0.8 < found.coverage < 0.9
    assert represented(some, np.arange(6)).coverage == pytest.approx(1)


def test_no_candidates_give_an_empty_set() -> None:
    found = select(Pool(np.empty((0, 4), np.float32), np.empty(0)), RULES[1], 5)

    assert found.picks.tolist() == []
    assert found.ended == "candidates"
