"""What a caller may do: permissions on collections, by patterns of their names.

A principal has grants in an order. The first one that matches a collection and gives the permission counts, with its
filter of rows, so a narrower grant stands before a wider one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from vecdb.errors import InvalidInputError
from vecdb.filters import Expression, parse
from vecdb_server.config import GrantSection


class Permission(StrEnum):
    """A kind of thing to do."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    OPERATE = "operate"


ROLES: Mapping[str, frozenset[Permission]] = {
    "reader": frozenset({Permission.READ}),
    "writer": frozenset({Permission.READ, Permission.WRITE}),
    "admin": frozenset({Permission.READ, Permission.WRITE, Permission.ADMIN}),
    "operator": frozenset({Permission.OPERATE}),
}


@dataclass(frozen=True)
class Grant:
    """Permissions on the collections whose names match, and which of their rows are seen; None for all."""

    permissions: frozenset[Permission]
    collections: str = "*"
    rows: Expression | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(map(re.escape, self.collections.split("*"))), re.DOTALL)

    def covers(self, collection: str) -> bool:
        """Return whether the grant is about a collection."""
        return self._pattern.fullmatch(collection) is not None


@dataclass(frozen=True)
class Principal:
    """Somebody who was recognised. `name` stands in the log."""

    name: str
    grants: tuple[Grant, ...]

    def grant(self, permission: Permission, collection: str) -> Grant | None:
        """Return the grant that counts for a permission on a collection."""
        for grant in self.grants:
            if permission in grant.permissions and grant.covers(collection):
                return grant
        return None

    def sees(self, collection: str) -> bool:
        """Return whether the caller may know that a collection exists."""
        return any(grant.covers(collection) for grant in self.grants)

    def any(self, permission: Permission) -> Grant | None:
        """Return a grant that gives a permission on some collections."""
        return next((grant for grant in self.grants if permission in grant.permissions), None)

    def general(self, permission: Permission) -> Grant | None:
        """Return the grant that gives a permission on all collections there will ever be."""
        for grant in self.grants:
            if permission in grant.permissions and grant.collections == "*":
                return grant
        return None


EVERYTHING = Grant(frozenset(Permission))
ANYBODY = Principal("anybody", (EVERYTHING,))
"""Who calls a server without authentication, which listens on loopback only."""


class Roles:
    """Names of roles, and the grants of each."""

    def __init__(self, configured: Mapping[str, Sequence[GrantSection]]) -> None:
        """Check the roles of a configuration.

        Raises:
            InvalidInputError: a role takes a reserved name, or a filter is malformed, or goes with a role that acts on
                whole collections.

        """
        self._grants: dict[str, tuple[Grant, ...]] = {
            name: (Grant(permissions),) for name, permissions in ROLES.items()
        }
        for name, sections in configured.items():
            if name in ROLES:
                raise InvalidInputError(f"auth.roles.{name}: this role exists, choose another name", field="auth.roles")
            self._grants[name] = tuple(_grant(name, section) for section in sections)

    @property
    def names(self) -> list[str]:
        """The names of all roles."""
        return sorted(self._grants)

    def known(self, names: Iterable[str]) -> list[str]:
        """Return names of roles, in their order, or raise.

        Raises:
            InvalidInputError: there is no such role.

        """
        listed = list(dict.fromkeys(names))
        for name in listed:
            if name not in self._grants:
                told = ", ".join(self.names)
                raise InvalidInputError(f"there is no role {name!r} (there are: {told})", field="role", value=name)
        return listed

    def principal(self, name: str, roles: Iterable[str]) -> Principal:
        """Return somebody with roles; names that are no roles give nothing."""
        return Principal(name, tuple(grant for role in roles for grant in self._grants.get(role, ())))


def _grant(name: str, section: GrantSection) -> Grant:
    if section.where and section.role not in ("reader", "writer"):
        raise InvalidInputError(
            f"auth.roles.{name}: a filter of rows goes with reader and writer, not with {section.role}",
            field="auth.roles",
            value=section.where,
        )
    try:
        rows = parse(section.where) if section.where else None
    except InvalidInputError as error:
        raise InvalidInputError(f"auth.roles.{name}: {error}", field="auth.roles", value=section.where) from None
    return Grant(ROLES[section.role], section.collections, rows)
