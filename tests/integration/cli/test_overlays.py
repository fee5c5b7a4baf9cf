"""`vecdb link-similar` and `link-entities`: links that are made of the rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run
from support.ways import served

TEXTS = {
    "t1": "Alien was directed by Ridley Scott.",
    "t2": "Blade Runner was directed by Ridley Scott. Ridley Scott was born in South Shields.",
    "t3": "nothing is named here",
}


def listed(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def texts(tmp_path: Path) -> None:
    with api.connect(tmp_path / "db") as database:
        docs = database.create_collection(
            "docs", api.Schema(id=api.Id(), body=api.Text(search=True), n=api.Int64(), v=api.Vector(4))
        )
        vectors = np.eye(4, dtype=np.float32)[:3] + np.float32(0.5)
        docs.upsert({"id": list(TEXTS), "body": list(TEXTS.values()), "n": [1, 2, 3], "v": list(vectors)})


@pytest.mark.usefixtures("texts")
def test_rows_that_are_alike_are_linked_and_the_links_brought_up_to_date(vecdb: Run) -> None:
    first, again = vecdb("link-similar", "db", "docs", "--k", "2"), vecdb("link-similar", "db", "docs", "--k", "2")

    assert first.stdout == b"searched for 3 rows, wrote 6 links and deleted 0\n"
    assert again.stdout == b"searched for 0 rows, wrote 0 links and deleted 0\n"
    assert {row["neighbour"] for row in listed(vecdb("links", "db", "docs", "t1", "-o", "jsonl"))} == {"t2", "t3"}


@pytest.mark.usefixtures("texts")
def test_texts_are_linked_to_what_they_name(vecdb: Run, tmp_path: Path) -> None:
    first, again = (vecdb("link-entities", "db", "docs", "--field", "body") for _ in range(2))

    assert first.stdout == b"read 3 texts and found 3 facts: wrote 8 links, and rows for 4 names\n"
    assert again.stdout == b"read 3 texts and found 3 facts: wrote 8 links, and rows for 0 names\n"
    with api.connect(tmp_path / "db", read_only=True) as database:
        docs = database["docs"]
        assert docs.link_stats()["dangling_ids"] == 0
        walk = api.Query(k=5).linked("entity:Alien", path=(">directed by", ">born in"))
        assert docs.run(walk).ids == ["entity:South Shields"]


@pytest.mark.usefixtures("texts")
def test_only_rows_that_match_are_read(vecdb: Run) -> None:
    done = vecdb("link-entities", "db", "docs", "--field", "body", "--where", "n = 1")
    assert done.stdout == b"read 1 texts and found 1 facts: wrote 3 links, and rows for 2 names\n"


@pytest.mark.usefixtures("texts")
def test_names_are_found_in_texts_only(vecdb: Run) -> None:
    done = vecdb("link-entities", "db", "docs", "--field", "n", code=2)
    assert b"'n' is int64, names are found in a text" in done.stderr


@pytest.mark.usefixtures("texts")
def test_both_commands_take_a_server(vecdb: Run, tmp_path: Path) -> None:
    with served(tmp_path / "db") as address:
        alike = vecdb("link-similar", address, "docs", "--k", "2")
        named = vecdb("link-entities", address, "docs", "--field", "body")

    assert alike.stdout == b"searched for 3 rows, wrote 6 links and deleted 0\n"
    assert named.stdout == b"read 3 texts and found 3 facts: wrote 8 links, and rows for 4 names\n"
    assert {row["neighbour"] for row in listed(vecdb("links", "db", "docs", "t1", "-o", "jsonl"))} >= {"t2", "t3"}
