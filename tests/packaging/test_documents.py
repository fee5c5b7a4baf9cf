"""Documents tell the truth: links lead somewhere, examples run as they stand, commands exist."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from golden.explanations import masked
from vecdb.filters import expression, parser, words
from vecdb.planner import scalars

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"(?:^|[`\s/])vecdb ([a-z]+)\b", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [body for name, body in _FENCE.findall(text) if name == language]


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as hosting sites make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path, root: Path) -> list[str]:
    """Return the links of a document that lead to no file of the tree, or to no heading of it."""
    text = path.read_text("utf-8")
    broken = []
    for target in _LINK.findall(_INLINE.sub("", _FENCE.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        inside = file.is_relative_to(root) and file.exists()
        if not inside or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8"))):
            broken.append(f"{path.relative_to(root)}: {target}")
    return broken


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text("utf-8")


def test_every_link_of_a_document_leads_to_a_file_of_the_tree(tracked: list[Path], root: Path) -> None:
    documents = [root / path for path in tracked if path.suffix == ".md"]

    broken = [link for path in documents for link in broken_links(path, root.resolve())]

    assert documents
    assert broken == []


def test_a_broken_link_would_be_found(tmp_path: Path) -> None:
    text = "# A head\n[a](b.md) [c](#a-head) [d](#no-head) `[e](f)`\n```\n[g](h)\n```\n[i](https://example.org)\n"
    (tmp_path / "x.md").write_text(text)

    assert broken_links(tmp_path / "x.md", tmp_path) == ["x.md: b.md", "x.md: #no-head"]


def test_the_python_example_of_the_readme_runs_as_it_stands(
    readme: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    example, _ = blocks(readme, "python")

    for _ in range(2):  # a reader who runs it again must not be punished
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip

        assert run.returncode == 0, run.stderr
        assert "an insect that makes honey" in run.stdout
        assert "honeybee.n.01" in run.stdout
        assert "2573 deleted, 4255 left\n6828 as they were" in run.stdout


def test_the_shell_example_of_the_readme_runs_as_it_stands(
    readme: str, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    example, _ = [block for block in blocks(readme, "sh") if block.startswith("vecdb ")]

    run = subprocess.run(
        ["sh", "-eu", "-c", warm + example],
        cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert (tmp_path / "library-backup" / "FORMAT").exists()


def test_the_server_example_of_the_readme_runs_on_the_library_of_the_first(
    readme: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    first, remote = blocks(readme, "python")
    _, command = [block for block in blocks(readme, "sh") if block.startswith("vecdb ")]
    words = command.partition("#")[0].split()
    assert words[-2:] == ["--port", "7700"]
    python = [sys.executable, "-W", "error", "-c"]
    subprocess.run([*python, first], cwd=tmp_path, env=environment, capture_output=True, check=True)

    with subprocess.Popen(
        [sys.executable, "-m", "vecdb_client.cli", *words[1:-1], "0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip().rpartition(":")[2]
            run = subprocess.run(
                [*python, remote.replace("7700", port)], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
        finally:
            server.terminate()

    assert run.returncode == 0, run.stderr
    assert "honeybee.n.01" in run.stdout


def test_the_commands_and_lines_of_the_indexes_document_run_as_they_stand(
    root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    text = (root / "docs" / "indexes.md").read_text("utf-8")
    (commands,) = [block for block in blocks(text, "sh") if block.startswith("vecdb ")]
    write, measure = blocks(text, "python")

    for arguments in (
        [sys.executable, "-W", "error", "-c", write],
        ["sh", "-eu", "-c", warm + commands],
        [sys.executable, "-W", "error", "-c", measure],
    ):
        run = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

        assert run.returncode == 0, run.stderr

    assert re.search(r"^ef 256: recall (0\.9\d\d|1\.000), ", run.stdout, re.MULTILINE)
    assert re.search(r"^(codes|wide) True$", run.stdout, re.MULTILINE)


def test_the_examples_of_the_query_document_run_one_after_the_other(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    examples = blocks((root / "docs" / "query.md").read_text("utf-8"), "python")

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(examples)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert examples
    assert run.returncode == 0, run.stderr


def test_the_commands_of_the_query_document_run_as_they_stand(
    root: Path, tmp_path: Path, environment: dict[str, str], warm: str
) -> None:
    text = (root / "docs" / "query.md").read_text("utf-8")
    (commands,), (asked,) = blocks(text, "sh"), blocks(text, "json")
    (tmp_path / "asked.json").write_text(asked)

    run = subprocess.run(
        ["sh", "-eu", "-c", warm + commands],
        cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert "**honey**" in run.stdout
    assert len((tmp_path / "often.jsonl").read_text().splitlines()) == 6828


def test_the_transcript_in_the_query_document_is_the_golden_one(root: Path) -> None:
    (transcript,) = blocks((root / "docs" / "query.md").read_text("utf-8"), "text")
    golden = (root / "tests" / "golden" / "explain" / "hybrid.txt").read_text("utf-8")

    assert masked(transcript).strip() == golden.split("\n\n")[1].strip()


def test_the_example_and_the_two_forms_of_each_condition_in_the_filters_document_are_true(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    text = (root / "docs" / "filters.md").read_text("utf-8")
    (example,) = blocks(text, "python")
    forms = re.findall(r"^\| `([^`]+)` \| `([^`]*col\([^`]+)` \|", text, re.MULTILINE)
    checks = [f"assert parse({typed!r}) == ({built}), {typed!r}" for typed, built in forms]
    checks += [f"shops.count({typed!r})" for typed, _ in forms]

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([example, "from vecdb.filters import parse", *checks])],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    assert run.stdout == "1\n1\n[['a', 'c']]\n"
    assert len(forms) == 15


def test_the_limits_that_the_filters_document_names_are_those_of_the_code(root: Path) -> None:
    text = (root / "docs" / "filters.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]*\d[^|]*) \|$", text, re.MULTILINE))

    assert rows == {
        "filter text": f"{parser.MAX_TEXT // 2**20} MiB of characters, {parser.MAX_TOKENS:,} words, values and signs",
        "values in one list": f"{expression.MAX_LIST:,}",
        "conditions and connectives": f"{expression.MAX_NODES:,}",
        "nesting": f"{expression.MAX_DEPTH} levels",
        "keys in a JSON path": f"{expression.MAX_KEYS}",
        "`matches`": f"{words.MAX_TEXT:,} characters, {words.MAX_WORDS:,} words and signs, {words.MAX_DEPTH} levels",
    }
    assert f"fewer than {scalars.LEAST_ROWS:,} rows" in text
    limits = f"at most {scalars.MOST_BYTES >> 20} MiB together and those of words {scalars.WORDS_BYTES >> 20} MiB"
    assert limits in " ".join(text.split())


@pytest.mark.parametrize("name", ["quickstart", "sets", "relevance", "multivector", "sparse"])
def test_the_examples_of_a_document_run_one_after_the_other(
    name: str, root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    text = (root / "docs" / f"{name}.md").read_text("utf-8")
    examples = blocks(text, "python")

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(examples)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert examples
    assert run.returncode == 0, run.stderr
    assert [shown for shown in blocks(text, "text") if shown not in run.stdout] == []


def test_the_constants_that_the_indexes_document_names_have_the_values_that_it_says(root: Path) -> None:
    text = (root / "docs" / "indexes.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.]+)\.([A-Z_]+)` \| ([\d.]+) \|", text, re.MULTILINE)

    found = {(module, name): str(getattr(importlib.import_module(module), name)) for module, name, _ in rows}

    assert len(rows) > 20
    assert found == {(module, name): value for module, name, value in rows}


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "client/README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/indexes.md",
        "docs/encoders.md",
        "docs/evaluation.md",
        "docs/migration.md",
        "docs/query.md",
    ],
)
def test_every_command_that_a_document_names_exists(document: str, root: Path, environment: dict[str, str]) -> None:
    text = (root / document).read_text("utf-8")
    code = "\n".join(
        [body for language, body in _FENCE.findall(text) if language != "python"]
        + _INLINE.findall(_FENCE.sub("", text))
    )
    help_text = subprocess.run(
        [sys.executable, "-m", "vecdb_client.cli", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, _, listed = help_text.partition("Commands:")
    commands = set(re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE))

    assert {"demo", "load", "query"} <= commands
    assert set(_COMMAND.findall(code)) <= commands


def test_every_python_file_that_a_document_names_exists(tracked: list[Path], root: Path) -> None:
    """A name may leave out the folders before it: `writer.py` is vecdb/storage/writer.py."""
    known = [f"/{path.as_posix()}" for path in tracked]
    unknown = [
        f"{path}: {name}"
        for path in tracked
        if path.suffix == ".md"
        for name in re.findall(r"`([\w./]+\.py)\b[^`\n]*`", (root / path).read_text("utf-8"))
        if not any(file.endswith(f"/{name}") for file in known)
    ]

    assert unknown == []


def test_no_document_tells_to_install_the_package_of_somebody_else(tracked: list[Path], root: Path) -> None:
    wrong = re.compile(r"(?:pip|uv) (?:install|add) (?:-\S+ )*vecdb(?![\w-])")
    texts = {path: (root / path).read_text("utf-8") for path in tracked if path.suffix in {".md", ".toml", ".py"}}

    assert [str(path) for path, text in texts.items() if path.name != Path(__file__).name and wrong.search(text)] == []
    assert wrong.search("pip install -U vecdb")


def test_the_examples_of_the_document_on_many_callers_run_as_they_stand(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    examples = blocks((root / "docs" / "callers.md").read_text("utf-8"), "python")

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(examples)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stderr
    assert "[0, 1, 2, 3]\n" in run.stdout


def test_the_lines_of_the_encoders_document_run_as_they_stand(
    root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (example,) = blocks((root / "docs" / "encoders.md").read_text("utf-8"), "python")

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout == "A quiet chess engine\nBread with sourdough\n"
