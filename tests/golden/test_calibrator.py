"""A calibrator that an older vecdb put into a manifest is read, says what it said, and is written as it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecdb.planner.calibrators import Kept
from vecdb.relevance import CalibrationReport
from vecdb_index.relevance.calibrator import RelevanceCalibrator


@pytest.fixture(scope="module", params=["calibrator-1.json", "calibrator-2.json", "calibrator-3.json"])
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((Path(__file__).parent / request.param).read_text())


def test_it_says_what_it_said(golden: dict[str, Any]) -> None:
    found = RelevanceCalibrator.from_json(golden["held"])

    scores, context, vector = (np.array(one) for one in golden["asked"])
    np.testing.assert_allclose(found.logits(scores, context, vector), golden["logits"], rtol=1e-12)
    about = np.array(golden.get("about", context))  # up to the second form the context told of answers
    assert found.answer(np.array(golden["logits"]), about) == pytest.approx(golden.get("answer"))
    assert found.bar(0.95) == pytest.approx(golden["held"]["bars"][45])
    assert CalibrationReport(**found.report).queries == 80  # pyright: ignore[reportArgumentType]


def test_it_is_written_as_it_was(golden: dict[str, Any]) -> None:
    assert Kept.from_json(golden["held"]).to_json() == golden["held"]


def test_it_has_directions_of_queries_and_weights_of_each_kind(golden: dict[str, Any]) -> None:
    held = golden["held"]

    assert np.array(held["directions"]).shape == (12, 8)
    assert len(held["weights"]) == 3 + 2 + 8
