"""A result as JSON: summaries and ratios over the runs, and no path of this machine in it."""

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import measure
from bench.checkout import ROOT

# An absolute path of two or more parts, wherever it stands in a message. URLs and ratios such as GB/s do not match.
_ABSOLUTE_PATH = re.compile(r"(?<![\w.<:/])/(?:[\w.@+~-]+/)+[\w.@+~-]*")


@dataclass(frozen=True)
class Ratio:
    """`above` over `below`, each (system, metric), taken run by run so that both saw the same minute."""

    label: str
    above: tuple[str, str]
    below: tuple[str, str]


def summaries(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Return metric -> summary over the runs that report it."""
    names = dict.fromkeys(name for run in runs for name in run["metrics"])
    return {name: measure.summary(_series(runs, name)) for name in names if _series(runs, name)}


def ratios(systems: Mapping[str, Sequence[Mapping[str, Any]]], wanted: Sequence[Ratio]) -> dict[str, Any]:
    """Return label -> summary plus the single quotients; ratios whose systems were not run are left out."""
    found: dict[str, Any] = {}
    for ratio in wanted:
        sides = []
        for system, metric in (ratio.above, ratio.below):
            sides.append([run["metrics"].get(metric) for run in systems.get(system, ())])
        quotients = measure.paired_ratio(*sides)
        if quotients:
            found[ratio.label] = {**measure.summary(quotients), "runs": quotients}
    return found


def without_paths(value: Any, known: Mapping[str, str] | None = None) -> Any:
    """Return `value` (JSON-like) with the paths in its strings replaced: known ones by name, others by "PATH"."""
    names = {**(known or {}), str(ROOT): "CHECKOUT", sys.prefix: "PYTHON", str(Path.home()): "HOME"}
    names[tempfile.gettempdir()] = "TMP"
    longest_first = sorted((path for path in names if len(path) > 1), key=len, reverse=True)

    def clean(item: Any) -> Any:
        if isinstance(item, str):
            for path in longest_first:
                item = item.replace(path, names[path])
            return _ABSOLUTE_PATH.sub("PATH", item)
        if isinstance(item, Mapping):
            return {clean(key): clean(inner) for key, inner in item.items()}
        if isinstance(item, list | tuple):
            return [clean(inner) for inner in item]
        return item

    return clean(value)


def write(path: Path, record: Mapping[str, Any], known: Mapping[str, str] | None = None) -> None:
    """Write `record` as JSON to `path`, replacing it whole, with every path of this machine removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(without_paths(record, known), indent=1, ensure_ascii=False, allow_nan=False)
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def _series(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(value) for run in runs if (value := run["metrics"].get(name)) is not None]
