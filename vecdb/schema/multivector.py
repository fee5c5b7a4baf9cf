"""The field of several vectors for a row: one for each token of a text, as late interaction compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

from vecdb.errors import InvalidInputError
from vecdb.schema.fields import AUTO, Field, dimension_of
from vecdb.schema.given import choice, finite, flag, whole_number
from vecdb.schema.indexes import Auto, Flat, IndexSpec, Muvera, index_from
from vecdb.schema.space import Encoding, Space, settled_dense

if TYPE_CHECKING:
    import pyarrow as pa

TokenDtype = Literal["float16", "float32", "int8", "int4", "sign", "residual4", "residual2"]
Pooling = Literal["ward", "kmeans", "sequential", "pylate"]

TOKEN_DIMENSION = 4_096
"""The largest dimension of a token's vector."""
TOKENS = 32_768
"""The most vectors of one row, and of one query."""
POOL_FACTOR = 64
"""The largest pool factor."""


@dataclass(frozen=True, repr=False)
class MultiVector(Field):
    """Any number of vectors of `dimension` numbers for a row, such as one for each token of its text (ColBERT).

    Rows are compared with the vectors of a question by MaxSim: each of these counts the product with the row's vector
    that is nearest to it. A row may have none: it is stored, and never found by its tokens.

    Attributes:
        dimension: of each vector.
        dtype: how they are stored: "float16", "float32"; codes of "int8" or "int4" with a scale for each vector;
            "sign", a bit for each number of the rotated vector, and a scale; or "residual4" or "residual2": in segments
            the nearest centroid, and 4 or 2 bits a number for the rest.
        pool_factor: rows are stored with about this many times fewer vectors, each the mean of some that are alike
            (Clavié, Chaffin, Adams, 2024); 1 keeps all.
        pooling: which are joined: "ward", by Ward's criterion; "kmeans"; "sequential", only neighbours in the text;
            "pylate", as PyLate does, whose means are plain ones.
        protect: vectors at the beginning of each row that are never joined, such as a marker.
        fixed: instead of pool_factor: rows of more vectors are stored with just so many, by k-means.
        normalise: make all vectors unit vectors, those of questions too, so that their products are cosines. Means of
            pooled vectors are then stored a little longer, the more so the more their vectors differ.
        index: how the column is searched.
        encoder: makes vectors of texts; of it only its `space` is stored.
        source: the text field that is encoded where a row has no vectors; without one only questions are.

    """

    kind: ClassVar[str] = "multivector"
    dimension: int
    dtype: TokenDtype = "float16"
    pool_factor: float = 1
    pooling: Pooling = "ward"
    protect: int = 1
    fixed: int | None = None
    normalise: bool = True
    index: IndexSpec | str | Mapping[str, Any] = AUTO
    encoder: Encoding | None = attribute(default=None, compare=False)
    source: str | None = None
    space: Space | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist or is out of range; NumPy integers become int."""
        set_ = object.__setattr__
        set_(self, "dimension", dimension_of("a multi-vector", self.dimension, TOKEN_DIMENSION))
        choice("dtype", self.dtype, get_args(TokenDtype))
        choice("pooling", self.pooling, get_args(Pooling))
        factor = finite("pool_factor", self.pool_factor)
        if not 1 <= factor <= POOL_FACTOR:
            raise InvalidInputError(
                f"pool_factor is {self.pool_factor!r}, expected a number from 1 to {POOL_FACTOR}", field="pool_factor"
            )
        set_(self, "pool_factor", int(factor) if factor == int(factor) else factor)
        set_(self, "protect", whole_number("protect", self.protect, 0, TOKENS))
        if self.fixed is not None:
            set_(self, "fixed", whole_number("fixed", self.fixed, 1, TOKENS))
            if factor != 1:
                raise InvalidInputError("name either pool_factor or fixed", field="fixed", value=self.fixed)
        flag("normalise", self.normalise)
        set_(self, "index", index_from(self.index))
        if not isinstance(self.index, Auto | Flat | Muvera):
            told = f"index {self.spec.kind!r} does not go with multi-vectors: say 'muvera' or 'flat', or leave it out"
            raise InvalidInputError(told, field="index", value=self.spec.kind)
        self._settle_space()

    def _settle_space(self) -> None:
        """Take the space from the encoder, and check it against the rest."""
        wanted = "vecdb.SentenceTokens(path), vecdb.PyLate(path) or vecdb.TokenFunction(function, name)"
        space = settled_dense(self.space, self.encoder, self.dimension, wanted, self.source)
        object.__setattr__(self, "space", space)

    def described(self) -> MultiVector:
        """Return what is stored: the field without the encoder itself."""
        return self if self.encoder is None else replace(self, encoder=None)

    @property
    def spec(self) -> IndexSpec:
        """How the column is searched."""
        return cast("IndexSpec", self.index)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        told: dict[str, Any] = {"kind": self.kind, "dimension": self.dimension}
        for name in ("dtype", "pool_factor", "pooling", "protect", "fixed", "normalise", "source"):
            if getattr(self, name) != getattr(type(self), name):
                told[name] = getattr(self, name)
        if self.index != AUTO:
            told["index"] = self.spec.to_json()
        if self.space is not None:
            told["space"] = self.space.to_json()
        return told

    def __repr__(self) -> str:
        told = {name: value for name, value in self.to_json().items() if name not in ("kind", "index", "space")}
        told |= {} if self.index == AUTO else {"index": self.index}
        told |= {} if self.space is None else {"space": self.space}
        return f"MultiVector({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    @property
    def coded(self) -> bool:
        """Whether codes are stored, and not floats."""
        return self.dtype in ("int8", "int4", "sign")

    @property
    def residual(self) -> int | None:
        """Bits of a number in segments, beside a centroid; None: segments have what the log has."""
        return {"residual4": 4, "residual2": 2}.get(self.dtype)

    @property
    def width(self) -> int:
        """Stored values of a vector: its numbers; of codes, bytes: for kernels a multiple of four numbers, 32 signs."""
        padded = -(-self.dimension // 4) * 4
        of_codes = {"int8": padded, "int4": padded // 2, "sign": -(-self.dimension // 32) * 4}
        return of_codes.get(self.dtype, self.dimension)

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`large_list<fixed_size_list<float>[dimension]>`; of "float16", half floats."""
        import pyarrow as pa

        item = pa.float16() if self.dtype == "float16" else pa.float32()
        return pa.large_list(pa.field("item", pa.list_(pa.field("item", item, False), self.dimension), False))

    @cached_property
    def token_type(self) -> pa.FixedSizeListType:
        """How one vector is stored: `fixed_size_list<dtype>[width]`."""
        import pyarrow as pa

        item = pa.uint8() if self.coded else pa.float32() if self.dtype == "float32" else pa.float16()
        return cast("pa.FixedSizeListType", pa.list_(pa.field("item", item, False), self.width))

    @property
    def file_type(self) -> pa.FixedSizeListType:
        """How one vector stands in a segment: as `token_type`; of residuals, `fixed_size_list<uint8>`, their codes."""
        if self.residual is None:
            return self.token_type
        import pyarrow as pa

        width = -(-self.dimension // 4) * 4 * self.residual // 8
        return cast("pa.FixedSizeListType", pa.list_(pa.field("item", pa.uint8(), False), width))

    @cached_property
    def _stored_type(self) -> pa.DataType:
        import pyarrow as pa

        if self.residual is not None:
            return pa.large_list(pa.field("item", self.token_type, False))
        if not self.coded:
            return self.arrow_type
        entry = pa.struct([pa.field("codes", self.token_type, False), pa.field("scale", pa.float32(), False)])
        return pa.large_list(pa.field("item", entry, False))

    @property
    def stored_type(self) -> pa.DataType:
        """As `arrow_type`; of codes, `large_list<struct<codes: fixed_size_list<uint8>[width], scale: float>>`.

        Of residuals half floats: they are coded when a segment is made of them.
        """
        return self._stored_type
