"""A field of multi-vectors under random operations agrees with a dict and NumPy after each of them."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vecdb
from support.unsynced import unsynced

D = 6
NAME = "docs"
KEYS = st.integers(0, 11).map("k{}".format)


class TokenMachine(RuleBasedStateMachine):
    """One database folder, one writer, and what its rows are.

    The model keeps what `get` gave after a row was written: from then on nothing but another write may change it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unsynced = unsynced()
        self.unsynced.__enter__()
        self.root = Path(tempfile.mkdtemp(prefix="vecdb-tokens-"))
        self.model: dict[str, tuple[int, np.ndarray | None]] = {}
        self.database: Any = None

    @initialize(
        dtype=st.sampled_from(["float16", "float32", "int8", "int4"]),
        factor=st.sampled_from([1, 2]),
        normalise=st.booleans(),
        memtable=st.sampled_from([1 << 12, 1 << 20]),
    )
    def create(self, dtype: Any, factor: int, normalise: bool, memtable: int) -> None:
        self.settings = vecdb.Settings(background=False, durability="none", memtable_bytes=memtable, free_bytes=0)
        self.normalise = normalise
        tokens = vecdb.MultiVector(D, dtype, factor, protect=0, normalise=normalise)
        self.database = vecdb.connect(self.root / "db", settings=self.settings)
        self.database.create_collection(NAME, vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), tokens=tokens))

    @property
    def docs(self) -> Any:
        return self.database.collection(NAME)

    def _kept(self, keys: list[str], numbers: dict[str, int]) -> None:
        rows = self.docs.get(keys, fields=["tokens"])
        for key, row in zip(keys, rows, strict=True):
            self.model[key] = numbers[key], row["tokens"]

    @rule(given=st.dictionaries(KEYS, st.integers(-1, 7), min_size=1, max_size=5), seed=st.integers(0, 1 << 20))
    def upsert(self, given: dict[str, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = [
            {"id": key, "n": seed, "tokens": None if count < 0 else rng.standard_normal((count, D)).astype(np.float32)}
            for key, count in given.items()
        ]
        self.docs.upsert(rows)
        self._kept(list(given), dict.fromkeys(given, seed))
        factor = self.docs.schema["tokens"].field.pool_factor
        for key, count in given.items():
            kept = self.model[key][1]
            assert (kept is None) == (count < 0)
            assert kept is None or len(kept) == (max(count // factor, 1) if count else 0)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), number=st.integers(0, 99))
    def patch(self, data: st.DataObject, number: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.docs.patch([{"id": key, "n": number}])
        self.model[key] = number, self.model[key][1]

    @rule(keys=st.sets(KEYS, min_size=1, max_size=4))
    def delete(self, keys: set[str]) -> None:
        self.docs.delete(sorted(keys))
        for key in keys:
            self.model.pop(key, None)

    @rule()
    def flush(self) -> None:
        self.docs.flush()

    @rule()
    def compact(self) -> None:
        self.docs.compact()

    @rule(factor=st.sampled_from([2, 3]))
    def repool(self, factor: int) -> None:
        before = self.docs.schema["tokens"].field.pool_factor
        if factor < before:
            return
        self.docs.repool("tokens", factor)
        old = {key: tokens for key, (_, tokens) in self.model.items()}
        self._kept(sorted(self.model), {key: number for key, (number, _) in self.model.items()})
        for key, tokens in old.items():
            now = self.model[key][1]
            assert (now is None) == (tokens is None)
            if now is None or tokens is None:
                continue
            if factor == before:
                assert np.array_equal(now, tokens)
            else:
                assert len(now) == (max(int(len(tokens) // (factor / before)), 1) if len(tokens) else 0)

    @rule()
    def open_again(self) -> None:
        self.database.close()
        self.database = vecdb.connect(self.root / "db", settings=self.settings)

    @invariant()
    def rows_are_as_they_were_written(self) -> None:
        if self.database is None:
            return
        keys = sorted(self.model)
        assert self.docs.count() == len(keys)
        for key, row in zip(keys, self.docs.get(keys, fields=["n", "tokens"]), strict=True):
            number, tokens = self.model[key]
            assert row["n"] == number
            assert (row["tokens"] is None) == (tokens is None)
            assert tokens is None or np.array_equal(row["tokens"], tokens)

    @invariant()
    def the_best_rows_are_those_of_numpy(self) -> None:
        if self.database is None:
            return
        asked = np.random.default_rng(len(self.model)).standard_normal((3, D)).astype(np.float32)
        unit = asked / np.linalg.norm(asked, axis=1, keepdims=True) if self.normalise else asked
        scores = {
            key: float((tokens.astype(np.float64) @ unit.T.astype(np.float64)).max(axis=0).sum())
            for key, (_, tokens) in self.model.items()
            if tokens is not None and len(tokens)
        }
        for exact in (False, True):
            found = self.docs.search(tokens=asked, k=4, exact=exact)
            best = sorted(scores.values(), reverse=True)[:4]
            np.testing.assert_allclose([hit.score for hit in found], best, rtol=1e-4, atol=1e-4)
            for hit in found:
                np.testing.assert_allclose(hit.score, scores[hit.id], rtol=1e-4, atol=1e-4)

    def teardown(self) -> None:
        if self.database is not None:
            self.database.close()
            assert vecdb.check(self.root / "db").problems == ()
        self.unsynced.__exit__(None, None, None)
        shutil.rmtree(self.root)


TokenMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
test_a_field_of_multi_vectors_agrees_with_a_dict = TokenMachine.TestCase
