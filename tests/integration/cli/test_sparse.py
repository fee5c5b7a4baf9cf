"""`vecdb load`, `export`, `get` and `index` with sparse vectors."""

import json
from pathlib import Path

import vecdb as api
from integration.cli.program import Run

ROWS = [{"id": "a", "terms": {"12": 0.5, "907": 1.25}}, {"id": "b", "terms": None}, {"id": "c", "terms": {}}]
HELD = [{12: 0.5, 907: 1.25}, None, {}]


def held(path: Path) -> list[object]:
    with api.connect(path, read_only=True) as database:
        return [row["terms"] for row in database.collection("docs").get(["a", "b", "c"]) if row]


def test_json_objects_are_loaded_exported_and_loaded_again(vecdb: Run, tmp_path: Path) -> None:
    source, database = tmp_path / "rows.jsonl", tmp_path / "db"
    source.write_text("\n".join(map(json.dumps, ROWS)))

    vecdb("create", database, "docs", "--field", "id:id", "--field", "terms:sparse(1000)")
    vecdb("load", database, "docs", source)

    assert held(database) == HELD
    for extension in ("jsonl", "parquet", "arrow"):
        vecdb("export", database, "docs", tmp_path / f"out.{extension}")
        again = tmp_path / f"db-{extension}"
        vecdb("create", again, "docs", "--field", "id:id", "--field", "terms:sparse")
        vecdb("load", again, "docs", tmp_path / f"out.{extension}")
        assert held(again) == HELD
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert sorted(map(json.loads, lines), key=lambda row: row["id"]) == ROWS
    assert json.loads(vecdb("get", database, "docs", "a", "--output", "json").stdout)[0]["terms"] == ROWS[0]["terms"]
    told = json.loads(vecdb("index", database, "docs", "--output", "json").stdout)
    assert [(row["field"], row["index"]) for row in told] == [("terms", "sparse")]


def test_cells_of_text_are_json_objects(vecdb: Run, tmp_path: Path) -> None:
    source, database = tmp_path / "rows.csv", tmp_path / "db"
    source.write_text('id,terms\na,"{""12"":0.5,""907"":1.25}"\nb,\nc,{}\n')

    vecdb("create", database, "docs", "--field", "id:id", "--field", "terms:sparse")
    vecdb("load", database, "docs", source)

    assert held(database) == HELD
    source.write_text("id,terms\nd,[0.5]\n")
    assert b"a JSON object of terms and weights" in vecdb("load", database, "docs", source, code=2).stderr
