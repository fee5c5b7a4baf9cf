"""Several vectors inside a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.query.value import shown
from vecdb.schema.given import finite, listed
from vecdb.schema.multivector import TOKENS

if TYPE_CHECKING:
    import numpy as np

WEIGHT = 1e6
"""The largest weight of a question's token."""
NUMBERS = 1 << 22
"""The most numbers of one question."""


class Matrix:
    """The vectors of a question, (tokens, dimension) float32: read-only, equal when the numbers are."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray) -> None:
        """Keep a copy that nobody can change."""
        self.array = array.copy()
        self.array.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Matrix):
            return NotImplemented
        return self.array.shape == other.array.shape and self.array.tobytes() == other.array.tobytes()

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    def __len__(self) -> int:
        return len(self.array)

    def to_json(self) -> list[list[float]]:
        """Return lists of the shortest decimals that read back as the same float32."""
        import orjson

        return orjson.loads(orjson.dumps(self.array, option=orjson.OPT_SERIALIZE_NUMPY))

    def __repr__(self) -> str:
        count, dimension = self.array.shape
        first = ", ".join(f"{number:.4g}" for number in self.array[0, :3].tolist())
        return f"[[{first}, …], {count} vectors of {dimension} numbers]"


def matrix(name: str, value: Any) -> Matrix:
    """Return the vectors of a question as ones that do not change; what the field asks of them is checked later.

    Raises:
        InvalidInputError: it is no matrix of finite numbers with a row at least.

    """
    import numpy as np

    from vecdb.schema.tokens import matrix_of

    if isinstance(value, Matrix):
        return value
    try:
        array = matrix_of(value, 0)
    except ValueError as error:
        raise InvalidInputError(f"{name}: {shown(value)} {error}", field=name, value=value) from error
    rows, dimension = array.shape
    if not (1 <= rows <= TOKENS and dimension >= 1 and array.size <= NUMBERS):
        raise InvalidInputError(
            f"{name} has the shape {array.shape}, expected 1 to {TOKENS} vectors and up to {NUMBERS} numbers",
            field=name,
        )
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise InvalidInputError(f"{name} holds NaN or infinity, or is too large for float32", field=name)
    return Matrix(floats)


def weights_of_tokens(value: Any, count: int | None) -> tuple[float, ...] | None:
    """Return how much each of a question's tokens counts; None: all the same.

    Raises:
        InvalidInputError: they are not as many numbers from 0 as there are tokens.

    """
    if value is None:
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    given = tuple(finite("weights", one) for one in listed("weights", value, "numbers"))
    if count is None:
        raise InvalidInputError("weights go with vectors, not with a text", field="weights")
    if len(given) != count:
        raise InvalidInputError(f"there are {len(given)} weights for {count} vectors", field="weights")
    for weight in given:
        if not 0 <= weight <= WEIGHT:
            raise InvalidInputError(f"weights hold {weight!r}, expected numbers from 0 to {WEIGHT:g}", field="weights")
    return given


def question(name: str, value: Any) -> Matrix | str:
    """Return the vectors of a question, or its text.

    Raises:
        InvalidInputError: it is neither.

    """
    return value if isinstance(value, str) else matrix(f"the query for {shown(name)}", value)


def matrices(name: str, value: Any) -> list[Matrix]:
    """Return the vectors of several questions.

    Raises:
        InvalidInputError: it is no list of them, or an empty one.

    """
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) == 0:
        raise InvalidInputError("queries is not a list of matrices, one for each question", field="queries")
    if any(isinstance(one, str) for one in value):
        raise InvalidInputError(f"queries for {shown(name)} are matrices, not texts", field="queries")
    return [matrix(f"the query for {shown(name)}", one) for one in value]
