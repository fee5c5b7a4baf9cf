"""Records as plots, from the JSON alone: headline bars, recall against rate, growth with the rows, plans of a grid.

Medians over the runs; bars have the extremes as whiskers. The same record gives the same file.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_POINT = re.compile(r"at (\S+) (recall|single_qps|batch_qps)")
_SIZE = re.compile(r"rows (\d+) (us|distances|bytes)_at_95")
_LINKS = re.compile(r"(\d+) (ppr|two_hops)_ms")
_CELL = re.compile(r"at rows (\d+) k (\d+) (\w+) (\S+) (\w+)_ms")
_BALANCE = re.compile(r"curve (\S+) (\S+) (relevance|coverage)")
_FIRST = re.compile(r"(\S+) (.+) first100")
_TITLES = {"single_qps": "one call a query, one thread", "batch_qps": "one call with all queries"}
_COSTS = {"us": "microseconds a query", "distances": "distances a query", "bytes": "bytes a query"}
# A recall of exactly 1 has no place on a logarithmic scale of what is missing.
_LEAST_MISSING = 5e-4
_TICKS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def draw(record: Mapping[str, Any], stem: Path) -> list[Path]:
    """Draw every plot that the record has figures for, as SVG files beside `stem`; return their paths."""
    import matplotlib

    matplotlib.use("Agg")
    # No date, no random element names.
    matplotlib.rcParams["svg.hashsalt"] = "vecdb"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    drawn = []
    kinds: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = [
        ("", _headlines),
        ("-curves", _curves),
        ("-growth", _growth),
        ("-links", _links),
        ("-plans", _plans),
        ("-sets", _sets),
        ("-sizes", _sizes),
    ]
    for suffix, make in kinds:
        figure = make(record)
        if figure is None:
            continue
        path = stem.with_name(f"{stem.name}{suffix}.svg")
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
        drawn.append(path)
    return drawn


def headline_metrics(record: Mapping[str, Any]) -> list[str]:
    """Return the metrics of the record that its workload calls headlines, in the order they were measured."""
    metrics = dict.fromkeys(name for told in record["systems"].values() for name in told["summary"])
    # By whole words from the end: "rows_per_s" is not "unsynced_rows_per_s".
    return [name for name in metrics if any(f" {name}".endswith(f" {wanted}") for wanted in record["headlines"])]


def _headlines(record: Mapping[str, Any]) -> Any:
    from matplotlib import pyplot

    shown = headline_metrics(record)
    if not shown:
        return None
    bars = max(2, len(record["systems"]))
    figure, axes = pyplot.subplots(len(shown), 1, figsize=(7, (0.9 + 0.3 * bars) * len(shown)), squeeze=False)
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
        _plain(axis)
    return figure


def _curves(record: Mapping[str, Any]) -> Any:
    """Recall on a logarithmic scale of what is missing, queries a second on a logarithmic scale."""
    from matplotlib import pyplot

    curves: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(dict)
    for system, told in record["systems"].items():
        points: dict[str, dict[str, float]] = defaultdict(dict)
        for metric, summary in told["summary"].items():
            if found := _POINT.fullmatch(metric):
                points[found[1]][found[2]] = summary["median"]
        for kind in _TITLES:
            curve = [(point["recall"], point[kind]) for point in points.values() if {"recall", kind} <= point.keys()]
            if curve:
                curves[kind][system] = _front(curve)
    if not curves:
        return None
    figure, axes = pyplot.subplots(1, len(curves), figsize=(6.2 * len(curves), 4.6), squeeze=False, sharey=True)
    for axis, (kind, systems) in zip(axes[0], curves.items(), strict=True):
        for number, (system, curve) in enumerate(systems.items()):
            missing = [max(1 - recall, _LEAST_MISSING) for recall, _ in curve]
            style = {"color": "black", "linewidth": 2.5} if system == "vecdb" else {"color": f"C{number % 10}"}
            marker = "osv^D*PX"[number % 8]
            axis.plot(missing, [rate for _, rate in curve], marker=marker, markersize=4, label=system, **style)
        axis.set(xscale="log", yscale="log", xlabel="recall@10", title=f"{_dataset(record)}: {_TITLES[kind]}")
        axis.title.set_fontsize(10)
        axis.invert_xaxis()
        axis.set_xticks([1 - tick for tick in _TICKS], [f"{tick:g}" for tick in _TICKS])
        axis.minorticks_off()
        _round_numbers(axis.yaxis)
        axis.grid(alpha=0.3)
        _plain(axis)
    axes[0][0].set_ylabel("queries a second")
    axes[0][0].legend(fontsize=8, loc="lower left")
    return figure


def _growth(record: Mapping[str, Any]) -> Any:
    from matplotlib import pyplot

    lines: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for system, told in record["systems"].items():
        for metric, summary in told["summary"].items():
            if found := _SIZE.fullmatch(metric):
                lines[found[2]][system].append((int(found[1]), summary["median"]))
    if not lines:
        return None
    figure, axes = pyplot.subplots(1, len(lines), figsize=(4.6 * len(lines), 3.8), squeeze=False)
    for axis, (cost, systems) in zip(axes[0], lines.items(), strict=True):
        for system, points in systems.items():
            summary = record["systems"][system]["summary"].get(f"exponent {cost}")
            label = system if summary is None else f"{system}: rows^{summary['median']:.2f}"
            sizes, figures = zip(*sorted(points), strict=True)
            axis.plot(sizes, figures, marker="o", label=label)
        axis.set(xscale="log", yscale="log", xlabel="rows", title=f"{_COSTS[cost]} at recall .95")
        axis.title.set_fontsize(10)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
        _round_numbers(axis.yaxis)
        _plain(axis)
    return figure


def _links(record: Mapping[str, Any]) -> Any:
    """Draw what walks take over how many links there are."""
    from matplotlib import pyplot

    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for told in record["systems"].values():
        for metric, summary in told["summary"].items():
            if found := _LINKS.fullmatch(metric):
                lines[found[2]].append((int(found[1]), summary["median"]))
    if not any(len(points) > 1 for points in lines.values()):
        return None
    figure, axis = pyplot.subplots(figsize=(4.6, 3.8))
    for walk, points in lines.items():
        sizes, took = zip(*sorted(points), strict=True)
        axis.plot(sizes, took, marker="o", label={"ppr": "PageRank", "two_hops": "best paths of two links"}[walk])
    axis.set(xscale="log", xlabel="links", ylabel="milliseconds of the step, p50", ylim=(0, None))
    measured = sorted({size for points in lines.values() for size, _ in points})
    axis.set_xticks(measured, [f"{size:,}" for size in measured])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def _plans(record: Mapping[str, Any]) -> Any:
    """One panel for each rows x k (down) and correlation (across): milliseconds over the share that passes."""
    from matplotlib import pyplot

    panels: dict[tuple[int, int, str], dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for told in record["systems"].values():
        for metric, summary in told["summary"].items():
            if found := _CELL.fullmatch(metric):
                panel = (int(found[1]), int(found[2]), found[3])
                panels[panel][found[5]].append((float(found[4]), summary["median"]))
    if not panels:
        return None
    down = sorted({(rows, k) for rows, k, _ in panels})
    across = list(dict.fromkeys(correlation for *_, correlation in panels))
    shape = (3.6 * len(across), 2.8 * len(down))
    figure, axes = pyplot.subplots(len(down), len(across), figsize=shape, squeeze=False, sharex=True)
    for (rows, k, correlation), plans in panels.items():
        axis = axes[down.index((rows, k))][across.index(correlation)]
        for plan, points in plans.items():
            shares, times = zip(*sorted(points), strict=True)
            style = {"color": "black", "linewidth": 2.5, "zorder": 0} if plan == "chosen" else {"marker": "o"}
            axis.plot(shares, times, label=plan, markersize=4, **style)
        axis.set(xscale="log", yscale="log", title=f"{rows} rows, k {k}, correlation {correlation}")
        axis.title.set_fontsize(8)
        axis.grid(alpha=0.3)
        _round_numbers(axis.yaxis)
        _plain(axis)
    for axis in axes[-1]:
        axis.set_xlabel("share of the rows that pass", fontsize=8)
    for row in axes:
        row[0].set_ylabel("ms a query", fontsize=8)
    axes[0][0].legend(fontsize=7)
    return figure


def _sizes(record: Mapping[str, Any]) -> Any:
    """One panel for each set: how many of the best rows are among the first 100, over the bytes that a row takes."""
    from matplotlib import pyplot

    panels: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for told in record["systems"].values():
        metrics = told["summary"]
        for metric, summary in metrics.items():
            found = _FIRST.fullmatch(metric)
            size = None if found is None else metrics.get(f"{found[1]} {found[2]} bytes")
            if found is not None and size is not None:
                panels[found[1]].append((found[2], size["median"], summary["median"]))
    if not panels:
        return None
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.6 * len(panels), 4.2), squeeze=False)
    for axis, (name, points) in zip(axes[0], panels.items(), strict=True):
        for number, (what, size, share) in enumerate(sorted(points, key=lambda point: point[1])):
            axis.plot([size], [share], marker="osv^D*PX"[number % 8], linestyle="", label=what)
        axis.set(xscale="log", xlabel="bytes a row", ylabel="of the best ten, among the first 100", title=name)
        _round_numbers(axis.xaxis)
        axis.title.set_fontsize(10)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
        _plain(axis)
    return figure


def _front(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point beats in both, by recall."""
    front: list[tuple[float, float]] = []
    for recall, rate in sorted(curve, reverse=True):
        if not front or rate > front[-1][1]:
            front.append((recall, rate))
    return front[::-1]


def _dataset(record: Mapping[str, Any]) -> str:
    return str(record["parameters"].get("dataset", record["workload"]))


def _round_numbers(scale: Any) -> None:
    """Label a logarithmic scale with 1, 2 and 5 times the powers of ten, written out."""
    from matplotlib import ticker

    scale.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    scale.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    scale.set_minor_formatter(ticker.NullFormatter())


def _plain(axis: Any) -> None:
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _sets(record: Mapping[str, Any]) -> Any:
    """Coverage against relevance, a line for each way to select, a point for each balance."""
    from matplotlib import pyplot

    points: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for told in record["systems"].values():
        for name, summary in told["summary"].items():
            found = _BALANCE.fullmatch(name)
            if found is not None:
                points[found[1]][found[2]][found[3]] = summary["median"]
    if not points:
        return None
    figure, axes = pyplot.subplots(figsize=(7, 5))
    for method, balances in points.items():
        ordered = sorted(balances, key=float)
        line = [balances[balance] for balance in ordered]
        relevance, coverage = [one["relevance"] for one in line], [one["coverage"] for one in line]
        (drawn,) = axes.plot(relevance, coverage, marker="o", markersize=3, label=method)
        if "0.5" in balances:
            axes.plot(balances["0.5"]["relevance"], balances["0.5"]["coverage"], "o", color=drawn.get_color())
        axes.plot(relevance[-1], coverage[-1], "s", markersize=5, color=drawn.get_color())
    axes.set_xlabel("mean score of the answer (relevance)")
    axes.set_ylabel("mean cosine of the best 100 to the answer (coverage)")
    axes.grid(alpha=0.3)
    ends = {balance for balances in points.values() for balance in balances}
    told = f"balance from {min(ends, key=float)} (right) to {max(ends, key=float)} (square);\nthe larger dot is 0.5"
    axes.legend(title=told, fontsize=8, title_fontsize=8, alignment="left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
