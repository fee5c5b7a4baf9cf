"""The process that opens damaged databases: it may crash, and then its supervisor knows which damage did it.

It reads a file, a JSON object with the pristine database, a scratch folder, the expected answers and a list of damages.
One JSON line goes out for each: what every question met, and what check() said.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import vecdb
from support.child import emit
from support.damage import Damage
from support.museum import SETTING, fingerprint, questions
from vecdb.errors import CorruptionError


def work(file: str) -> None:
    """Meet every damage of a file."""
    task = json.loads(Path(file).read_text())
    scratch = Path(task["scratch"])
    for number, entry in enumerate(task["damages"]):
        emit(json.dumps({"begin": number}))
        copy = scratch / f"copy-{number}"
        shutil.copytree(task["pristine"], copy)
        changed = Damage(**entry).apply(copy)
        met = meet(copy, task["expected"], read_only=number % 3 == 2)
        emit(json.dumps({"end": number, "changed": changed, **met}))
        shutil.rmtree(copy)


def meet(
    path: Path, expected: dict[str, str], *, read_only: bool, settings: vecdb.Settings = SETTING
) -> dict[str, Any]:
    """Open, ask everything, check.

    Returns:
        "detected": where CorruptionError was raised or check complained; "noted": files of which check notes something;
        "wrong": questions with another answer than expected; "unexpected": errors of another type.

    """
    detected: list[str] = []
    noted: list[str] = []
    wrong: list[str] = []
    unexpected: list[str] = []

    def guarded(what: str, ask: Any) -> Any:
        try:
            return ask()
        except CorruptionError:
            detected.append(what)
        except Exception as error:
            unexpected.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
        return None

    database = guarded("open", lambda: vecdb.connect(path, settings=settings, read_only=read_only, create=False))
    if database is not None:
        asked = guarded("collection", lambda: questions(database)) or {}
        for name, ask in asked.items():
            before = len(detected) + len(unexpected)
            answer = guarded(name, ask)
            if len(detected) + len(unexpected) == before and fingerprint(answer) != expected[name]:
                wrong.append(f"{name} ({repr(answer)[:120]})")
        report = guarded("check", database.check)
        if report is not None:
            noted = [problem.path for problem in report.problems if problem.severity == "note"]
            if not report.ok:
                detected.append(f"check: {str(report.problems[0])[:200]}")
        guarded("close", database.close)
    return {"detected": detected[:3], "noted": noted, "wrong": wrong[:3], "unexpected": unexpected[:3]}
