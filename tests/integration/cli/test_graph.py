"""Links on the command line: `vecdb query --expand`, and the picture of `vecdb graph`."""

import json
from pathlib import Path
from typing import Any

import pytest

import vecdb as api
from integration.cli.program import Run

QUERY = "query", "db", "docs", "--vector", "[1, 0]"
ODD = "</script><b>"


@pytest.fixture(autouse=True)
def collection(tmp_path: Path) -> None:
    schema = api.Schema(id=api.Id(), name=api.Keyword(), v=api.Vector(2, metric="dot"))
    with api.connect(tmp_path / "db") as database:
        docs = database.create_collection("docs", schema)
        docs.upsert(
            [{"id": key, "name": f"row {key}", "v": [1.0 - at, 0.0]} for at, key in enumerate(["a", "b", "c", ODD])]
        )
        docs.link(
            [
                {"src": "a", "dst": "b", "type": "depends"},
                {"src": "b", "dst": "c", "type": "depends", "weight": 0.5},
                {"src": "a", "dst": ODD, "type": "suggests"},
            ]
        )


def _asked(vecdb: Run, *options: str) -> list[dict[str, object]]:
    done = vecdb("query", "db", "docs", "--vector", "[1, 0]", "--k", "4", "--output", "json", *options)
    return json.loads(done.stdout)


def test_expand_goes_on_over_the_types_and_hops_that_it_names(vecdb: Run) -> None:
    assert all("path" not in hit for hit in _asked(vecdb))
    found = {hit["id"]: hit["path"] for hit in _asked(vecdb, "--expand", "depends:2", "--fetch", "1") if "path" in hit}
    assert set(found) >= {"a", "b", "c"}
    done = vecdb("query", "db", "docs", "--vector", "[1, 0]", "--expand", "depends:0", code=2)
    assert b"hops is 0" in done.stderr
    done = vecdb("query", "db", "docs", "--vector", "[1, 0]", "--expand", f"depends:{'9' * 5000}", code=2)
    assert b"too many" in done.stderr


def test_a_picture_holds_the_rows_around_one_and_needs_no_network(vecdb: Run, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    done = vecdb("graph", "db", "docs", "--around", "b", "--label", "name", "--out", "out.html")
    assert b"4 rows and 3 links in out.html" in done.stderr
    page = (tmp_path / "out.html").read_text()
    assert "row a" in page
    assert ODD not in page
    assert 'src="http' not in page
    again = vecdb("graph", "db", "docs", "--around", "b", "--out", "out.html", code=4)
    assert b"--force writes over it" in again.stderr
    fewer = vecdb("graph", "db", "docs", "--around", "b", "--out", "out.html", "--force", "--most", "2", "--hops", "1")
    assert b"2 rows and 1 links in out.html: there are more rows" in fewer.stderr
    missing = vecdb("graph", "db", "docs", "--around", "nobody", "--out", "nobody.html", code=3)
    assert b"no row with the id 'nobody'" in missing.stderr
    assert not (tmp_path / "nobody.html").exists()
    typed = vecdb("graph", "db", "docs", "--around", "a", "--out", "typed.html", "--links", "suggests")
    assert b"2 rows and 1 links" in typed.stderr


def test_a_picture_shows_odd_ids_and_types_as_they_are_and_not_as_html(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    from vecdb_client.drawing import Surroundings, write_picture

    write_picture(tmp_path / "x.html", Surroundings({"a": 0, ODD: 1}, [("a", ODD, ODD, 1.0)], False), {ODD: ODD})

    drawn = _traces((tmp_path / "x.html").read_text())
    texts = [text for trace in drawn for text in trace.get("text", [])]
    texts += [text for trace in drawn for both in trace.get("customdata", []) for text in both]
    texts += [trace["name"] for trace in drawn if "name" in trace]
    assert "a → &lt;/script&gt;&lt;b&gt; (1)" in texts
    assert texts.count("&lt;/script&gt;&lt;b&gt;") == 4, "the row's name, its id, its label, and the type of the link"
    assert not any("<" in text for text in texts)


def test_a_crowded_picture_names_the_middle_and_its_neighbours_and_breaks_long_labels(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    from vecdb_client.drawing import LINE, MOST_LINES, NAMED, Surroundings, write_picture

    away = {"hub": 0, "near": 1} | {f"far{at}": 2 for at in range(NAMED)}
    links = [("hub", "near", "link", 1.0), *(("near", f"far{at}", "link", 1.0) for at in range(NAMED))]

    write_picture(tmp_path / "x.html", Surroundings(away, links, False), {"far0": "long words " * 200})

    rows = _traces((tmp_path / "x.html").read_text())[-1]
    assert [name for name in rows["text"] if name] == ["hub", "near"]
    shown = dict(rows["customdata"])
    assert list(shown) == list(away), "the mouse shows every name"
    lines = shown["far0"].split("<br>")
    assert len(lines) == MOST_LINES
    assert max(map(len, lines)) <= LINE
    assert shown["far1"] == ""


def _traces(page: str) -> list[dict[str, Any]]:
    """Return what a page draws: the list of JSON that plotly is given."""
    call = page[page.rindex("Plotly.newPlot(") :]
    return json.JSONDecoder().raw_decode(call[call.index("[{") :])[0]


def test_a_picture_without_plotly_says_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from vecdb.errors import MissingExtraError
    from vecdb_client.drawing import Surroundings, write_picture

    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtraError, match=r"\[picture\]"):
        write_picture(tmp_path / "x.html", Surroundings({"a": 0}, [], False), {})


def test_a_set_covers_communities_or_keeps_linked_rows_apart(vecdb: Run) -> None:
    one = _asked(vecdb, "--select", "coverage", "--form", "communities", "--balance", "0.9", "--k", "1")
    assert one[0]["id"] == "a"
    apart = _asked(vecdb, "--select", "coverage", "--by-links", "--distinct", "0.25")
    assert [hit["id"] for hit in apart] == ["a"], "all others are linked to it, or have a common neighbour"
    assert b"--by-links needs --select" in vecdb(*QUERY, "--by-links", code=2).stderr
