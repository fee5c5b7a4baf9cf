"""Damaged files: every damage is detected, or it changed nothing that matters; no answer is ever wrong.

Detected means that CorruptionError was raised by the open or by the question, or that check() reports a problem.
Undetected damage passes only when every answer is right and it is one of the few that change no meaningful byte.
"""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from support.damage import Damage, damages
from support.damage_child import work
from support.figures import Figures
from support.museum import Museum
from support.supervisor import Fork

# LOCK holds advice for people. CLEAN is a second opinion on the end of the log: without a good one the log is read
# as after a crash. Bytes behind the log's last write are what a crash may always leave there.
HARMLESS = {("lock", None), ("clean", None), ("wal", "grow"), (None, "extra")}


def harmless(damage: Damage) -> bool:
    """Tell whether the damage may go unnoticed as long as all answers are right."""
    return bool({(damage.kind, None), (None, damage.way), (damage.kind, damage.way)} & HARMLESS)


def meet_all(pristine: Path, expected: dict[str, str], drawn: list[Damage], scratch: Path) -> list[dict[str, Any]]:
    """Let children meet the damages; when one crashes, the next begins behind the damage that did it."""
    scratch.mkdir()
    results: list[dict[str, Any]] = []
    while len(results) < len(drawn):
        task = {
            "pristine": str(pristine),
            "expected": expected,
            "scratch": str(scratch / f"from-{len(results)}"),
            "damages": [asdict(damage) for damage in drawn[len(results) :]],
        }
        Path(task["scratch"]).mkdir()
        file = scratch / f"task-{len(results)}.json"
        file.write_text(json.dumps(task))
        child = Fork(work, str(file), errors=file.with_suffix(".errors"))
        met = [json.loads(line) for line in child.lines if '"end"' in line]
        results += met
        if status := child.wait():
            results.append({"crash": status, "stderr": child.errors()})
        else:
            assert met, child.errors()
    return results


def verdict(damage: Damage, met: dict[str, Any]) -> str:
    """Return "detected", "harmless", or what is wrong."""
    if "crash" in met:
        return f"CRASH {met['crash']}: {met['stderr']}"
    if met["wrong"]:
        return f"WRONG ANSWER: {met['wrong']}, detected: {met['detected']}"
    if met["unexpected"]:
        return f"UNEXPECTED: {met['unexpected']}"
    # An index that only an older version names is noted: its rows are scanned, and nobody builds it again. So are the
    # request ids of its time: nobody writes to it.
    if met["detected"] or (damage.kind in ("segment-index", "requests") and damage.name in met["noted"]):
        return "detected"
    return "harmless" if not met["changed"] or harmless(damage) else "UNNOTICED"


@pytest.mark.parametrize("count", [pytest.param(24, id="24"), pytest.param(300, id="300", marks=pytest.mark.slow)])
def test_damage_is_detected_and_never_answers_wrongly(
    count: int,
    museum: Museum,
    memory_path: Path,
    scale: int,
    seed: int,
    figures: Figures,
) -> None:
    pristine, moments, expected = museum
    drawn = damages(pristine, moments, count * scale, random.Random(seed))
    halves = [drawn[0::2], drawn[1::2]]

    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(meet_all, pristine, expected, half, memory_path / f"half-{number}")
            for number, half in enumerate(halves)
        ]
        results = [run.result() for run in runs]

    verdicts = [
        (damage, verdict(damage, met))
        for half, result in zip(halves, results, strict=True)
        for damage, met in zip(half, result, strict=True)
    ]
    bad = [f"{damage}: {text}" for damage, text in verdicts if text not in ("detected", "harmless")]
    counts = Counter(text.split(":")[0] for _, text in verdicts)
    kinds = len({damage.kind for damage in drawn})
    figures(f"{len(verdicts)} damages to {kinds} kinds of files: {dict(counts)}")
    assert not bad, f"seed {seed}: {len(bad)} of {len(verdicts)}\n" + "\n".join(bad[:25])


def test_the_undamaged_database_meets_the_same_questions_without_a_finding(museum: Museum, tmp_path: Path) -> None:
    pristine, _, expected = museum
    nothing = [Damage("extra", "FORMAT", "format", 1), Damage("grow", "LOCK", "lock", 3)]

    results = meet_all(pristine, expected, nothing, tmp_path / "scratch")

    assert [(met["detected"], met["wrong"], met["unexpected"]) for met in results] == [([], [], [])] * 2
