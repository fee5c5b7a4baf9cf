"""Questions and judgements, from the files that users have.

Questions: Parquet, JSON Lines, CSV or TSV with an id and any other columns; a TSV without a header is id and text.
Judgements: TREC qrels (`query subtopic document relevance`, with spaces between), or Parquet, JSON Lines, CSV or TSV.
Columns are found by the names that are common for them: see `QUERY`, `DOCUMENT`, `RELEVANCE` and `SUBTOPIC`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecdb.errors import InvalidInputError, NotFoundError

QUERY = ("query_id", "query-id", "qid", "topic", "topic_id", "query")
DOCUMENT = ("doc_id", "corpus-id", "corpus_id", "did", "docid", "docno", "document_id", "document", "id")
RELEVANCE = ("relevance", "rel", "score", "label", "grade")
SUBTOPIC = ("subtopic", "subtopic_id", "aspect", "iteration")
QUESTION_IDS = ("id", "_id", *QUERY)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: what judgements call it.
        values: what fills the places of a configuration: "text", "embedding" and so on.
        where: a filter that every configuration is asked under; None: none.

    """

    id: str
    values: Mapping[str, Any]
    where: str | None = None


@dataclass(frozen=True)
class Judgement:
    """How well a document answers a question: 0 not at all, more is better; of a subtopic, where that is judged."""

    question: str
    document: str
    relevance: int = 1
    subtopic: str | None = None


def read_questions(path: str | Path) -> list[Question]:
    """Return the questions of a file.

    A column called `where` is the question's filter; all others are values, vectors as lists of numbers.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it has no column of ids, an id comes twice, or it cannot be read.

    """
    file = _existing(path)
    rows = _rows(file, ("id", "text"))
    if not rows:
        raise InvalidInputError(f"{file} holds no questions", field="questions")
    name = _column(rows[0], QUESTION_IDS, file, "the questions' ids")
    found: dict[str, Question] = {}
    for row in rows:
        values = {key: value for key, value in row.items() if key not in (name, "where") and value is not None}
        question = Question(str(row[name]), values, row.get("where") or None)
        if question.id in found:
            raise InvalidInputError(f"{file} has two questions with the id {question.id!r}", field="questions")
        found[question.id] = question
    return list(found.values())


def read_judgements(path: str | Path) -> list[Judgement]:
    """Return the judgements of a file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: a column is missing, a relevance is no whole number, or the file cannot be read.

    """
    file = _existing(path)
    if file.suffix.lower() not in _READERS:
        return _trec(file)
    rows = _rows(file, ("query_id", "doc_id", "relevance"))
    if not rows:
        raise InvalidInputError(f"{file} holds no judgements", field="judgements")
    query, document = (_column(rows[0], QUERY, file, "queries"), _column(rows[0], DOCUMENT, file, "documents"))
    relevance, subtopic = (next((name for name in names if name in rows[0]), "") for names in (RELEVANCE, SUBTOPIC))
    return [
        Judgement(
            str(row[query]),
            str(row[document]),
            _whole(row.get(relevance, 1), file, at),
            _named(row.get(subtopic)),
        )
        for at, row in enumerate(rows)
    ]


def _existing(path: str | Path) -> Path:
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"no such file: {file}")
    return file


def _trec(file: Path) -> list[Judgement]:
    found: list[Judgement] = []
    for at, line in enumerate(file.read_text("utf-8").splitlines()):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 4:
            told = f"{file}, line {at + 1}: expected `query subtopic document relevance`, found {line[:80]!r}"
            raise InvalidInputError(told, field="judgements", row=at)
        found.append(Judgement(parts[0], parts[2], _whole(parts[3], file, at), _named(parts[1])))
    if not found:
        raise InvalidInputError(f"{file} holds no judgements", field="judgements")
    return found


def _named(subtopic: Any) -> str | None:
    """Return a subtopic; "0" and "Q0" are what TREC writes where there is none."""
    return None if subtopic is None or str(subtopic) in ("", "0", "Q0") else str(subtopic)


def _whole(value: Any, file: Path, at: int) -> int:
    try:
        number = float(value)
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidInputError(f"{file}, row {at}: the relevance {value!r} is no whole number", field="relevance", row=at)


def _column(row: Row, names: Sequence[str], file: Path, what: str) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        there = ", ".join(map(str, row))
        raise InvalidInputError(f"{file} has no column of {what}: it may be called {', '.join(names)}; it has {there}")
    return found


def _rows(file: Path, headless: Sequence[str]) -> list[Row]:
    read = _READERS.get(file.suffix.lower())
    if read is None:
        known = ", ".join(_READERS)
        raise InvalidInputError(f"cannot tell the format of {file}: its name may end in {known}", value=str(file))
    try:
        return read(file, headless)
    except (OSError, ValueError, csv.Error) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidInputError(f"cannot read {file}: {first:.300}") from error


def _parquet(file: Path, headless: Sequence[str]) -> list[Row]:
    import pyarrow.parquet as pq

    return pq.read_table(file).to_pylist()


def _json_lines(file: Path, headless: Sequence[str]) -> list[Row]:
    import orjson

    rows = [orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("every line is to be a JSON object")
    return rows


def _separated(delimiter: str) -> Callable[[Path, Sequence[str]], list[Row]]:
    def read(file: Path, headless: Sequence[str]) -> list[Row]:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            cells = [line for line in csv.reader(lines, delimiter=delimiter) if line]
        named = {*QUESTION_IDS, *DOCUMENT}
        header = list(cells.pop(0)) if cells and named & set(cells[0]) else list(headless)
        for at, line in enumerate(cells):
            if len(line) != len(header):
                raise ValueError(f"row {at} has {len(line)} cells, expected {len(header)}: {', '.join(header)}")
        return [{name: _cell(text) for name, text in zip(header, line, strict=True)} for line in cells]

    return read


def _cell(text: str) -> Any:
    """Return a text, or the numbers of a vector that is written as a JSON array; an empty cell is none."""
    if not text.startswith("["):
        return text or None
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_READERS: dict[str, Callable[[Path, Sequence[str]], list[Row]]] = {
    ".parquet": _parquet,
    ".pq": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
}
