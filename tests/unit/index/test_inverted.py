"""The inverted index: what plain dictionaries say, whatever is filtered, merged, damaged or shared among threads."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb_index.inverted.analysis import SKIPPED, Analyzer, Tokens
from vecdb_index.inverted.build import build, from_sparse, from_tokens
from vecdb_index.inverted.check import problems
from vecdb_index.inverted.index import Inverted, packed, packed_dimensions
from vecdb_index.inverted.matching import matches, phrase
from vecdb_index.inverted.merge import merged
from vecdb_index.inverted.query import Query, bm25, sparse
from vecdb_index.inverted.search import scores, search, search_batch
from vecdb_index.inverted.sparse import SparseRows, nearest, products, scanned

rng = np.random.default_rng(11)
WORDS = [f"w{i}" for i in range(300)]
Text = list[str | None]


def corpus(rows: int, longest: int = 40, terms: int = 300) -> list[Text]:
    """Return texts of words, few of which are common, with skipped words and empty texts among them."""
    made: list[Text] = []
    for length in rng.integers(0, longest, rows).tolist():
        words = np.minimum(rng.geometric(0.03, length), terms) - 1
        made.append([None if rng.random() < 0.1 else WORDS[word] for word in words.tolist()])
    return made


def tokens_of(texts: list[Text]) -> Tokens:
    """Return texts as numbers of terms, in order of appearance."""
    numbers: dict[str, int] = {}
    ids = [SKIPPED if w is None else numbers.setdefault(w, len(numbers)) for text in texts for w in text]
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return Tokens(np.array(ids, np.int32), starts, list(numbers))


def index_of(texts: list[Text], positions: bool = True) -> Inverted:
    return from_tokens(tokens_of(texts), positions=positions)


def query_of(index: Inverted, boosts: dict[str, float], **parameters: float) -> Query:
    found = index.find(packed(term.encode() for term in boosts))
    average = index.tokens / max(1, len(index))
    return bm25(boosts, index.frequencies(found), len(index), average, **parameters)


def true_scores(texts: list[Text], boosts: dict[str, float], k1: float = 1.2, b: float = 0.75) -> np.ndarray:
    """Return BM25 as the formula has it, in float64; 0 for a row that has no term."""
    counts = [Counter(w for w in text if w is not None) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    average = sum(lengths) / len(texts)
    out = np.zeros(len(texts))
    for term, boost in boosts.items():
        df = sum(term in count for count in counts)
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for row, count in enumerate(counts):
            tf = min(count[term], 255)
            if tf:
                out[row] += boost * idf * tf / (tf + k1 * (1 - b + b * lengths[row] / average))
    return out


def assert_ranks(found, true: np.ndarray, k: int, allowed: np.ndarray | None = None) -> None:
    """Compare with brute force: the right number of rows, near enough scores, ties by row, nothing better left out."""
    open_rows = (true > 0) if allowed is None else (true > 0) & allowed.astype(bool)
    near = 1e-5 * max(1.0, true.max(initial=0))
    assert len(found.rows) == min(k, int(open_rows.sum()))
    assert open_rows[found.rows].all()
    np.testing.assert_allclose(found.scores, true[found.rows], atol=near)
    assert list(zip(-found.scores, found.rows, strict=True)) == sorted(zip(-found.scores, found.rows, strict=True))
    left = np.setdiff1d(np.flatnonzero(open_rows), found.rows)
    if len(left) and len(found.rows):
        assert true[left].max() <= found.scores[-1] + near


def same(one, other) -> bool:
    return (
        np.array_equal(one.rows, other.rows) and one.scores.tobytes() == other.scores.tobytes() and one.cut == other.cut
    )


@pytest.mark.parametrize("rows", [1, 7, 500, 9000])
@pytest.mark.parametrize("k", [1, 10, 20000])
def test_the_best_rows_are_those_of_the_formula(rows: int, k: int) -> None:
    texts = corpus(rows)
    index = index_of(texts)
    for boosts in (
        {"w0": 1.0},
        {"w0": 1.0, "w1": 2.0, "w40": 1.0, "w90": 0.5},
        {"w120": 1e-7, "w0": 1e3, "absent": 1.0},
    ):
        query = query_of(index, boosts)

        found = search(index, query, k)

        assert_ranks(found, true_scores(texts, boosts), k)
        assert same(found, search(index, query, k, exact=True))


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.3, 1.0])
def test_a_filter_leaves_the_best_of_its_rows(share: float) -> None:
    texts = corpus(9000)
    index, allowed = index_of(texts), rng.random(9000) < share
    boosts = {"w0": 1.0, "w3": 1.0, "w30": 1.0, "w100": 1.0}
    query = query_of(index, boosts)

    found = search(index, query, 10, allowed=allowed)

    assert_ranks(found, true_scores(texts, boosts), 10, allowed)
    assert same(found, search(index, query, 10, allowed=allowed.view(np.uint8), exact=True))
    every = search(index, query, 9000)
    kept = allowed[every.rows]
    assert np.array_equal(found.rows, every.rows[kept][:10])


@pytest.mark.parametrize("rows", [[], [8999], range(40), range(4096, 4100), range(0, 9000, 50), range(0, 9000, 2)])
def test_the_allowed_rows_and_the_places_of_terms_may_be_told_and_change_nothing(rows: Sequence[int]) -> None:
    texts = corpus(9000)
    index, allowed = index_of(texts), np.zeros(9000, bool)
    allowed[list(rows)] = True
    boosts = {"w0": 1.0, "w3": 1.0, "w30": 1.0, "w299": 1.0, "nowhere": 1.0}
    query, some = query_of(index, boosts), np.flatnonzero(allowed).astype(np.uint32)

    for k in (1, 10, 9000):
        for exact in (False, True):
            told = search(index, query, k, allowed=allowed, some=some, places=index.find(query.terms), exact=exact)
            assert same(told, search(index, query, k, allowed=allowed, exact=exact))
            assert_ranks(told, true_scores(texts, boosts), k, allowed)
    unfiltered = search(index, query, 10)
    assert same(unfiltered, search(index, query, 10, exact=True))  # what was cleared is clear


@pytest.mark.parametrize(("k1", "b"), [(0.0, 0.0), (1.2, 0.0), (0.0, 1.0), (1.2, 1.0), (50.0, 0.5)])
def test_parameters_of_the_curve(k1: float, b: float) -> None:
    texts = corpus(700)
    index, boosts = index_of(texts), {"w0": 1.0, "w5": 1.0, "w60": 3.0}

    found = search(index, query_of(index, boosts, k1=k1, b=b), 25)

    assert_ranks(found, true_scores(texts, boosts, k1, b), 25)


def test_equal_rows_come_in_order_and_a_cut_among_them_is_told() -> None:
    texts: list[Text] = [["a", "b"] for _ in range(10000)]
    index = index_of(texts)
    query = query_of(index, {"a": 1.0, "b": 1.0})

    found, all_of_them = search(index, query, 10), search(index, query, 10000)

    assert found.rows.tolist() == list(range(10))
    assert found.cut
    assert all_of_them.rows.tolist() == list(range(10000))
    assert not all_of_them.cut


def test_no_term_no_row_and_no_text_find_nothing() -> None:
    index, empty = index_of(corpus(50)), index_of([])
    none = query_of(index, {})

    assert len(search(index, none, 10).rows) == 0
    assert len(search(index, query_of(index, {"absent": 1.0}), 10).rows) == 0
    assert len(search(empty, query_of(empty, {"w0": 1.0}), 10).rows) == 0
    assert len(search(index_of([[], [None]]), query_of(index, {"w0": 1.0}), 10).rows) == 0
    assert problems(empty) == []
    assert problems(index_of([[], [None]])) == []


def test_a_word_that_is_there_300_times_counts_255() -> None:
    many: Text = ["a"] * 300
    texts: list[Text] = [[*many, "b"], [*many[:255], *["c"] * 46], ["b"]]
    index = index_of(texts)
    query = query_of(index, {"a": 1.0})

    found = search(index, query, 2)

    assert found.scores[0] == found.scores[1]
    assert phrase(index, [b"a", b"b"])[0].tolist() == [0]


def test_the_score_of_a_row_does_not_depend_on_the_way_to_it() -> None:
    texts = corpus(3000)
    index = index_of(texts)
    query = query_of(index, {"w0": 1.0, "w2": 1.0, "w50": 1.0})
    every = search(index, query, 3000)
    rows = rng.permutation(3000).astype(np.uint32)

    given = scores(index, query, rows)

    expected = np.zeros(3000, np.float32)
    expected[every.rows] = every.scores
    assert given.tobytes() == expected[rows].tobytes()


def test_scores_are_the_same_however_rows_are_split() -> None:
    texts = corpus(2000)
    whole = index_of(texts)
    query = query_of(whole, {"w0": 1.0, "w2": 1.0, "w50": 1.0})
    parts = [index_of(texts[:700]), index_of(texts[700:])]

    found = [search(part, query, 2000) for part in parts]

    split = np.zeros(2000, np.float32)
    split[found[0].rows], split[700 + found[1].rows] = found[0].scores, found[1].scores
    assert split.tobytes() == scores(whole, query, np.arange(2000, dtype=np.uint32)).tobytes()


def test_two_threads_find_what_one_finds() -> None:
    texts = corpus(6000)
    index, allowed = index_of(texts), rng.random(6000) < 0.004
    queries = [query_of(index, dict.fromkeys(rng.choice(WORDS, n).tolist(), 1.0)) for n in rng.integers(0, 6, 200)]

    with ThreadPoolExecutor(3) as pool:
        for mask in (None, allowed):
            together = search_batch(index, queries, 10, allowed=mask, pool=pool)

            alone = [search(index, query, 10, allowed=mask) for query in queries]
            assert all(same(one, other) for one, other in zip(together, alone, strict=True))


@given(st.lists(st.lists(st.sampled_from([*"abcdef", None]), max_size=12), max_size=30), st.data())
def test_any_corpus_is_found_and_merged_like_a_dictionary(texts: list[Text], data: st.DataObject) -> None:
    index = index_of(texts)
    assert problems(index) == []
    terms = data.draw(st.dictionaries(st.sampled_from("abcdefg"), st.floats(0.1, 9), max_size=5))
    if texts:
        assert_ranks(search(index, query_of(index, terms), 3), true_scores(texts, terms), 3)

    cut = data.draw(st.integers(0, len(texts)))
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), bool)
    parts = [
        (index_of(part), np.flatnonzero(kept).astype(np.uint32))
        for part, kept in ((texts[:cut], keep[:cut]), (texts[cut:], keep[cut:]))
    ]
    again, anew = merged(parts), index_of([text for text, kept in zip(texts, keep, strict=True) if kept])
    assert again.settings() == anew.settings()
    for name, array in anew.arrays().items():
        assert again.arrays()[name].dtype == array.dtype
        assert again.arrays()[name].tobytes() == array.tobytes(), name

    words = data.draw(st.lists(st.sampled_from([*"abc", None]), min_size=1, max_size=4))
    rows, times = phrase(index, [None if w is None else w.encode() for w in words])
    expected = {}
    for row, text in enumerate(texts):
        places = range(1 - len(words), len(text))
        count = sum(
            all(w is None or (0 <= at + i < len(text) and text[at + i] == w) for i, w in enumerate(words))
            for at in places
        )
        if count and any(words):
            expected[row] = count
    assert dict(zip(rows.tolist(), times.tolist(), strict=True)) == expected


def test_a_merge_of_large_parts_is_a_new_index() -> None:
    texts = corpus(5000)
    keep = rng.random(5000) < 0.8
    parts = [
        (index_of(texts[first : first + 1700]), np.flatnonzero(keep[first : first + 1700]))
        for first in range(0, 5000, 1700)
    ]

    again = merged(parts)

    anew = index_of([text for text, kept in zip(texts, keep, strict=True) if kept])
    assert problems(again) == []
    assert all(again.arrays()[name].tobytes() == array.tobytes() for name, array in anew.arrays().items())


def test_parts_that_do_not_go_together_are_not_merged() -> None:
    one, other = index_of([["a"]]), index_of([["b"]], positions=False)
    row = np.zeros(1, np.uint32)

    with pytest.raises(ValueError, match="positions"):
        merged([(one, row), (other, row)])
    with pytest.raises(ValueError, match="different ways"):
        merged([(one, row), (replace(one, origin="else"), row)])
    with pytest.raises(ValueError, match="no index"):
        merged([])


def test_terms_that_must_may_and_must_not_be_there() -> None:
    texts = corpus(800)
    index, sets = index_of(texts), [set(text) for text in texts]

    found = matches(index, must=[b"w0"], should=[b"w1", b"w2", b"absent"], must_not=[b"w3", b"absent"])
    phrased = matches(index, phrases=[[b"w0", b"w1"]], must_not=[b"w2"])

    assert found.tolist() == [int("w0" in s and bool(s & {"w1", "w2"}) and "w3" not in s) for s in sets]
    pairs = [set(pairwise(text)) for text in texts]
    assert phrased.tolist() == [int(("w0", "w1") in p and "w2" not in s) for p, s in zip(pairs, sets, strict=True)]
    assert not matches(index, must=[b"absent"]).any()
    assert matches(index).all()


def test_terms_are_found_by_their_beginning() -> None:
    index = index_of([["car", "care", "cart", "cat", "c", "dog", "zoë", "zo"]])

    def starting(prefix: str) -> list[str]:
        return [index.term(place).decode() for place in index.starting(prefix.encode())]

    assert starting("car") == ["car", "care", "cart"]
    assert starting("zo") == ["zo", "zoë"]
    assert starting("") == sorted(["car", "care", "cart", "cat", "c", "dog", "zoë", "zo"])
    assert starting("x") == []


def test_an_index_without_positions_finds_no_phrase() -> None:
    with pytest.raises(ValueError, match="without positions"):
        phrase(index_of([["a", "b"]], positions=False), [b"a", b"b"])


def sparse_rows(rows: int, dimensions: int = 500) -> np.ndarray:
    dense = rng.exponential(1, (rows, dimensions)) * (rng.random((rows, dimensions)) < 0.05)
    return dense.astype(np.float32)


def sparse_vectors(dense: np.ndarray) -> SparseRows:
    rows, dimensions = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))]).astype(np.int64)
    return SparseRows(dimensions, dense[rows, dimensions], starts)


def sparse_index(dense: np.ndarray) -> Inverted:
    return from_sparse(*sparse_vectors(dense))


def test_sparse_vectors_are_ranked_by_products_with_their_quantised_weights() -> None:
    dense = sparse_rows(4000)
    index = sparse_index(dense)
    asked = np.sort(rng.choice(500, 30, replace=False))
    weights = rng.exponential(1, 30)
    query = sparse(asked, weights)

    found = search(index, query, 10)

    assert problems(index) == []
    quantised = np.where(dense > 0, np.ceil(dense.astype(np.float64) / index.scale) * index.scale, 0)
    assert_ranks(found, quantised[:, asked] @ weights, 10)
    assert same(found, search(index, query, 10, exact=True))
    above = scores(index, query, np.arange(4000, dtype=np.uint32)) - dense[:, asked].astype(np.float64) @ weights
    assert above.max() <= index.scale * weights.sum()
    assert above.min() > -1e-5 * weights.sum(), "a score by the index is below the exact one"


@pytest.mark.parametrize("k", [5, 10, 300])
def test_a_sparse_search_misses_no_row_that_a_look_at_every_row_finds(k: int) -> None:
    # Most weights are near the middle of two steps, and all rows nearly as good as the best.
    dense = (sparse_rows(4000) > 0) * (1 + rng.random((4000, 500)) / 50).astype(np.float32)
    dense[0, 0] = 255
    index, vectors = sparse_index(dense), sparse_vectors(dense)
    query = sparse(rng.choice(500, 30, replace=False), rng.exponential(1, 30))

    found = nearest(index, vectors, query, k)

    every = scanned(vectors, query, np.arange(4000), k)
    assert found.rows.tolist() == every.rows.tolist()
    assert found.scores.tobytes() == every.scores.tobytes()
    by_index = search(index, query, k)
    if k > 100:
        assert set(by_index.rows.tolist()) != set(every.rows.tolist()), "the weights of the index alone would do"


def test_a_row_without_any_of_the_terms_is_not_found() -> None:
    dense = np.zeros((70, 9), np.float32)
    dense[3, 2], dense[5, 2], dense[:, 8] = 1e-30, 1, 1
    vectors, query = sparse_vectors(dense), sparse([2, 7], np.array([1e-30, 1.0]))

    for found in (nearest(sparse_index(dense), vectors, query, 10), scanned(vectors, query, np.arange(70), 10)):
        assert found.rows.tolist() == [5, 3]
        assert found.scores.tolist() == [np.float32(1e-30), 0]


@pytest.mark.parametrize("kind", ["counts", "weights"])
@pytest.mark.parametrize("shares", [(0.01, 0.5, 0.02), (0.05, 0.07, 0.06), (0, 0.001, 0)])
def test_rows_are_found_under_filters_that_pass_few_rows_here_and_many_there(
    kind: str, shares: tuple[float, ...]
) -> None:
    rows = 50_000
    rng = np.random.default_rng(7)
    starts = np.arange(rows + 1) * 6
    terms = np.sort((rng.zipf(1.4, (rows, 6)) % 50) * 6 + np.arange(6), axis=1).astype(np.uint32)
    if kind == "weights":
        index = from_sparse(terms.ravel(), rng.exponential(1, rows * 6).astype(np.float32), starts)
        query = sparse(np.arange(12), rng.exponential(1, 12))
    else:
        index = build((" ".join(map(str, line)) for line in terms.tolist()), Analyzer(None))
        words = [str(term) for term in range(12)]
        known = index.frequencies(index.find(packed([word.encode() for word in words])))
        query = bm25(dict.fromkeys(words, 1.0), known, rows, index.tokens / rows)
    allowed = rng.random(rows) < np.repeat(shares, [20_000, 20_000, 10_000])

    found = search(index, query, 25, allowed=allowed)

    every = scores(index, query, np.arange(rows, dtype=np.uint32)) * allowed
    best = np.lexsort((np.arange(rows), -every))[:25]
    best = best[every[best] > 0]
    assert found.rows.tolist() == best.tolist()
    assert found.scores.tobytes() == every[best].astype(np.float32).tobytes()


def test_candidates_of_a_sparse_search_get_exact_scores() -> None:
    dense = sparse_rows(4000)
    index, vectors = sparse_index(dense), sparse_vectors(dense)
    asked, allowed = rng.choice(500, 30, replace=False), rng.random(4000) < 0.5
    query = sparse(asked, rng.exponential(1, 30))
    exact = dense[:, np.asarray(query.terms)].astype(np.float64) @ query.weights

    found = nearest(index, vectors, query, 10, allowed=allowed)

    np.testing.assert_allclose(products(vectors, query, np.arange(4000, dtype=np.uint32)), exact, rtol=1e-6)
    np.testing.assert_allclose(found.scores, np.sort(exact[allowed])[::-1][:10], rtol=1e-6)
    assert allowed[found.rows].all()


def test_merged_sparse_vectors_take_the_larger_scale() -> None:
    dense = sparse_rows(600)
    dense[300:] *= 2
    parts = [(sparse_index(part), np.arange(300)) for part in (dense[:300], dense[300:])]

    again = merged(parts)

    assert problems(again) == []
    assert again.scale == parts[1][0].scale
    values = {(again.term(t), row): v for t in range(again.terms) for row, v in zip(*again.postings(t), strict=True)}
    for (dimension, row), value in values.items():
        above = value * again.scale - dense[row, int.from_bytes(dimension, "big")]
        assert -1e-6 < above < again.scale + parts[0][0].scale
    assert len(values) == np.count_nonzero(dense)


def test_a_query_is_put_to_an_index_of_its_kind() -> None:
    with pytest.raises(ValueError, match="weights"):
        search(index_of([["a"]]), sparse([1], np.ones(1)), 1)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="positive"):
            sparse([1], np.array([wrong]))
    with pytest.raises(ValueError, match="k1"):
        bm25({"a": 1.0}, np.ones(1, np.int64), 1, 1.0, b=2.0)


def test_dimensions_sort_like_numbers() -> None:
    bytes_, offsets = packed_dimensions([1, 255, 256, 70000])

    terms = [bytes_[offsets[i] : offsets[i + 1]].tobytes() for i in range(4)]
    assert terms == sorted(terms)


def test_an_index_is_whole_after_it_was_put_away() -> None:
    index = index_of(corpus(100))

    again = Inverted.of(index.arrays(), index.settings())

    assert problems(again) == []
    assert same(search(again, query_of(again, {"w0": 1.0}), 5), search(index, query_of(index, {"w0": 1.0}), 5))


@pytest.mark.parametrize("make", [lambda: index_of(corpus(600)), lambda: sparse_index(sparse_rows(300))])
def test_a_changed_array_is_refused_or_harmless(make) -> None:
    index = make()
    refused = 0
    for name, array in index.arrays().items():
        if len(array) == 0:
            continue
        for _ in range(25):
            bad = array.copy()
            flip = bad.view(np.uint8)
            flip[rng.integers(0, len(flip))] ^= np.uint8(1 << rng.integers(0, 8))
            damaged = replace(index, **{name: bad})
            if problems(damaged):
                refused += 1
            else:
                # What still is an index can be searched, merged and asked for phrases without harm.
                merged([(damaged, np.arange(len(index)))])
                if index.kind == "counts":
                    search(damaged, query_of(damaged, dict.fromkeys(WORDS[:20], 1.0)), 10)
                    phrase(damaged, [b"w0", b"w1"])
                else:
                    search(damaged, sparse(np.arange(50), np.ones(50)), 10)
        for bad in (array[:-1], np.append(array, array[-1:]), array.astype(np.float64), array[None]):
            # Whoever knows how many rows there are compares that with the lengths.
            resized = name == "lengths" and bad.ndim == 1 and bad.dtype == array.dtype
            assert problems(replace(index, **{name: bad})) or resized, name
    assert refused > 100
    assert problems(replace(index, kind="else"))  # pyright: ignore[reportArgumentType]
    assert problems(replace(index, scale=math.nan))
