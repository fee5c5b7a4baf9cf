"""Public home of the errors; they are defined at the bottom layer so that every package can raise them."""

from vecdb_index.errors import (
    ConflictError,
    CorruptionError,
    DimensionMismatchError,
    DuplicateIdError,
    EncoderError,
    FilterSyntaxError,
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
    ResourceExhaustedError,
    SpaceMismatchError,
    UnauthenticatedError,
    UnavailableError,
    UnknownFieldError,
    VecdbError,
)

__all__ = [
    "ConflictError",
    "CorruptionError",
    "DimensionMismatchError",
    "DuplicateIdError",
    "EncoderError",
    "FilterSyntaxError",
    "InvalidInputError",
    "MissingExtraError",
    "NotFoundError",
    "ResourceExhaustedError",
    "SpaceMismatchError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownFieldError",
    "VecdbError",
]
