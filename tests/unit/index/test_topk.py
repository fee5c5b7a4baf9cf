"""Keys and heaps: the best k of any stream, and the best that was left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb_index.kernels import topk

NONE = np.empty(0, np.uint32)
ANY = np.empty(0, np.uint8)
SCORES = st.floats(width=32, allow_nan=False).map(lambda score: np.float32(score) + np.float32(0))


@given(left=SCORES, right=SCORES, rows=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)))
def test_keys_sort_by_score_and_then_by_row(left: np.float32, right: np.float32, rows: tuple[int, int]) -> None:
    one, other = topk.key_of(left, rows[0]), topk.key_of(right, rows[1])

    better = left > right or (left == right and rows[0] < rows[1])
    assert (one > other) == better
    assert topk.score_of(np.uint64(one)) == left
    assert one > 0


@settings(deadline=None)
@given(
    scores=st.lists(
        st.one_of(SCORES, st.sampled_from([np.float32(1), np.float32(2), np.float32(-np.inf)])), max_size=300
    ),
    k=st.integers(1, 320),
    share=st.sampled_from([None, 0.3, 1.0]),
)
def test_a_heap_keeps_the_best_and_remembers_the_best_left_out(
    scores: list[np.float32], k: int, share: float | None
) -> None:
    values = np.array(scores, np.float32)
    allowed = ANY if share is None else (np.random.default_rng(k).random(len(scores)) < share).astype(np.uint8)
    keys, state = np.zeros(k, np.uint64), np.zeros(2, np.uint64)

    topk.offer(values, len(values), NONE, 0, allowed, keys, state)

    rows = [row for row in range(len(scores)) if share is None or allowed[row]]
    expected = sorted((int(topk.key_of(values[row], row)) for row in rows), reverse=True)
    assert sorted(keys[: int(state[0])].tolist(), reverse=True) == expected[:k]
    # Without a tie, what was left out need not be remembered exactly: it only has to be worse.
    left_out = expected[k] if len(expected) > k else 0
    if left_out and left_out >> 32 == expected[k - 1] >> 32:
        assert int(state[1]) >> 32 == left_out >> 32
    else:
        assert int(state[1]) <= left_out


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_stream_in_pieces_gives_what_it_gives_at_once(pieces: int) -> None:
    scores = np.random.default_rng(2).integers(0, 50, 1000).astype(np.float32)
    numbers = np.random.default_rng(3).permutation(5000)[:1000].astype(np.uint32)
    keys, state = np.zeros(20, np.uint64), np.zeros(2, np.uint64)

    for part in np.array_split(np.arange(1000), pieces):
        first = int(part[0])
        topk.offer(scores[part], len(part), numbers, first, ANY, keys, state)

    everything = sorted(
        (int(topk.key_of(score, row)) for score, row in zip(scores, numbers, strict=True)), reverse=True
    )
    assert sorted(keys.tolist(), reverse=True) == everything[:20]
