"""The program in two forms: inside the test's process, which is fast, and as a process of its own, which is real."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from integration.cli.program import Done, Run, environment
from vecdb_client.cli.main import main


@pytest.fixture
def vecdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Call the program's main function in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        returned = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        done = Done(captured.out, captured.err)
        assert returned == code, f"{arguments} -> {returned}\n{done.stdout!r}\n{done.stderr.decode()}"
        assert b"Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Start the program as a process in an empty directory."""

    def run(*arguments: object, code: int = 0, stdin: bytes = b"") -> Done:
        command = [sys.executable, "-m", "vecdb_client.cli", *(str(argument) for argument in arguments)]
        ended = subprocess.run(command, cwd=tmp_path, env=environment(), input=stdin, capture_output=True, check=False)
        report = f"{arguments} -> {ended.returncode}\n{ended.stdout!r}\n{ended.stderr.decode()}"
        assert ended.returncode == code, report
        assert b"Traceback" not in ended.stderr, report
        return Done(ended.stdout, ended.stderr)

    return run
