"""Kinds of fusion as values: what they refuse, and that they are written down and read back."""

from typing import Any

import pytest

from vecdb.errors import InvalidInputError
from vecdb.query.fusion import ARMS, FUSIONS, AutoFusion, Fusion, Interleave, Rrf, WeightedSum, fusion_from

EACH = [
    Rrf(),
    Rrf(k=0, weights=(2, 0.5)),
    Interleave(),
    Interleave(weights=(1, 3)),
    WeightedSum(),
    WeightedSum(weights=(0.7, 0.3), normalise="calibrated"),
    AutoFusion(),
]


@pytest.mark.parametrize("fusion", EACH)
def test_what_is_written_down_reads_back_equal(fusion: Fusion) -> None:
    said = fusion.to_json()

    assert fusion_from(said) == fusion
    assert hash(fusion_from(said)) == hash(fusion)
    assert said["kind"] == fusion.kind
    assert all(not isinstance(part, tuple) for part in said.values())


@pytest.mark.parametrize("name", FUSIONS)
def test_a_name_stands_for_the_kind_with_its_defaults(name: str) -> None:
    assert fusion_from(name) == FUSIONS[name]()
    assert fusion_from(FUSIONS[name]()) == FUSIONS[name]()


def test_weights_compare_by_their_numbers_whatever_they_came_in() -> None:
    listed: Any = [1, 2]

    assert Rrf(weights=listed) == Rrf(weights=(1.0, 2.0))
    assert Rrf(weights=(-0.0, 1)).to_json() == {"kind": "rrf", "k": 60, "weights": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("max", "fusion"),
        (None, "fusion"),
        (Rrf, "fusion"),
        ({"kind": ["rrf"]}, "fusion"),
        ({"k": 60}, "fusion"),
        ({"kind": "rrf", "q": 60}, "fusion"),
        ({"kind": "auto", "weights": [1, 1]}, "fusion"),
        ({"kind": "rrf", "k": -1}, "k"),
        ({"kind": "rrf", "k": 60.5}, "k"),
        ({"kind": "rrf", "k": True}, "k"),
        ({"kind": "rrf", "k": "60"}, "k"),
        ({"kind": "rrf", "weights": []}, "weights"),
        ({"kind": "rrf", "weights": [0, 0]}, "weights"),
        ({"kind": "rrf", "weights": [1, -1]}, "weights"),
        ({"kind": "rrf", "weights": [1, float("nan")]}, "weights"),
        ({"kind": "rrf", "weights": [1, float("inf")]}, "weights"),
        ({"kind": "rrf", "weights": "12"}, "weights"),
        ({"kind": "rrf", "weights": {"text": 1}}, "weights"),
        ({"kind": "rrf", "weights": 1}, "weights"),
        ({"kind": "rrf", "weights": [10**400]}, "weights"),
        ({"kind": "interleave", "weights": [1] * (ARMS + 1)}, "weights"),
        ({"kind": "weighted", "normalise": "softmax"}, "normalise"),
        ({"kind": "weighted", "normalise": ["minmax"]}, "normalise"),
    ],
)
def test_what_is_no_fusion_is_refused_with_the_culprit(value: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        fusion_from(value)

    assert refused.value.field == field


def test_as_many_weights_are_needed_as_there_are_arms() -> None:
    Rrf(weights=(1, 2)).check(2)
    Rrf().check(ARMS)
    AutoFusion().check(1)

    with pytest.raises(InvalidInputError, match="has 2 weights, the query has 3 arms"):
        Rrf(weights=(1, 2)).check(3)
    with pytest.raises(InvalidInputError, match="at most 32 arms, not 33"):
        AutoFusion().check(ARMS + 1)
