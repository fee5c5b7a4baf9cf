"""`--expand` of `vecdb query`: what it means as a stage."""

from typing import TYPE_CHECKING

from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.numbers import whole

if TYPE_CHECKING:
    from vecdb.query.graph import Expand


def expansion(text: str) -> "Expand":
    """Return the expansion that `TYPES[:HOPS]` asks for: types with commas between them, "*" for all.

    A number behind the last colon is the hops, so that a type may have colons itself.

    Raises:
        CommandError: the hops are no number that there could be.
        InvalidInputError: a type is none, or the hops are out of range.

    """
    from vecdb.query.graph import Expand

    types, colon, hops = text.rpartition(":")
    wanted = whole(hops.strip()) if colon else None
    if colon and wanted is None and hops.strip().isdecimal():
        raise CommandError(f"--expand {text:.80}: the hops are too many")
    named = [name.strip() for name in (text if wanted is None else types).split(",") if name.strip()]
    return Expand(named or "*", wanted)
