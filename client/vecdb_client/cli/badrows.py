"""Finding the rows that are wrong, given only a check that raises for a batch.

A check may notice problems column by column, so the row that it names need not be the first bad one. It is
monotone, though: a prefix that fails fails when it grows. That is enough for exact answers in few calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.errors import InvalidInputError


class Sliceable(Protocol):
    """Rows of which a part can be had without copying."""

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        ...

    def slice(self, start: int, rows: int) -> Self:
        """Return some rows."""
        ...


R = TypeVar("R", bound=Sliceable)


@dataclass(frozen=True)
class Placed:
    """Rows of a file (a record batch or records) with their places in it."""

    data: Any
    places: Any

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self.places)

    def slice(self, start: int, rows: int) -> "Placed":
        """Return some rows."""
        data = self.data[start : start + rows] if isinstance(self.data, list) else self.data.slice(start, rows)
        return Placed(data, self.places[start : start + rows])


def first_bad(check: "Callable[[R], Any]", rows: R) -> "tuple[int, InvalidInputError] | None":
    """Return the number of the first bad row and its error, None when the check accepts all of them.

    Costs about log2(rows) checks of half the rows when there is a bad row, one check when there is none.
    """
    from vecdb.errors import InvalidInputError

    def failure(stop: int) -> "InvalidInputError | None":
        try:
            check(rows.slice(0, stop))
        except InvalidInputError as error:
            return error
        return None

    total = rows.num_rows
    if total == 0 or (error := failure(total)) is None:
        return None
    good, bad = 0, total
    if error.row is not None and 0 <= error.row < total - 1 and (sooner := failure(error.row + 1)) is not None:
        bad, error = error.row + 1, sooner
    while bad - good > 1:
        middle = (good + bad) // 2
        found = failure(middle)
        if found is None:
            good = middle
        else:
            bad, error = middle, found
    return bad - 1, error


def good_rows(
    check: "Callable[[R], pa.RecordBatch]", rows: R, id_name: str
) -> "tuple[pa.RecordBatch | None, list[tuple[int, InvalidInputError]]]":
    """Return what the check makes of the good rows, and the numbers of the bad ones with their errors, in order.

    Of rows with one id the first is good. Costs a few checks for each bad row, of ever smaller parts.
    """
    import pyarrow as pa

    from vecdb.errors import DuplicateIdError, InvalidInputError

    kept: list[tuple[int, pa.RecordBatch]] = []
    bad: list[tuple[int, InvalidInputError]] = []
    parts = [(0, rows.num_rows)] if rows.num_rows else []
    while parts:
        start, stop = parts.pop()
        try:
            kept.append((start, check(rows.slice(start, stop - start))))
        except InvalidInputError as error:
            if stop - start == 1:
                bad.append((start, error))
            else:
                middle = (start + stop) // 2
                parts += [(middle, stop), (start, middle)]
    if not kept:
        return None, bad
    batch = pa.concat_batches([part for _, part in kept])
    numbers = [start + offset for start, part in kept for offset in range(part.num_rows)]
    seen: dict[Any, int] = {}
    once: list[int] = []
    for position, value in enumerate(batch.column(id_name).to_pylist()):
        if seen.setdefault(value, position) == position:
            once.append(position)
        else:
            row = numbers[position]
            message = f"field {id_name!r}, row {row}: {value!r} is also the id of an earlier row"
            bad.append((row, DuplicateIdError(message, field=id_name, row=row, value=value)))
    if len(once) < batch.num_rows:
        batch = batch.take(pa.array(once, pa.int64()))
    return batch, sorted(bad, key=lambda item: item[0])
