"""What every encoder promises: texts in, checked vectors out, and the name of their space.

Invariant: what leaves `documents` and `queries` is an (n, d) array of finite numbers, one row a text, in order;
anything else that a model or a function does is an EncoderError.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vecdb.errors import EncoderError, InvalidInputError, VecdbError
from vecdb.schema.blame import shown
from vecdb.schema.given import flag, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vecdb.schema.space import Space

REMEMBERED = 1024
"""Questions whose vectors an encoder keeps: 1.5 MB of 384 values each."""

KINDS = ("query", "document")


class TextEncoder(ABC):
    """Makes vectors of texts; from several threads too."""

    def __init__(self, name: str, truncate: int | None, normalize: bool, batch_size: int) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"name is {name!r}, expected what to call the model")
        self.name = name
        self.truncate = None if truncate is None else whole_number("truncate", truncate)
        self.normalize = flag("normalize", normalize)
        self.batch_size = whole_number("batch_size", batch_size)
        self._asked: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._asking = threading.Lock()

    @abstractmethod
    def described(self, dimension: int) -> Space:
        """Return the space of the vectors; of that dimension where the encoder does not know its own."""

    def space(self, dimension: int) -> Space:
        """Return the space of the vectors, if they have that many values.

        Raises:
            InvalidInputError: they have another number of values.

        """
        found = self.described(dimension)
        if found.dimension != dimension:
            hint = f"; truncate={dimension} keeps the first of them" if dimension < found.dimension else ""
            raise InvalidInputError(
                f"{self.name!r} makes {found.dimension} values, the field has dimension {dimension}{hint}"
            )
        return found

    @abstractmethod
    def _vectors(self, texts: list[str], kind: str) -> Any:
        """Return one vector a text, as the model makes them; kind is "query" or "document"."""

    def documents(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the vectors of documents, (texts, dimension).

        Raises:
            EncoderError: what makes them failed, or made something else; the cause is chained.

        """
        return self._checked(list(texts), "document")

    def queries(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the vectors of queries, (texts, dimension); those of the last thousand texts are remembered.

        Raises:
            EncoderError: as `documents`.

        """
        import numpy as np

        wanted = list(texts)
        with self._asking:
            known = {text: self._asked[text] for text in wanted if text in self._asked}
        new = [text for text in dict.fromkeys(wanted) if text not in known]
        if new:
            known.update(zip(new, self._checked(new, "query"), strict=True))
        with self._asking:
            for text in wanted:
                self._asked[text] = known[text]
                self._asked.move_to_end(text)
            while len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
        return np.stack([known[text] for text in wanted])

    def _checked(self, texts: list[str], kind: str) -> NDArray[Any]:
        import numpy as np

        try:
            made = np.asarray(self._vectors(texts, kind))
        except VecdbError:
            raise
        except Exception as error:
            raise EncoderError(
                f"{self.name!r} failed on {len(texts)} texts: {type(error).__name__}: {error}"
            ) from error
        if made.ndim != 2 or len(made) != len(texts) or made.dtype.kind not in "fiu":
            raise EncoderError(
                f"{self.name!r} made an array of shape {made.shape} and type {made.dtype} of {len(texts)} texts,"
                " expected numbers of shape (texts, dimension)"
            )
        finite = np.isfinite(made).all(axis=1)
        if not finite.all():
            raise EncoderError(f"{self.name!r} made NaN or infinity of {texts[int(np.argmin(finite))]!r:.80}")
        if self.truncate is not None:
            if made.shape[1] < self.truncate:
                raise EncoderError(f"{self.name!r} made {made.shape[1]} values, truncate asks for {self.truncate}")
            made = made[:, : self.truncate]
        return _unit(made) if self.normalize else made


def functions_of(function: Any, query: Any, version: Any) -> dict[str, Callable[[list[str]], Any]]:
    """Return what makes vectors of documents and of queries; `query` is for these alone, where it is given.

    Raises:
        InvalidInputError: one is no function, or the version is no text.

    """
    if not callable(function) or not (query is None or callable(query)):
        raise InvalidInputError(f"{function!r} is not a function from texts to vectors", field="function")
    if not (version is None or isinstance(version, str)):
        raise InvalidInputError(f"version is {version!r}, expected a text", field="version", value=version)
    return {"document": function, "query": query or function}


def prompts_of(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return the prompts for queries and documents, as far as they are given.

    Raises:
        InvalidInputError: a key is neither "query" nor "document", or a prompt is no text.

    """
    prompts = {} if given is None else given
    known = isinstance(prompts, Mapping) and prompts.keys() <= set(KINDS)
    if not known or not all(isinstance(prompt, str) for prompt in prompts.values()):
        told = f"prompts is {shown(given)}, expected texts for 'query' and 'document'"
        raise InvalidInputError(told, field="prompts", value=given)
    return dict(prompts)


def _unit(made: NDArray[Any]) -> NDArray[np.float32]:
    """Scale rows to length 1; a row of zeros stays one. A row's numbers do not depend on the other rows."""
    import numpy as np

    rows = made.astype(np.float64)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    return np.divide(rows, lengths, out=rows, where=lengths > 0).astype(np.float32)
