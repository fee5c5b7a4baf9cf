"""Records as Markdown tables and plots: `python -m bench.report` writes report.md and one SVG a record.

Plots show medians with the extremes of the runs as whiskers. Everything is made from the JSON alone.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: this folder is on the path instead of the one above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.checkout import RESULTS

_NOISY = 0.15


def tables(record: Mapping[str, Any]) -> str:
    """Return one record as Markdown: how it was measured, ratios first, then every metric of every system."""
    title = record["workload"] + (f" ({record['label']})" if record.get("label") else "")
    parts = [f"## {title}", _origin(record)]
    if record["ratios"]:
        rows = [[label, number(told["median"]), _range(told)] for label, told in record["ratios"].items()]
        parts.append(_table(["ratio", "median", "range"], rows))
    systems = record["systems"]
    metrics = list(dict.fromkeys(name for told in systems.values() for name in told["summary"]))
    if systems:
        rows = [[_shown_name(name), *(_cell(name, told) for told in systems.values())] for name in metrics]
        parts.append(_table(["metric", *systems], rows))
    parts += [f"- **failed**: {one['system']} {one['step']}: {_last_line(one['error'])}" for one in record["failures"]]
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return a figure with three significant digits and no exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def plot(record: Mapping[str, Any], path: Path) -> bool:
    """Draw the record's headline metrics to an SVG; return False when it has none."""
    import matplotlib

    matplotlib.use("Agg")
    # The same record gives the same file: no date, no random element names.
    matplotlib.rcParams["svg.hashsalt"] = "vecdb"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    shown = _headline_metrics(record)
    if not shown:
        return False
    figure, axes = pyplot.subplots(len(shown), 1, figsize=(7, 0.7 + 1.5 * len(shown)), squeeze=False)
    for axis, metric in zip(axes[:, 0], shown, strict=True):
        having = {
            name: told["summary"][metric] for name, told in record["systems"].items() if metric in told["summary"]
        }
        medians = [told["median"] for told in having.values()]
        below = [told["median"] - told["min"] for told in having.values()]
        above = [told["max"] - told["median"] for told in having.values()]
        axis.barh(list(having), medians, xerr=[below, above], color="#4c72b0", ecolor="#333333", capsize=3)
        axis.invert_yaxis()
        axis.set_title(metric, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def write(folder: Path) -> Path:
    """Read every record of `folder`, write report.md and the plots beside them, and return the report's path."""
    parts = ["# Benchmark results", "Made by `python -m bench.report`; how to read it: `bench/README.md`."]
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        parts.append(tables(record))
        if plot(record, path.with_suffix(".svg")):
            parts.append(f"![{record['workload']}]({path.stem}.svg)")
    report = folder / "report.md"
    report.write_text("\n\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return report


def _headline_metrics(record: Mapping[str, Any]) -> list[str]:
    metrics = dict.fromkeys(name for told in record["systems"].values() for name in told["summary"])
    # By whole words from the end: "rows_per_s" is not "unsynced_rows_per_s".
    return [name for name in metrics if any(f" {name}".endswith(f" {wanted}") for wanted in record["headlines"])]


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
    if told["scratch_filesystem"] in ("tmpfs", "overlay"):
        lines.append(f"**Durable figures mean little here: the scratch folder is on {told['scratch_filesystem']}.**")
    if stolen and max(stolen) > _NOISY:
        lines.append(f"**Noisy: the hypervisor took up to {max(stolen):.0%} of the cores during a run.**")
    return "\n".join(lines)


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
