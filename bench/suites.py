"""Which runs make the records that documents quote, by name: `python -m bench.run --suite readme`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One record: a workload, the label of a variant, and what differs from the workload's own parameters."""

    workload: str
    label: str = ""
    settings: tuple[str, ...] = ()


_PEERS = (
    Run("ann"),
    Run("ann", "fashion", ("dataset=fashion",)),
    Run("filtered"),
    Run("index_ingest"),
    Run("text"),
    Run("servers"),
    Run("maxsim"),
    Run("selection"),
    Run("exact", "", ("dataset=debian60k@300000", "rounds=5")),
)
_ALONE = (
    *(Run(name) for name in ("memory", "open", "startup", "planner", "churn", "arms", "batch")),
    *(Run(name) for name in ("quality", "relevance", "serve")),
    Run("selection", "late", ("sets=", "fused=", "curve=", "pools=1", "calls=5")),
)
_ENCODINGS = "indexes=40x2x8 4bit,40x3x8 4bit,80x3x8 4bit,40x4x16 4bit,40x4x16 8bit,auto"
_MULTIVECTOR = (
    Run("multivector", "scifact", ("sets=scifact-test", _ENCODINGS, "pools=", "passes=1")),
    Run("multivector", "hotpot", ("sets=hotpot", _ENCODINGS, "passes=1")),
    Run("multivector", "limit", ("sets=limit_small", "indexes=", "pools=", "codings=", "passes=1")),
)
_LINKED = (
    Run("linked", "", ("edges=",)),
    Run("linked", "speed", ("sets=", "packages=", "metaqa=0", "edges=200000,1000000,3000000")),
)
_WRITES = (
    Run("ingest", "", ("datasets=debian60k@300000",)),
    Run("upsert", "", ("seconds=3",)),
)
_LARGE = (
    Run("ann", "500k", ("dataset=debian60k~500000",)),
    Run("growth", "", ("sizes=10000,100000,1000000",)),
)

SUITES = {"peers": _PEERS, "readme": (*_PEERS, *_ALONE, *_WRITES, *_MULTIVECTOR, *_LINKED, *_LARGE)}
