"""What the audit says of a run of pip-audit: found, nothing found, or not checked."""

import importlib.machinery
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def audit(root: Path) -> ModuleType:
    """The script, which has no suffix."""
    loader = importlib.machinery.SourceFileLoader("audit", str(root / "scripts" / "audit"))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def report(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("printed", "errors", "told", "bad"),
    [
        (report(GOOD), "", "0 known vulnerabilities in 1 packages", False),
        (report(GOOD, BAD, UNKNOWN), "", "bad 2: PYSEC-1", True),
        (report(GOOD, UNKNOWN), "", "1 packages could not be checked", False),
        (report(UNKNOWN), "", "NOT CHECKED", False),
        ("", "Traceback\nConnectionError: no route", "NOT CHECKED, .*ConnectionError: no route", False),
    ],
)
def test_what_could_not_be_checked_is_said_and_is_no_failure(
    audit: ModuleType, printed: str, errors: str, told: str, bad: bool
) -> None:
    import re

    line, failed = audit.judged(printed, errors)

    assert re.search(told, line)
    assert failed is bad
