"""No bytes from outside crash a reader, nor raise what callers do not expect, nor take a gigabyte.

VECDB_FUZZ_SECONDS says for how long each is fuzzed, in place of a number of inputs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.targets import TARGETS
from integration.cli.program import environment

FEW, MANY = 300, 20_000
TESTS = Path(__file__).parents[1]


def fuzz(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = environment()
    place["PYTHONPATH"] = os.pathsep.join([str(TESTS), place["PYTHONPATH"]])
    command = [sys.executable, "-m", "fuzz.run", target, *arguments]
    return subprocess.run(command, env=place, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_no_input_does_harm(target: str, examples: int) -> None:
    seconds = os.environ.get("VECDB_FUZZ_SECONDS")
    amount = ("--seconds", seconds) if seconds and examples == MANY else ("--examples", str(examples))

    done = fuzz(target, *amount, "--seed", "7")

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["findings"] == {}
    assert 0 < told["read"] < told["tried"]
    assert told["peak_bytes"] < 1 << 30
