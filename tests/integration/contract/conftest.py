"""Databases of the contract suite: every test runs over each way to one, and nothing in it knows which."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from support import contract
from support.ways import BACKUPS, WAYS, opened, served


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """The way at hand."""
    return request.param


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server of which only a reader listens, and its folder: one for all tests of a file."""
    folder = tmp_path_factory.mktemp("beside") / "database"
    with served(folder, readers=1) as address:
        yield address, folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed database with the collection `docs`: a copy takes a tenth of the time that filling takes."""
    folder = tmp_path_factory.mktemp("filled") / "database"
    with opened("embedded", folder) as database:
        contract.fill(database.create_collection("docs", contract.schema()))
    return folder


@pytest.fixture
def database(way: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty database; nothing happens in it that no test asked for."""
    if way == "reader":
        address, _ = request.getfixturevalue("beside")
        with vecdb.connect(address) as database:
            yield database
        with vecdb.connect(address) as database:
            for name in database.collections():
                database.drop_collection(name)
        return
    if "docs" in request.fixturenames:
        shutil.copytree(request.getfixturevalue("filled"), tmp_path / "database")
    with opened(way, tmp_path / "database") as database:
        yield database


@pytest.fixture
def docs(way: str, database: Any) -> Any:
    """A collection with a field of each kind, of `contract.ROWS` rows in a segment and in memory."""
    if way != "reader":
        return database.collection("docs")
    made = database.create_collection("docs", contract.schema())
    contract.fill(made)
    return made


@pytest.fixture
def snapshot(docs: Any) -> Iterator[Any]:
    """A snapshot of `docs`."""
    with docs.snapshot() as taken:
        yield taken


@pytest.fixture(scope="module", params=WAYS)
def kept(request: pytest.FixtureRequest, filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A collection like `docs` that tests only read: one for all tests of a file."""
    with opened(request.param, shutil.copytree(filled, tmp_path_factory.mktemp("kept") / "database")) as database:
        yield database.collection("docs")


@pytest.fixture(scope="module")
def reference(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[vecdb.Collection]:
    """The embedded collection with the rows of `kept`: what every way is compared with."""
    with opened("embedded", shutil.copytree(filled, tmp_path_factory.mktemp("reference") / "database")) as database:
        yield database.collection("docs")


@pytest.fixture
def backup_folder(way: str, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """What `backup` is told, and the folder that it means: a path, or a name below the server's folder of backups."""
    base = request.getfixturevalue("beside")[1].parent if way == "reader" else tmp_path
    folder = base / BACKUPS / "monday"
    return (str(folder) if way == "embedded" else folder.name), folder
