"""`--expand` of `vecdb query`: what it means as a stage."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecdb.query.graph import Expand


def expansion(text: str) -> "Expand":
    """Return the expansion that `TYPES[:HOPS]` asks for: types with commas between them, "*" for all.

    A number behind the last colon is the hops, so that a type may have colons itself.

    Raises:
        InvalidInputError: there is no type, or the hops are out of range.

    """
    from vecdb.query.graph import Expand

    types, colon, hops = text.rpartition(":")
    if not (colon and hops.strip().isdigit()):
        types, hops = text, ""
    named = [name.strip() for name in types.split(",") if name.strip()]
    return Expand(named or "*", int(hops) if hops else None)
