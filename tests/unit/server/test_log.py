"""The log: only what the list names, and no line that a name could forge."""

import io
import json
import logging

import pytest

from vecdb_server.log import Lines


def line(form: str, message: str = "request", **extra: object) -> str:
    """Return an event as it is written."""
    logger = logging.Logger("test")
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Lines(form))  # pyright: ignore[reportArgumentType]
    logger.addHandler(handler)
    logger.info(message, extra=extra)
    return out.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_the_list_does_not_name_is_dropped(form: str) -> None:
    written = line(form, method="/a/B", secret="vdb_x", where="salary > 1", vector=[0.7182818284])

    assert "/a/B" in written
    assert not any(word in written for word in ("vdb_x", "salary", "0.7182818284"))


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_name_with_control_characters_stays_in_its_line(form: str) -> None:
    written = line(form, collection='a\n{"event": "forged"}\r\x1b[31m\u2028')

    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert "\r" not in written


def test_a_line_is_json_with_the_time_first() -> None:
    told = json.loads(line("json", method="/a/B", ms=1.5))

    assert list(told) == ["time", "level", "log", "event", "ms", "method"] or set(told) == {
        "time", "level", "log", "event", "ms", "method",
    }  # fmt: skip
    assert told["event"] == "request"
    assert told["ms"] == 1.5


def test_only_what_changes_things_for_others_is_audited() -> None:
    from vecdb_server.access import RULES
    from vecdb_server.guard import _AUDITED

    audited = {
        name.rpartition("/")[2]
        for name, rule in RULES.items()
        if rule.permissions and _AUDITED.issuperset(rule.permissions)
    }

    assert {"DropCollection", "Backup", "Compact", "Tag"} <= audited
    assert not audited & {"GetCollection", "GetStats", "Search", "Upsert", "Delete"}
