"""A sparse vector inside a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np


class Weights:
    """Terms and their weights, read-only; equal when all of them are."""

    __slots__ = ("terms", "weights")

    def __init__(self, terms: np.ndarray, weights: np.ndarray) -> None:
        """Keep (t,) uint32 terms, ascending, and their (t,) float32 weights, which nobody changes any more."""
        self.terms, self.weights = terms, weights
        for array in (terms, weights):
            array.setflags(write=False)

    def _bytes(self) -> tuple[bytes, bytes]:
        return self.terms.tobytes(), self.weights.tobytes()

    def __eq__(self, other: object) -> bool:
        return self._bytes() == other._bytes() if isinstance(other, Weights) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bytes())

    def __len__(self) -> int:
        return len(self.terms)

    def to_json(self) -> dict[str, float]:
        """Return a JSON object: term -> weight, with the shortest decimals that read back as the same float32."""
        import orjson

        told = orjson.loads(orjson.dumps(self.weights, option=orjson.OPT_SERIALIZE_NUMPY))
        return dict(zip(map(str, self.terms.tolist()), told, strict=True))

    def __repr__(self) -> str:
        first = zip(self.terms[:3].tolist(), self.weights[:3].tolist(), strict=True)
        told = ", ".join(f"{term}: {weight:.4g}" for term, weight in first)
        more = f", … {len(self)} terms" if len(self) > 3 else ""
        return f"{{{told}{more}}}"


def weights_of(name: str, value: Any) -> Weights:
    """Return a sparse vector that a user passed as one that does not change.

    Raises:
        InvalidInputError: it is none.

    """
    from vecdb.schema.sparse import checked_entries

    if isinstance(value, Weights):
        return value
    try:
        terms, weights = checked_entries(value, None)
    except ValueError as error:
        from vecdb.query.value import shown

        raise InvalidInputError(f"the query for {name!r}: {shown(value)} {error}", field=name, value=value) from error
    return Weights(terms, weights)
