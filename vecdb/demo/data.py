"""The demo's data: what an animal, a food or a verb of eating means, with vectors, attributes and links.

Everything comes from files beside this module, made by `vecdb.demo.build`; `data/README.md` says what they hold and
under which licence. pyarrow is imported inside the functions, so that importing the demo stays cheap.

The surprise: the file holds the embeddings as int8 codes without a common scale, a fifth of the size of float32.
`load` turns them into unit vectors; of the ten nearest neighbours by the original vectors, more than 99 % stay.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.schema import Schema

COLLECTION = "words"
DIMENSION = 384
FOLDER = Path(__file__).parent / "data"
LICENCE = FOLDER / "LICENSE-WordNet.txt"


def schema() -> "Schema":
    """Return the schema of the demo's collection: the columns of `load` in their order."""
    from vecdb.schema import Bool, Id, Int64, Keyword, Schema, Text, Vector

    return Schema(
        id=Id(),
        text=Text(search=True),
        words=Keyword(many=True),
        pos=Keyword(),
        lexname=Keyword(),
        senses=Int64(),
        frequency=Int64(),
        depth=Int64(),
        leaf=Bool(),
        embedding=Vector(DIMENSION, metric="cosine"),
    )


def load() -> "pa.Table":
    """Return the rows, ready for `upsert` into a collection with `schema()`.

    One row is one meaning. Columns:
        id: readable name, such as `dog.n.01`: word, part of speech, rank among the word's meanings.
        text: the words, a colon, what they mean. The embedding is of this text.
        words: the words that share the meaning.
        pos: "noun" or "verb".
        lexname: "noun.animal", "noun.food" or "verb.consumption" (and "noun.Tops" for `animal.n.01` itself).
        senses: how many meanings the first word has.
        frequency: how often the meaning was found in texts tagged by hand; mostly 0.
        depth: steps up to the most general meaning.
        leaf: whether nothing more special exists.
        embedding: float32, 384 values, unit length.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(FOLDER / "words.parquet").replace_schema_metadata(None)
    vectors = decoded(_matrix(table.column("embedding")))
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSION)
    return table.set_column(table.schema.get_field_index("embedding"), "embedding", column)


def links() -> "pa.Table":
    """Return what WordNet links: `src`, `dst` (ids of `load`), `type`.

    Types read from src to dst: hypernym (dst is more general), instance_of, member_of, part_of, substance_of,
    entails, causes, also, topic; and, stored once for both directions, antonym, derivation and verb_group.
    """
    import pyarrow.parquet as pq

    return pq.read_table(FOLDER / "links.parquet").replace_schema_metadata(None)


def queries() -> "pa.Table":
    """Return questions with vectors of the same model: `id`, `text`, `embedding` (float32, 384 values, unit length)."""
    import pyarrow.parquet as pq

    return pq.read_table(FOLDER / "queries.parquet").replace_schema_metadata(None)


def question_vectors() -> dict[str, tuple[str, NDArray[np.float32]]]:
    """Return `queries` as a dict from id to text and vector."""
    table = queries()
    vectors = _matrix(table.column("embedding"))
    names, texts = table.column("id").to_pylist(), table.column("text").to_pylist()
    return {str(name): (str(text), vector) for name, text, vector in zip(names, texts, vectors, strict=True)}


def decoded(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the unit vectors of int8 codes, row by row: float32, same shape."""
    rows = codes.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _matrix(column: "pa.ChunkedArray") -> NDArray:
    """Rows of a fixed-size list column as one array (n, DIMENSION)."""
    lists = cast("pa.FixedSizeListArray", column.combine_chunks())
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, DIMENSION)
