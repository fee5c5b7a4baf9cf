"""How large a record and a batch may be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The sizes above which a batch is refused; a server announces its own.

    Attributes:
        row_bytes: UTF-8 bytes of all strings, texts, keywords and JSON of one record together, vectors not counted.
        json_depth: levels of objects and arrays inside each other in one JSON value.
        batch_rows: records of one batch. `validated` splits longer input, `validated_batch` refuses it.

    """

    row_bytes: int = 1 << 20
    json_depth: int = 64
    batch_rows: int = 1 << 22


DEFAULT_LIMITS = Limits()
