"""A cross-encoder as a function for `Scorer`: a model that reads a question and a text together.

With `keep` it stops early with texts that can hardly be among the best (PRISM, also called GRATING). All texts go
through the model together. Before each layer, a third of them aside, the model's own last step scores what it has of
each text so far. Where these scores fall into clusters that lie clearly apart, the texts of clusters below the one that
holds the last place wanted are dropped.

The surprise: that is a hook on the layers, which hands on fewer rows. Nothing of the model is changed, and the texts
that are left get the scores that they get otherwise. Calls take turns, because hooks belong to the model.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vecdb.arguments import rows_asked
from vecdb.errors import InvalidInputError, MissingExtraError
from vecdb.schema.given import finite

SEPARATION = 4.0
"""Evenly spread scores fall into clusters whose means are 3.5 of their standard deviations apart."""
BEGIN = 3
"""One in so many layers is passed by all texts: what a model has of a text before says little."""

_TURN = threading.Lock()

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, repr=False)
class CrossEncoder:
    """A function for `Scorer`: how well a text answers a question, by a model that reads both together.

    `Scorer(CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", "who likes apples?", "text"), fields=("text",))`. Needs
    sentence-transformers, which loads the model once a process, from a folder or under the name that you give.

    Attributes:
        model: a folder, or a name that sentence-transformers knows.
        question: what the texts are compared with.
        field: the text field; a row without a text scores as an empty one.
        options: passed on to `sentence_transformers.CrossEncoder`.
        keep: how many of the best are wanted: between its layers the model drops texts that can hardly be among them,
            whose rows are then left out. Of those that come together, so set the scorer's `batch` to its `top`. None:
            every text is scored. For models with one score and layers as BERT, RoBERTa and ELECTRA have them.
        separation: with `keep`, how clear it has to be: how many standard deviations of the scores in a cluster lie
            between the means of one that is kept and of one that is dropped; above 0.

    """

    model: str
    question: str
    field: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    keep: int | None = None
    separation: float = SEPARATION

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.keep is not None:
            object.__setattr__(self, "keep", rows_asked(self.keep, "keep"))
        object.__setattr__(self, "separation", finite("separation", self.separation))
        if self.separation <= 0:
            raise InvalidInputError(f"separation is {self.separation!r}, expected more than 0", field="separation")

    def __call__(self, records: Records) -> Sequence[float]:
        """Return a score for each record; NaN for those that were dropped.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
            InvalidInputError: `keep` is given, and the model has other layers, or several scores.

        """
        pairs = [(self.question, record[self.field] or "") for record in records]
        model = _loaded(str(self.model), tuple(sorted(self.options.items())))
        with _TURN:
            if self.keep is None or len(pairs) <= self.keep:
                return model.predict(pairs, show_progress_bar=False)
            return _pruned(model, pairs, self.keep, self.separation)


class _Pruning:
    """Which texts are left while they go through the layers of a model."""

    def __init__(self, head: Any, count: int, keep: int, separation: float) -> None:
        self._head, self._keep, self._separation = head, keep, separation
        self._count, self.left = count, np.arange(count)

    def before_layer(self, _: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Drop texts, and hand on what a layer gets of the others."""
        from vecdb_index.relevance.progressive import far_below

        states, *rest = arguments
        scores = self._head(states).reshape(-1).double().cpu().numpy()
        kept = np.flatnonzero(~far_below(scores, self._keep, self._separation))
        self.left = self.left[kept]
        # The states are of those that were left; masks still come of all texts, as they were made once.
        return (states[kept], *map(self._some, rest)), {name: self._some(value) for name, value in options.items()}

    def _some(self, value: Any) -> Any:
        whole = hasattr(value, "shape") and value.ndim > 1 and len(value) == self._count
        return value[self.left] if whole else value


def _pruned(model: Any, pairs: list[tuple[str, str]], keep: int, separation: float) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    layers, head = _parts(model)
    pruning = _Pruning(head, len(pairs), keep, separation)
    model.eval()
    with torch.inference_mode(), _hooked(layers, pruning):
        features = {
            name: value.to(model.device) if hasattr(value, "to") else value
            for name, value in model.preprocess(pairs).items()
        }
        told = model(features)["scores"]
        if model.activation_fn is not None:
            told = model.activation_fn(told)
    scores = np.full(len(pairs), np.nan)
    scores[pruning.left] = told.reshape(-1).float().cpu().numpy()
    return scores


def _parts(model: Any) -> tuple[Any, Any]:
    """Return the layers of a model, and what makes a score of what comes out of one.

    Raises:
        InvalidInputError: there are none of the kind that is known.

    """
    whole = model.model
    base = getattr(whole, getattr(whole, "base_model_prefix", ""), None)
    layers, classifier = getattr(getattr(base, "encoder", None), "layer", None), getattr(whole, "classifier", None)
    if layers is None or classifier is None or model.num_labels != 1:
        told = f"keep needs a model with one score and layers as BERT has them, found {type(whole).__name__}"
        raise InvalidInputError(f"{told} with {model.num_labels} scores", field="keep")
    pooler = getattr(base, "pooler", None)
    return layers, classifier if pooler is None else lambda states: classifier(pooler(states))


@contextmanager
def _hooked(layers: Any, pruning: _Pruning) -> Iterator[None]:
    begin = max(1, len(layers) // BEGIN)
    hooks = [layer.register_forward_pre_hook(pruning.before_layer, with_kwargs=True) for layer in layers[begin:]]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@lru_cache(4)
def _loaded(model: str, options: tuple[tuple[str, Any], ...]) -> Any:
    try:
        from sentence_transformers import CrossEncoder as Model  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtraError(
            "a cross-encoder needs sentence-transformers: install the extra 'embed' of vecdb"
        ) from error
    return Model(model, **dict(options))
