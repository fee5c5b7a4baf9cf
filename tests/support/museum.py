"""A small closed database that has one of everything on disk, older versions of its files, and what it answers.

It is what test_damage.py damages. Rows come from a fixed seed, so that a run's seed only chooses the damage.
"""

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import vecdb
from support.supervisor import SETTINGS

ROWS = 240
WIDE = 1000
"""A search as wide as there are rows: its answer is the exact one, whether an index can be used or not."""
DENSE, HALF, TINY, BITS = 48, 24, 16, 72
Museum = tuple[Path, list[Path], dict[str, str]]
"""The database, copies of it at earlier moments, and the digest of each answer."""
SETTING = vecdb.Settings(**{**SETTINGS, "background": False, "memtable_bytes": 64 << 20, "retain_versions": 4})

_START = datetime(2024, 5, 1, tzinfo=UTC)


def schema() -> vecdb.Schema:
    """Return a schema with every kind of field."""
    return vecdb.Schema(
        id=vecdb.Id("string"),
        section=vecdb.Keyword(),
        labels=vecdb.Keyword(many=True),
        body=vecdb.Text(search=True),
        flag=vecdb.Bool(),
        size=vecdb.Int64(),
        price=vecdb.Float64(),
        added=vecdb.Timestamp(),
        extra=vecdb.Json(),
        place=vecdb.Geo(),
        terms=vecdb.Sparse(500),
        dense=vecdb.Vector(DENSE, metric="cosine", index="hnsw"),
        half=vecdb.Vector(HALF, dtype="float16", metric="dot", index="hnsw"),
        tiny=vecdb.Vector(TINY, dtype="int8", metric="l2", index="ivf"),
        bits=vecdb.Vector(BITS, dtype="binary"),
        short=vecdb.Vector(TINY, metric="l2", index=vecdb.Funnel(8)),
        signs=vecdb.Vector(TINY, metric="dot", index="binary"),
    )


def records(first: int, count: int) -> list[dict[str, Any]]:
    """Return rows numbered from first on; every seventh lacks what may be missing."""
    rng = np.random.default_rng(first)
    rows = []
    for number in range(first, first + count):
        row = {
            "id": f"item-{number:05d}",
            "section": f"section {number % 5}",
            "labels": [f"label {number % 3}", f"label {number % 11}"],
            "body": f"the text of item {number}, " * (1 + number % 9),
            "flag": number % 2 == 0,
            "size": number * 1_000_003,
            "price": number / 7,
            "added": _START + timedelta(minutes=number),
            "place": (number % 90, number % 180 - 90),
            "terms": {(number * step) % 499: 0.1 + number % step for step in range(3, 11)},
            "extra": {"number": number, "deep": {"list": [number, "x" * (number % 30)]}},
            "dense": rng.standard_normal(DENSE, dtype=np.float32),
            "half": rng.standard_normal(HALF).astype(np.float16),
            "tiny": rng.integers(-100, 100, TINY).astype(np.int8),
            "bits": rng.bytes(BITS // 8),
            "short": rng.standard_normal(TINY, dtype=np.float32),
            "signs": rng.standard_normal(TINY, dtype=np.float32),
        }
        keep = {"id", "size", "half"} if number % 7 == 0 else row.keys()
        rows.append({name: value for name, value in row.items() if name in keep})
    return rows


def edges(first: int, count: int) -> list[dict[str, Any]]:
    """Return links from each item to one that its number chooses."""
    return [
        {
            "src": f"item-{number % ROWS:05d}",
            "dst": f"item-{number * 7 % 500:05d}",
            "type": ("cites", "near")[number % 2],
            "weight": number / 8,
            "since": None if number % 5 == 0 else number,
        }
        for number in range(first, first + count)
    ]


def build(folder: Path) -> tuple[Path, list[Path]]:
    """Make the database at folder/library, closed cleanly, and copies of it at earlier moments; return both."""
    path = folder / "library"
    moments = []

    def remember() -> None:
        moments.append(folder / f"moment-{len(moments)}")
        shutil.copytree(path, moments[-1])

    with vecdb.connect(path, settings=SETTING) as database:
        items = database.create_collection("items", schema())
        items.upsert(records(0, ROWS), request_id="first")
        items.add_link_attribute("since", vecdb.Int64())
        items.link(edges(0, 300))
        items.flush()
        items.build_indexes()
        items.tag("first")
        items.delete([f"item-{number:05d}" for number in range(0, ROWS, 9)])
        items.unlink(src=[f"item-{number:05d}" for number in range(0, ROWS, 13)])
        items.flush()
        remember()
        with items.bulk() as load:
            load.add(records(ROWS, ROWS))
        items.delete(where="size between 5000015 and 30000090")
        items.patch([{"id": f"item-{number:05d}", "section": "patched"} for number in (31, 41, 51, 61)])
        items.flush()
        items.build_indexes()
        items.tag("second")
        others = database.create_collection("others", vecdb.Schema(number=vecdb.Id("int64"), name=vecdb.Keyword()))
        others.upsert([{"number": number, "name": f"name {number}"} for number in range(50)])
        others.flush()
        remember()
        items.upsert(records(ROWS - 20, 60))
        items.link(edges(200, 400))
        items.delete(["item-00100", "item-00101", "item-00300"], request_id="gone")
        items.flush()
        items.upsert(records(2 * ROWS, 25))
        items.link(edges(500, 20))
        remember()
        items.delete(["item-00481", "item-00200"])
        items.patch([{"id": "item-00482", "size": -1}], request_id="patched")
        items.upsert(records(2 * ROWS + 25, 5))
        items.delete("item-00031", cascade=True)
        items.unlink(edges(500, 5))
    return path, moments


def questions(database: Any) -> dict[str, Callable[[], Any]]:
    """Return everything that can be asked, by name; each answer is a value that compares and hashes by content."""
    items, others = database.collection("items"), database.collection("others")
    ids = [f"item-{number:05d}" for number in range(2 * ROWS + 40)]
    rng = np.random.default_rng(5)
    dense = rng.standard_normal(DENSE, dtype=np.float32)
    half = rng.standard_normal(HALF).astype(np.float16)
    tiny = rng.integers(-100, 100, TINY).astype(np.int8)
    bits = rng.integers(0, 2, BITS)
    where = "size > 100000000 and section != 'section 3'"
    return {
        "collections": lambda: sorted(database.collections()),
        "schema": lambda: [repr(items.schema), repr(others.schema)],
        "count": lambda: [items.count(), others.count()],
        "count where": lambda: items.count(where=where),
        "get": lambda: [_plain(row) for row in items.get(ids, fields=["section", "size"])],
        "get whole": lambda: [_plain(row) for row in items.get(ids[::8])],
        "scan": lambda: _scanned(items),
        "scan others": lambda: _scanned(others, "number"),
        "scan where": lambda: _scanned(items, where=where),
        "dense": lambda: _found(items.search(dense=dense, k=20, ef=WIDE)),
        "dense where": lambda: _found(items.search(dense=dense, k=20, where=where, ef=WIDE)),
        "dense exact": lambda: _found(items.search(dense=dense, k=20, exact=True)),
        "half": lambda: _found(items.search(half=half, k=20, ef=WIDE)),
        "half at first": lambda: _found(items.at(tag="first").search(half=half, k=20, ef=WIDE)),
        "near": lambda: items.count(where="place within 2000 km of (45, 45) or place in box (-10, 70, 5, -80)"),
        "tiny": lambda: _found(items.search(tiny=tiny, k=20, where="flag = true", probes=WIDE, plan="lists")),
        "tiny all": lambda: _found(items.search(tiny=tiny, k=20, probes=WIDE, plan="lists")),
        "tiny exact": lambda: _found(items.search(tiny=tiny, k=20, exact=True)),
        "bits": lambda: _found(items.search(bits=bits, k=20)),
        "bits where": lambda: _found(items.search(bits=bits, k=20, where=where)),
        "short": lambda: _found(items.search(short=tiny, k=20, ef=WIDE, plan="codes")),
        "short exact": lambda: _found(items.search(short=tiny, k=20, exact=True)),
        "signs": lambda: _found(items.search(signs=tiny, k=20, where=where, ef=WIDE, plan="codes")),
        "signs exact": lambda: _found(items.search(signs=tiny, k=20, where=where, exact=True)),
        "words": lambda: _found(items.search(body="text item 77 -5", k=20)),
        "words where": lambda: _found(items.search(body='"text of item" 12* -121', k=20, where="flag = true")),
        "phrase": lambda: _found(items.search(body='"the text of item 101"', k=20)),
        "words at first": lambda: _found(items.at(tag="first").search(body="item 42 text", k=20)),
        "terms": lambda: _found(items.search(terms={n: 1 + n % 3 for n in range(0, 500, 7)}, k=20)),
        "terms where": lambda: _found(items.search(terms=dict.fromkeys(range(90), 1), k=20, where=where)),
        "terms exact": lambda: _found(items.search(terms=dict.fromkeys(range(90), 1), k=20, exact=True)),
        "terms at first": lambda: _found(items.at(tag="first").search(terms={7: 1, 21: 2, 35: 1}, k=20)),
        "links": lambda: _links(items.links()),
        "links at first": lambda: _links(items.at(tag="first").links(where="since is not null")),
        "neighbours": lambda: items.neighbours(ids[:90], where="since > 20").to_pylist(),
        "citing": lambda: items.neighbours(ids[90:], type="cites", direction="in", limit=2).to_pylist(),
        "link statistics": lambda: items.link_stats(),
        "graph": lambda: _walked(items.snapshot()._state.links.graph),
        "tags": lambda: items.tags(),
        "first": lambda: _at(items, "first"),
        "second": lambda: _at(items, "second"),
        "versions": lambda: [(entry["version"], entry["rows"]) for entry in items.versions()],
    }


def _at(collection: Any, tag: str) -> list[str]:
    with collection.at(tag=tag) as snapshot:
        return _scanned(snapshot)


def _found(result: Any) -> list[Any]:
    return [result.ids, [float(score) for score in result.scores], [_plain(hit.fields) for hit in result]]


def _scanned(reader: Any, id: str = "id", where: str | None = None) -> list[str]:
    rows = [row for batch in reader.scan(where=where) for row in _rows(batch)]
    return [_plain(row) for row in sorted(rows, key=lambda row: row[id])]


def _links(batches: Any) -> list[str]:
    return sorted(_plain(row) for batch in batches for row in _rows(batch))


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows with vectors as arrays, as `get` has them: of lists, each number would be an object."""
    columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    vectors = iter(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size))
    return [next(vectors) if valid else None for valid in column.is_valid().to_pylist()]


def _walked(graph: Any) -> list[Any]:
    """Return the links of each node, as kernels read them."""
    found = []
    for value, node in zip(ids := graph.ids(np.arange(graph.nodes)), range(len(ids)), strict=True):
        for adjacency in (graph.out, graph.incoming):
            targets, weights, codes = adjacency.row(node)
            names = graph.ids(targets)
            near = zip(names, weights.tolist(), (graph.types[code] for code in codes.tolist()), strict=True)
            found.append((value, sorted(near)))
    return sorted(found, key=repr)


def _plain(row: dict[str, Any] | None) -> str:
    if row is None:
        return "none"
    items = sorted(row.items())
    return repr({name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in items})


def fingerprint(answer: Any) -> str:
    """Return a digest of an answer."""
    return hashlib.sha256(repr(answer).encode()).hexdigest()


def tell(path: Path, *, read_only: bool = False) -> dict[str, str]:
    """Return the digest of every answer of an undamaged database."""
    with vecdb.connect(path, read_only=read_only, settings=SETTING) as database:
        return {name: fingerprint(ask()) for name, ask in questions(database).items()}
