"""The wheel holds what the tree holds: the five packages whole, and nothing beside them."""

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

import vecdb

PACKAGES = {
    Path("vecdb"): "vecdb",
    Path("index/vecdb_index"): "vecdb_index",
    Path("proto/vecdb_proto"): "vecdb_proto",
    Path("server/vecdb_server"): "vecdb_server",
    Path("client/vecdb_client"): "vecdb_client",
}
WANTING = [name for name in ("hatchling", "pip") if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(WANTING), reason=f"building without network needs {' and '.join(WANTING)} installed"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(root), "--no-deps", "--no-build-isolation", "-w", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_wheel_holds_exactly_the_five_packages(wheel: Path, tracked: list[Path], project: dict[str, Any]) -> None:
    expected = {
        str(Path(name) / path.relative_to(folder))
        for folder, name in PACKAGES.items()
        for path in tracked
        if path.is_relative_to(folder)
    }

    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    information = {name for name in names if name.partition("/")[0].endswith(".dist-info")}

    assert sorted(set(names) - information) == sorted(expected)
    licences = {f"licenses/{name}" for name in project["license-files"]}
    assert {name.partition("/")[2] for name in information} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
    } | licences
    assert {"LICENSE", "vecdb/demo/data/LICENSE-WordNet.txt"} <= set(project["license-files"])


def test_the_wheel_ships_types_and_the_demo(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {name for name in names if name.endswith("/py.typed")} == {f"{name}/py.typed" for name in PACKAGES.values()}
    assert {"vecdb/demo/data/words.parquet", "vecdb/demo/data/LICENSE-WordNet.txt"} <= names


def test_the_metadata_names_the_distribution_and_never_the_one_that_is_not_ours(
    wheel: Path, project: dict[str, Any]
) -> None:
    folder = f"vecdb_engine-{vecdb.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        scripts = archive.read(f"{folder}/entry_points.txt").decode()

    assert metadata["Name"] == "vecdb-engine"
    assert metadata["Version"] == vecdb.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == project["license"]
    assert not [line for line in metadata.get_all("Requires-Dist") or [] if line.partition(" ")[0] == "vecdb"]
    assert "vecdb = vecdb_client.cli.main:main" in scripts
