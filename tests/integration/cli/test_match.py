"""`vecdb query --match`, `--field x:text(search)`, and `vecdb index` of texts."""

import json
from pathlib import Path
from typing import Any

import pytest

import vecdb as api
from integration.cli.program import Run
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.fields import describe_field, describe_search, parse_field, parse_search

ROWS = [
    {"id": "a", "title": "Chess", "abstract": "A quiet chess engine\nthat plays well"},
    {"id": "b", "title": "Go", "abstract": "Games of Go without engines"},
    {"id": "c", "title": "Draughts", "abstract": None},
]
WRONG = ["text(searching)", "text(search,colour=red)", "text(search,k1)", "text(search,b=1,b=0)"]


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    schema = api.Schema(id=api.Id(), title=api.Text(), abstract=api.Text(search=True))
    with api.connect(tmp_path / "db") as database:
        database.create_collection("docs", schema).upsert(ROWS)


def test_words_find_rows_and_a_table_marks_them_in_the_text(vecdb: Run) -> None:
    lines = vecdb("query", "db", "docs", "--match", "chess engines").stdout.decode().splitlines()

    assert lines[0].split() == ["id", "score", "title", "abstract"]
    assert lines[1].startswith("a")
    assert lines[1].endswith("A quiet **chess** **engine**\\nthat plays well")
    assert lines[2].endswith("Games of Go without **engines**")


def test_json_has_the_text_and_what_of_it_was_found(vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "-m", '"quiet chess"', "--output", "jsonl", "--analyze")

    (hit,) = map(json.loads, done.stdout.splitlines())
    assert hit["abstract"] == ROWS[0]["abstract"]
    assert hit["highlights"] == {"abstract": {"text": ROWS[0]["abstract"], "spans": [[2, 7], [8, 13]]}}
    assert b"words in memory" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--match", "a", "--field", "abstract", "--match-field", "abstract"], "give one of them"),
        (["--match", "a", "--field", "title"], "'title' is not searched by words"),
        (["--match", "a", "--field", "nowhere"], "no field 'nowhere'"),
        (["--match", "a", "--ef", "7"], "misses nothing"),
    ],
)
def test_what_does_not_go_together_is_refused(vecdb: Run, options: list[str], told: str) -> None:
    assert told in vecdb("query", "db", "docs", *options, code=2).stderr.decode()


def test_index_turns_search_on_shows_it_and_turns_it_off(vecdb: Run) -> None:
    on = vecdb("index", "db", "docs", "--field", "title", "--set", "search(language=none)", "--output", "json")
    found = vecdb("query", "db", "docs", "--field", "title", "--match", "go", "--output", "jsonl")
    vecdb("index", "db", "docs", "--field", "title", "--set", "off")
    every = vecdb("index", "db", "docs", "--output", "json")

    assert [(row["field"], row["index"]) for row in json.loads(on.stdout)] == [("title", "search(language=none)")]
    assert json.loads(found.stdout)["id"] == "b"
    assert [(row["field"], row["index"], row["rows"]) for row in json.loads(every.stdout)] == [
        ("abstract", "search", {"memory": 3})
    ]
    assert (
        "does not say how" in vecdb("index", "db", "docs", "--field", "title", "--set", "hnsw", code=2).stderr.decode()
    )


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("text", None),
        ("text(search)", {}),
        ("text(search,language=german,k1=0.9)", {"language": "german", "k1": 0.9}),
        ("text(search,language=none)", {"language": None}),
        ("text(search,stop_words=das|der,positions=false)", {"stop_words": ["der", "das"], "positions": False}),
        ("text(search,stop_words=false,b=0.0,shortest=2)", {"stop_words": False, "b": 0, "shortest": 2}),
    ],
)
def test_what_describes_a_text_field_reads_as_the_same_field(text: str, spec: dict[str, Any] | None) -> None:
    field = api.Text(search=spec is not None and api.FullText(**spec))

    assert parse_field(f"body:{text}") == ("body", field)
    assert parse_field(f"body:{describe_field(field)}") == ("body", field)
    if field.fulltext is not None:
        assert parse_search(describe_search(field.fulltext)) == field.fulltext


@pytest.mark.parametrize(
    "text", ["text(searching)", "text(search,colour=red)", "text(search,k1)", "text(search,b=1,b=0)"]
)
def test_what_says_nothing_of_a_text_field_is_refused(text: str) -> None:
    with pytest.raises((CommandError, api.errors.InvalidInputError)):
        parse_field(f"body:{text}")
