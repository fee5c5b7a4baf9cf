"""What a cross-encoder refuses before it loads a model."""

from typing import Any

import pytest

import vecdb
from vecdb.errors import InvalidInputError


@pytest.mark.parametrize(("options", "field"), [({"keep": 0}, "keep"), ({"keep": 3, "separation": 0}, "separation")])
def test_wrong_numbers_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        vecdb.CrossEncoder("model", "question", "text", **options)

    assert caught.value.field == field
