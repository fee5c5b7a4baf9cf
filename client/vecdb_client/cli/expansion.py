"""`--expand` of `vecdb query`: what it means as a stage."""

from typing import TYPE_CHECKING

from vecdb_client.cli.numbers import whole

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
    wanted = whole(hops.strip()) if colon else None
    named = [name.strip() for name in (text if wanted is None else types).split(",") if name.strip()]
    return Expand(named or "*", wanted)
