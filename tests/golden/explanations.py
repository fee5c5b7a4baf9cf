"""What `explain` says of a dozen queries over the demo's rows: `python tests/golden/explanations.py` writes it anew.

Do that when a plan or its words have changed on purpose, and read the difference. Times and the names of segments are
masked. The other numbers come again, run after run: one thread builds the index, and plans do not ask the clock.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import vecdb
from vecdb import Collection, Query, demo
from vecdb import formula as f
from vecdb.demo.data import question_vectors

FOLDER = Path(__file__).with_name("explain")
HONEY = question_vectors()["honey"][1]
SHELL = question_vectors()["shell"][1]
NEAR = Query(k=5).near("embedding", HONEY)
LEAVES = Query(k=50).near("embedding", SHELL).match("text", "shell").where("leaf = true")

QUERIES: dict[str, Query] = {
    "plain": NEAR,
    "exact": NEAR.exactly(),
    "filtered-unselective": NEAR.where("pos = 'noun'"),
    "filtered-selective": NEAR.where("lexname = 'verb.consumption' and senses > 3"),
    "filtered-to-nothing": NEAR.where("senses < 0"),
    "text": Query(k=5).match("text", "+honey bee*"),
    "text-filtered": Query(k=5).match("text", "honey bees").where("lexname = 'noun.animal'"),
    "hybrid": NEAR.match("text", "insect honey").fuse("auto"),
    "nested": NEAR.gather(
        Query(k=50).near("embedding", SHELL).match("text", "shell").where("leaf = true"), name="both"
    ),
    "like": Query(k=5).like("embedding", ["horse.n.01", "mule.n.01"], ["zebra.n.01"], "sum"),
    "grouped": NEAR.group_by("lexname", 2),
    "formula": NEAR.match("text", "insect honey").rank(f.score + 0.1 * f.log1p(f.value("frequency")), top=100),
    "stages": NEAR.min_score(0.2).collapse("embedding", 0.9).rescore("embedding", SHELL, top=50),
    "ordered": Query(k=5).where("pos = 'verb'").order_by("senses desc", "id"),
}


@contextmanager
def stored(path: Path) -> Iterator[Collection]:
    """Make the demo's collection at a path, with its index, and rows that are in memory only."""
    settings = vecdb.Settings(background=False, threads=1)
    with vecdb.connect(path, settings=settings) as database:
        words = database.create_collection(demo.COLLECTION, demo.schema())
        words.upsert(demo.load())
        words.build_indexes()
        words.upsert([{"id": "mead.n.09", "text": "mead: honey and water, fermented", "embedding": HONEY}])
        yield words


def told(words: Collection, query: Query) -> str:
    """Return the plan of a query and what happened, masked."""
    words.run(query)
    parts = str(words.explain(query)), str(words.explain(query, analyze=True))
    return masked("\n\n".join(parts)) + "\n"


def masked(text: str) -> str:
    """Return a text without what no two runs share."""
    text = re.sub(r"\b\d+\.\d{3} ms\b", "_ ms", text)
    return re.sub(r"\bsegment [0-9a-f]{8}\b", "segment ________", text)


def main() -> None:
    """Write all transcripts, and remove those of queries that are gone."""
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder, stored(Path(folder) / "demo") as words:
        for name, query in QUERIES.items():
            (FOLDER / f"{name}.txt").write_text(told(words, query), "utf-8")


if __name__ == "__main__":
    main()
