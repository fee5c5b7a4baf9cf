"""Which segments to merge next: a pure function.

Tiers, as LevelDB's descendants do it for immutable runs: when `fan_in` segments are of similar size they become
one, so each row is rewritten about log(rows) / log(fan_in) times. Independently, a segment with many deleted rows
is rewritten alone, because deleted rows cost scan time and disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

DELETED_SHARE = 0.3
"""A segment is rewritten when more than this share of its rows is deleted."""

SMALLEST_TIER = 1 << 20
"""Segments of fewer bytes than this count as equally small."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A segment as the policy sees it; `bytes` may be any measure of its size."""

    uuid: str
    rows: int
    live: int
    bytes: int

    @property
    def live_bytes(self) -> int:
        """Bytes that a merge would write."""
        return self.bytes * self.live // self.rows if self.rows else 0


def choose(segments: Sequence[Candidate], fan_in: int, segment_bytes: int) -> tuple[str, ...]:
    """Return the segments to merge into one, or none.

    The result never exceeds segment_bytes, except for a rewrite of a single segment that already did.
    """
    for tier in _tiers(segments, fan_in, segment_bytes):
        if len(tier) < fan_in:
            continue
        chosen: list[str] = []
        total = 0
        for segment in sorted(tier, key=lambda segment: segment.live_bytes):
            if total + segment.live_bytes > segment_bytes:
                break
            chosen.append(segment.uuid)
            total += segment.live_bytes
        if len(chosen) >= 2:
            return tuple(chosen)
    for segment in segments:
        if segment.rows - segment.live > DELETED_SHARE * segment.rows:
            return (segment.uuid,)
    return ()


def _tiers(segments: Sequence[Candidate], fan_in: int, segment_bytes: int) -> list[list[Candidate]]:
    """Group segments by the power of fan_in of their live bytes, smallest first; full ones take no part."""
    tiers: dict[int, list[Candidate]] = {}
    for segment in segments:
        size = segment.live_bytes
        if size * 2 > segment_bytes:
            continue
        tier, limit = 0, SMALLEST_TIER
        while size > limit:
            tier, limit = tier + 1, limit * fan_in
        tiers.setdefault(tier, []).append(segment)
    return [tiers[tier] for tier in sorted(tiers)]


def everything(segments: Sequence[Candidate], segment_bytes: int) -> list[tuple[str, ...]]:
    """Return the merges of a full compaction: as few segments as fit, none with deleted rows."""
    groups: list[list[str]] = []
    group: list[str] = []
    total = 0
    for segment in sorted(segments, key=lambda segment: segment.live_bytes):
        if group and total + segment.live_bytes > segment_bytes:
            groups.append(group)
            group, total = [], 0
        group.append(segment.uuid)
        total += segment.live_bytes
    if group:
        groups.append(group)
    dirty = {segment.uuid for segment in segments if segment.live < segment.rows}
    return [tuple(group) for group in groups if len(group) > 1 or group[0] in dirty]
