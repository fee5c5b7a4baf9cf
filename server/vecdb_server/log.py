"""The log: one line an event, on stderr, with the fields of a list and no others.

Never vectors, rows, filters, keys or tokens: what is not in `FIELDS` is dropped, whoever passes it. Control characters
are escaped, so that no name can forge a line.
"""

import logging
import sys
import time
from typing import Literal, TextIO

import msgspec

FIELDS = (
    "address", "caller", "code", "collection", "file", "method", "metrics", "ms", "pid", "reader", "reason",
    "seconds",
)  # fmt: skip

logger = logging.getLogger("vecdb.server")
audit = logging.getLogger("vecdb.server.audit")
"""Who changed what, and who was refused: always written, whatever the level of the log."""


class Lines(logging.Formatter):
    """An event as a line: JSON, or words for people."""

    def __init__(self, form: Literal["json", "text"]) -> None:
        super().__init__()
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event = record.getMessage()
        given = {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        trouble = None if record.exc_info is None else self.formatException(record.exc_info)
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        moment = f"{seconds}.{int(record.msecs):03}Z"
        if self._json:
            told = {"time": moment, "level": record.levelname.lower(), "log": record.name, "event": event, **given}
            if trouble is not None:
                told["traceback"] = trouble
            return msgspec.json.encode(told, enc_hook=str).decode()
        words = "".join(f" {name}={msgspec.json.encode(value, enc_hook=str).decode()}" for name, value in given.items())
        line = f"{moment} {record.levelname.lower():7} {event}{words}"
        return line if trouble is None else f"{line}\n{trouble}"


def start(level: str, form: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """Write the log from now on."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(Lines(form))
    root = logging.getLogger("vecdb")
    root.handlers = [handler]
    root.propagate = False
    logger.setLevel(level.upper())
    audit.setLevel(logging.INFO)
    for library in ("grpc", "prometheus_client"):
        logging.getLogger(library).handlers = [handler]
        logging.getLogger(library).propagate = False
