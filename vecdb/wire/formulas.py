"""Formulas as messages."""

from __future__ import annotations

from vecdb.errors import InvalidInputError
from vecdb.query.formula import (
    NODES,
    NOW,
    Arm,
    Away,
    Constant,
    Decay,
    Formula,
    Function,
    Operation,
    Score,
    Value,
    When,
    finite,
    score,
)
from vecdb.wire import filters
from vecdb_proto.v1 import formula_pb2 as pb

OPERATIONS: dict[str, pb.Operation.ValueType] = {
    "+": pb.OPERATION_ADD,
    "-": pb.OPERATION_SUBTRACT,
    "*": pb.OPERATION_MULTIPLY,
    "/": pb.OPERATION_DIVIDE,
    "min": pb.OPERATION_MIN,
    "max": pb.OPERATION_MAX,
    "pow": pb.OPERATION_POW,
    "log1p": pb.OPERATION_LOG1P,
    "sqrt": pb.OPERATION_SQRT,
    "abs": pb.OPERATION_ABS,
    "exp": pb.OPERATION_EXP,
    "neg": pb.OPERATION_NEG,
}
_NAMES: dict[pb.Operation.ValueType, str] = {number: name for name, number in OPERATIONS.items()}
_OF_ONE = pb.OPERATION_LOG1P, pb.OPERATION_SQRT, pb.OPERATION_ABS, pb.OPERATION_EXP, pb.OPERATION_NEG


def to_message(formula: Formula) -> pb.Formula:
    """Return a formula as a message.

    Raises:
        InvalidInputError: a filter in it cannot be sent.

    """
    message = pb.Formula()
    _write(formula, message)
    return message


def from_message(message: pb.Formula, reading: filters.Reading | None = None) -> Formula:
    """Return the formula of a message.

    Args:
        message: the formula.
        reading: of the request that it is a part of, which counts the values of filters.

    Raises:
        InvalidInputError: it is none, or larger than formulas may be.

    """
    return _Reading(reading or filters.Reading()).formula(message)


def _write(formula: Formula, message: pb.Formula) -> None:
    if isinstance(formula, Constant):
        message.constant = formula.number
    elif isinstance(formula, Score):
        message.score.SetInParent()
    elif isinstance(formula, Value):
        message.field.field, message.field.missing = formula.field, formula.missing
        message.field.SetInParent()
    elif isinstance(formula, Arm):
        message.arm.name, message.arm.missing = formula.name, formula.missing
    elif isinstance(formula, Decay):
        _write_decay(formula, message.decay)
    elif isinstance(formula, Away):
        message.away.field, message.away.missing = formula.field, formula.missing
        message.away.place.latitude, message.away.place.longitude = formula.latitude, formula.longitude
    else:
        _write_parts(formula, message)


def _write_parts(formula: Formula, message: pb.Formula) -> None:
    if isinstance(formula, When):
        message.when.CopyFrom(filters.to_message(formula.where))
        _write(formula.then, message.parts.add())
        _write(formula.otherwise, message.parts.add())
    elif isinstance(formula, Operation):
        message.operation = OPERATIONS[formula.operator]
        for part in formula.parts:
            _write(part, message.parts.add())
    elif isinstance(formula, Function):
        message.operation = OPERATIONS[formula.name]
        _write(formula.part, message.parts.add())
    else:
        raise InvalidInputError(f"{type(formula).__name__} is no formula that can be sent", field="formula")


def _write_decay(formula: Decay, message: pb.DecayLeaf) -> None:
    if isinstance(formula.origin, tuple):
        message.place.latitude, message.place.longitude = formula.origin
    elif isinstance(formula.origin, str):
        message.now = True
    else:
        message.number = formula.origin
    for name in ("field", "scale", "offset", "at_scale", "shape", "missing"):
        setattr(message, name, getattr(formula, name))


class _Reading:
    """A formula being read. Its parts are counted before they are looked at."""

    def __init__(self, reading: filters.Reading) -> None:
        self.left = NODES
        self.filters = reading

    def formula(self, message: pb.Formula) -> Formula:
        """Read one level."""
        self.left -= len(message.parts)
        if self.left < 0:
            raise InvalidInputError(f"a formula has more than {NODES} parts", field="formula")
        kind = message.WhichOneof("kind")
        if kind == "operation":
            return self.operation(message)
        if kind == "when":
            self.expect(message, 2, "when")
            then, otherwise = map(self.formula, message.parts)
            return When(self.filters.read(message.when), then, otherwise)
        self.expect(message, 0, kind or "nothing")
        if kind == "constant":
            return Constant(finite("a number of a formula", message.constant))
        if kind == "score":
            return score
        if kind == "field":
            return Value(message.field.field, message.field.missing)
        if kind == "arm":
            return Arm(message.arm.name, message.arm.missing)
        if kind == "decay":
            return _decay(message.decay)
        if kind == "away":
            away = message.away
            return Away(away.field, away.place.latitude, away.place.longitude, away.missing)
        raise InvalidInputError("a part of a formula is empty", field="formula")

    def operation(self, message: pb.Formula) -> Formula:
        """Read an operation and its parts."""
        name = _NAMES.get(message.operation)
        if name is None:
            raise InvalidInputError(
                f"the operation {message.operation} of a formula is unknown: was it made by a newer vecdb?",
                field="formula",
            )
        if message.operation in _OF_ONE:
            self.expect(message, 1, name)
            return Function(name, self.formula(message.parts[0]))
        self.expect(message, 2, name)
        return Operation(name, tuple(map(self.formula, message.parts)))

    def expect(self, message: pb.Formula, count: int, name: str) -> None:
        """Refuse another number of parts."""
        if len(message.parts) != count:
            told = f"{name!r} has {count} parts in a formula, found {len(message.parts)}"
            raise InvalidInputError(told, field="formula")


def _decay(message: pb.DecayLeaf) -> Decay:
    kind = message.WhichOneof("origin")
    if kind is None or (kind == "now" and not message.now):
        raise InvalidInputError("a decay has no origin", field="origin")
    if kind == "place":
        origin: float | str | tuple[float, float] = (message.place.latitude, message.place.longitude)
    else:
        origin = NOW if kind == "now" else message.number
    return Decay(message.field, origin, message.scale, message.offset, message.at_scale, message.shape, message.missing)
