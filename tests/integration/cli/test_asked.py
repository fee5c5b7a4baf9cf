"""`vecdb query` with words, several arms, stages and pages: the same answers as `vecdb.Query` in Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run
from vecdb_client.cli import complete

ROWS = 200
MATRIX = np.random.default_rng(5).standard_normal((ROWS, 8)).astype(np.float32)
VECTOR = json.dumps(MATRIX[3].tolist())
WORDS = ("chess", "engine", "quiet", "bread", "ship")
SCHEMA = api.Schema(
    id=api.Id(),
    title=api.Text(search=True),
    body=api.Text(search=True),
    section=api.Keyword(),
    size=api.Int64(),
    embedding=api.Vector(8),
    terms=api.Sparse(),
)


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    with api.connect(tmp_path / "db") as database:
        database.create_collection("docs", SCHEMA).upsert(
            [
                {
                    "id": f"d{n}",
                    "title": f"{WORDS[n % 5]} {WORDS[n * 3 % 5]}",
                    "body": " ".join(WORDS[: n % 4 + 1]) + "\x1b[31m" * (n == 5),
                    "section": f"s{n % 3}",
                    "size": n * 37 % 100,
                    "embedding": MATRIX[n],
                    "terms": {n % 7: 1.0, n % 11 + 10: 0.5},
                }
                for n in range(ROWS)
            ]
        )


def hits(vecdb: Run, *options: object) -> list[dict[str, Any]]:
    done = vecdb("query", "db", "docs", *options, "--output", "jsonl")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(vecdb: Run, *options: object) -> list[str]:
    return [hit["id"] for hit in hits(vecdb, *options)]


NEAR = api.Query().near("embedding", MATRIX[3])
SAME: list[tuple[list[str], api.Query]] = [
    (["--match", "quiet engine", "--match-field", "body"], api.Query().match("body", "quiet engine")),
    (["--match", "ship", "--match-field", "title^3,body"], api.Query().match({"title": 3, "body": 1}, "ship")),
    (
        ["--vector", VECTOR, "--match", "ship", "--match-field", "title", "--fusion", "auto", "--fetch", "30"],
        api.Query().near("embedding", MATRIX[3], fetch=30).match("title", "ship", fetch=30).fuse("auto"),
    ),
    (["--vector", VECTOR, "--group-by", "section", "--per-group", "2"], NEAR.group_by("section", 2)),
    (["--vector", VECTOR, "--order-by", "size desc, id", "-k", "7"], NEAR.take(7).order_by("size desc", "id")),
    (["--order-by", "size desc", "--where", "size < 50"], api.Query().where("size < 50").order_by("size desc")),
    (["--vector", VECTOR, "--min-score", "0.5"], NEAR.min_score(0.5)),
    (["--vector", VECTOR, "--collapse", "embedding:0.4"], NEAR.collapse("embedding", 0.4)),
    (["--vector", VECTOR, "--collapse", "section"], NEAR.collapse("section")),
    (
        ["--like", "d1", "--like", "d2", "--unlike", "d9", "--strategy", "sum", "--exact"],
        api.Query().like("embedding", ["d1", "d2"], ["d9"], "sum").exactly(),
    ),
    (["--terms", '{"3": 2, "12": 0.25}'], api.Query().terms("terms", {3: 2, 12: 0.25})),
    (
        ["--terms", '{"3": 2}', "--terms-field", "terms", "--match", "ship", "--match-field", "title"],
        api.Query().match("title", "ship").terms("terms", {3: 2}),
    ),
    (
        ["--vector", VECTOR, "--terms", '{"3": 2}', "--fusion", "weighted", "--fetch", "20", "--allow-partial"],
        api.Query().near("embedding", MATRIX[3], fetch=20).terms("terms", {3: 2}, fetch=20).fuse("weighted").partial(),
    ),
    (
        ["--vector", VECTOR, "--rank", '["+", ["*", "score", 100], ["value", "size"]]', "--min-score", "50"],
        NEAR.rank(api.formula.score * 100 + api.formula.value("size")).min_score(50),
    ),
]


@pytest.mark.parametrize(("options", "meant"), SAME, ids=lambda one: " ".join(one[::2]) if type(one) is list else "")
def test_options_mean_a_query(options: list[str], meant: api.Query, vecdb: Run, tmp_path: Path) -> None:
    found = hits(vecdb, *options)

    with api.connect(tmp_path / "db", read_only=True) as database:
        expected = database.collection("docs").run(meant)
    assert [(hit["id"], hit["score"]) for hit in found] == [(hit.id, hit.score) for hit in expected]
    assert [hit.get("group") for hit in found] == (
        [None] * len(found) if expected.groups is None else [one.value for one in expected.groups for _ in one.hits]
    )
    assert [hit.get("arms", {}) for hit in found] == [
        {name: arm._asdict() for name, arm in hit.arms.items()} for hit in expected
    ]
    assert [hit.get("highlights", {}) for hit in found] == [
        {name: {"text": one.text, "spans": [list(span) for span in one.spans]} for name, one in told.items()}
        for told in expected.highlights()
    ]


def test_a_whole_query_comes_as_json_as_a_file_and_on_stdin(vecdb: Run, tmp_path: Path) -> None:
    meant = api.Query(4).near("embedding", MATRIX[3]).match("body", "engine").where("size < 60").group_by("section", 2)
    text = json.dumps(meant.to_json())
    (tmp_path / "q.json").write_text(text)

    found = [
        vecdb("query", "db", "docs", "--query", given, "-o", "jsonl", stdin=text.encode()).stdout
        for given in (text, "q.json", "@q.json", "-")
    ]

    with api.connect(tmp_path / "db", read_only=True) as database:
        expected = database.collection("docs").run(meant)
    assert [json.loads(line)["id"] for line in found[0].splitlines()] == expected.ids
    assert len(set(found)) == 1


def test_terms_come_as_a_file_and_on_stdin(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "terms.json").write_text('{"3": 2}')

    expected = ids(vecdb, "--terms", '{"3": 2}')
    piped = vecdb("query", "db", "docs", "--terms", "-", "-o", "jsonl", stdin=b'{"3": 2}').stdout

    assert expected
    assert ids(vecdb, "--terms", "@terms.json") == expected
    assert [json.loads(line)["id"] for line in piped.splitlines()] == expected


@pytest.mark.parametrize("option", ["--unlike", "--strategy"])
def test_what_is_not_sought_alone_is_told_what_it_needs(option: str, vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", option, "best", code=2)

    assert done.stderr.decode().splitlines()[0].startswith(f"error: {option} needs --like: ")


@pytest.mark.parametrize("options", [["--vector", VECTOR], ["--order-by", "size"], ["--id", "d3"]])
def test_pages_are_one_long_answer(options: list[str], vecdb: Run) -> None:
    pages, after = [], []
    while True:
        done = vecdb("query", "db", "docs", *options, "-k", "60", *after, "-o", "jsonl")
        pages += [json.loads(line)["id"] for line in done.stdout.splitlines()]
        told = done.stderr.decode().split()
        if not told:
            break
        assert told[:3] == ["next", "page:", "--after"]
        after = told[2:]

    assert pages == ids(vecdb, *options, "-k", "500")
    assert len(set(pages)) == len(pages) == ROWS - (options[0] == "--id")


def test_a_table_shows_groups_and_the_rank_in_each_arm(vecdb: Run) -> None:
    options = ["--vector", VECTOR, "--match", "engine", "--match-field", "body", "--group-by", "section", "-k", "2"]

    head, *lines = vecdb("query", "db", "docs", *options, "--show", "size").stdout.decode().splitlines()

    assert head.split() == ["group", "id", "score", "#embedding", "#body", "size"]
    assert [line.split()[1] for line in lines] == ids(vecdb, *options)


def test_what_happened_is_told_with_rows_and_times(vecdb: Run) -> None:
    options = ["query", "db", "docs", "--vector", VECTOR, "--match", "engine", "--match-field", "body"]

    planned = vecdb(*options, "--explain").stderr.decode()
    measured = vecdb(*options, "--analyze").stderr.decode()
    told = json.loads(vecdb(*options, "--analyze", "-o", "json").stdout)["explain"]

    assert "estimated, not run\n├─ embedding near" in planned
    assert "└─ fuse rrf: " in measured
    assert " ms" in measured.splitlines()[1]
    assert (told["analyzed"], [step["step"] for step in told["steps"]]) == (True, ["embedding", "body", "fuse"])


WRONG = [
    "",
    "--match",
    "--match engine",  # two texts: which?
    "--match engine --match-field size",
    "--match engine --match-field title^x",
    "--match engine --match-field title,title",
    "--match engine --match-field title --recall 0.5",
    "--match-field title --id d1",
    "--id d1 --like d2",
    "--id d1 --fusion rrf",
    "--id d1 --match ship --match-field body --fusion best",
    "--id d1 --per-group 2",
    "--id d1 --group-by section --after x",
    "--id d1 --group-by embedding",
    "--id d1 --collapse embedding:two",
    "--id d1 --collapse embedding:2",
    "--id d1 --min-score nan",
    "--id d1 --order-by size,down,x",
    "--id d1 --after nonsense",
    "--id d1 --fetch 0",
    "--unlike d1",
    "--like d1 --strategy worst",
    "--terms 3",
    "--terms {",
    "--terms @nowhere.json --vector -",
    "--terms - --vector -",
    '--terms {"x":1}',
    '--terms {"3":1} --terms-field body',
    '--terms {"3":1} --fusion auto',
    "--terms-field terms --id d1",
    "--id d1 --rank {",
    '--id d1 --rank ["value"]',
    "--like d1 --ef 5",
    "--query {",
    "--query []",
    '--query {"arms":[{"kind":"near"}]}',
    '--query {"k":3} --k 4',
    '--query {"k":3} --where size>1',
    "--id d1 --cut gap:nan",
    "--id d1 --cut gap:1.5",
    "--id d1 --expand next:0",
    "--id d1 --select coverage --grid size:x",
    "--id d1 --select coverage --form saturated --universe cells:²",
    "--query .",
]


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_refused_in_a_sentence(options: str, vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", *options.split(), code=2)

    assert done.stderr.startswith(b"error: ")
    assert b"__" not in done.stderr
    assert done.stdout == b""


# -- facets ---------------------------------------------------------------------------------------------------------


def test_values_and_ranges_are_counted(vecdb: Run) -> None:
    sizes = [n * 37 % 100 for n in range(ROWS) if n % 3 == 1]
    options = ["facets", "db", "docs", "section", "--ranges", "size=0,50,", "--where", "section = 's1'"]

    told = json.loads(vecdb(*options, "--output", "json").stdout)
    head, *lines = vecdb(*options).stdout.decode().splitlines()

    assert told["rows"] == len(sizes)
    assert told["facets"]["section"]["counts"] == [{"value": "s1", "count": len(sizes)}]
    low = sum(size < 50 for size in sizes)
    assert [one["count"] for one in told["facets"]["size"]["counts"]] == [low, len(sizes) - low]
    assert head.split() == ["field", "value", "count"]
    assert lines[0].split() == ["section", "s1", str(len(sizes)), "█" * 20]


@pytest.mark.parametrize(
    "options", ["", "embedding", "nope", "--ranges size", "--ranges size=1,x", "--ranges size=3,1", "--ranges nope=1,2"]
)
def test_what_cannot_be_counted_is_refused(options: str, vecdb: Run) -> None:
    assert vecdb("facets", "db", "docs", *options.split(), code=2).stderr.startswith(b"error: ")


# -- export ---------------------------------------------------------------------------------------------------------


def test_rows_are_exported_in_an_order_and_later_those_behind_them(vecdb: Run, tmp_path: Path) -> None:
    first = vecdb("export", "db", "docs", "-", "--format", "jsonl", "--show", "size", "--order-by", "size desc, id")
    cursor = first.stderr.decode().split()[-1]
    with api.connect(tmp_path / "db") as database:
        database.collection("docs").upsert({"id": "z", "size": -1})

    later = vecdb(
        "export", "db", "docs", "-", "--format", "jsonl", "--show", "size", "--order-by", "size desc, id",
        "--after", cursor,
    )  # fmt: skip

    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert len(rows) == ROWS
    assert rows == sorted(rows, key=lambda row: (-row["size"], row["id"]))
    assert json.loads(later.stdout) == {"id": "z", "size": -1}


# -- completion -----------------------------------------------------------------------------------------------------


def offered(vecdb: Run, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv("_VECDB_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", words[-1])
    done = vecdb(code=0)
    assert done.stderr == b""
    return done.stdout.decode().split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vecdb query db ", ["docs"]),
        ("vecdb query db docs --group-by s", ["section", "size"]),
        ("vecdb query db docs --show title,s", ["title,section", "title,size"]),
        ("vecdb query db docs --field ", ["title", "body", "embedding"]),
        ("vecdb query db docs --match-field ", ["title", "body"]),
        ("vecdb query db docs --fusion in", ["interleave"]),
        ("vecdb facets db docs se", ["section"]),
        ("vecdb query nowhere docs --group-by s", []),
        ("vecdb query db nothing --group-by s", []),
    ],
)
def test_the_shell_is_offered_what_there_is(
    line: str, words: list[str], vecdb: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(vecdb, monkeypatch, line) == words


def test_the_words_that_completion_knows_are_all_there_are() -> None:
    from typing import get_args

    from vecdb.query.arms import Strategy
    from vecdb.query.fusion import FUSIONS

    assert set(complete.FUSIONS) == set(FUSIONS)
    assert get_args(Strategy) == complete.STRATEGIES
