"""Laws of the merge policy: what it chooses fits, ends, and leaves few and clean segments."""

from hypothesis import given
from hypothesis import strategies as st

from vecdb.storage.merge_policy import DELETED_SHARE, Candidate, choose, everything

KIB, MIB = 1 << 10, 1 << 20


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Candidate], int]:
    """Draw segments, whose bytes need not be proportional to their rows, and a limit that often divides them."""
    found = []
    units = draw(st.sampled_from([[1], [KIB], [MIB], [1, KIB, MIB]]))
    for number in range(draw(st.integers(0, 14))):
        rows = draw(st.integers(1, 1000))
        live = draw(st.just(rows) | st.integers(0, rows))
        size = draw(st.integers(1, 1000)) * draw(st.sampled_from(units))
        found.append(Candidate(f"s{number}", rows, live, size))
    share = sum(segment.live_bytes for segment in found) // draw(st.integers(1, 8))
    return found, max(1, draw(st.sampled_from([share, share, MIB, 512 * MIB])))


fan_ins = st.integers(2, 6)


def merged(segments: list[Candidate], chosen: tuple[str, ...], name: str) -> list[Candidate]:
    """Return the segments after a merge."""
    inputs = [segment for segment in segments if segment.uuid in chosen]
    rest = [segment for segment in segments if segment.uuid not in chosen]
    live = sum(segment.live for segment in inputs)
    output = Candidate(name, live, live, sum(segment.live_bytes for segment in inputs))
    return [*rest, output] if live else rest


@given(cases(), fan_ins)
def test_a_choice_fits_or_rewrites_one_segment(case: tuple[list[Candidate], int], fan_in: int) -> None:
    segments, limit = case
    known = {segment.uuid: segment for segment in segments}

    chosen = choose(segments, fan_in, limit)

    assert set(chosen) <= known.keys()
    assert len(set(chosen)) == len(chosen)
    if len(chosen) == 1:
        one = known[chosen[0]]
        assert one.rows - one.live > DELETED_SHARE * one.rows
    else:
        assert sum(known[uuid].live_bytes for uuid in chosen) <= limit


@given(cases(), fan_ins)
def test_a_choice_does_not_depend_on_the_order_of_calls(case: tuple[list[Candidate], int], fan_in: int) -> None:
    segments, limit = case
    before = list(segments)

    assert choose(segments, fan_in, limit) == choose(segments, fan_in, limit)
    assert segments == before


@given(cases(), fan_ins)
def test_merging_comes_to_an_end_with_few_deleted_rows(case: tuple[list[Candidate], int], fan_in: int) -> None:
    segments, limit = case
    # Each merge leaves fewer segments, or one fewer that has deleted rows.
    for turn in range(2 * len(segments) + 1):
        chosen = choose(segments, fan_in, limit)
        if not chosen:
            break
        segments = merged(segments, chosen, f"m{turn}")

    assert choose(segments, fan_in, limit) == ()
    assert all(segment.rows - segment.live <= DELETED_SHARE * segment.rows for segment in segments)


@given(st.integers(2, 6), st.integers(1, 60))
def test_equal_segments_stay_fewer_than_a_tier_each(fan_in: int, count: int) -> None:
    segments: list[Candidate] = []

    for number in range(count):
        segments.append(Candidate(f"s{number}", 100, 100, 2 * MIB))
        while chosen := choose(segments, fan_in, 1 << 40):
            segments = merged(segments, chosen, f"m{number}-{len(segments)}")

    tiers = 1
    while fan_in**tiers <= count * 2 * fan_in:
        tiers += 1
    assert len(segments) <= (fan_in - 1) * (tiers + 1)


def test_fewer_segments_than_the_fan_in_are_left_alone() -> None:
    segments = [Candidate(f"s{number}", 10, 10, KIB) for number in range(3)]

    assert choose(segments, 4, MIB) == ()
    assert set(choose(segments, 3, MIB)) == {"s0", "s1", "s2"}


def test_the_smallest_are_merged_first() -> None:
    segments = [Candidate("big", 10, 10, 900), Candidate("small", 10, 10, 10), Candidate("middle", 10, 10, 500)]

    assert choose(segments, 3, 1000 * 2) == ("small", "middle", "big")


def test_a_segment_of_half_the_limit_takes_no_part() -> None:
    segments = [Candidate(f"s{number}", 10, 10, 600) for number in range(8)]

    assert choose(segments, 2, 1000) == ()


def test_a_segment_without_live_rows_is_chosen() -> None:
    assert choose([Candidate("s", 10, 0, 100)], 4, MIB) == ("s",)


def test_a_few_deleted_rows_are_not_worth_a_rewrite() -> None:
    assert choose([Candidate("s", 10, 7, 100)], 4, MIB) == ()
    assert choose([Candidate("s", 10, 6, 100)], 4, MIB) == ("s",)


@given(cases())
def test_a_full_compaction_fits_and_leaves_no_deleted_row(case: tuple[list[Candidate], int]) -> None:
    segments, limit = case
    known = {segment.uuid: segment for segment in segments}

    groups = everything(segments, limit)

    flat = [uuid for group in groups for uuid in group]
    assert len(flat) == len(set(flat))
    assert set(flat) <= known.keys()
    for group in groups:
        assert len(group) == 1 or sum(known[uuid].live_bytes for uuid in group) <= limit
    assert {uuid for uuid, segment in known.items() if segment.live < segment.rows} <= set(flat)


@given(cases())
def test_a_second_full_compaction_has_nothing_to_clean(case: tuple[list[Candidate], int]) -> None:
    segments, limit = case
    for number, group in enumerate(everything(segments, limit)):
        segments = merged(segments, group, f"m{number}")

    assert all(segment.live == segment.rows for segment in segments)
    assert all(len(group) > 1 for group in everything(segments, limit))


def test_a_full_compaction_of_clean_segments_that_fit_makes_one() -> None:
    segments = [Candidate(f"s{number}", 10, 10, KIB) for number in range(9)]

    assert [len(group) for group in everything(segments, MIB)] == [9]
    assert everything(segments[:1], MIB) == []
    assert everything([], MIB) == []
