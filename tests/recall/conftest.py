"""The rows that recall is measured on."""

import numpy as np
import pytest

from vecdb import demo


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """Return the demo's embeddings of real texts: float32 (rows, 384)."""
    column = demo.load().column("embedding").combine_chunks()
    found = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1).astype(np.float32)
    found.flags.writeable = False  # one array for all tests
    return found
