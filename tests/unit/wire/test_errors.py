import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2 as codes
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from vecdb import errors
from vecdb.errors import InvalidInputError, VecdbError
from vecdb.wire import errors as wire

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_arrives_as_its_class_with_its_text(kind: type[VecdbError]) -> None:
    found = wire.from_message(Status.FromString(wire.to_message(kind("a sentence with é")).SerializeToString()))

    assert type(found) is kind
    assert str(found) == "a sentence with é"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_without_details_is_of_a_class_with_the_same_meaning(kind: type[VecdbError]) -> None:
    code = wire.code_of(kind("text"))

    assert codes.OK < code <= codes.UNAUTHENTICATED
    assert issubclass(kind, type(wire.from_code(code, "text")))


def test_attributes_arrive() -> None:
    error = errors.FilterSyntaxError("text", position=7, value="a ==")
    error.row = 3
    error.field = "where"

    assert vars(wire.from_message(wire.to_message(error))) == vars(error)
    found = wire.from_message(wire.to_message(errors.CorruptionError("text", path="a/b")))
    assert isinstance(found, errors.CorruptionError)
    assert found.path == "a/b"


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, b"bytes", object(), "x" * 201, 2**64, "\ud800"])
def test_a_value_that_is_no_short_scalar_stays_behind(value: object) -> None:
    found = wire.from_message(wire.to_message(InvalidInputError("text", field="a", value=value)))

    assert isinstance(found, InvalidInputError)
    assert found.field == "a"
    assert found.value is None


def test_other_programs_find_the_usual_details() -> None:
    status = wire.to_message(errors.UnknownFieldError("no field 'b'", field="b"))
    info, request = ErrorInfo(), BadRequest()

    assert status.code == codes.INVALID_ARGUMENT
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("UNKNOWN_FIELD", "vecdb")
    assert status.details[1].Unpack(request)
    assert request.field_violations[0].field == "b"


def test_a_status_fits_into_headers_whatever_the_error_says() -> None:
    error = InvalidInputError("日" * 100_000, field="日" * 10_000, value="日" * 200)
    for _ in range(100):
        error.add_note("日" * 10_000)

    status = wire.to_message(error)

    # The text a second time, with a percent sign and two digits for each byte, as gRPC sends it.
    assert len(status.SerializeToString()) * 4 / 3 + 3 * len(status.message.encode()) < 12 * 1024
    assert status.message.endswith("日…")


def test_details_that_cannot_be_read_are_passed_over() -> None:
    status = Status(code=codes.NOT_FOUND, message="text")
    status.details.append(Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff"))
    status.details.append(Any(type_url="nonsense", value=b"\xff"))

    assert type(wire.from_message(status)) is errors.NotFoundError


def test_codes_of_other_domains_mean_nothing_here() -> None:
    status = Status(code=codes.NOT_FOUND, message="text")
    status.details.add().Pack(ErrorInfo(reason="CORRUPTION", domain="example.org"))

    assert type(wire.from_message(status)) is errors.NotFoundError


def test_attributes_that_the_class_does_not_have_are_passed_over() -> None:
    status = wire.to_message(InvalidInputError("text", field="a"))
    info, _, context = status.details
    info.Pack(ErrorInfo(reason="NOT_FOUND", domain="vecdb"))
    changed = Status(code=status.code, message="text", details=[info, context])

    found = wire.from_message(changed)

    assert type(found) is errors.NotFoundError
    assert vars(found) == {}
