"""The catalog is read while another thread or process replaces it."""

import errno
from pathlib import Path

import pytest

import vecdb
from vecdb.errors import CorruptionError, NotFoundError
from vecdb.storage import catalog as catalogs
from vecdb.storage.catalog import Catalog
from vecdb.storage.directory import LocalDirectory

CURRENT = "catalog/CURRENT"


class Overtaken(LocalDirectory):
    """A directory in which the next catalog is committed just after CURRENT was read, as often as there are ones."""

    coming: list[Catalog]

    def read(self, name: str) -> bytes:
        data = super().read(name)
        if name == CURRENT and self.coming:
            catalogs.commit(LocalDirectory(self.root), self.coming.pop(0))
        return data


def test_a_catalog_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    catalogs.create_database(LocalDirectory(tmp_path))
    directory = Overtaken(tmp_path)
    directory.coming = [Catalog(version, {"docs": f"uuid-{version}"}) for version in (2, 3, 4)]

    found = catalogs.load(directory)

    assert found == Catalog(4, {"docs": "uuid-4"})


def test_a_catalog_whose_file_is_gone_while_current_stays_is_damaged(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    catalogs.create_database(directory)
    (name,) = directory.list("catalog/manifests")
    directory.unlink(f"catalog/manifests/{name}")

    with pytest.raises(CorruptionError, match=f"{name} is missing"):
        catalogs.load(directory)


class Sticky(LocalDirectory):
    """A directory in which catalogs cannot be removed."""

    def unlink(self, name: str) -> None:
        if name.startswith("catalog/"):
            raise OSError(errno.EIO, "the disk fails", name)
        super().unlink(name)


def test_an_older_catalog_that_cannot_be_removed_changes_nothing_of_what_was_done(tmp_path: Path) -> None:
    schema = vecdb.Schema(id=vecdb.Id())
    with vecdb.connect(tmp_path, directory_class=Sticky) as database:
        docs = database.create_collection("docs", schema)
        database.create_collection("more", schema)
        database.drop_collection("docs")

        assert database.collections() == ["more"]
        with pytest.raises(NotFoundError, match="dropped"):
            docs.count()
    with vecdb.connect(tmp_path) as database:
        assert database.collections() == ["more"]
        assert database.create_collection("docs", schema).count() == 0
        assert len(list((tmp_path / "catalog" / "manifests").iterdir())) == 1
