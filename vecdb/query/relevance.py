"""Where an answer ends: how many of the candidates are relevant at all, perhaps none. docs/relevance.md says more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast, get_args

from vecdb.errors import InvalidInputError
from vecdb.query.arms import FETCH
from vecdb.query.stages import STAGES, Stage
from vecdb.query.value import shown
from vecdb.schema.given import finite, whole_number

Method = Literal["zscore", "evt", "higher_criticism", "gap", "adapter"]
METHODS: tuple[str, ...] = get_args(Method)
SAMPLE = 2048
"""Rows of the background sample."""
FEWEST_SAMPLED, MOST_SAMPLED = 100, 65_536
DEFAULT = "default"


@dataclass(frozen=True, repr=False)
class Relevance(Stage):
    """Leaves out candidates that do not stand out from rows that have nothing to do with the query.

    Candidates keep their order. An answer may be empty; `explain` then says what would have been needed.

    Attributes:
        method: "zscore" and "evt" keep rows whose score fewer than `expect_false` rows of the collection (of those
            that pass the filter) are expected to reach by chance: by a normal distribution, or by one fitted to the
            tail of the scores of a background sample. "higher_criticism" cuts where more rows stand out than noise
            explains. "gap" cuts at the largest gap between neighbouring scores, so it keeps at least one row, and
            needs no sample. "adapter" asks what `Collection.calibrate` learned.
        expect_false: for "zscore" and "evt": above 0.
        threshold: instead of what follows from the others: the z-score; for "evt" the chance; for "higher_criticism"
            the statistic; for "adapter" the chance that a row is relevant, between 0 and 1.
        recall: for "adapter": the share of the relevant rows to keep, 0.5 to 0.99.
        arm: the arm that is judged, by its name; by default the first one that looks for a vector.
        calibrator: for "adapter": the name under which it was learned.
        at_least: how many of the best candidates are kept whatever they score.
        sample: rows of the background sample.
        skip: for "gap": gaps at the beginning that do not count.
        extra: for "gap": rows to keep behind the gap.

    """

    kind: ClassVar[str] = "cut"
    method: Method = "evt"
    expect_false: float = 1.0
    threshold: float | None = None
    recall: float = 0.95
    arm: str | None = None
    calibrator: str = DEFAULT
    at_least: int = 0
    sample: int = SAMPLE
    skip: int = 0
    extra: int = 0

    def __post_init__(self) -> None:
        """Check everything that needs neither fields nor arms."""
        set_ = object.__setattr__
        if not isinstance(self.method, str) or self.method not in METHODS:
            told = f"relevance has no method {shown(self.method)}: there are {', '.join(METHODS)}"
            raise InvalidInputError(told, field="method", value=self.method)
        set_(self, "expect_false", finite("expect_false", self.expect_false))
        if self.expect_false <= 0:
            raise InvalidInputError(
                f"expect_false is {self.expect_false!r}, expected more than 0", field="expect_false"
            )
        if self.threshold is not None:
            set_(self, "threshold", finite("threshold", self.threshold))
            chance = self.method in ("evt", "adapter")
            if self.method == "gap" or (chance and not 0 < self.threshold < 1):
                wanted = "nothing: gap has no threshold" if self.method == "gap" else "a chance between 0 and 1"
                told = f"threshold is {self.threshold!r}, expected {wanted}"
                raise InvalidInputError(told, field="threshold", value=self.threshold)
        set_(self, "recall", finite("recall", self.recall))
        if not 0.5 <= self.recall <= 0.99:
            raise InvalidInputError(f"recall is {self.recall!r}, expected 0.5 to 0.99", field="recall")
        for name in ("arm", "calibrator"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (name == "arm" and value is None):
                raise InvalidInputError(f"{name} is {shown(value)}, expected a name", field=name, value=value)
        for name in ("at_least", "skip", "extra"):
            set_(self, name, whole_number(name, getattr(self, name), least=0, most=FETCH))
        set_(self, "sample", whole_number("sample", self.sample, least=FEWEST_SAMPLED, most=MOST_SAMPLED))


STAGES[Relevance.kind] = Relevance


def relevance_of(given: Any, options: dict[str, Any]) -> Relevance:
    """Return how to cut: by the name of a method and options, or as it is given.

    Raises:
        InvalidInputError: an option is unknown or wrong.

    """
    if isinstance(given, Relevance):
        if options:
            raise InvalidInputError(f"options belong into Relevance, found {', '.join(options)}", field="cut")
        return given
    try:
        return Relevance(cast("Method", given), **options)
    except TypeError as error:
        raise InvalidInputError(f"cut: {error}", field="cut") from error
