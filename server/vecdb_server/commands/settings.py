"""`vecdb-server config show`: what holds, and who said so."""

from typing import Annotated

import typer

from vecdb_server.commands.options import ConfigFile, Set, loaded

app = typer.Typer(help="Show the configuration.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the configuration."""


@app.command()
def show(
    file: ConfigFile = None,
    given: Set = None,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
) -> None:
    """Print the configuration as TOML."""
    for line in loaded(file, given).lines(origin):
        print(line)
