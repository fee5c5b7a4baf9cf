"""Where gRPC has not the parts that lanes and lean calls need, the same is answered without them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from integration.server.running import rows, schema
from vecdb.errors import DimensionMismatchError
from vecdb_client.blocking import unary
from vecdb_server import server
from vecdb_server.config import Config, ServerSection


@pytest.fixture(params=["with", "without"])
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if request.param == "without":
        monkeypatch.setattr(server, "usable", lambda: False)
        monkeypatch.setattr(unary, "usable", lambda _: False)
    one = server.Server(Config(server=ServerSection(path=str(tmp_path / "db"), port=0, create=True)))
    address = one.start()
    assert (one._lanes is None) == (request.param == "without")
    with vecdb.connect(f"grpc://{address.target}") as database:
        docs = database.create_collection("docs", schema())
        docs.upsert(rows(20))
        yield docs
    one.stop()


def test_reads_and_errors_are_the_same(served: Any) -> None:
    question = rows(20)[7]["v"]

    assert served.count() == 20
    assert served.search(v=question, k=1).ids == ["r7"]
    assert served.get("r3", ["n"])["n"] == 3
    with pytest.raises(DimensionMismatchError):
        served.search(v=question[:4])
