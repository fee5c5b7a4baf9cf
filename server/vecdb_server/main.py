"""`vecdb-server`: serve a database, look after API keys, show the configuration."""

import sys
from collections.abc import Sequence

import typer

from vecdb.errors import (
    ConflictError,
    CorruptionError,
    InvalidInputError,
    NotFoundError,
    ResourceExhaustedError,
    VecdbError,
)
from vecdb_server.commands import keys, serve, settings

app = typer.Typer(
    name="vecdb-server",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="The vecdb server: a database behind gRPC. Values come from flags, VECDB__ variables, and a TOML file.",
)
app.command()(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(settings.app, name="config")

USAGE, UNAVAILABLE = 2, 7
EXIT_CODES: tuple[tuple[type[VecdbError], int], ...] = (
    (InvalidInputError, USAGE),
    (NotFoundError, 3),
    (ConflictError, 4),
    (CorruptionError, 5),
    (ResourceExhaustedError, 6),
    (VecdbError, UNAVAILABLE),
)
"""Those of `vecdb`, whose `serve` becomes this program; the first that fits counts."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        outcome = typer.main.get_command(app).main(args=given, prog_name="vecdb-server", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except VecdbError as error:
        return _told(str(error), next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    except OSError as error:
        return _told(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except typer.Abort:
        return 130
    except Exception as error:
        message = getattr(error, "format_message", None)  # of the argument parser
        if message is None:
            raise
        return _told(str(message()))


def _told(sentence: str, code: int = USAGE) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
