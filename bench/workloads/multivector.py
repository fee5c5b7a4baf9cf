"""Late interaction: what an index of encodings finds, at which size, and what two stages cost beside MaxSim of all.

The tokens of a set are stored in 8 bits. `all` compares every row, by floats (`exact=True`), and so does `scan`, by
codes first, which finds the same. For each index, which
`indexes` names by repetitions x bits x projection and its codes, or `auto`:

    first100          share of the true ten best rows among the first 100 by the encodings, which are then compared
    floats first100   the same without codes
    bytes             of the index, a row
    nDCG@10           of the ten best of these 100; `off` is that less nDCG@10 of `all`
    cpu_ms            CPU time of one call for ten rows

`pool 2` and its like are rows stored with so many times fewer tokens, each the mean of some that are alike, and all
compared: `first100` is the share of the true ten best, by all tokens, among the first 100; `best10` among the first 10.

`float16`, `residual2` and their like are all tokens in other codings, in one segment, and all compared: `token bytes`
are those of the segment's files of tokens, `best10` is the share of the ten best rows of the first coding among theirs.

`two stages` gathers `fetch` rows by the single vector of each document and compares them all; `pruned` with candidates
pruned and early exit; `cut` is the share of comparisons that this saves, `lost` the nDCG@10. The single vector is also
asked alone, as `dense`; `bytes` of `all` are those of the tokens. Every figure of quality comes from ir-measures.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench import labelled, tokens
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.tokens import TokenSet
from bench.workloads import Metrics

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "sets": "scifact-test,hotpot",
    "indexes": "auto,10x3x8 rabitq,40x3x8 rabitq,40x4x16 rabitq,40x4x16 8bit,40x3x8 8bit,40x3x8 product",
    "pools": "2,3,4",
    "codings": "float16,int8,int4,residual4,residual2,sign",
    "fetch": 50,
    "prune": 0.3,
    "patience": 5,
    "passes": 3,
}
QUICK: Mapping[str, Parameter] = {
    "sets": "known:300x16",
    "indexes": "auto,40x3x8 rabitq",
    "pools": "2",
    "codings": "float16,residual2,sign",
    "fetch": 20,
    "passes": 1,
}
HEADLINES = ("auto first100", "auto nDCG@10", "all nDCG@10", "two stages nDCG@10", "pruned nDCG@10")

K, FIRST = 10, 100
Call = Callable[[int], Any]


def prepare(context: Context) -> None:
    """Nothing is shared: the sets are read where they lie."""


def setup(context: Context) -> None:
    """Make a database of every set: a collection with all tokens, and one for each factor of pooling and coding."""
    import vecdb

    context.home.mkdir(parents=True)
    for name in context.words("sets"):
        made = tokens.load(name, context.data)
        with vecdb.connect(_folder(context, name), settings=_settings()) as database:
            for factor in (1, *map(int, context.words("pools"))):
                documents = database.create_collection(_collection(factor), _schema(made, factor))
                documents.upsert(made.rows)
                documents.compact()
            for coding in context.words("codings"):
                documents = database.create_collection(f"coded-{coding}", _schema(made, 1, coding))
                with documents.bulk() as load:
                    load.add(made.rows)


def run(context: Context) -> Metrics:
    import vecdb

    metrics: Metrics = {}
    for name in context.words("sets"):
        made = tokens.load(name, context.data)
        with vecdb.connect(_folder(context, name), create=False, settings=_settings()) as database:
            measured = _Set(context, made, database).measured()
        metrics |= {f"{name} {what}": value for what, value in measured.items()}
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for name in str(parameters["sets"]).split(","):
        for factor in str(parameters["pools"]).split(",") if parameters["pools"] else ():
            pooled, whole = f"{name} pool {factor}", f"{name} all"
            found.append(
                Ratio(f"{pooled} / all nDCG@10", ("vecdb", f"{pooled} nDCG@10"), ("vecdb", f"{whole} nDCG@10"))
            )
            found.append(Ratio(f"{pooled} / all bytes", ("vecdb", f"{pooled} bytes"), ("vecdb", f"{whole} bytes")))
        codings = str(parameters["codings"]).split(",") if parameters["codings"] else []
        for coding in codings:
            for what in ("nDCG@10", "token bytes") if "float16" in codings and coding != "float16" else ():
                one, other = ("vecdb", f"{name} {coding} {what}"), ("vecdb", f"{name} float16 {what}")
                found.append(Ratio(f"{name} {coding} / float16 {what}", one, other))
        for stage in ("auto", "two stages", "pruned"):
            label, whole, scan = f"{name}: {stage}", f"{name} all", f"{name} scan"
            found.append(
                Ratio(f"{label} / all nDCG@10", ("vecdb", f"{name} {stage} nDCG@10"), ("vecdb", f"{whole} nDCG@10"))
            )
            found.append(
                Ratio(f"{label}: scan / it, CPU time", ("vecdb", f"{scan} cpu_ms"), ("vecdb", f"{name} {stage} cpu_ms"))
            )
    return found


class _Set:
    """One set, asked in every way."""

    def __init__(self, context: Context, made: TokenSet, database: Any) -> None:
        self.context, self.made, self.database = context, made, database
        self.documents = database.collection(_collection(1))
        self.count = len(made.questions)
        self.true = [self._all(at).ids for at in range(self.count)]

    def measured(self) -> Metrics:
        whole = self._told("all", self._all)
        metrics: Metrics = {**whole, **self._told("scan", self._scan), **self._told("dense", self._dense)}
        metrics |= self._stages()
        metrics["all bytes"] = self.made.tokens.size / len(self.made.held.rows)
        metrics["all first100"] = 1.0
        metrics["dense bytes"] = 4.0 * self.made.held.dimension
        metrics["dense first100"] = _share([self._dense(at, FIRST).ids for at in range(self.count)], self.true)
        for factor in self.context.words("pools"):
            metrics |= self._pooled(int(factor))
        metrics |= self._codings()
        for spec in self.context.words("indexes"):
            metrics |= self._index(spec, float(whole["all nDCG@10"] or 0))
        self.documents.set_index("tokens", "flat")
        return metrics

    def _pooled(self, factor: int) -> Metrics:
        import vecdb

        documents, name = self.database.collection(_collection(factor)), f"pool {factor}"

        def compared(at: int, k: int) -> Any:
            arm = vecdb.Tokens("tokens", self.made.questions[at])
            return documents.run(vecdb.Query(k=k, fields=()).gather(arm))

        kept = sum(len(row) for batch in documents.scan(fields=["tokens"]) for row in batch.column("tokens"))
        first = [compared(at, FIRST).ids for at in range(self.count)]
        return {
            **self._told(name, lambda at: compared(at, K)),
            f"{name} first100": _share(first, self.true),
            f"{name} best10": _share([ids[:K] for ids in first], self.true),
            f"{name} bytes": kept * self.made.tokens.shape[1] / len(self.made.held.rows),
        }

    def _codings(self) -> Metrics:
        import vecdb

        metrics: Metrics = {}
        true = None
        for coding in self.context.words("codings"):
            documents = self.database.collection(f"coded-{coding}")

            def compared(at: int, documents: Any = documents) -> Any:
                return documents.run(
                    vecdb.Query(k=K, fields=()).gather(vecdb.Tokens("tokens", self.made.questions[at]))
                )

            found = [compared(at).ids for at in range(self.count)]
            true = found if true is None else true
            column = next(one for one in documents.snapshot().schema if one.name == "tokens")
            files = [file for part in documents.snapshot()._state.segments for file in part.segment.entry.files]
            held = sum(file.bytes for file in files if file.name.endswith(f"-{column.id}.arrow"))
            metrics |= self._told(coding, compared)
            metrics |= {f"{coding} token bytes": held / len(self.made.tokens), f"{coding} best10": _share(found, true)}
        return metrics

    def _index(self, spec: str, whole: float) -> Metrics:
        import vecdb

        begun = time.process_time()
        self.documents.set_index("tokens", _index_of(spec))
        self.documents.build_indexes()
        metrics: Metrics = {f"{spec} build cpu_s": time.process_time() - begun}
        told = self.documents.stats()["indexes"]["tokens"]

        def encoded(at: int, k: int) -> Any:
            arm = vecdb.Tokens("tokens", self.made.questions[at], ef=FIRST)
            return self.documents.run(vecdb.Query(k=k, fields=()).gather(arm))

        first = [encoded(at, FIRST).ids for at in range(self.count)]
        metrics[f"{spec} first100"] = _share(first, self.true)
        metrics[f"{spec} bytes"] = told["bytes"] / len(self.made.held.rows)
        metrics |= self._told(spec, lambda at: encoded(at, K))
        metrics[f"{spec} off"] = float(metrics[f"{spec} nDCG@10"] or 0) - whole
        encoder = self._encoder()
        metrics[f"{spec} numbers"] = float(encoder.width)
        metrics[f"{spec} floats first100"] = _share(self._by_floats(encoder), self.true)
        return metrics

    def _encoder(self) -> Any:
        (part,) = self.documents.snapshot()._state.segments
        column = next(one for one in self.documents.snapshot().schema if one.name == "tokens")
        return part.segment.muvera_of(column.id).encoder

    def _by_floats(self, encoder: Any) -> list[list[str]]:
        from vecdb_index.multivector.ragged import Ragged

        encodings = encoder.documents(Ragged(self.made.tokens, self.made.offsets))
        ids, found = self.made.held.rows["id"].to_pylist(), []
        for question in self.made.questions:
            scores = encodings @ encoder.query(np.ascontiguousarray(question))
            found.append([ids[at] for at in np.argsort(-scores, kind="stable")[:FIRST]])
        return found

    def _stages(self) -> Metrics:
        given = {"prune": self.context.number("prune"), "patience": self.context.integer("patience")}
        metrics = {
            **self._told("two stages", lambda at: self._staged(at)),
            **self._told("pruned", lambda at: self._staged(at, **given)),
        }
        scored = []
        for at in range(self.count):
            steps = self.documents.explain(self._two(at, **given), analyze=True).to_json()["steps"]
            scored.append(next(step["rows_out"] for step in steps if step["step"] == "max_sim"))
        metrics["pruned cut"] = 1 - float(np.mean(scored)) / self.context.integer("fetch")
        metrics["pruned lost"] = float(metrics["two stages nDCG@10"] or 0) - float(metrics["pruned nDCG@10"] or 0)
        return metrics

    def _two(self, at: int, **given: Any) -> Any:
        import vecdb

        first = vecdb.Query(k=K, fields=()).near(
            "embedding", self.made.held.questions[at].vector, fetch=self.context.integer("fetch")
        )
        return first.rescore(vecdb.MaxSim("tokens", self.made.questions[at], **given))

    def _staged(self, at: int, **given: Any) -> Any:
        return self.documents.run(self._two(at, **given))

    def _dense(self, at: int, k: int = K) -> Any:
        return self.documents.search(embedding=self.made.held.questions[at].vector, k=k, exact=True, fields=[])

    def _all(self, at: int) -> Any:
        return self._scan(at, exact=True)

    def _scan(self, at: int, exact: bool = False) -> Any:
        import vecdb

        arm = vecdb.Tokens("tokens", self.made.questions[at])
        return self.documents.run(vecdb.Query(k=K, fields=(), exact=exact).gather(arm))

    def _told(self, name: str, call: Call) -> Metrics:
        """Return nDCG@10 of a way, and the median over the questions of the best CPU time of a call."""
        import ir_measures
        from ir_measures import nDCG

        held = self.made.held
        judged = [ir_measures.Qrel(one.question, one.document, one.relevance, "0") for one in held.judgements]
        answers: list[Any] = []
        best = np.full(self.count, np.inf)
        for turn in range(self.context.integer("passes")):
            for at, asked in enumerate(held.questions):
                begun = time.process_time()
                ids = call(at).ids
                best[at] = min(best[at], time.process_time() - begun)
                if turn == 0:
                    answers += [
                        ir_measures.ScoredDoc(asked.id, row, float(K - place)) for place, row in enumerate(ids[:K])
                    ]
        score = ir_measures.calc_aggregate([nDCG @ 10], judged, answers)[nDCG @ 10]
        return {f"{name} nDCG@10": float(score), f"{name} cpu_ms": float(np.median(best)) * 1e3}


def _share(found: list[list[str]], true: list[list[str]]) -> float:
    return float(np.mean([len(set(best) & set(first)) / len(best) for first, best in zip(found, true, strict=True)]))


def _index_of(spec: str) -> Any:
    import vecdb

    if spec == "auto":
        return vecdb.Muvera()
    sizes, codes = spec.split(" ")
    repetitions, bits, projection = map(int, sizes.split("x"))
    return vecdb.Muvera(repetitions, bits, projection, codes=codes)


def _collection(factor: int) -> str:
    return "documents" if factor == 1 else f"pooled-{factor}"


def _schema(made: TokenSet, factor: int, coding: Any = "int8") -> Any:
    import vecdb

    return vecdb.Schema(
        id=vecdb.Id(),
        text=vecdb.Text(),
        section=vecdb.Keyword(),
        installed_kb=vecdb.Int64(),
        embedding=vecdb.Vector(made.held.dimension, index="flat"),
        tokens=vecdb.MultiVector(made.tokens.shape[1], dtype=coding, index="flat", pool_factor=factor),
    )


def _settings() -> Any:
    import vecdb

    return vecdb.Settings(threads=1, background=False)


def _folder(context: Context, name: str) -> Any:
    return context.home / labelled.folder_of(name).replace(":", "-")
