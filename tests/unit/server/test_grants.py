"""Grants: patterns, their order, and roles that are refused."""

import pytest

from vecdb.errors import InvalidInputError
from vecdb_server.auth.grants import ANYBODY, Grant, Permission, Principal, Roles
from vecdb_server.config import GrantSection

READER = frozenset({Permission.READ})


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("*", "docs", True),
        ("docs", "docs", True),
        ("docs", "docs2", False),
        ("docs", "Docs", False),
        ("acme.*", "acme.docs", True),
        ("acme.*", "acmexdocs", False),
        ("*-eu", "docs-eu", True),
        ("*-eu", "docs-eu-old", False),
        ("a*b*c", "a1b2c", True),
        ("[a]", "a", False),
        ("?", "a", False),
        ("docs", "docs\n", False),
        ("*", "", True),
    ],
)
def test_a_pattern_has_one_special_character(pattern: str, name: str, covered: bool) -> None:
    assert Grant(READER, pattern).covers(name) is covered


def test_the_first_grant_that_gives_the_permission_counts() -> None:
    roles = Roles(
        {
            "narrow": [GrantSection(role="reader", collections="docs", where="size > 1")],
            "wide": [GrantSection(role="writer", collections="*")],
        }
    )
    principal = roles.principal("maria", ["narrow", "wide"])

    reading = principal.grant(Permission.READ, "docs")
    writing = principal.grant(Permission.WRITE, "docs")

    assert reading is not None
    assert str(reading.rows) == "size > 1"
    assert writing is not None
    assert writing.rows is None
    assert principal.grant(Permission.ADMIN, "docs") is None


def test_a_name_that_is_no_role_gives_nothing() -> None:
    assert Roles({}).principal("maria", ["root", ""]) == Principal("maria", ())


def test_who_calls_an_open_server_may_do_everything() -> None:
    assert all(ANYBODY.grant(permission, "x") and ANYBODY.general(permission) for permission in Permission)


def test_a_permission_on_some_collections_is_none_on_all() -> None:
    principal = Roles({"some": [GrantSection(role="operator", collections="a*")]}).principal("x", ["some"])

    assert principal.any(Permission.OPERATE) is not None
    assert principal.general(Permission.OPERATE) is None


@pytest.mark.parametrize(
    ("name", "section", "told"),
    [
        ("reader", GrantSection(role="reader"), "this role exists"),
        ("x", GrantSection(role="admin", where="a = 1"), "goes with reader and writer"),
        ("x", GrantSection(role="operator", where="a = 1"), "goes with reader and writer"),
        ("x", GrantSection(role="reader", where="a ="), "auth.roles.x: "),
    ],
)
def test_a_role_that_cannot_hold_is_refused(name: str, section: GrantSection, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        Roles({name: [section]})


def test_an_unknown_role_is_told_with_those_there_are() -> None:
    with pytest.raises(
        InvalidInputError, match=r"there is no role 'boss' \(there are: admin, operator, reader, writer\)"
    ):
        Roles({}).known(["reader", "boss"])
