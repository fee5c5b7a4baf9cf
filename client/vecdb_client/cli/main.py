"""The program: all commands, and the one place where its outcome becomes an exit code.

The help is plain text: rich's panels would cost a third of the start-up time and read [0.1, ...] as markup.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from vecdb_client.cli import (
    admin,
    evaluation,
    facets,
    graph,
    imports,
    index,
    links,
    load,
    measure,
    overlays,
    overviews,
    query,
    records,
    safety,
    serve,
    start,
)
from vecdb_client.cli.errors import EXIT_CODES, guarded, usage_error
from vecdb_client.cli.export import export

_EXAMPLE = """Example:
  vecdb load ./library papers papers.parquet
  vecdb query ./library papers --vector @question.npy --where "year >= 2020\""""

app = typer.Typer(
    name="vecdb",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

COMMANDS: tuple[Callable[..., None], ...] = (
    start.demo,
    admin.create,
    load.load,
    imports.import_,
    query.query,
    facets.facets,
    overviews.summarise,
    overviews.sample,
    overviews.clusters,
    overviews.duplicates,
    graph.graph,
    records.get,
    records.count,
    export,
    records.delete,
    links.links,
    links.unlink,
    overlays.link_similar,
    overlays.link_entities,
    admin.collections,
    admin.stats,
    admin.versions,
    admin.tag,
    admin.compact,
    admin.drop,
    index.index,
    measure.recall,
    measure.tune,
    evaluation.eval_,
    overviews.calibrate,
    safety.check,
    safety.repair,
    safety.backup,
    safety.restore,
    serve.serve,
    start.warmup,
    start.completion,
)

WRITING = frozenset(
    (
        start.demo,
        admin.create,
        load.load,
        imports.import_,
        records.delete,
        admin.tag,
        admin.compact,
        admin.drop,
        index.index,
        measure.tune,
        overlays.link_similar,
        overlays.link_entities,
        links.unlink,
        overviews.calibrate,
    )
)
"""Commands that may have written something when they fail."""


def _register(command: Callable[..., None]) -> None:
    examples = [f"  {line}" for line in command.__dict__["examples"]]
    # A command whose name Python keeps for itself is a function with an underscore behind it.
    name = command.__name__.rstrip("_").replace("_", "-")
    app.command(name, epilog="\n".join(["\b", "Example:", *examples]))(guarded(command, command in WRITING))


for command in COMMANDS:
    _register(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from vecdb.__about__ import __version__

        print(f"vecdb {__version__}")
        raise typer.Exit


@app.callback(epilog=f"\b\n{_EXAMPLE}\n\n\b\n{EXIT_CODES}")
def vecdb(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A vector database in a directory: load files, search by vector and filter, keep versions and backups.

    Results go to stdout, everything else to stderr. VECDB_DEBUG=1 shows the traceback of an error.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines about what one sentence here tells
    with _quiet_pipes():
        try:
            outcome = typer.main.get_command(app).main(
                args=given or ["--help"], prog_name="vecdb", standalone_mode=False
            )
            code = outcome if isinstance(outcome, int) else 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except Exception as error:
            code = usage_error(error)
        sys.stdout.flush()
        return code
    return 0


@contextlib.contextmanager
def _quiet_pipes():
    """Let a reader that went away end the program silently, also when Python flushes at exit."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
