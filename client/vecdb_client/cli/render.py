"""Results on stdout: a table for people, JSON, JSON Lines or Arrow for programs.

On a terminal a table has colours and is cut to the width; in a pipe it is plain text, one line per row, nothing cut.
Control characters in values are escaped in tables: stored data must not be able to drive the terminal.
JSON writes a float32 score as the double of equal value, and vectors with the shortest digits that give the same
float32 back.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.options import Output

if TYPE_CHECKING:
    from vecdb.schema import Schema

SHOWN_NUMBERS = 3
WHOLE_WIDTH = 24
CUT_WIDTH = 6
GAP = 3


def write_records(records: Iterable[dict[str, Any]], output: Output, columns: Sequence[str] | None = None) -> None:
    """Write records as a table, a JSON array or JSON Lines; columns give a table its order and its head."""
    if output is Output.JSONL:
        for record in records:
            write_bytes(json_bytes(record) + b"\n")
    elif output is Output.JSON:
        write_bytes(b"[")
        for separator, record in zip(chain([b"\n"], _forever(b",\n")), records, strict=False):
            write_bytes(separator + json_bytes(record))
        write_bytes(b"\n]\n")
    else:
        _table(list(records), columns)


def embedded(records: Iterable[dict[str, Any]], schema: "Schema", output: Output) -> Iterator[dict[str, Any]]:
    """Yield records whose JSON fields are part of the JSON that is written; in a table they are text."""
    from orjson import dumps

    names = [column.name for column in schema if column.field.kind == "json"] if output is Output.TABLE else []
    for record in records:
        texts = {name: dumps(record[name]).decode() for name in names if record.get(name) is not None}
        yield {**record, **texts}


def write_arrow(table: Any) -> None:
    """Write a table as an Arrow IPC stream."""
    import pyarrow as pa

    refuse_terminal("arrow")
    with pa.ipc.new_stream(BytesOut(), table.schema) as writer:
        writer.write_table(table)
    sys.stdout.buffer.flush()


def refuse_terminal(format: str) -> None:
    """Do not fill a terminal with bytes.

    Raises:
        CommandError: stdout is a terminal.

    """
    if sys.stdout.isatty():
        raise CommandError(f"{format} is binary", hint=f"redirect it, e.g. `> result.{format}`")


def write_bytes(data: bytes) -> None:
    """Write to stdout as is, in order with what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


class BytesOut:
    """Stdout for libraries that insist on closing what they write to, or on asking where they are."""

    closed = False

    def __init__(self) -> None:
        """Begin at position 0."""
        sys.stdout.flush()
        self._position = 0

    def write(self, data: Any) -> int:
        """Write all of data."""
        written = sys.stdout.buffer.write(data)
        self._position += written
        return written

    def tell(self) -> int:
        """Return how much was written."""
        return self._position

    def flush(self) -> None:
        """Pass on what is buffered."""
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Flush only."""
        self.flush()

    def readable(self) -> bool:
        """Nothing can be read."""
        return False

    def writable(self) -> bool:
        """It can be written."""
        return True

    def seekable(self) -> bool:
        """Nothing can be taken back."""
        return False


def json_bytes(value: Any) -> bytes:
    """Serialise one value; times are ISO 8601 in UTC, the terms of sparse vectors texts."""
    import orjson

    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS

    return orjson.dumps(value, default=_plain, option=option)


def _plain(value: Any) -> Any:
    """Turn what orjson does not know into what it does: odd arrays, big integers, bytes."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _forever(value: bytes) -> Iterator[bytes]:
    while True:
        yield value


def _table(records: list[dict[str, Any]], columns: Sequence[str] | None) -> None:
    names = list(columns or dict.fromkeys(name for record in records for name in record))
    if sys.stdout.isatty():
        _rich_table(names, _cells(records, names), records)
    else:
        for line in plain_lines(records, names):
            print(line)


def _cells(records: list[dict[str, Any]], names: Sequence[str]) -> list[list[str]]:
    return [[cell(record.get(name)) for name in names] for record in records]


def plain_lines(records: list[dict[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """Yield a head and one line per record, in columns of their width."""
    rows = [list(names), *_cells(records, names)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(names))]
    for line in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _rich_table(names: list[str], rows: list[list[str]], records: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, table = Console(), Table(box=box.SIMPLE_HEAD, pad_edge=False)
    values = {name: [record.get(name) for record in records] for name in names}
    numeric = {name for name in names if all(map(_is_number, values[name]))}
    # Ids, numbers and times say nothing when they are cut; text and vectors still do.
    whole = {name for name in names if name in names[:2] or any(hasattr(value, "isoformat") for value in values[name])}
    widths = {name: max(len(line[at]) for line in [names, *rows]) for at, name in enumerate(names)}
    least = {name: min(widths[name], WHOLE_WIDTH if name in whole | numeric else CUT_WIDTH) for name in names}
    fits = sum(least.values()) + GAP * len(names) <= console.width
    for name in names:
        table.add_column(
            Text(name),
            justify="right" if name in numeric else "left",
            # What may be wrapped gives way when the table is too wide; no cell is, by `_styled`.
            no_wrap=name in numeric or (fits and name in whole),
            overflow="ellipsis",
            min_width=least[name] if fits or name in numeric else min(least[name], CUT_WIDTH),
        )
    for line, record in zip(rows, records, strict=True):
        table.add_row(*(_styled(record.get(name), text) for name, text in zip(names, line, strict=True)))
    console.print(table)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and value is not True)


def _styled(value: Any, text: str) -> Any:
    """Return a cell for a terminal: the words that a search found are bold."""
    from rich.text import Text

    spans = getattr(value, "spans", None)
    if spans is None:
        return Text(text, no_wrap=True)
    cells = Text(no_wrap=True)
    at = 0
    for first, last in spans:
        cells.append(cell(value.text[at:first])).append(cell(value.text[first:last]), style="bold yellow")
        at = last
    return cells.append(cell(value.text[at:]))


def cell(value: Any) -> str:
    """Return a value as one line without control characters; a vector shows its first numbers and its length."""
    if value is None:
        return ""
    if getattr(value, "ndim", 0) == 1:
        shown = ", ".join(f"{number:.4g}" for number in value[:SHOWN_NUMBERS].tolist())
        return f"[{shown}]" if len(value) <= SHOWN_NUMBERS else f"[{shown}, ... {len(value)} numbers]"
    if getattr(value, "ndim", 0) == 2:
        return f"[{len(value)} vectors of {value.shape[1]} numbers]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    if hasattr(value, "marked"):
        value = value.marked()
    text = value if isinstance(value, str) else json_bytes(value).decode()
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
