"""What is fuzzed: readers of bytes from outside, each with seeds that it reads and the errors that it may raise.

Any other exception is a finding, and so is a crash.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import DecodeError

import vecdb
from vecdb.errors import VecdbError
from vecdb.filters import parse
from vecdb.query.query import Query
from vecdb.storage import wal
from vecdb.storage.manifest import parsed
from vecdb.wire import queries
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import open_source
from vecdb_proto.v1 import query_pb2

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Target:
    """A reader: seeds, how one input is read, and what it may raise."""

    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = (VecdbError,)


FILTERS = [
    b"section = 'games' and size < 1_000_000",
    b"(a in (1, 2.5, 'x') or not b between -3 and 4e5) and c is not null",
    b"text matches '\"a phrase\" +must -not prefix*' and tags any of ('a', 'b')",
    b"place within 5 km of (52.5, 13.4) or extra.author[0].name startswith 'x''y'",
    b"made >= timestamp '2024-05-01T00:00:00Z' and kept = true",
]


def _asked() -> list[Query]:
    first = vecdb.Query(k=5).near("v", [0.5, -1.0, 3.0], ef=9).match("text", "+honey bee*").where("not a = 'b'")
    second = vecdb.Query(k=3).gather(first, fetch=20).select(vecdb.Mmr(), quotas={"a": (0, 2)})
    third = vecdb.Query().terms("t", {1: 0.5, 9: 2.0}).rank(vecdb.formula.score * 2 + vecdb.formula.value("stars"))
    fourth = vecdb.Query().like("v", ["a"], ["b"]).expand("*", hops=2)
    return [first, second.min_score(0.1), third.group_by("a", 2), fourth]


def _read_filter_or_query(data: bytes) -> None:
    if data.lstrip().startswith(b"{"):
        query = Query.from_json(data)
        assert Query.from_json(query.to_json()) == query
        return
    tree = parse(data.decode("utf-8", "replace"))
    assert parse(str(tree)) == tree


def _read_message(data: bytes) -> None:
    query = queries.from_message(query_pb2.Query.FromString(data))
    assert queries.from_message(queries.to_message(query)) == query


def _read_log(data: bytes) -> None:
    found = wal.scan(data, "fuzzed.wal")
    assert sum(1 for _ in wal.frames(data)) >= 0
    assert found is not None


def _logs() -> list[bytes]:
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*/collections/*/wal/*.wal"))]


def _manifests() -> list[bytes]:
    return [_content(path) for path in sorted(GOLDEN.glob("*/collections/*/manifests/*.json"))]


def _content(path: Path) -> bytes:
    """Return the manifest without its last line, the checksum: with it, only the checksum would be fuzzed."""
    return orjson.dumps(orjson.loads(path.read_bytes().splitlines()[0]))


def _read_manifest(data: bytes) -> None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    parsed(found, "fuzzed.json")


def _files() -> list[bytes]:
    rows = {"id": ["a", "b", "c"], "size": [1, None, 3], "v": [[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]]}
    table = pa.table(rows)
    parquet, arrow, npy, npz = (io.BytesIO() for _ in range(4))
    pq.write_table(table, parquet)
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    np.save(npy, np.eye(3, dtype=np.float32))
    np.savez(npz, id=np.arange(3), v=np.eye(3))
    lines = b"".join(orjson.dumps(row) + b"\n" for row in table.to_pylist())
    named = {
        b"parquet": parquet.getvalue(),
        b"arrow": arrow.getvalue(),
        b"npy": npy.getvalue(),
        b"npz": npz.getvalue(),
        b"jsonl": lines,
        b"csv": b'id,size,v\na,1,"[0.5, 1]"\nb,,"[2, 3]"\n',
    }
    return [name + b"\n" + content for name, content in named.items()]


def _read_file(data: bytes) -> None:
    """Read a file as `vecdb load` does; the first line of the input is its format."""
    name, _, content = data.partition(b"\n")
    kind = name.decode("ascii", "replace")
    with tempfile.NamedTemporaryFile(suffix=".data") as file:
        file.write(content)
        file.flush()
        with open_source(Path(file.name), kind) as source:
            source.columns()
            source.sample()
            with contextlib.closing(source.chunks(0)) as chunks:  # pyright: ignore[reportArgumentType]
                for _ in chunks:
                    pass


TARGETS = {
    "ast": Target(lambda: [*FILTERS, *(orjson.dumps(one.to_json()) for one in _asked())], _read_filter_or_query),
    "message": Target(
        lambda: [queries.to_message(one).SerializeToString() for one in _asked()],
        _read_message,
        (VecdbError, DecodeError),
    ),
    "log": Target(_logs, _read_log),
    "manifest": Target(_manifests, _read_manifest),
    "file": Target(_files, _read_file, (VecdbError, CommandError)),
}
