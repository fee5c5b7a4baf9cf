"""How a query leaves out what is not relevant, as a message: what is as usual is left out of it."""

from __future__ import annotations

from typing import Any, cast

from vecdb.query.relevance import Method, Relevance
from vecdb.query.value import attributes
from vecdb_proto.v1 import relevance_pb2 as pb

_OPTIONAL = "expect_false", "threshold", "recall", "arm", "calibrator", "sample"


def to_message(stage: Relevance) -> pb.Relevance:
    """Return a stage as a message."""
    given: dict[str, Any] = dict(attributes(stage))
    return pb.Relevance(method=stage.method, **{name: value for name, value in given.items() if name != "method"})


def from_message(message: pb.Relevance) -> Relevance:
    """Return the stage of a message.

    Raises:
        InvalidInputError: an attribute is wrong.

    """
    given: dict[str, Any] = {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
    method = cast("Method", message.method)
    return Relevance(method, at_least=message.at_least, skip=message.skip, extra=message.extra, **given)
