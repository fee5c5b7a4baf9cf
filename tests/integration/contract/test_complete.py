"""The contract suite has a test for every public method and every error that a caller can cause."""

import ast
from pathlib import Path

import pytest

import vecdb
from vecdb import errors
from vecdb.bulk import BulkLoad
from vecdb.explanation import Explanation

CALLED = {
    "database": vecdb.Database,
    "docs": vecdb.Collection,
    "kept": vecdb.Collection,
    "reads": vecdb.Snapshot,
    "snapshot": vecdb.Snapshot,
    "load": BulkLoad,
    "seen": vecdb.View,
    "facets": vecdb.Facets,
    "result": vecdb.SearchResult,
    "found": vecdb.SearchResult,
    "scan": vecdb.Scan,
    "planned": Explanation,
    "run": Explanation,
}
"""What the tests call things, and what these are."""
NOT_REMOTE = {
    "Database.open": "opens a folder; a server's database is opened by the server",
    "Database.repair": "needs the files alone",
    "Query.score_by": "a Python function cannot be sent to a server",
    "Snapshot.trial": "what recall and tune share",
    "Snapshot.learned": "what calibrate keeps",
}
UNCAUSED = {
    "BudgetExceededError": "limits have tests of their own",
    "CancelledError": "limits have tests of their own",
    "CorruptionError": "damage has tests of its own",
    "MissingExtraError": "is about the installation",
    "ResourceExhaustedError": "a full disk has tests of its own",
    "ScorerError": "a Python function cannot be sent to a server",
    "UnauthenticatedError": "is about servers, which have tests of their own",
}


def sources() -> list[ast.Module]:
    """Return the tests of this folder, this file left out."""
    here = Path(__file__)
    return [ast.parse(path.read_text("utf-8")) for path in sorted(here.parent.glob("*.py")) if path != here]


def used() -> set[tuple[type, str]]:
    """Return what is used of objects whose names say what they are."""
    return {
        (CALLED[node.value.id], node.attr)
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in CALLED
    }


def untested(kind: type) -> set[str]:
    """Return the public names of a class that no test uses: reads may be tested of snapshots or of views instead."""
    public = {name for name in dir(kind) if not name.startswith("_")}
    public |= set(getattr(kind, "__dataclass_fields__", ()))
    left_out = {name.partition(".")[2] for name in NOT_REMOTE if name.startswith(f"{kind.__name__}.")}
    owners = {kind, vecdb.Snapshot} if kind in (vecdb.Collection, vecdb.View) else {kind}
    return public - left_out - {name for owner, name in used() if owner in owners}


@pytest.mark.parametrize("kind", list(dict.fromkeys(CALLED.values())), ids=lambda kind: kind.__name__)
def test_every_public_method_has_a_contract_test(kind: type) -> None:
    assert untested(kind) == set()


def test_every_step_of_a_query_has_a_contract_test() -> None:
    left_out = {name.partition(".")[2] for name in NOT_REMOTE if name.startswith("Query.")}
    steps = {name for name, part in vars(vecdb.Query).items() if callable(part) and not name.startswith("_")}
    made = {node.attr for tree in sources() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert "near" in steps
    assert steps - made - left_out == set()


@pytest.mark.parametrize("kind", [vecdb.Database, vecdb.Collection, vecdb.Snapshot, vecdb.View])
def test_a_method_without_a_test_would_be_found(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "untried", lambda self: None, raising=False)

    assert "untried" in untested(kind)


def test_every_error_has_a_contract_test() -> None:
    raised = {
        node.id if isinstance(node, ast.Name) else node.attr
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    }

    assert set(errors.__all__) - raised - set(UNCAUSED) == set()
