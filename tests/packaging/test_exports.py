"""What is public stands in `__all__`, and what stands there exists."""

import ast
import importlib
import inspect
from pathlib import Path

import vecdb
from vecdb import errors
from vecdb_index import errors as defined
from vecdb_index.errors import VecdbError

PACKAGES = {"vecdb": ".", "vecdb_index": "index", "vecdb_proto": "proto", "vecdb_server": "server"} | {
    "vecdb_client": "client"
}


def test_all_of_vecdb_equals_what_it_offers() -> None:
    """Submodules aside, but for the two that are meant: Python adds them to a package whenever they are imported."""
    assert [getattr(vecdb, name) is not None for name in vecdb.__all__] == [True] * len(vecdb.__all__)
    offered = {
        name
        for name, value in vars(vecdb).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("vecdb")
    }

    assert sorted(offered | {"__version__", "errors", "formula"}) == sorted(vecdb.__all__)
    assert dir(vecdb) == sorted(vecdb.__all__)


def test_what_type_checkers_see_is_what_is_loaded_lazily() -> None:
    tree = ast.parse(inspect.getsource(vecdb))
    seen = {
        name.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    assert seen == vecdb._LAZY


def test_all_of_errors_is_the_whole_tree() -> None:
    tree = [name for name, value in vars(defined).items() if inspect.isclass(value) and issubclass(value, VecdbError)]

    assert errors.__all__ == sorted(tree)
    assert [getattr(errors, name) for name in sorted(tree)] == [getattr(defined, name) for name in sorted(tree)]


def test_every_name_in_any_all_exists(tracked: list[Path], root: Path) -> None:
    missing = []
    for package, folder in PACKAGES.items():
        base = Path(folder)
        for path in tracked:
            inside = path.is_relative_to(base / package) and path.suffix == ".py"
            if not inside or "__all__" not in (root / path).read_text("utf-8"):
                continue
            if "integrations" in path.parts:  # their frameworks are not here: their own tests import them
                continue
            parts = path.relative_to(base).with_suffix("").parts
            module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
            missing += [f"{module.__name__}.{name}" for name in module.__all__ if not hasattr(module, name)]

    assert missing == []


def test_every_package_says_that_it_is_typed(root: Path) -> None:
    assert [name for name, folder in PACKAGES.items() if not (root / folder / name / "py.typed").is_file()] == []
