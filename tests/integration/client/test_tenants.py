"""Two tenants in one collection: each has a key whose role names its rows, and nothing of the other is there for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.ways import served
from vecdb.errors import NotFoundError, PermissionDeniedError
from vecdb_server.auth.keys import Keys
from vecdb_server.config import AuthSection, GrantSection

TENANTS = "red", "blue"
ASKED = np.ones(4, np.float32)


def row(tenant: str, number: int) -> dict[str, Any]:
    vector = np.random.default_rng(number).standard_normal(4, dtype=np.float32)
    return {"id": f"{tenant}-{number}", "tenant": tenant, "n": number, "body": f"{tenant} words", "v": vector}


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The collection as each tenant has it, and as the one who made it."""
    keys, tokens = Keys({}), {}
    for name in (*TENANTS, "admin"):
        keys, _, tokens[name] = keys.with_key(name, [name])
    keys.write(tmp_path / "keys.json")
    roles = {name: [GrantSection(role="writer", where=f"tenant = '{name}'")] for name in TENANTS}
    auth = AuthSection(keys=str(tmp_path / "keys.json"), roles=roles)
    with served(tmp_path / "database", auth=auth) as address:
        each = {name: vecdb.connect(address, api_key=token) for name, token in tokens.items()}
        fields: dict[str, Any] = {"tenant": vecdb.Keyword(), "n": vecdb.Int64(), "body": vecdb.Text(search=True)}
        schema = vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(4), **fields)
        each["admin"].create_collection("docs", schema)
        yield {name: database.collection("docs") for name, database in each.items()}
        for database in each.values():
            database.close()


def test_each_tenant_has_its_own_rows_and_no_others(tenants: dict[str, Any]) -> None:
    for name in TENANTS:
        tenants[name].upsert([row(name, number) for number in range(20)])
        tenants[name].link({"src": f"{name}-0", "dst": f"{name}-1"})

    assert tenants["admin"].count() == 40
    for mine, theirs in (TENANTS, TENANTS[::-1]):
        docs = tenants[mine]
        assert docs.count() == 20
        assert docs.count(f"tenant = '{theirs}'") == 0
        assert {one.partition("-")[0] for one in docs.search(v=ASKED, k=100).ids} == {mine}
        assert docs.search(body=theirs, k=10).ids == []
        assert docs.get(f"{theirs}-1") is None
        assert [(value.value, value.count) for value in docs.facets("tenant")["tenant"].counts] == [(mine, 20)]
        assert docs.neighbours(f"{theirs}-0").num_rows == 0
        with docs.snapshot() as snapshot:
            assert snapshot.restricted("n < 5").count() == 5
        assert docs.restricted("n < 5").count() == 5
        assert docs.delete(f"{theirs}-3").rows == 0
        with pytest.raises(NotFoundError):
            docs.patch({"id": f"{theirs}-3", "n": 99})
        for record in (row(theirs, 50), {**row(mine, 3), "id": f"{theirs}-3"}):
            with pytest.raises(PermissionDeniedError):
                docs.upsert(record)
    assert tenants["admin"].count() == 40


def test_a_view_cannot_widen_what_a_tenant_sees(tenants: dict[str, Any]) -> None:
    for name in TENANTS:
        tenants[name].upsert([row(name, number) for number in range(3)])

    everything = tenants["red"].restricted("tenant = 'blue' or n >= 0")

    assert everything.count() == 3
    assert tenants["red"].restricted("tenant = 'blue'").count() == 0
    with pytest.raises(PermissionDeniedError):
        everything.upsert(row("blue", 9))
