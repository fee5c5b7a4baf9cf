"""`vecdb demo`, `warmup` and `completion`: first steps on a machine."""

import importlib.util
from typing import Annotated

import typer

from vecdb_client.cli.errors import UNAVAILABLE, CommandError, note
from vecdb_client.cli.options import example
from vecdb_client.cli.target import Target

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


@example(
    "vecdb demo ./demo",
    'vecdb demo ./demo --ask "what do young horses eat"',
    "vecdb demo ./demo --serve --port 7700",
)
def demo(
    path: Annotated[
        Target,
        typer.Argument(metavar="[PATH]", help="Where the example database is made.", parser=Target.parse),
    ] = "vecdb-demo",  # pyright: ignore[reportArgumentType]  # Typer parses it
    ask: Annotated[
        str | None, typer.Option("--ask", metavar="TEXT", help="Ask this instead; needs the extra 'embed'.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="With --ask: where all-MiniLM-L6-v2 is, a folder or a name."),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Then serve it on 127.0.0.1, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option("--port", "-p", metavar="N", help="With --serve: the port.")] = 7700,
) -> None:
    """Make an example database and search it."""
    if importlib.util.find_spec("vecdb.demo") is None:
        raise CommandError("this installation comes without the demo", UNAVAILABLE)
    folder = path.folder("demo", "make it in a directory, and start a server on it: vecdb serve vecdb-demo")
    from rich.console import Console

    from vecdb import demo as shipped

    if ask is None:
        shipped.run(folder, Console())
    else:
        shipped.ask(ask, folder, model, Console())
    if serve:
        from vecdb_client.cli.serve import serve as become_server

        become_server(path, port)


@example(
    "vecdb warmup",
)
def warmup() -> None:
    """Compile all kernels now.

    Otherwise the first query or build of its kind on this machine does it. The usual ones come first; what is compiled
    when you interrupt stays so.
    """
    import time

    import vecdb
    from vecdb_client.cli.progress import StepProgress

    begun = time.monotonic()
    with StepProgress() as progress:
        vecdb.warmup(progress)
    note(f"the kernels are ready ({time.monotonic() - begun:.1f} s)")


@example(
    "vecdb completion bash > ~/.local/share/bash-completion/completions/vecdb",
)
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"One of {', '.join(SHELLS)}.", show_default=False)],
) -> None:
    """Print the completion script for a shell.

    `vecdb --install-completion` installs it.
    """
    from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

    if shell not in SHELLS:
        raise CommandError(f"no completion for {shell!r}; shells are {', '.join(SHELLS)}")
    print(get_completion_script(prog_name="vecdb", complete_var="_VECDB_COMPLETE", shell=shell))  # nosec B604
