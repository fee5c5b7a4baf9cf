"""Writes `vecdb_client/blocking` from `vecdb_client/aio`, whose modules are the source of both clients.

    python client/generate.py           # write
    python client/generate.py --check   # exit with 1 where a file is not what would be written

Words are replaced, and nothing is understood: the source is written so that this is enough. `transport` exists in both
packages by hand, with the same names. Lines between `# blocking:` comments exist in the blocking client alone: what
cannot be awaited, such as `len`.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "vecdb_client"
MODULES = "bulk", "collection", "database", "links", "reads", "scan", "snapshot", "upload", "view", "writes"

WORDS = {
    "async def": "def",
    "async for": "for",
    "async with": "with",
    "await ": "",
    "aclosing": "closing",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "vecdb_client.aio": "vecdb_client.blocking",
}
_WORD = re.compile("|".join(map(re.escape, WORDS)))
_ONLY = re.compile(r"^( *)# blocking: ?(.*)$", re.MULTILINE)


def blocking(source: str, name: str) -> str:
    """Return the blocking module for an asyncio one."""
    text = _ONLY.sub(r"\1\2", source)
    text = _WORD.sub(lambda found: WORDS[found.group()], text)
    head, end, rest = text.partition('"""\n')
    note = f"\nMade of `vecdb_client/aio/{name}.py` by `client/generate.py`: change that, and run it.\n"
    first, _, more = head.partition("\n")
    text = f"{first}\n{note}{more.rstrip()}\n{end}{rest}" if more else f"{first}\n{note}{end}{rest}"
    ruff, about = [sys.executable, "-m", "ruff"], ["--stdin-filename", str(PACKAGE / "blocking" / f"{name}.py"), "-"]
    for step in (["check", "--select", "I", "--fix", "-q"], ["format"]):
        done = subprocess.run([*ruff, *step, *about], input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def main() -> None:
    """Write the modules, or compare them."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in MODULES:
        made = blocking((PACKAGE / "aio" / f"{name}.py").read_text("utf-8"), name)
        target = PACKAGE / "blocking" / f"{name}.py"
        if not target.exists() or target.read_text("utf-8") != made:
            stale.append(str(target))
            if not check:
                target.write_text(made, "utf-8")
    if stale and check:
        sys.exit(f"not what client/generate.py makes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
