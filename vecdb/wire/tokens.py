"""Questions of several vectors as messages, of an arm and of a stage."""

from __future__ import annotations

from typing import Any, cast

from vecdb.errors import InvalidInputError
from vecdb.query.arms import Tokens
from vecdb.query.matrix import NUMBERS, Matrix
from vecdb.query.stages import MaxSim
from vecdb.schema.multivector import TOKENS
from vecdb.wire.values import matrix_from_message, matrix_to_message
from vecdb_proto.v1 import query_pb2 as pb


def tokens_to_message(arm: Tokens) -> pb.Tokens:
    """Return an arm as a message, without what all arms have."""
    given = {"recall": arm.recall, "ef": arm.ef, **_sought(arm.tokens)}
    return pb.Tokens(field=arm.field, weights=arm.weights, **given)


def tokens_from_message(message: pb.Tokens) -> dict[str, Any]:
    """Return the attributes of an arm.

    Raises:
        InvalidInputError: nothing is sought, or too much, or it has fewer bytes than it says.

    """
    return _asked(message) | _given(message, "recall", "ef")


def max_sim_to_message(stage: MaxSim) -> pb.MaxSim:
    """Return a stage as a message."""
    given = {"top": stage.top, "prune": stage.prune, "patience": stage.patience, **_sought(stage.tokens)}
    return pb.MaxSim(field=stage.field, weights=stage.weights, **given)


def max_sim_from_message(message: pb.MaxSim) -> MaxSim:
    """Return the stage of a message.

    Raises:
        InvalidInputError: nothing is sought, or too much, or it has fewer bytes than it says.

    """
    return MaxSim(**_asked(message), **_given(message, "top", "prune", "patience"))


def _given(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) if message.HasField(name) else None for name in names}


def _sought(tokens: Matrix | str) -> dict[str, Any]:
    return {"text": tokens} if isinstance(tokens, str) else {"tokens": matrix_to_message(tokens.array)}


def _asked(message: pb.Tokens | pb.MaxSim) -> dict[str, Any]:
    kind, field = message.WhichOneof("query"), message.field
    if kind is None:
        raise InvalidInputError(f"nothing is sought in {field!r}", field=field)
    if len(message.weights) > TOKENS:
        raise InvalidInputError(f"the query for {field!r} has {len(message.weights)} weights, at most {TOKENS}")
    sought: Any = message.text
    if kind == "tokens":
        if message.tokens.rows * message.tokens.dimension > NUMBERS:
            raise InvalidInputError(f"the query for {field!r} has more than {NUMBERS} numbers", field=field)
        sought = matrix_from_message(message.tokens, field)
    weights = cast("Any", tuple(message.weights) or None)
    return {"field": field, "tokens": sought, "weights": weights}
