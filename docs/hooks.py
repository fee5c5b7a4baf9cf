"""What the site makes of links that lead out of docs/: names of files, because it has only the documents."""

import posixpath
import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its links to files outside docs/ turned into the names of these files."""
    folder = posixpath.dirname("docs/" + page.file.src_uri)

    def named(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[0] if path.startswith("docs/") else f"{link[1]} (`{path}`)"

    return _OUTSIDE.sub(named, markdown)
