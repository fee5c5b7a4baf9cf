"""API keys: what is stored of them, and when they open the door."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.auth.keys import Keys, changing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_by_its_token_and_by_nothing_like_it(path: Path) -> None:
    keys, key, token = Keys({}).with_key("search app", ["reader"])
    now = time.time()

    assert keys.find(token, now) == key
    secret = token.rpartition("_")[2] if token.count("_") == 2 else token.split("_", 2)[2]
    for wrong in (
        "",
        token[:-1],
        token + "A",
        token.upper(),
        f"vdb_{key.id}_{'A' * 43}",
        f"vdb_{'0' * 12}_{secret}",
        f"{token}\n",
        f"vdb_{key.id}_{hashlib.sha256(secret.encode()).hexdigest()}",
    ):
        assert keys.find(wrong, now) is None


def test_the_file_has_no_secret_and_is_its_owners_alone(path: Path) -> None:
    keys, _, token = Keys({}).with_key("app", ["reader"])

    keys.write(path)

    assert token.split("_", 2)[2] not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert Keys.read(path) == keys
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    Keys({}).write(path)
    path.chmod(0o644)

    with pytest.raises(InvalidInputError, match="chmod 600"):
        Keys.read(path)


def test_an_expired_and_a_revoked_key_open_nothing() -> None:
    now = time.time()
    keys, _, short = Keys({}).with_key("short", ["reader"], now + 10)
    keys, gone, revoked = keys.with_key("gone", ["reader"])

    keys = keys.revoked(gone.id)

    assert keys.find(short, now) is not None
    assert keys.find(short, now + 10) is None
    assert keys.find(revoked, now) is None
    assert keys.by_id[gone.id].state(now) == "revoked"


def test_a_rotated_key_stays_valid_for_the_time_of_grace() -> None:
    keys, old, before = Keys({}).with_key("app", ["reader", "writer"])

    keys, new, after = keys.rotated(old.id, grace=60)

    now = time.time()
    assert keys.find(before, now) is not None
    assert keys.find(before, now + 61) is None
    assert keys.find(after, now + 61) == new
    assert (new.name, new.roles) == (old.name, old.roles)


def test_a_rotation_does_not_lengthen_a_key() -> None:
    ends = time.time() + 5
    keys, old, _ = Keys({}).with_key("app", ["reader"], ends)

    keys, _, _ = keys.rotated(old.id, grace=3600)

    assert keys.by_id[old.id].expires == ends


@pytest.mark.parametrize("name", ["", "a" * 65, "a\nb", "\x1b[2J", "-x", "é"])
def test_a_name_that_could_forge_a_line_of_the_log_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot name a key"):
        Keys({}).with_key(name, ["reader"])


def test_a_missing_key_and_a_missing_file_are_told(path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no key 'x'"):
        Keys({}).revoked("x")
    with pytest.raises(NotFoundError, match="there is no file of keys"):
        Keys.read(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": [{}]}', '{"keys": [], "x": 1}', "\xff"])
def test_a_file_that_is_none_of_keys_is_refused(path: Path, content: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    path.chmod(0o600)

    with pytest.raises(InvalidInputError, match="is not a file of keys"):
        Keys.read(path)


ADDING = """
import sys, time
from vecdb_server.auth.keys import Keys
from vecdb_server.main import main

write = Keys.write

def later(keys, path):
    time.sleep(0.5)  # so that the other one would have read the file before this one writes it
    write(keys, path)

Keys.write = later
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(["keys", "add", sys.argv[1], "--role", "reader", "--file", sys.argv[2]]))
"""


def test_keys_that_two_processes_add_at_once_are_both_in_the_file(path: Path) -> None:
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, name, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for name in ("one", "other")
    ]
    for process in adding:
        assert process.stdout is not None
        process.stdout.readline()

    for process in adding:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    outcomes = [process.communicate() and process.returncode for process in adding]

    assert outcomes == [0, 0]
    assert sorted(key.name for key in Keys.read(path).by_id.values()) == ["one", "other"]


def test_a_change_of_keys_where_there_is_no_folder_makes_none(path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"), changing(path.parent / "none" / "keys.json"):
        pass

    assert os.listdir(path.parent) == []
