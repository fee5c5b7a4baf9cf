"""docs/graph.md tells the truth: its example runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path


def test_the_example_of_the_graph_document_runs_as_it_stands(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    text = (root / "docs" / "graph.md").read_text("utf-8")
    example = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert "'neighbour': 'b'" in run.stdout
    assert "['c', 'z']" in run.stdout
    assert "1 end without a row" in run.stdout
