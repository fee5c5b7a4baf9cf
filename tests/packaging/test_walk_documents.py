"""Documents on links: their examples run one after the other as they stand, and do what they say."""

import re
import subprocess
import sys
from pathlib import Path


def _run(document: Path, tmp_path: Path, environment: dict[str, str], more: str = "") -> str:
    examples = re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(examples) > 1
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*examples, more])],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_examples_on_links_run_and_say_how_links_led_to_hits(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    told = _run(root / "docs" / "graph.md", tmp_path, environment)
    assert "'neighbour': 'b'" in told
    assert "1 end without a row" in told
    assert "-cites->" in told
    assert "'walked': True" in told
    assert "['b2']" in told
    assert "'dst': 'entity:Alien', 'type': 'mentions'" in told


def test_recall_of_an_agents_memory_uses_every_arm_and_keeps_its_budget(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    more = """
hits = recall(question, "cluster disk", 400)
everything = recall(question, "cluster disk", 10**6)
spent, length = sum(hit["tokens"] for hit in hits), len(hits)
assert spent <= 400 < spent + everything[length]["tokens"], "the next one would not fit"
assert [hit.id for hit in hits] == [hit.id for hit in everything[:length]]
assert {name for hit in everything for name in hit.arms} == {"embedding", "text", "linked", "latest"}
assert any(len(hit.path) > 1 for hit in everything)
assert found_by(recall(question, "cluster disk", 10**6, "interleave")[:8]) == {"embedding", "text", "linked", "latest"}
assert found_by(list(notes.run(plain.fuse("interleave")))) == {"embedding", "text", "latest"}
assert stale == {"n9"} and notes.get("n9") is None
"""
    _run(root / "docs" / "how-to" / "agent-memory.md", tmp_path, environment, more)
