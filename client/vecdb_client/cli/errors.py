"""What went wrong, as an exit code and one line on stderr.

Every failure passes through `report`. With VECDB_DEBUG=1 the traceback is shown as well. A broken pipe is not
a failure: the reader of our output had enough, so the program ends silently with 0.
"""

import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

OK = 0
PROBLEMS = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
CORRUPTION = 5
EXHAUSTED = 6
UNAVAILABLE = 7
REFUSED = 8
BUG = 70
INTERRUPTED = 130

EXIT_CODES = """Exit codes:
  0    success
  1    `vecdb check` found problems
  2    wrong usage or invalid input
  3    not found
  4    conflict: locked by another process, or exists already
  5    corruption: run `vecdb check`
  6    out of disk space, memory or a configured limit
  7    unavailable: outcome unknown, look and retry
  8    refused: the server does not know the caller, or does not let it do that
  70   a defect in vecdb itself
  130  interrupted"""

_HINTS = {
    CONFLICT: None,
    CORRUPTION: "`vecdb check PATH` lists every damaged file; `vecdb repair PATH` fixes what can be fixed",
    UNAVAILABLE: "look at what is stored before you retry: the last write may or may not be there",
}
_KEY_HINT = "VECDB_API_KEY has the key that the server's operator made with `vecdb-server keys add`"
_OS_CODES = {
    errno.ENOSPC: EXHAUSTED,
    errno.EDQUOT: EXHAUSTED,
    errno.EFBIG: EXHAUSTED,
    errno.EMFILE: EXHAUSTED,
    errno.ENFILE: EXHAUSTED,
    errno.ENOMEM: EXHAUSTED,
    errno.ENOENT: NOT_FOUND,
    errno.EEXIST: CONFLICT,
    errno.EISDIR: USAGE,
    errno.ENOTDIR: USAGE,
    errno.EINVAL: USAGE,
    errno.ENAMETOOLONG: USAGE,
    errno.EACCES: UNAVAILABLE,
    errno.EPERM: UNAVAILABLE,
    errno.EROFS: UNAVAILABLE,
}


class CommandError(Exception):
    """A failure that the command line itself found, with its exit code and perhaps a hint."""

    def __init__(self, message: str, code: int = USAGE, hint: str | None = None) -> None:
        """Keep the code and the hint beside the sentence."""
        super().__init__(message)
        self.code = code
        self.hint = hint


class Stopped(KeyboardInterrupt):
    """The user interrupted at a point where the program could finish its sentence: the message says what is done."""


def note(message: str) -> None:
    """Tell the user something on stderr; stdout carries results only."""
    print(message, file=sys.stderr, flush=True)


def exit_code(error: BaseException) -> int:
    """Return the documented exit code of an exception."""
    from vecdb import errors

    table: list[tuple[type[BaseException], int]] = [
        (errors.InvalidInputError, USAGE),
        (errors.NotFoundError, NOT_FOUND),
        (errors.ConflictError, CONFLICT),
        (errors.CorruptionError, CORRUPTION),
        (errors.ResourceExhaustedError, EXHAUSTED),
        (errors.UnauthenticatedError, REFUSED),
        (errors.PermissionDeniedError, REFUSED),
        (errors.VecdbError, UNAVAILABLE),
        (MemoryError, EXHAUSTED),
        (KeyboardInterrupt, INTERRUPTED),
    ]
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return _OS_CODES.get(error.errno or 0, UNAVAILABLE)
    return next((code for kind, code in table if isinstance(error, kind)), BUG)


def report(error: BaseException, writes: bool = False) -> int:
    """Print `error: ...` (and a hint) on stderr and return the exit code; `writes` says that the command may write."""
    if isinstance(error, BrokenPipeError):
        return OK
    if os.environ.get("VECDB_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    code = exit_code(error)
    sentence, *rest = _sentence(error, code).splitlines() or [""]
    note(sentence if code == INTERRUPTED else f"error: {sentence}")
    for line in rest:
        note(f"       {line}")
    hint = error.hint if isinstance(error, CommandError) else _HINTS.get(code)
    if code == UNAVAILABLE and not (isinstance(error, CommandError) or (writes and isinstance(error, _unavailable()))):
        hint = None
    if type(error).__name__ == "UnauthenticatedError":
        hint = _KEY_HINT
    if code == BUG:
        hint = "this is a defect in vecdb; run again with VECDB_DEBUG=1 for the traceback and report it"
    if hint:
        note(f"hint: {hint}")
    return code


def _unavailable() -> type[Exception]:
    from vecdb.errors import UnavailableError

    return UnavailableError


def _sentence(error: BaseException, code: int) -> str:
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"
    if isinstance(error, MemoryError):
        return f"out of memory{': ' if str(error) else ''}{error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}" if code == BUG else str(error)


def guarded(command: Callable[..., None], writes: bool = False) -> Callable[..., None]:
    """Turn every exception of a command, which may write or not, into its line and its exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(report(error, writes)) from None

    return run


def usage_error(error: Exception) -> int:
    """Print what the argument parser refused; anything that is not its own exception is reported as ours."""
    message = getattr(error, "format_message", None)
    if message is None:
        return report(error)
    note(f"error: {' '.join(str(message()).split())}")
    context = getattr(error, "ctx", None)
    note(f"hint: `{context.command_path if context else 'vecdb'} --help` shows the usage")
    return USAGE
