"""Vectors of texts: what makes them, and whose they are.

- base.py: what every encoder promises; function.py: any Python function; sentence_transformer.py: a model by name or
  folder, with weights.py for its identity
- tokens.py: several vectors for a text, for multi-vectors
- lookup_sparse.py: terms of questions, for sparse vectors, from a table; lookup_files.py: that table in files
- attached.py: the encoders of one collection, which is where a space is compared; rows.py: the missing vectors of a
  batch
- progress.py: how far it is

Importing this package loads no model library: `SentenceTransformer` does when it is first used.

Which encoder a database uses is said by who opens it. A database names spaces, never code and no paths, and nothing
here loads a model because stored data names it, except with `encoders="local"`, and then only from this machine.
"""

from vecdb.encoders.function import Encoder
from vecdb.encoders.lookup_sparse import LookupSparse
from vecdb.encoders.sentence_transformer import SentenceTransformer
from vecdb.encoders.tokens import PyLate, SentenceTokens, TokenEncoder, TokenFunction
from vecdb.schema.space import Space

__all__ = [
    "Encoder",
    "LookupSparse",
    "PyLate",
    "SentenceTokens",
    "SentenceTransformer",
    "Space",
    "TokenEncoder",
    "TokenFunction",
]
