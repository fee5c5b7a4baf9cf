"""How the rankings of several arms become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vecdb.arguments import whole_number
from vecdb.errors import InvalidInputError
from vecdb.query.value import QueryPart, shown


class Fusion(QueryPart):
    """Base of all fusions."""


@dataclass(frozen=True, repr=False)
class Rrf(Fusion):
    """Reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009): the sum of 1 / (k + rank) over the arms."""

    kind: ClassVar[str] = "rrf"
    k: int = 60

    def __post_init__(self) -> None:
        """Refuse what is no whole number."""
        object.__setattr__(self, "k", whole_number("k of rrf", self.k))


FUSIONS: dict[str, type[Fusion]] = {cls.kind: cls for cls in (Rrf,)}


def fusion_from(value: Any) -> Fusion:
    """Return a fusion given as a value, by its name, or as `to_json` described it."""
    if isinstance(value, Fusion):
        return value
    name = value.get("kind") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in FUSIONS:
        known = ", ".join(FUSIONS)
        raise InvalidInputError(f"fusion {shown(value)} is not one of {known} or their classes", field="fusion")
    return FUSIONS[name].from_json(value if isinstance(value, Mapping) else {})
