"""What a column can hold: the kinds of field.

A field is a frozen value: equal fields mean equal columns, and changing one means making another. Its
`to_json` form is stored in manifests for ever, so a kind or an attribute may be added but not renamed.

The surprise: nothing here imports pyarrow until `arrow_type` is first read, because a program that only
names fields (or only imports vecdb) should not pay for it.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from dataclasses import field as attribute
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast, get_args

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown, unknown_part
from vecdb.schema.fulltext import FullText, fulltext_from
from vecdb.schema.given import choice
from vecdb.schema.indexes import Auto, Flat, IndexSpec, index_from
from vecdb.schema.space import Encoding, Space, settled, settled_dense

if TYPE_CHECKING:
    import pyarrow as pa

IdType = Literal["string", "int64"]
VectorDtype = Literal["float32", "float16", "int8", "binary"]
Metric = Literal["cosine", "dot", "l2", "hamming"]

AUTO = Auto()

ID_BYTES = 512
"""The longest string id, in bytes of UTF-8."""

DIMENSION = 65_536
"""The largest dimension of a vector."""

INT8_DIMENSION = 32_768
"""The largest dimension of an int8 vector: its sums of squares must fit the kernels' 32-bit integers."""

USUAL_METRIC = cast("Metric", None)
"""What a metric that nobody named is until the dtype decides: hamming for binary vectors, cosine for all others."""
LATITUDES, LONGITUDES = 90, 180
"""The largest degrees of a place, on both sides of zero."""

SPARSE_DIMENSION = 1 << 32
"""The largest number of terms that sparse vectors may be made of."""
SPARSE_ENTRIES = 1 << 16
"""The most entries of one sparse vector."""
SPARSE_WEIGHT = 1e16
"""The largest weight of an entry: no product of two such vectors leaves float32."""


def dimension_of(what: str, given: Any, most: int) -> int:
    """Return a dimension as a user gave it, NumPy's integers too; `what` has it.

    Raises:
        InvalidInputError: it is no whole number from 1 to `most`.

    """
    try:
        dimension = operator.index(given)
    except TypeError:
        dimension = 0
    if isinstance(given, bool) or not 1 <= dimension <= most:
        told = f"dimension {shown(given)} of {what} is not a whole number from 1 to {most}"
        raise InvalidInputError(told, field="dimension", value=given)
    return dimension


@dataclass(frozen=True)
class Field:
    """Base of all kinds. `kind` is the stable name of the kind, `arrow_type` how Arrow holds a value."""

    kind: ClassVar[str]

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the column as users send and receive it."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the kind and every attribute, in a form that `field_from_json` reads back."""
        return {"kind": self.kind, **{attribute.name: getattr(self, attribute.name) for attribute in fields(self)}}

    @property
    def stored_type(self) -> pa.DataType:
        """The Arrow type of the column in files and in the log."""
        return self.arrow_type

    def described(self) -> Field:
        """Return what is stored: the field without anything that makes values."""
        return self

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` of the same class wrote.

        Raises:
            InvalidInputError: the kind is another one, or an attribute is unknown or has a bad value.

        """
        if data.get("kind") != cls.kind:
            raise InvalidInputError(f"expected a field of kind {cls.kind!r}, found {data.get('kind')!r}")
        attributes = {name: value for name, value in data.items() if name != "kind"}
        unknown = attributes.keys() - {attribute.name for attribute in fields(cls)}
        if unknown:
            raise unknown_part(f"a field of kind {cls.kind!r} has no attribute", unknown)
        try:
            return cls(**attributes)
        except TypeError as error:
            raise InvalidInputError(f"a field of kind {cls.kind!r} cannot be read from {dict(data)!r}") from error


@dataclass(frozen=True)
class Id(Field):
    """The name of a record, unique in its collection and never null.

    A string id has 1 to 512 bytes of UTF-8; an int64 id may be any 64-bit integer.
    """

    kind: ClassVar[str] = "id"
    type: IdType = "string"

    def __post_init__(self) -> None:
        """Refuse other types."""
        choice("type", self.type, get_args(IdType))

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`string` or `int64`."""
        import pyarrow as pa

        return pa.string() if self.type == "string" else pa.int64()


@dataclass(frozen=True, repr=False)
class Text(Field):
    """Prose to be read; with `search`, also found by its words.

    `search` is True, or a `vecdb.FullText` that says how.
    """

    kind: ClassVar[str] = "text"
    search: FullText | bool | Mapping[str, Any] = False

    def __post_init__(self) -> None:
        """Turn what says how it is searched into a FullText, or False."""
        object.__setattr__(self, "search", fulltext_from(self.search) or False)

    @property
    def fulltext(self) -> FullText | None:
        """How it is searched by words; None: it is not."""
        return self.search if isinstance(self.search, FullText) else None

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold: as ever where it is not searched."""
        told: dict[str, Any] = {"kind": self.kind}
        return told if self.fulltext is None else {**told, "search": self.fulltext.to_json()}

    def __repr__(self) -> str:
        if self.fulltext is None:
            return "Text()"
        return "Text(search=True)" if self.fulltext == FullText() else f"Text(search={self.fulltext!r})"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`string`."""
        import pyarrow as pa

        return pa.string()


@dataclass(frozen=True)
class Keyword(Field):
    """A string compared as a whole, such as a category; with `many`, a list of them, such as tags."""

    kind: ClassVar[str] = "keyword"
    many: bool = False

    def __post_init__(self) -> None:
        """Refuse anything but a bool."""
        choice("many", self.many, (False, True))

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`string`, or `list<string>` with `many`."""
        import pyarrow as pa

        return pa.list_(pa.string()) if self.many else pa.string()


@dataclass(frozen=True)
class Bool(Field):
    """True or false."""

    kind: ClassVar[str] = "bool"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`bool`."""
        import pyarrow as pa

        return pa.bool_()


@dataclass(frozen=True)
class Int64(Field):
    """A whole number of 64 bits with a sign."""

    kind: ClassVar[str] = "int64"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`int64`."""
        import pyarrow as pa

        return pa.int64()


@dataclass(frozen=True)
class Float64(Field):
    """A finite number of double precision; NaN and infinity are refused, a missing value is null."""

    kind: ClassVar[str] = "float64"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`double`."""
        import pyarrow as pa

        return pa.float64()


@dataclass(frozen=True)
class Timestamp(Field):
    """A moment in UTC, to the microsecond, in the years 1 to 9999. A value without a zone is taken as UTC."""

    kind: ClassVar[str] = "timestamp"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`timestamp[us, tz=UTC]`."""
        import pyarrow as pa

        return pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Json(Field):
    """Any JSON value, held as compact text with sorted keys."""

    kind: ClassVar[str] = "json"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`string`."""
        import pyarrow as pa

        return pa.string()


@dataclass(frozen=True)
class Geo(Field):
    """A place on the earth: latitude and longitude in degrees (WGS84), -90 to 90 and -180 to 180."""

    kind: ClassVar[str] = "geo"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`struct<lat: double, lon: double>`."""
        import pyarrow as pa

        return pa.struct([("lat", pa.float64()), ("lon", pa.float64())])


@dataclass(frozen=True, repr=False)
class Vector(Field):
    """A point of `dimension` numbers, held as `dtype` and compared by `metric`.

    A record may have none (null). Every number is finite; a vector compared by cosine is not all zeros, and one by dot
    or l2 no longer than 9e18, so that no score overflows. `index` says how the column is searched: a kind of
    `vecdb.schema.indexes`, or its name.

    A "binary" vector has `dimension` bits, a multiple of 8, in an eighth as many bytes. It is compared by "hamming",
    the number of bits that differ, and always scanned.
    `encoder` makes vectors of texts: `vecdb.SentenceTransformer` or `vecdb.Encoder`. Of it only its `space` is stored.
    `source` names the text field that is encoded where a row has no vector; without one only queries are.
    """

    kind: ClassVar[str] = "vector"
    dimension: int
    dtype: VectorDtype = "float32"
    metric: Metric = USUAL_METRIC
    index: IndexSpec | str | Mapping[str, Any] = AUTO
    encoder: Encoding | None = attribute(default=None, compare=False)
    source: str | None = None
    space: Space | None = None

    def __post_init__(self) -> None:
        """Refuse dimensions, dtypes, metrics and indexes that do not exist; NumPy integers become int."""
        choice("dtype", self.dtype, get_args(VectorDtype))
        if self.metric is None:
            object.__setattr__(self, "metric", "hamming" if self.dtype == "binary" else "cosine")
        choice("metric", self.metric, get_args(Metric))
        largest = INT8_DIMENSION if self.dtype == "int8" else DIMENSION
        dimension = dimension_of(f"a {self.dtype} vector", self.dimension, largest)
        object.__setattr__(self, "dimension", dimension)
        object.__setattr__(self, "index", index_from(self.index))
        self.spec.check(dimension, cast("str", self.metric))
        self._check_bits()
        self._settle_space()

    def _check_bits(self) -> None:
        """Refuse what does not go with vectors of bits, and bits where they do not belong."""
        if (self.dtype == "binary") != (self.metric == "hamming"):
            fitting = "hamming" if self.dtype == "binary" else "cosine, dot or l2"
            raise InvalidInputError(
                f"metric {self.metric!r} does not go with dtype {self.dtype!r}, which is compared by {fitting}:"
                " hamming counts the bits in which binary vectors differ",
                field="metric",
                value=self.metric,
            )
        if self.dtype != "binary":
            return
        if self.dimension % 8:
            raise InvalidInputError(
                f"dimension {self.dimension} of a binary vector is its number of bits, which is not a multiple of 8",
                field="dimension",
                value=self.dimension,
            )
        if not isinstance(self.index, Auto | Flat):
            raise InvalidInputError(
                f"index {self.spec.kind!r} does not go with binary vectors: all of their bits are compared, which is"
                " fast and exact; leave it out, or say 'flat'",
                field="index",
                value=self.spec.kind,
            )

    def _settle_space(self) -> None:
        """Take the space from the encoder, and check it against the rest."""
        wanted = "vecdb.SentenceTransformer(path) or vecdb.Encoder(function, name)"
        space = settled_dense(self.space, self.encoder, self.dimension, wanted, self.source)
        if space is not None and space.normalized and self.dtype in ("int8", "binary"):
            raise InvalidInputError(
                f"vectors scaled to length 1 are not whole numbers, as {self.dtype} ones are", field="dtype"
            )
        object.__setattr__(self, "space", space)

    def described(self) -> Vector:
        """Return what is stored: the field without the encoder itself."""
        return self if self.encoder is None else replace(self, encoder=None)

    @property
    def spec(self) -> IndexSpec:
        """How the column is searched."""
        return cast("IndexSpec", self.index)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold: as ever where the index is the usual one."""
        told = super().to_json()
        del told["index"], told["encoder"], told["source"], told["space"]
        if self.index != AUTO:
            told["index"] = self.spec.to_json()
        if self.space is not None:
            told["space"] = self.space.to_json()
        return told if self.source is None else {**told, "source": self.source}

    def __repr__(self) -> str:
        index = "" if self.index == AUTO else f", index={self.index!r}"
        space = "" if self.space is None else f", space={self.space!r}"
        source = "" if self.source is None else f", source={self.source!r}"
        return f"Vector(dimension={self.dimension}, dtype={self.dtype!r}, metric={self.metric!r}{index}{space}{source})"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`fixed_size_list<dtype>[dimension]`; of bits, `fixed_size_list<uint8>[dimension / 8]`."""
        import pyarrow as pa

        if self.dtype == "binary":
            return pa.list_(pa.uint8(), self.dimension // 8)
        item = {"float32": pa.float32, "float16": pa.float16, "int8": pa.int8}[self.dtype]()
        return pa.list_(item, self.dimension)


@dataclass(frozen=True, repr=False)
class Sparse(Field):
    """Weights of terms, as SPLADE and its kin make them: numbers of terms and how much each counts.

    A row has up to 65,536 of 2^32 terms, or of `dimension` where that is given; the others count 0. Weights are not
    negative, and rows are compared by the dot product. A record may have none (null).
    `encoder` makes terms of questions in words: `vecdb.LookupSparse`. Of it only its `space` is stored.
    """

    kind: ClassVar[str] = "sparse"
    fulltext: ClassVar[None] = None
    """Terms are searched as they are: no analysis makes them."""
    dimension: int | None = None
    encoder: Encoding | None = attribute(default=None, compare=False)
    space: Space | None = None

    def __post_init__(self) -> None:
        """Refuse a dimension out of range, and take the space from the encoder."""
        if self.dimension is not None:
            object.__setattr__(self, "dimension", dimension_of("a sparse vector", self.dimension, SPARSE_DIMENSION))
        wanted = "vecdb.LookupSparse(table, tokenizer)"
        space = settled(self.space, self.encoder, self.dimension or SPARSE_DIMENSION, wanted)
        object.__setattr__(self, "space", space)

    def described(self) -> Sparse:
        """Return what is stored: the field without the encoder itself."""
        return self if self.encoder is None else replace(self, encoder=None)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        told: dict[str, Any] = {"kind": self.kind, "dimension": self.dimension}
        return told if self.space is None else {**told, "space": self.space.to_json()}

    def __repr__(self) -> str:
        told = [] if self.dimension is None else [f"dimension={self.dimension}"]
        told += [] if self.space is None else [f"space={self.space!r}"]
        return f"Sparse({', '.join(told)})"

    @cached_property
    def arrow_type(self) -> pa.DataType:
        """`large_list<struct<index: uint32, value: float>>`, indices ascending."""
        import pyarrow as pa

        entry = pa.struct([pa.field("index", pa.uint32(), False), pa.field("value", pa.float32(), False)])
        return pa.large_list(entry)
