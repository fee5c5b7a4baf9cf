"""Damage to the log of a process that was killed: no CLEAN file says where the log ended.

A bad frame with a synced write behind it is damage and stops the opening. A bad end cannot be told from a torn one: it
is cut, and the cut is reported. What changes no byte that means anything (the zeros behind the last frame, a frame's
padding) may pass, with every row in its place. A log that ends early without a trace, because its last frames were
zeroed or cut off whole, is the one loss that nothing on the disk can tell from a log that always ended there.
"""

import random
from collections import Counter
from pathlib import Path

from support.figures import Figures
from support.store import NAME, create, killed, logs, reopen, rows, seen
from vecdb.errors import CorruptionError
from vecdb.storage import wal

WRITES = 12


def frames_of(log: bytes) -> list[slice]:
    """Return where each frame stands, without its padding; the first is the file's own."""
    found, start = [], 0
    for frame, end in wal.frames(log):
        found.append(slice(start, start + wal.PREFIX + len(frame.payload)))
        start = end
    return found


def damaged(log: bytes, end: int, draw: random.Random) -> tuple[str, bytes]:
    """Flip, overwrite, zero or cut somewhere in the frames, or a little behind them."""
    way = draw.choice(["flip", "overwrite", "zero", "truncate"])
    at = draw.randrange(min(len(log), end + 64))
    if way == "truncate":
        return way, log[:at]
    length = 1 if way == "flip" else draw.randint(1, 600)
    old = log[at : at + length]
    new = {"flip": bytes([old[0] ^ 1 << draw.randrange(8)]), "overwrite": draw.randbytes(len(old))}
    return way, log[:at] + new.get(way, bytes(len(old))) + log[at + len(old) :]


def test_damage_to_the_log_of_a_killed_process_is_told(
    memory_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    draw = random.Random(seed)
    database, docs = create(memory_path / "db")
    for number in range(WRITES):
        docs.upsert(rows([3 * number, 3 * number + 1, 3 * number + 2]))
    everything = seen(docs)
    pristine = killed(memory_path / "db", memory_path / "killed")
    database.close()
    (log,) = [file for file in logs(pristine) if len(frames_of(file.read_bytes())) > 1]
    whole = log.read_bytes()
    frames = frames_of(whole)[1:]

    outcomes: Counter[str] = Counter()
    for number in range(200 * scale):
        way, content = damaged(whole, frames[-1].stop, draw)
        path = killed(pristine, memory_path / f"copy-{number}")
        (path / log.relative_to(pristine)).write_bytes(content)
        case = f"{way} {number} of seed {seed}"
        try:
            database, docs = reopen(path)
        except CorruptionError:
            outcomes["refused"] += 1
            continue
        found = seen(docs)
        cut = database.collection(NAME)._writable().report.wal_tail_cut_bytes
        database.close()
        if found == everything:
            outcomes["nothing lost"] += 1
            continue
        first = next(at for at, frame in enumerate(frames) if content[frame] != whole[frame])
        assert not any(content[frame] == whole[frame] for frame in frames[first:]), case
        assert found == {row: n for row, n in everything.items() if n < 3 * first}, case
        without_trace = not any(content[frames[first].start :])
        assert without_trace or cut > 0, case
        outcomes["cut without a trace" if without_trace else "cut and told"] += 1
    figures(f"{sum(outcomes.values())} damages: {dict(outcomes)}")
    assert outcomes["refused"]
    assert outcomes["cut and told"]
