"""The page on frameworks tells the truth: its examples run as they stand."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "frameworks.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(3))
def test_an_example_runs_and_finds_something(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    needed = ("langchain_core", "haystack", "llama_index.core")[number]
    pytest.importorskip(needed)
    assert needed.partition(".")[0] in BLOCKS[number]
    monkeypatch.chdir(tmp_path)

    exec(compile(BLOCKS[number], str(PAGE), "exec"), {})

    assert "A quiet chess engine" in capsys.readouterr().out


def test_every_example_is_run():
    assert len(BLOCKS) == 3
