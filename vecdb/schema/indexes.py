"""How a vector column is searched: the kinds of index.

An index is derived data: it is built beside the rows, in the background, and searches never wait for it. Until a
segment has one, and where it is damaged, its rows are scanned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from vecdb.errors import InvalidInputError
from vecdb.schema.given import choice, finite
from vecdb.schema.kinds import kind_from, whole

M = 4, 128
"""The least and the most links that a row of a graph may choose."""
EF_CONSTRUCTION = 8, 10_000
GRAPH_CODES = "8bit", "4bit"
SLACK = 0.0, 10.0

LISTS = 1, 1_000_000
CODES = "8bit", "4bit", "product", "rabitq"

DIMENSIONS = 1, 65_536
"""The least and the most numbers of a vector that a funnel may look at first."""
REPETITIONS, CELL_BITS, PROJECTION, ENCODING = (1, 1024), (0, 12), (1, 4096), (64, 1 << 18)
"""The least and the most of what an index of encodings may be told."""
DIRECTIONS = "orthogonal", "dense", "sparse"
TURNED = 4096
"""The longest vectors that a funnel turns: finding their axes takes time with the cube of the numbers."""


@dataclass(frozen=True)
class IndexSpec:
    """Base of all kinds. `kind` is the stable name under which manifests remember it."""

    kind: ClassVar[str]
    later: ClassVar[frozenset[str]] = frozenset()
    """Parameters that databases of before do not name: left out of JSON where they are as usual, because the number of
    a schema, by which its writes are known in the log, comes from its JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return the kind and its parameters, in a form that `index_from` reads back."""
        told = {part.name: (getattr(self, part.name), part.default) for part in fields(self)}
        given = {name: value for name, (value, usual) in told.items() if name not in self.later or value != usual}
        return {"kind": self.kind, **given}

    def check(self, dimension: int, metric: str) -> None:
        """Raise InvalidInputError where the parameters do not go with vectors of so many numbers, or with a metric."""


@dataclass(frozen=True)
class Auto(IndexSpec):
    """Whatever suits the number of rows: none for a few thousand, a graph above."""

    kind: ClassVar[str] = "auto"


@dataclass(frozen=True)
class Flat(IndexSpec):
    """No index: every search is an exact scan."""

    kind: ClassVar[str] = "flat"


@dataclass(frozen=True)
class Hnsw(IndexSpec):
    """A navigable graph (Malkov, Yashunin, arXiv 1603.09320) over codes, for every segment of some size.

    Attributes:
        m: links that each row chooses; it keeps up to twice as many.
        ef_construction: candidates among which it chooses. More make a better graph, more slowly.
        codes: what searches walk over, "8bit" or "4bit"; None: 4 bits where these find as much, measured when an index
            is made.
        slack: a walk that `ef` gives n candidates keeps up to 2 n, but none farther than 1 + slack n / 100 times the
            nearest that are scored exactly, so that easy questions end early and hard ones go on (Al-Jazzazi et al.,
            arXiv 2505.15636); 0: it keeps the n best; None: 0.06 where this reads less at recall .99, measured when an
            index is made. Not for dot.

    """

    kind: ClassVar[str] = "hnsw"
    later: ClassVar[frozenset[str]] = frozenset({"codes", "slack"})
    m: int = 16
    ef_construction: int = 200
    codes: str | None = None
    slack: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no number or out of range, and codes that do not exist."""
        whole("index", self, "m", *M)
        whole("index", self, "ef_construction", *EF_CONSTRUCTION)
        if self.codes is not None:
            choice("codes", self.codes, GRAPH_CODES)
        if self.slack is not None:
            number = finite("slack", self.slack, "slack")
            if not SLACK[0] <= number <= SLACK[1]:
                told = f"slack of index 'hnsw' is {number}, expected a number from {SLACK[0]} to {SLACK[1]}"
                raise InvalidInputError(told, field="slack", value=self.slack)
            object.__setattr__(self, "slack", number)

    def check(self, dimension: int, metric: str) -> None:
        """Refuse slack where nothing is a distance."""
        if self.slack and metric == "dot":
            told = "slack of index 'hnsw' compares distances, which metric 'dot' has none of: leave it out"
            raise InvalidInputError(told, field="slack", value=self.slack)


@dataclass(frozen=True)
class Ivf(IndexSpec):
    """Rows in lists around centroids, of which a search reads the nearest: quick to build and small.

    Attributes:
        lists: how many; None: the square root of a segment's rows.
        codes: what the lists hold of each row: "8bit", "4bit", "product" (Jégou, Douze, Schmid, TPAMI 2011), a byte for
            four numbers, or "rabitq" (Gao, Long, SIGMOD 2024), 1 bit a number.

    """

    kind: ClassVar[str] = "ivf"
    lists: int | None = None
    codes: str = "8bit"

    def __post_init__(self) -> None:
        """Refuse numbers out of range and codes that do not exist."""
        if self.lists is not None:
            whole("index", self, "lists", *LISTS)
        choice("codes", self.codes, CODES)


@dataclass(frozen=True)
class Funnel(IndexSpec):
    """The first numbers of each row, in 8 bits each: all of them are looked at, and the best rows scored exactly.

    For embeddings that were trained to be cut (Matryoshka, Kusupati et al., arXiv 2205.13147).

    Attributes:
        dimensions: how many numbers come first; None: a quarter of the vector's, in eights.
        rotate: turn rows to their principal axes before they are cut, for embeddings that were not trained for it;
            vectors of up to 4,096 numbers.

    """

    kind: ClassVar[str] = "funnel"
    dimensions: int | None = None
    rotate: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.dimensions is not None:
            whole("index", self, "dimensions", *DIMENSIONS)
        choice("rotate", self.rotate, (False, True))

    def check(self, dimension: int, metric: str) -> None:
        """Refuse more first numbers than there are, and turning vectors that are too long for it."""
        if self.dimensions is not None and self.dimensions > dimension:
            raise InvalidInputError(
                f"dimensions of a funnel index is {self.dimensions}, but the vectors have {dimension}",
                field="dimensions",
                value=self.dimensions,
            )
        if self.rotate and dimension > TURNED:
            raise InvalidInputError(
                f"a funnel index turns vectors of at most {TURNED} numbers, not {dimension}: leave rotate out",
                field="rotate",
                value=self.rotate,
            )


@dataclass(frozen=True)
class Binary(IndexSpec):
    """One bit of each number, its sign: all rows' bits are compared, and the rows with the most equal ones scored.

    For vectors of many numbers, of about the same length where the metric is dot or l2: a sign says nothing of length.
    """

    kind: ClassVar[str] = "binary"


@dataclass(frozen=True)
class Muvera(IndexSpec):
    """For multi-vectors: each row's become one vector, by whose codes the rows to be compared exactly are chosen.

    MUVERA (Dhulipala, Hadian, Jayaram, Lee, Mirrokni, arXiv 2405.19504). Left as it is, how long these vectors are, and
    their codes, are chosen from a sample of the rows: those of the fewest bytes by which .95 of the ten best are among
    the first hundred.

    Attributes:
        repetitions: independent encodings, put one behind the other; None: chosen, and so are bits and projection.
        bits: hyperplanes that part the vectors of a repetition into 2^bits cells.
        projection: numbers that a cell's vectors are projected to.
        directions: what by: "orthogonal" signs, which err least; "dense" ones, as in the paper; or "sparse" ones.
        final: numbers to which the whole is hashed by a count sketch; None: it is not.
        centred: part the vectors around their mean, not around the origin.
        renormalise: make the mean of a cell's vectors as long as they are on average, which the paper does not: more of
            the best rows are found.
        codes: what is kept of each, as of `Ivf`; None: chosen, "rabitq" or "4bit".
        lists: how many they lie in; None: one up to 20,000 rows, then as of `Ivf`.
        seed: of all that is drawn.

    """

    kind: ClassVar[str] = "muvera"
    later: ClassVar[frozenset[str]] = frozenset({"renormalise"})
    repetitions: int | None = None
    bits: int | None = None
    projection: int | None = None
    directions: str = "orthogonal"
    final: int | None = None
    centred: bool = True
    renormalise: bool = True
    codes: str | None = None
    lists: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range and what does not exist."""
        ranges = {"repetitions": REPETITIONS, "bits": CELL_BITS, "projection": PROJECTION, "final": ENCODING}
        for name, (least, most) in {**ranges, "lists": LISTS}.items():
            if getattr(self, name) is not None:
                whole("index", self, name, least, most)
        whole("index", self, "seed", 0, (1 << 63) - 1)
        choice("directions", self.directions, DIRECTIONS)
        choice("centred", self.centred, (False, True))
        choice("renormalise", self.renormalise, (False, True))
        if self.codes is not None:
            choice("codes", self.codes, CODES)
        if None not in (self.repetitions, self.bits, self.projection):
            width = cast("int", self.repetitions) * cast("int", self.projection) << cast("int", self.bits)
            if not ENCODING[0] <= width <= ENCODING[1]:
                raise InvalidInputError(
                    f"encodings of {self.repetitions} repetitions, {self.bits} bits and projection {self.projection} "
                    f"have {width} numbers, expected {ENCODING[0]} to {ENCODING[1]}",
                    field="repetitions",
                    value=self.repetitions,
                )

    def check(self, dimension: int, metric: str) -> None:
        """Refuse vectors: a row has one of them."""
        told = "index 'muvera' is for multi-vectors: vectors have 'hnsw', 'ivf', 'funnel', 'binary' or 'flat'"
        raise InvalidInputError(told, field="index", value=self.kind)


FLAT = Flat.kind

INDEXES: dict[str, type[IndexSpec]] = {cls.kind: cls for cls in (Auto, Flat, Hnsw, Ivf, Funnel, Binary, Muvera)}


def index_from(value: IndexSpec | str | Mapping[str, Any]) -> IndexSpec:
    """Return the kind of index that a user named, or that `to_json` described.

    Raises:
        InvalidInputError: there is no such kind, or a parameter is unknown or out of range.

    """
    return kind_from("index", value, IndexSpec, INDEXES)
