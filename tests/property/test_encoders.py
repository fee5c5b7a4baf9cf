"""Whatever is written, in whichever way: rows whose texts are encoded equal rows whose vectors are given."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import vecdb
from support.encoders import DIMENSION, Counting, vector
from support.unsynced import unsynced

TEXTS = st.none() | st.sampled_from(["", "a", "b", "é 😀", "a longer text"]) | st.text(max_size=5)
ROW = st.fixed_dictionaries({"text": TEXTS}, optional={"embedding": st.none() | st.integers(1, 5)})
STEPS = st.lists(
    st.tuples(st.sampled_from(["upsert", "bulk", "patch"]), st.dictionaries(st.sampled_from("abcd"), ROW, min_size=1)),
    min_size=1,
    max_size=6,
)


def _fields(made: Any) -> vecdb.Schema:
    source = None if made is None else "text"
    return vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(), v=vecdb.Vector(DIMENSION, encoder=made, source=source))


def _write(docs: vecdb.Collection, how: str, records: list[dict[str, Any]]) -> None:
    if how == "bulk":
        with docs.bulk() as load:
            load.add(records)
    else:
        getattr(docs, how)(records)


@settings(max_examples=60)
@given(STEPS, st.integers(1, 3))
def test_encoded_rows_equal_rows_with_vectors_given(steps: list[tuple[str, dict[str, Any]]], batch: int) -> None:
    made = vecdb.Encoder(Counting(), "hash", batch_size=batch)
    options = vecdb.Settings(background=False, free_bytes=0)
    with unsynced(), vecdb.connect(":memory:", settings=options) as database:
        docs = database.create_collection("docs", _fields(made))
        plain = database.create_collection("plain", _fields(None))
        for how, rows in steps:
            known = {name: row for name, row in rows.items() if how != "patch" or docs.get(name) is not None}
            given_rows, whole = [], []
            for name, row in known.items():
                own = row.get("embedding")
                mine = None if own is None else np.full(DIMENSION, float(own))
                record = {"id": name, "text": row["text"]}
                given_rows.append({**record, "v": mine} if "embedding" in row or how == "patch" else record)
                text = row["text"]
                whole.append({**record, "v": mine if mine is not None else None if text is None else vector(text)})
            if known:
                _write(docs, how, given_rows)
                _write(plain, how, whole)

        for name in "abcd":
            np.testing.assert_equal(docs.get(name), plain.get(name))
