"""The errors of vecdb (public home: vecdb.errors).

VecdbError
├── InvalidInputError           the request is wrong; changing it helps, retrying does not
│   ├── DimensionMismatchError
│   ├── DuplicateIdError
│   ├── FilterSyntaxError
│   ├── RequestMismatchError    a request id comes again with another content: give each request its own
│   ├── SpaceMismatchError      vectors of another embedding space than the field's
│   └── UnknownFieldError
├── NotFoundError               no such collection, record, version or file
├── ConflictError               someone else holds the lock, or the thing already exists
├── CorruptionError             the files contradict each other: stop, run `vecdb check`
├── PermissionDeniedError       the caller may not do this: ask somebody who may
├── ResourceExhaustedError      the disk or a configured limit is full: free some, then retry
│   └── BudgetExceededError     a call needs more memory than it may take: ask for less
├── DeadlineExceededError       a call took longer than it may: ask for less, or allow more
├── CancelledError              whoever made the call gave it up
├── EncoderError                a model or a function that makes vectors of texts failed: nothing was stored
├── UnavailableError            the outcome is unknown or the writer stopped: reopen, then retry
├── UnauthenticatedError        the server does not know who calls: give a valid key or token
└── MissingExtraError           an optional dependency is not installed
"""

from typing import Any


class VecdbError(Exception):
    """Root of every error that vecdb raises on purpose.

    `code` is stable and machine-readable; `retryable` says whether the same call may succeed later.
    """

    code = "VECDB"
    retryable = False


class InvalidInputError(VecdbError):
    """The request is wrong. `field`, `row` and `value` name the culprit where there is one."""

    code = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str | None = None, row: int | None = None, value: Any = None) -> None:
        """Keep the culprit beside the sentence."""
        super().__init__(message)
        self.field = field
        self.row = row
        self.value = value


class DimensionMismatchError(InvalidInputError):
    """A vector has another number of values than its field."""

    code = "DIMENSION_MISMATCH"


class DuplicateIdError(InvalidInputError):
    """One batch names the same id twice."""

    code = "DUPLICATE_ID"


class FilterSyntaxError(InvalidInputError):
    """A filter string cannot be parsed. `position` is the 0-based offset of the first bad character."""

    code = "FILTER_SYNTAX"

    def __init__(self, message: str, *, position: int | None = None, value: Any = None) -> None:
        """Keep where parsing stopped."""
        super().__init__(message, value=value)
        self.position = position


class RequestMismatchError(InvalidInputError):
    """A request id was used before, for another content; nothing was changed. `value` is the id in hex."""

    code = "REQUEST_MISMATCH"


class SpaceMismatchError(InvalidInputError):
    """Vectors, or the encoder that would make them, are of another space than the field; the message names both."""

    code = "SPACE_MISMATCH"


class UnknownFieldError(InvalidInputError):
    """A name is not a field of the schema."""

    code = "UNKNOWN_FIELD"


class NotFoundError(VecdbError):
    """No such collection, record, version or file."""

    code = "NOT_FOUND"


class ConflictError(VecdbError):
    """Someone else holds the lock, or what was to be created exists."""

    code = "CONFLICT"


class CorruptionError(VecdbError):
    """Files are damaged or contradict each other. `path` names the file, relative to the database."""

    code = "CORRUPTION"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        """Keep the path of the damaged file."""
        super().__init__(message)
        self.path = path


class ResourceExhaustedError(VecdbError):
    """The disk or a configured limit is full; nothing was stored."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True


class BudgetExceededError(ResourceExhaustedError):
    """A call needs more memory than it may take; nothing was changed.

    Attributes:
        stage: what it was doing.
        needed: bytes that it would hold.
        limit: bytes that it may hold.

    """

    code = "BUDGET_EXCEEDED"
    retryable = False

    def __init__(self, message: str, *, stage: str = "", needed: int = 0, limit: int = 0) -> None:
        """Keep the values beside the sentence."""
        super().__init__(message)
        self.stage = stage
        self.needed = needed
        self.limit = limit


class DeadlineExceededError(VecdbError):
    """A call took longer than it may; nothing was changed.

    Attributes:
        stage: what it was doing.
        elapsed: seconds since it began.
        limit: seconds that it may take.

    """

    code = "DEADLINE_EXCEEDED"

    def __init__(self, message: str, *, stage: str = "", elapsed: float = 0.0, limit: float = 0.0) -> None:
        """Keep the values beside the sentence."""
        super().__init__(message)
        self.stage = stage
        self.elapsed = elapsed
        self.limit = limit


class CancelledError(VecdbError):
    """Whoever made the call gave it up; nothing was changed. `stage` tells what it was doing."""

    code = "CANCELLED"

    def __init__(self, message: str, *, stage: str = "") -> None:
        """Keep the stage beside the sentence."""
        super().__init__(message)
        self.stage = stage


class PermissionDeniedError(VecdbError):
    """The caller may not do this; nothing was changed."""

    code = "PERMISSION_DENIED"


class EncoderError(VecdbError):
    """What makes vectors of texts failed, or gave something that is no vector; nothing was stored.

    The cause is chained where there is one.
    """

    code = "ENCODER"


class UnavailableError(VecdbError):
    """The writer stopped and the outcome of this call is unknown: reopen the database and look, or retry."""

    code = "UNAVAILABLE"
    retryable = True


class UnauthenticatedError(VecdbError):
    """The server does not know who calls: there is no key or token, or it is not valid; nothing was done."""

    code = "UNAUTHENTICATED"


class MissingExtraError(VecdbError):
    """An optional dependency is not installed; the message names the extra."""

    code = "MISSING_EXTRA"
