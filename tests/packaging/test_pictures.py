"""The pictures of the documents are those that their records draw."""

import re
import shutil
from pathlib import Path

import matplotlib
import pytest

from bench import report
from bench.checkout import RESULTS

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DRAWN = {
    "encodings.svg": ("multivector-hotpot", "multivector-hotpot-sizes.svg"),
    "links.svg": ("linked-speed", "linked-speed-links.svg"),
    "sets.svg": ("selection", "selection-sets.svg"),
}
"""Each picture, its record, and the file that `python -m bench.report` writes."""


def test_every_picture_is_known_and_shown() -> None:
    shown = "\n".join(page.read_text("utf-8") for page in IMAGES.parent.glob("*.md"))

    assert {path.name for path in IMAGES.iterdir()} == set(DRAWN)
    assert all(f"](images/{name})" in shown for name in DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_the_one_of_its_record(name: str, tmp_path: Path) -> None:
    record, file = DRAWN[name]
    held = (IMAGES / name).read_text("utf-8")
    by = re.search(r"Matplotlib v([\d.]+)", held)
    assert by is not None
    if by[1] != matplotlib.__version__:
        pytest.skip(
            f"drawn by matplotlib {by[1]}, and this is {matplotlib.__version__}, which draws a little differently"
        )
    shutil.copy(RESULTS / f"{record}.json", tmp_path)

    report.write(tmp_path)

    assert (tmp_path / file).read_text("utf-8") == held
