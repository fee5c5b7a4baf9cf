"""The examples of the document on evaluation are true."""

import re
import subprocess
import sys
from pathlib import Path

from vecdb.evaluation import Question
from vecdb.evaluation.templates import Template


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_lines_of_the_evaluation_document_run_as_they_stand(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (example,) = blocks((root / "docs" / "evaluation.md").read_text("utf-8"), "python")

    run = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr
    assert "'nearest': {'recall of exact': " in run.stdout
    assert "Comparison(measure='nDCG@10', first='nearest', second='both'" in run.stdout
    assert (tmp_path / "report.html").exists()


def test_the_configuration_in_the_evaluation_document_is_a_query(root: Path) -> None:
    (example,) = blocks((root / "docs" / "evaluation.md").read_text("utf-8"), "json")

    template = Template.of("shown", example)

    assert template.places == ("embedding", "text")
    query = template.filled(Question("q", {"text": "bees", "embedding": [1.0, 2.0]}))
    assert len(query.arms) == 2
