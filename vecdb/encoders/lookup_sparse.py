"""Terms of a question without a model: a table says how much each token counts (as Li-LSR has it).

The rows' vectors come from a model of documents, such as SPLADE-doc; the question's weight of a token is what the table
that was trained with it says. Without a table it is how rare the token is among the collection's own rows (IDF).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vecdb.errors import EncoderError, InvalidInputError
from vecdb.schema.space import Space

if TYPE_CHECKING:
    import numpy as np

    from vecdb.encoders.lookup_files import Name

Tokenizer = Callable[[str], Any]
"""A text -> the numbers of its tokens, each of which may come several times."""

Rarity = Callable[["np.ndarray"], "np.ndarray"]
"""(t,) terms -> (t,) how much it says that a row has each; 0 for one that none has."""


class LookupSparse:
    """Makes sparse vectors of questions: each token counts what a table says, each time that it comes."""

    def __init__(self, table: Any = None, tokenizer: Any = None, *, name: str = "lookup") -> None:
        """Keep the table.

        Args:
            table: (terms,) weights, or a mapping of some terms to theirs; not negative, and 0 leaves a term out. None:
                the inverse document frequency of each term in the field that is asked.
            tokenizer: the tokenizer of the model that made the rows' vectors, without special tokens: a function from a
                text to the numbers of its tokens, or a `tokenizers.Tokenizer`.
            name: what to call the model; stored, and compared where there is no table.

        Raises:
            InvalidInputError: the table holds something else, or the tokenizer cannot be called.

        """
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"name is {name!r}, expected what to call the model", field="name")
        if not callable(tokenizer) and not hasattr(tokenizer, "encode"):
            raise InvalidInputError(
                f"tokenizer is {tokenizer!r}, expected a function from a text to the numbers of its tokens, or a"
                " tokenizers.Tokenizer",
                field="tokenizer",
            )
        self.name = name
        self._tokenizer = tokenizer
        self._table = None if table is None else _table(table)

    @classmethod
    def of_files(cls, tokenizer: Name, table: Name | None = None, *, name: str = "lookup") -> LookupSparse:
        """Read the tokenizer and the table of a model from files.

        Args:
            tokenizer: a `tokenizer.json`, or the folder that has one; read by the package `tokenizers`.
            table: `.npy` with a weight for each token, or `.json` with a list of them, or with weights by tokens. None:
                the inverse document frequency of each token in the field that is asked.
            name: what to call the model.

        Raises:
            NotFoundError: a file is not there.
            InvalidInputError: a file is something else.
            MissingExtraError: `tokenizers` is not installed.

        """
        from vecdb.encoders import lookup_files

        known = lookup_files.tokenizer_of(tokenizer)
        return cls(None if table is None else lookup_files.table_of(table, known), known, name=name)

    def space(self, dimension: int) -> Space:
        """Return what stands for the table: its hash, or the name alone.

        Raises:
            InvalidInputError: the table has a term that is not below the dimension.

        """
        if self._table is None:
            return Space(self.name, dimension, version="idf")
        terms, weights = self._table
        if len(terms) and int(terms[-1]) >= dimension:
            raise InvalidInputError(
                f"the table of {self.name!r} has the term {int(terms[-1])}, the field has dimension {dimension}",
                field="table",
            )
        digest = hashlib.sha256(terms.astype("<u4").tobytes() + weights.astype("<f4").tobytes()).hexdigest()
        return Space(self.name, dimension, weights=f"sha256:{digest}")

    def terms(self, text: str, dimension: int, rarity: Rarity) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of a question, ascending, and their weights; those that count nothing are left out.

        Raises:
            EncoderError: the tokenizer failed, or made something that is no term.

        """
        import numpy as np

        try:
            made: Any = self._tokenizer(text) if callable(self._tokenizer) else _encoded(self._tokenizer, text)
            tokens = np.asarray(made if len(made) else np.empty(0, np.int64))
        except Exception as error:
            raise EncoderError(f"the tokenizer of {self.name!r} failed: {type(error).__name__}: {error}") from error
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise EncoderError(f"the tokenizer of {self.name!r} made {made!r:.80}, expected numbers of tokens")
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < dimension:
            raise EncoderError(
                f"the tokenizer of {self.name!r} made the tokens {int(tokens.min())} to {int(tokens.max())}, the field"
                f" has terms from 0 to {dimension - 1}"
            )
        terms, counts = np.unique(tokens.astype(np.uint32), return_counts=True)
        worth = (rarity(terms) if self._table is None else _looked_up(*self._table, terms)) * counts
        kept = worth.astype(np.float32) > 0
        return terms[kept], worth.astype(np.float32)[kept]

    def __repr__(self) -> str:
        told = "IDF" if self._table is None else f"{len(self._table[0])} terms"
        return f"LookupSparse({self.name!r}, {told})"


def _table(table: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms of a table, ascending, and their weights."""
    import numpy as np

    from vecdb.schema.fields import SPARSE_DIMENSION, SPARSE_WEIGHT

    if isinstance(table, Mapping):
        terms, weights = np.asarray(list(table)), np.asarray(list(table.values()))
    else:
        weights = np.asarray(table)
        terms = np.arange(len(weights)) if weights.ndim == 1 else weights
    if weights.shape == (0,):
        return np.empty(0, np.uint32), np.empty(0, np.float32)
    if terms.ndim != 1 or terms.dtype.kind not in "iu" or weights.ndim != 1 or weights.dtype.kind not in "fiu":
        raise InvalidInputError(f"table is {table!r:.80}, expected weights of terms", field="table")
    if int(terms.min()) < 0 or int(terms.max()) >= SPARSE_DIMENSION:
        raise InvalidInputError(f"a term of the table is not from 0 to {SPARSE_DIMENSION - 1}", field="table")
    good = (weights >= 0) & (weights <= SPARSE_WEIGHT)
    if not good.all():
        at = int(np.argmin(good))
        raise InvalidInputError(
            f"the table gives the term {int(terms[at])} the weight {float(weights[at])}, which is not from 0 to"
            f" {SPARSE_WEIGHT:g}",
            field="table",
        )
    order = np.argsort(terms)
    terms, weights = terms[order].astype(np.uint32), weights[order].astype(np.float32)
    return terms[weights > 0], weights[weights > 0]


def _looked_up(known: np.ndarray, weights: np.ndarray, terms: np.ndarray) -> np.ndarray:
    import numpy as np

    if len(known) == 0:
        return np.zeros(len(terms))
    at = np.minimum(np.searchsorted(known, terms), len(known) - 1)
    return np.where(known[at] == terms, weights[at].astype(np.float64), 0.0)


def _encoded(tokenizer: Any, text: str) -> Any:
    """Return what a tokenizer of the `tokenizers` package, or one like it, makes without special tokens."""
    made = tokenizer.encode(text, add_special_tokens=False)
    return getattr(made, "ids", made)
