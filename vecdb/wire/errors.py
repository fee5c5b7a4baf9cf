"""Errors as statuses, so that the caller gets the class, the text and the attributes that the callee raised.

A status travels in headers, which have room for some kilobytes: texts are cut, and of an error's `value` only short
scalars are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2 as codes
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from vecdb import errors
from vecdb.errors import InvalidInputError, VecdbError
from vecdb.wire.values import valid, value_from_message, value_to_message
from vecdb_proto.v1.error_pb2 import ErrorContext

M = TypeVar("M", bound=Message)

DOMAIN = "vecdb"
MESSAGE_BYTES = 1_500
"""Longer messages are cut: with percent signs and a second time in the details, they must fit into 8 KiB."""
VALUE_LENGTH = 200
NOTES = 4

CODES: dict[str, int] = {
    "VECDB": codes.INTERNAL,
    "INVALID_INPUT": codes.INVALID_ARGUMENT,
    "NOT_FOUND": codes.NOT_FOUND,
    "CONFLICT": codes.FAILED_PRECONDITION,
    "CORRUPTION": codes.DATA_LOSS,
    "RESOURCE_EXHAUSTED": codes.RESOURCE_EXHAUSTED,
    "DEADLINE_EXCEEDED": codes.DEADLINE_EXCEEDED,
    "CANCELLED": codes.CANCELLED,
    "PERMISSION_DENIED": codes.PERMISSION_DENIED,
    "UNAUTHENTICATED": codes.UNAUTHENTICATED,
    "ENCODER": codes.INTERNAL,
    "UNAVAILABLE": codes.UNAVAILABLE,
    "MISSING_EXTRA": codes.UNIMPLEMENTED,
}
"""The gRPC code of an error, by the code of its class or of the next base class that is here."""


def _classes(root: type[VecdbError] = VecdbError) -> Iterator[type[VecdbError]]:
    yield root
    for derived in root.__subclasses__():
        yield from _classes(derived)


BY_CODE: dict[str, type[VecdbError]] = {
    cls.code: cls for cls in _classes() if getattr(errors, cls.__name__, None) is cls
}
"""The class of an error, by its stable code."""
_BY_NUMBER: dict[int, type[VecdbError]] = {
    number: BY_CODE[code] for code, number in reversed(CODES.items()) if code in BY_CODE
} | {codes.UNKNOWN: VecdbError, codes.ALREADY_EXISTS: errors.ConflictError, codes.ABORTED: errors.ConflictError}


def code_of(error: VecdbError) -> int:
    """Return the gRPC code of an error."""
    known = (CODES[cls.code] for cls in type(error).__mro__ if issubclass(cls, VecdbError) and cls.code in CODES)
    return next(known)


def to_message(error: VecdbError) -> Status:
    """Return an error as a status with details."""
    message = _cut(valid(str(error)), MESSAGE_BYTES)
    details: list[Message] = [ErrorInfo(reason=error.code, domain=DOMAIN)]
    field = getattr(error, "field", None)
    if isinstance(error, InvalidInputError) and isinstance(field, str):
        details.append(BadRequest(field_violations=[BadRequest.FieldViolation(field=_cut(valid(field), VALUE_LENGTH))]))
    context = ErrorContext(notes=[_cut(valid(note), VALUE_LENGTH) for note in getattr(error, "__notes__", [])[:NOTES]])
    for name, value in vars(error).items():
        if not name.startswith("_") and _short(value):
            context.attributes[name].CopyFrom(value_to_message(value))
    if context.ByteSize():
        details.append(context)
    status = Status(code=code_of(error), message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def from_message(status: Status) -> VecdbError:
    """Return (not raise) the error of a status, whoever made it: details that cannot be read are passed over."""
    info, context = _detail(status, ErrorInfo()), _detail(status, ErrorContext())
    cls = BY_CODE.get(info.reason) if info is not None and info.domain == DOMAIN else None
    if cls is None:
        return from_code(status.code, status.message)
    error = cls(status.message)
    if context is None:
        return error
    known = vars(error)
    for name, value in context.attributes.items():
        if name in known:
            try:
                setattr(error, name, value_from_message(value))
            except InvalidInputError:
                continue
    for note in context.notes[:NOTES]:
        error.add_note(note)
    return error


def from_code(code: int, message: str) -> VecdbError:
    """Return (not raise) the error for a gRPC code that comes without details, as proxies and gRPC itself send them."""
    return _BY_NUMBER.get(code, VecdbError)(message)


def _detail(status: Status, kind: M) -> M | None:
    held: AnyMessage
    for held in status.details:
        if held.Is(kind.DESCRIPTOR):  # pyright: ignore[reportArgumentType]  # one of two equal stubs of descriptors
            try:
                held.Unpack(kind)
            except DecodeError:
                return None
            return kind
    return None


def _short(value: Any) -> bool:
    """Tell whether a value is a scalar that can be sent."""
    if isinstance(value, str):
        return len(value) <= VALUE_LENGTH and value == valid(value)
    if isinstance(value, bool | float):
        return True
    return type(value) is int and -(1 << 63) <= value < 1 << 64


def _cut(text: str, length: int) -> str:
    """Return a text, cut to so many bytes of UTF-8."""
    data = text.encode()
    return text if len(data) <= length else data[: length - 3].decode(errors="ignore") + "…"
