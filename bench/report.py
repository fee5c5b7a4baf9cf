"""Records as Markdown tables and plots: `python -m bench.report` writes report.md and the SVGs of each record.

Everything is made from the JSON alone. The points of a sweep or a grid, whose names begin with "at ", are drawn
(bench.plots) and left out of the tables.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: this folder is on the path instead of the one above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import plots
from bench.checkout import RESULTS

_NOISY = 0.15
# With more systems than this, a table of the headlines with a system in each line comes first.
_FEW_SYSTEMS = 4
_POINT = "at "


def tables(record: Mapping[str, Any]) -> str:
    """Return one record as Markdown: how it was measured, ratios first, then every metric of every system."""
    title = record["workload"] + (f" ({record['label']})" if record.get("label") else "")
    parts = [f"## {title}", _origin(record)]
    if record["ratios"]:
        rows = [[label, number(told["median"]), _range(told)] for label, told in record["ratios"].items()]
        parts.append(_table(["ratio", "median", "range"], rows))
    systems = record["systems"]
    every = dict.fromkeys(name for told in systems.values() for name in told["summary"])
    metrics = [name for name in every if not name.startswith(_POINT)]
    if len(systems) > _FEW_SYSTEMS:
        parts.append(_overview(record))
    if systems:
        rows = [[_shown_name(name), *(_cell(name, told) for told in systems.values())] for name in metrics]
        parts.append(_table(["metric", *systems], rows))
    if len(metrics) < len(every):
        parts.append(f"{len(every) - len(metrics)} figures of single points (`at ...`) are in the JSON.")
    parts += [f"- **failed**: {one['system']} {one['step']}: {_last_line(one['error'])}" for one in record["failures"]]
    parts += [f"- skipped: {one['system']} {one['step']}: {one['reason']}" for one in record.get("skipped", ())]
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return a figure with three significant digits and no exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def write(folder: Path) -> Path:
    """Read every record of `folder`, write report.md and the plots beside them, and return the report's path."""
    parts = ["# Benchmark results", "Made by `python -m bench.report`; how to read it: `bench/README.md`."]
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        parts.append(tables(record))
        drawn = plots.draw(record, path.with_suffix(""))
        parts += [f"![{plot.stem}]({plot.name})" for plot in drawn]
    report = folder / "report.md"
    report.write_text("\n\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return report


def _origin(record: Mapping[str, Any]) -> str:
    told = record["machine"]
    gib = told["memory_bytes"] / 1024**3
    commit = (record.get("commit") or "no commit")[:12] + (" with changes" if record.get("modified") else "")
    runs = [run for system in record["systems"].values() for run in system["runs"]]
    stolen = [run["noise"]["stolen_share"] for run in runs if run["noise"]["stolen_share"] is not None]
    lines = [
        f"{record['measured_at']}, {commit}{', quick run' if record['quick'] else ''}. "
        f"{told['cpu']}, {told['cores']} cores, {gib:.0f} GiB, {told['system']} {told['kernel']}, "
        f"scratch on {told['scratch_filesystem']}. {record['repeats']} repeats; cells are median [min, max].",
        "Parameters: " + ", ".join(f"`{name}={value}`" for name, value in record["parameters"].items()) + ".",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + ".",
    ]
    if record.get("peer_versions"):
        peers = [f"{name} {version}" for name, version in record["peer_versions"].items()]
        lines.append("Versions of the peers' environment: " + ", ".join(peers) + ".")
    if told["scratch_filesystem"] in ("tmpfs", "overlay"):
        lines.append(f"**Durable figures mean little here: the scratch folder is on {told['scratch_filesystem']}.**")
    if stolen and max(stolen) > _NOISY:
        lines.append(f"**Noisy: the hypervisor took up to {max(stolen):.0%} of the cores during a run.**")
    return "\n".join(lines)


def _overview(record: Mapping[str, Any]) -> str:
    """The headlines, medians only, a system in each line."""
    shown = plots.headline_metrics(record)
    rows = []
    for system, told in record["systems"].items():
        cells = [told["summary"].get(metric) for metric in shown]
        rows.append([system, *("" if cell is None else number(cell["median"]) for cell in cells)])
    return _table(["system", *shown], rows)


def _cell(metric: str, system: Mapping[str, Any]) -> str:
    told = system["summary"].get(metric)
    if told is None:
        return ""
    if metric.endswith("_bytes"):
        told = {key: told[key] / 1e6 for key in ("median", "min", "max")}
    return f"{number(told['median'])} {_range(told)}"


def _shown_name(metric: str) -> str:
    return metric.removesuffix("bytes") + "MB" if metric.endswith("_bytes") else metric


def _range(told: Mapping[str, float]) -> str:
    return f"[{number(told['min'])}, {number(told['max'])}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a folder of records."""
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the records")
    print(write(parser.parse_args(arguments).results).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
