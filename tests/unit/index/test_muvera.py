"""The index of encodings: what it finds, what it says of itself, and what it is made of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.plan import Plan
from vecdb_index.multivector.maxsim import Question, best
from vecdb_index.multivector.ragged import Ragged
from vecdb_index.multivector.stored import Tokens
from vecdb_index.muvera import build as builder
from vecdb_index.muvera.build import Options, build
from vecdb_index.muvera.check import problems
from vecdb_index.muvera.index import Muvera
from vecdb_index.muvera.search import MuveraSearcher, ranked

DIMENSION = 32
SMALL = Options(10, 3, 8)


def rows_of(seed: int, count: int, empty: bool = True) -> Tokens:
    """Return rows of 0 to 12 tokens around a topic of the row, far from the origin."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0 if empty else 1, 13, count)
    topics = np.repeat(rng.standard_normal((count, DIMENSION)), lengths, axis=0)
    tokens = (0.7 * topics + rng.standard_normal((lengths.sum(), DIMENSION)) + 0.5).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return Tokens(tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), DIMENSION)


def asked_of(rows: Tokens, row: int, seed: int = 0) -> Question:
    own = rows.slice(row, row + 1).values
    mixed = own + 0.15 * np.random.default_rng(seed).standard_normal(own.shape).astype(np.float32)
    mixed = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return Question(mixed, np.ones(len(mixed), np.float32))


ROWS = rows_of(1, 600)
FILLED = np.flatnonzero(ROWS.lengths > 3)


@pytest.fixture(scope="module")
def index() -> Muvera:
    return build(ROWS, SMALL)


@pytest.mark.parametrize("codes", ["8bit", "4bit", "product", "rabitq"])
@pytest.mark.parametrize("lists", [1, 8])
def test_the_best_rows_are_among_the_candidates(codes: str, lists: int):
    searcher = MuveraSearcher(build(ROWS, SMALL._replace(codes=codes, lists=lists)), ROWS)
    hits = []
    for row in FILLED[:40]:
        question = asked_of(ROWS, int(row))
        found, reads = searcher.answer(question, 1, Plan("codes", 60, 0.0))
        hits.append(found.rows[0] == best(ROWS, question, 1).rows[0])
        assert reads > 0
        assert found.scored <= 60
    assert np.mean(hits) >= 0.9


def test_where_all_rows_are_candidates_the_answer_is_the_exact_one(index: Muvera):
    searcher, question = MuveraSearcher(index, ROWS), asked_of(ROWS, int(FILLED[3]))
    exact = best(ROWS, question, 10)
    found, _ = searcher.answer(question, 10, Plan("codes", len(ROWS), 0.0))
    assert found.rows.tolist() == exact.rows.tolist()
    assert np.array_equal(found.scores, exact.scores)


def test_scores_are_the_exact_ones(index: Muvera):
    question = asked_of(ROWS, int(FILLED[5]))
    found, _ = MuveraSearcher(index, ROWS).answer(question, 5, Plan("codes", 20, 0.0))
    for row, score in zip(found.rows, found.scores, strict=True):
        products = ROWS.slice(int(row), int(row) + 1).values @ question.tokens.T
        assert score == pytest.approx(products.max(axis=0).sum(), rel=1e-5)


@pytest.mark.parametrize("lists", [1, 8])
def test_no_row_that_is_not_allowed_or_has_no_tokens_is_found_and_answers_are_full(lists: int):
    searcher = MuveraSearcher(build(ROWS, SMALL._replace(lists=lists)), ROWS)
    rng = np.random.default_rng(5)
    for share in (0.02, 0.3, 1.0):
        allowed = Allowed(rng.random(len(ROWS)) < share)
        may = np.flatnonzero(allowed.mask & (ROWS.lengths > 0).view(np.uint8))
        for k in (1, 10, 1000):
            found, _ = searcher.answer(asked_of(ROWS, int(FILLED[0])), k, Plan("codes", 16, 0.0), allowed)
            assert set(found.rows.tolist()) <= set(may.tolist())
            assert len(found.rows) >= min(k, len(may))


def test_weights_count(index: Muvera):
    question = asked_of(ROWS, int(FILLED[7]))
    weights = np.zeros(len(question.tokens), np.float32)
    weights[0] = 2
    encoder = index.encoder
    alone = encoder.query(question.tokens[:1])
    assert np.allclose(encoder.query(question.tokens, weights), 2 * alone, atol=1e-6)


def test_arrays_and_settings_make_the_same_index_again(index: Muvera):
    again = Muvera.of(index.arrays(), index.settings())
    question = asked_of(ROWS, int(FILLED[2]))
    assert problems(again) == []
    assert again.settings() == index.settings()
    assert index.settings()["generator"] == "philox-1"
    assert ranked(again, question, 30).rows.tolist() == ranked(index, question, 30).rows.tolist()
    assert again.bytes == index.bytes


def test_threads_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch, index: Muvera):
    monkeypatch.setattr(builder, "BLOCK", 64)
    monkeypatch.setattr(builder, "IN_MEMORY", 1000)
    with ThreadPoolExecutor(3) as pool:
        other = build(ROWS, SMALL, pool=pool)
    assert other.arrays().keys() == index.arrays().keys()
    for name, array in index.arrays().items():
        assert np.array_equal(array, other.arrays()[name]), name


def test_another_generator_is_refused(index: Muvera):
    with pytest.raises(ValueError, match="drawn by 'philox-0'"):
        Muvera.of(index.arrays(), {**index.settings(), "generator": "philox-0"})


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (lambda one: replace(one, probes=9), "searches read 9 of 1 lists"),
        (lambda one: replace(one, curve=np.zeros((0, 2), np.float32)), "the curve is"),
        (lambda one: replace(one, encoder=replace(one.encoder, bits=17)), "parted by 17 bits"),
        (lambda one: replace(one, encoder=replace(one.encoder, repetitions=9)), "its encodings of 576"),
        (lambda one: replace(one, encoder=replace(one.encoder, directions="up")), "its directions are 'up'"),
        (lambda one: replace(one, encoder=replace(one.encoder, centre=np.ones(3, np.float32))), "the centre is"),
        (lambda one: replace(one, inner=replace(one.inner, order=one.inner.order[:-1])), "codes of"),
    ],
)
def test_damage_is_named(index: Muvera, spoilt: Callable[[Muvera], Muvera], told: str):
    assert any(told in problem for problem in problems(spoilt(index)))


def test_it_measures_how_many_of_the_best_rows_it_finds(index: Muvera):
    widths, shares = index.curve.T
    assert (np.diff(widths) > 0).all()
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] >= 0.999


def test_longer_encodings_are_chosen_where_short_ones_miss_too_much(monkeypatch: pytest.MonkeyPatch):
    rows = rows_of(3, 300, empty=False)
    monkeypatch.setattr(builder, "CANDIDATES", 50)
    monkeypatch.setattr(builder, "TARGET", 0.7)
    monkeypatch.setattr(builder, "LADDER", ((1, 1, 2), (20, 3, 16), (40, 3, 32)))
    assert build(rows).encoder.repetitions == 20
    monkeypatch.setattr(builder, "TARGET", 0.0)
    assert build(rows).encoder.repetitions == 1
    monkeypatch.setattr(builder, "TARGET", 2.0)
    assert build(rows).encoder.repetitions == 40


@pytest.mark.parametrize("count", [1, 2, 40])
def test_few_rows_and_rows_without_tokens_have_an_index_too(count: int):
    none = Tokens(np.empty((0, DIMENSION), np.float32), np.zeros(count + 1, np.int64), DIMENSION)
    for rows in (none, rows_of(2, count, empty=False)):
        made = build(rows)
        assert problems(made) == []
        found, _ = MuveraSearcher(made, rows).answer(asked_of(ROWS, int(FILLED[0])), 3, Plan("codes", 16, 0.0))
        assert len(found.rows) == min(3, int((rows.lengths > 0).sum()))


@pytest.mark.parametrize("size", [2.0**-90, 2.0**90])
def test_very_short_and_very_long_tokens_are_encoded(size: float):
    rows = replace(ROWS, values=ROWS.values * np.float32(size))
    made = build(rows, SMALL)
    assert problems(made) == []
    question = asked_of(ROWS, int(FILLED[0]))
    sized = replace(question, tokens=question.tokens * np.float32(size))
    assert ranked(made, sized, 30).rows.tolist() == ranked(build(ROWS, SMALL), question, 30).rows.tolist()


def test_a_count_sketch_is_kept_with_the_index():
    made = build(ROWS, SMALL._replace(final=256, directions="sparse", centred=False))
    again = Muvera.of(made.arrays(), made.settings())
    assert again.encoder.final == 256
    assert again.encoder.centre is None
    assert problems(again) == []
    assert ranked(again, asked_of(ROWS, int(FILLED[0])), 50).rows.tolist()[:1] == [FILLED[0]]


def test_progress_may_stop_it():
    def stop(done: int, rows: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        build(ROWS, SMALL, progress=stop)


def test_encodings_are_those_of_the_encoder(index: Muvera):
    made: Any = builder._encoded(index.encoder, ROWS, None, None)
    true = index.encoder.documents(Ragged(ROWS.values, ROWS.offsets))
    units = np.unique(np.round(np.log2(true[np.abs(true) > 0.1] / made[np.abs(true) > 0.1].astype(np.float32)), 2))
    assert len(units) == 1
    assert np.allclose(made.astype(np.float32) * np.float32(2.0 ** units[0]), true, rtol=2e-3, atol=1e-3)
