"""The ways in which a kernel looks bytes up, to be forced one by one."""

import pytest

from vecdb_index.kernels import features

PATHS = ["avx2", "ssse3", "neon", ""]


def force(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile with this instruction from now on, or skip where the processor lacks it."""
    if path and path != features.looks_up() and path not in features.features():
        pytest.skip("this processor has no instruction for it")
    monkeypatch.setattr(features, "looks_up", lambda: path)
