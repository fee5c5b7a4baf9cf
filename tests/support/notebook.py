"""A notebook's cells, run in their order by one process of Python, without a kernel; what each printed.

`python -m support.notebook FILE` runs a notebook and writes its outputs anew.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MARK = "-- end of a cell --"


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the cells that have code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def stored(cell: dict[str, Any]) -> str:
    """Return what a cell printed when the notebook was saved."""
    return "".join(line for output in cell["outputs"] for line in output["text"])


def printed(notebook: dict[str, Any], environment: dict[str, str]) -> list[str]:
    """Run all cells in a new folder and return what each prints.

    Raises:
        RuntimeError: a cell failed.

    """
    program = "".join(f"{''.join(cell['source'])}\nprint({MARK!r})\n" for cell in code_cells(notebook))
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    return run.stdout.split(f"{MARK}\n")[:-1]


def main() -> None:
    """Write the outputs of a notebook anew."""
    path = Path(sys.argv[1])
    notebook = json.loads(path.read_text("utf-8"))
    for number, (cell, text) in enumerate(
        zip(code_cells(notebook), printed(notebook, dict(os.environ)), strict=True), start=1
    ):
        cell["execution_count"] = number
        lines = text.splitlines(keepends=True)
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
