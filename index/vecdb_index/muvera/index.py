"""The index: how tokens become one vector, and the codes of these vectors. Named arrays and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.calibrate import unmeasured
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.multivector.fde import GENERATOR, FdeEncoder

CANDIDATES = 100
"""Rows that MaxSim scores, unless told otherwise."""

_INNER = "inner_"
"""What the names of the arrays and settings of the codes begin with."""
_NO_CENTRE = np.empty(0, np.float32)


@dataclass(frozen=True)
class Muvera:
    """Encodings of the rows of one segment.

    Attributes:
        encoder: makes an encoding of a row's tokens, and of a question's.
        inner: the codes of the encodings, for inner products; in one list, or in several.
        probes: lists that a search reads.
        curve: (points, 2) float32: so many rows scored by MaxSim, and the share of the ten best rows that was measured
            to be among them.

    """

    encoder: FdeEncoder
    inner: Ivf
    probes: int = 1
    curve: NDArray[np.float32] = field(default_factory=lambda: unmeasured(CANDIDATES))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.inner)

    @property
    def bytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by their names; with `settings`, all that there is to store."""
        centre = self.encoder.centre
        inner = {_INNER + name: array for name, array in self.inner.arrays().items()}
        return {"centre": _NO_CENTRE if centre is None else centre, "curve": self.curve, **inner}

    def settings(self) -> dict[str, Any]:
        """Return what is no array."""
        encoder = self.encoder
        own = {
            "generator": GENERATOR,
            "seed": encoder.seed,
            "dimension": encoder.dimension,
            "repetitions": encoder.repetitions,
            "bits": encoder.bits,
            "projection": encoder.projection,
            "directions": encoder.directions,
            "final": encoder.final,
            "renormalise": encoder.renormalise,
            "probes": self.probes,
        }
        return own | {_INNER + name: value for name, value in self.inner.settings().items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Muvera:
        """Put an index together again. Only `problems` says whether it may be searched.

        Raises:
            KeyError: an array or a setting is missing.
            ValueError: its numbers were drawn by a generator, or its codes are of a kind, that this version does not
                know.

        """
        if settings["generator"] != GENERATOR:
            raise ValueError(f"its numbers were drawn by {settings['generator']!r}, which this version cannot repeat")
        names = "dimension", "repetitions", "bits", "projection", "final", "seed", "directions"
        centre = arrays["centre"]
        encoder = FdeEncoder(
            **{name: settings[name] for name in names},
            centre=centre if len(centre) else None,
            renormalise=settings.get("renormalise", False),  # indexes of before have plain means
        )
        inner = Ivf.of(_inner(arrays), _inner(settings))
        return cls(encoder, inner, int(settings["probes"]), arrays["curve"])


def _inner(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(_INNER): value for name, value in named.items() if name.startswith(_INNER)}
