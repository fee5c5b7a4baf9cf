"""Fields, schemas, and the edge where records are checked.

- fields.py, known.py: what a column can hold; schema.py: the columns of a collection and their permanent numbers
- records.py: the edge, where data of any kind becomes checked batches. Behind it:
- ingest.py: any input as named columns; one_row.py: the shortcut for one record
- columns.py, from_arrow.py, from_python.py: one column to the type of its field
- vectors.py, vector_numbers.py: the same for vectors, with every number checked
- sparse.py: sparse vectors in all forms; multivector.py, tokens.py: several vectors for a row
- json_text.py, timestamps.py, places.py: one value; checks.py: what must hold across rows and columns
- blame.py: errors that name the culprit; limits.py; arrow.py

Invariant: importing this package loads neither pyarrow nor NumPy; they come with the first record.
"""

from vecdb.schema.fields import (
    Bool,
    Field,
    Float64,
    Geo,
    Id,
    Int64,
    Json,
    Keyword,
    Sparse,
    Text,
    Timestamp,
    Vector,
)
from vecdb.schema.known import field_from_json
from vecdb.schema.limits import Limits
from vecdb.schema.multivector import MultiVector
from vecdb.schema.records import validated, validated_batch
from vecdb.schema.schema import RESERVED, Column, Schema

__all__ = [
    "RESERVED",
    "Bool",
    "Column",
    "Field",
    "Float64",
    "Geo",
    "Id",
    "Int64",
    "Json",
    "Keyword",
    "Limits",
    "MultiVector",
    "Schema",
    "Sparse",
    "Text",
    "Timestamp",
    "Vector",
    "field_from_json",
    "validated",
    "validated_batch",
]
