"""What the site makes of the documents: links that lead out of docs/, and the help of all commands.

A link out of docs/ becomes the name of the file, because the site has only the documents.
"""

import posixpath
import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s]+)\)")
_HELP = re.compile(r"<!-- help of all commands.*?-->\n.*", re.DOTALL)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its links to files outside docs/ turned into the names of these files."""
    folder = posixpath.dirname("docs/" + page.file.src_uri)

    def named(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[0] if path.startswith("docs/") else f"{link[1]} (`{path}`)"

    markdown = _OUTSIDE.sub(named, markdown)
    return _HELP.sub(lambda _: help_of_all(), markdown) if _HELP.search(markdown) else markdown


def help_of_all() -> str:
    """Return what each command prints for --help, under its name."""
    import typer
    from typer.testing import CliRunner

    from vecdb_client.cli.main import app

    group = typer.main.get_command(app)
    runner = CliRunner()
    parts = []
    for name in group.commands:  # pyright: ignore[reportAttributeAccessIssue]
        told = runner.invoke(app, [name, "--help"], prog_name="vecdb", env={"COLUMNS": "100"})
        if told.exit_code:
            raise RuntimeError(f"vecdb {name} --help failed: {told.output}")
        parts.append(f"### {name}\n\n```text\n{told.output.strip()}\n```\n")
    return "\n".join(parts)
