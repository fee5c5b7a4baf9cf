"""A picture of what is linked to a row: one HTML file that needs no network, drawn by plotly, laid out by networkx."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vecdb.errors import MissingExtraError

if TYPE_CHECKING:
    from vecdb.collection import Collection

EXTRA = "pip install -e '.[picture]' from a checkout brings it"
COLOURS = "#2f4b7c", "#d45087", "#f95d6a", "#ff7c43", "#ffa600", "#a05195", "#665191", "#003f5c"
"""One for each distance from the row in the middle; the last ones share."""
LINES = "#8a97a6", "#4f9d69", "#b8923a", "#5b8ed6", "#a678ab", "#4fb0ab"
"""One for each type of links, again from the first when there are more: none that a row has."""
NAMED = 60
"""So many rows have their names beside them; of more only those that are linked to the one in the middle."""
WIDTH, HEIGHT = 1000.0, 560.0
"""The picture in points, as a window of usual size shows it."""
LETTER, LETTERS_HEIGHT, DOT = 7.0, 15.0, 9.0
"""How wide and high a letter is at most on the average, and how far from the middle of a row its name stands."""
LINE, MOST_LINES = 80, 6
"""What is shown of a label under the mouse: characters a line, and lines; plotly breaks none."""


class Surroundings(NamedTuple):
    """Rows around one: how many links each is away, the links between them, and whether there were too many."""

    away: dict[Any, int]
    links: list[tuple[Any, Any, str, float]]
    cut: bool


def around(collection: Collection, start: Any, hops: int, types: list[str] | None, most: int) -> Surroundings:
    """Return the rows at most so many links away from an id, the heaviest links first, and all links between them."""
    away, frontier, cut = {start: 0}, [start], False
    for hop in range(1, hops + 1):
        table = collection.neighbours(frontier, type=types) if frontier else None
        frontier = []
        for other in table.column("neighbour").to_pylist() if table is not None else []:
            if other not in away and len(away) == most:
                cut = True
            elif other not in away:
                away[other] = hop
                frontier.append(other)
    links = [
        (row["id"], row["neighbour"], row["type"], row["weight"])
        for row in collection.neighbours(list(away), type=types, direction="out").to_pylist()
        if row["neighbour"] in away
    ]
    return Surroundings(away, links, cut)


def write_picture(path: Path, seen: Surroundings, labels: Mapping[Any, str]) -> None:
    """Write the picture; a label says what is shown of a row beside its id.

    Raises:
        MissingExtraError: plotly or networkx is not installed.

    """
    try:
        import networkx as nx
        import plotly.graph_objects as plotly
    except ImportError as error:
        raise MissingExtraError(f"a picture needs plotly and networkx, and {EXTRA}: {error}") from error
    graph = nx.Graph()
    graph.add_nodes_from(seen.away)
    graph.add_edges_from((one, two) for one, two, *_ in seen.links)
    # Twice the usual distance keeps a row and its hub apart, whose names would lie on each other.
    place = nx.spring_layout(graph, seed=0, k=2 / max(len(graph), 1) ** 0.5, iterations=100)
    lines: list[Any] = []
    for number, kind in enumerate(dict.fromkeys(link[2] for link in seen.links)):
        line = {"width": 1, "color": LINES[number % len(LINES)]}
        xs, ys, middle = [], [], ([], [], [])
        for one, two, _, weight in (link for link in seen.links if link[2] == kind):
            (x, y), (to_x, to_y) = place[one], place[two]
            xs += [x, to_x, None]
            ys += [y, to_y, None]
            for column, value in zip(
                middle, ((x + to_x) / 2, (y + to_y) / 2, _plain(f"{one} → {two} ({weight:g})")), strict=True
            ):
                column.append(value)
        lines.append(
            plotly.Scatter(x=xs, y=ys, mode="lines", line=line, name=_plain(kind), legendgroup=kind, hoverinfo="skip")
        )
        # Lines have no hover text of their own: an invisible point in the middle of each has.
        lines.append(
            plotly.Scatter(
                x=middle[0], y=middle[1], text=middle[2], mode="markers", marker={"size": 8, "opacity": 0},
                hovertemplate="%{text}<extra>" + _plain(kind) + "</extra>", legendgroup=kind, showlegend=False,
            )
        )  # fmt: skip
    nodes = list(seen.away)
    sides = sides_of_names(place, [(node, str(node)) for node in nodes if _is_named(seen, node)])
    dots = plotly.Scatter(
        x=[place[node][0] for node in nodes],
        y=[place[node][1] for node in nodes],
        mode="markers+text",
        text=[_plain(str(node)) if node in sides else "" for node in nodes],
        textposition=[sides.get(node, "top center") for node in nodes],
        customdata=[[_plain(str(node)), _lines(labels.get(node, ""))] for node in nodes],
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
        marker={
            "size": [18 if not seen.away[node] else 11 for node in nodes],
            "color": [COLOURS[min(seen.away[node], len(COLOURS) - 1)] for node in nodes],
        },
        showlegend=False,
    )
    axis = {"visible": False}
    layout = plotly.Layout(xaxis=axis, yaxis=axis, template="plotly_white", hovermode="closest")
    plotly.Figure([*lines, dots], layout).write_html(str(path), include_plotlyjs=True)


def sides_of_names(place: Mapping[Any, Any], names: Sequence[tuple[Any, str]]) -> dict[Any, str]:
    """Return where the name of each row stands, so that none lies on another name or on a row.

    A name that has no room on any side is left out: the mouse shows it. Earlier ones choose first.

    Args:
        place: x and y of all rows, in any measure.
        names: rows and their names.

    """
    xs, ys = [float(at[0]) for at in place.values()], [float(at[1]) for at in place.values()]
    wide, high = max(xs) - min(xs) or 1.0, max(ys) - min(ys) or 1.0
    point = {
        row: ((float(at[0]) - min(xs)) / wide * WIDTH, (float(at[1]) - min(ys)) / high * HEIGHT)
        for row, at in place.items()
    }
    half = DOT / 2
    taken = [(x - half, y - half, x + half, y + half) for x, y in point.values()]
    found: dict[Any, str] = {}
    for row, name in names:
        x, y = point[row]
        long = len(name) * LETTER
        boxes = {
            "top center": (x - long / 2, y + DOT, x + long / 2, y + DOT + LETTERS_HEIGHT),
            "bottom center": (x - long / 2, y - DOT - LETTERS_HEIGHT, x + long / 2, y - DOT),
            "middle right": (x + DOT, y - LETTERS_HEIGHT / 2, x + DOT + long, y + LETTERS_HEIGHT / 2),
            "middle left": (x - DOT - long, y - LETTERS_HEIGHT / 2, x - DOT, y + LETTERS_HEIGHT / 2),
        }
        for side, box in boxes.items():
            if not any(_overlap(box, other) for other in taken):
                found[row] = side
                taken.append(box)
                break
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _is_named(seen: Surroundings, node: Any) -> bool:
    """Tell whether a row's name stands beside it."""
    near = sum(1 for away in seen.away.values() if away <= 1)
    return len(seen.away) <= NAMED or seen.away[node] == 0 or (seen.away[node] == 1 and near <= NAMED)


def _lines(label: str) -> str:
    """Return a label in lines, cut off where it is long."""
    return "<br>".join(map(_plain, textwrap.wrap(label, LINE, max_lines=MOST_LINES, placeholder=" …")))


def _plain(text: str) -> str:
    """Return a text that plotly shows as it is: it reads some HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
