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
    Run("exact", "", ("dataset=debian60k@300000", "rounds=5")),
)
_ALONE = tuple(
    Run(name)
    for name in ("memory", "open", "startup", "planner", "churn", "arms", "quality", "relevance", "selection", "serve")
)
_MULTIVECTOR = (
    Run("multivector", "scifact", ("sets=scifact-test", "indexes=40x3x8 rabitq,40x4x16 rabitq,auto", "passes=1")),
    Run(
        "multivector",
        "hotpot",
        ("sets=hotpot", "indexes=auto,10x3x8 rabitq,40x3x8 rabitq,40x4x16 rabitq,40x3x8 8bit", "passes=1"),
    ),
)
_WRITES = (
    Run("ingest", "", ("datasets=debian60k@300000",)),
    Run("upsert", "", ("seconds=3",)),
)
_LARGE = (
    Run("ann", "500k", ("dataset=debian60k~500000",)),
    Run("growth", "", ("sizes=10000,100000,1000000",)),
)

SUITES = {"peers": _PEERS, "readme": (*_PEERS, *_ALONE, *_WRITES, *_MULTIVECTOR, *_LARGE)}
