"""The transcripts of `explain` are what they were: a plan that changes is noticed, and read by somebody."""

import difflib
from collections.abc import Iterator

import pytest

from golden.explanations import FOLDER, QUERIES, stored, told
from vecdb import Collection

RENEW = "python tests/golden/explanations.py"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with stored(tmp_path_factory.mktemp("explain") / "demo") as collection:
        yield collection


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_explained_as_ever(name: str, words: Collection) -> None:
    expected = (FOLDER / f"{name}.txt").read_text("utf-8")

    found = told(words, QUERIES[name])

    difference = "\n".join(difflib.unified_diff(expected.splitlines(), found.splitlines(), lineterm="", n=0))
    assert found == expected, f"meant so? {RENEW}\n{difference}"


def test_each_transcript_belongs_to_a_query() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(QUERIES)
