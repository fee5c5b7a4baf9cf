"""The four searches of the tour, each said three ways: as a question, as a command line, as Python lines.

The command line and the Python lines are what the tour prints, to be pasted as they are: paths are quoted, and every
file that they name lies in the folder that `write_vectors` fills, beside the database. The Python lines of one search
go on from those of the search before.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecdb.demo.data import COLLECTION, question_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecdb.collection import Collection
    from vecdb.results import SearchResult

K = 6
QUESTION = "shell"
LIKE = "wean.v.01"
WORDS = "shell creature"
FOOD = "lexname = 'noun.food'"
OTHERS = f"id != '{LIKE}'"
RECALL_PYTHON = "print(words.recall())"

_LOOP_BODY = """    print(f"{hit.score:.3f}  {hit.id:<22}  {hit['text']}")"""


@dataclass(frozen=True)
class Search:
    """One search: what to say about it, its command line, its Python lines, and what to ask the engine."""

    title: str
    remark: str
    command: str
    python: str
    vector: "NDArray[np.float32] | None"
    """The query; None stands for the embedding of the row LIKE."""
    where: str | None
    words: str | None = None
    """What the text is to have besides; None: nothing."""

    def run(self, collection: "Collection") -> "SearchResult":
        """Search the demo's collection: the same result as `command` and `python` give.

        Raises:
            NotFoundError: the row LIKE is gone.

        """
        from vecdb.errors import NotFoundError

        query = self.vector
        if query is None:
            row = collection.get(LIKE)
            if row is None:
                raise NotFoundError(f"no row with the id {LIKE!r} in {collection.name!r}")
            query = row["embedding"]
        if self.words is not None:
            return collection.search(k=K, where=self.where, embedding=query, text=self.words, fusion="auto")
        return collection.search(k=K, where=self.where, embedding=query)


def searches(path: Path) -> list[Search]:
    """Return the tour's searches on the database at `path`."""
    text, question = question_vectors()[QUESTION]
    file = f"{shown(vector_folder(path))}/{QUESTION}.npy"
    return [
        Search(
            title=f"Ask by meaning: {text!r}",
            remark="No entry is written in these words. The question became a vector by the same model as the entries.",
            command=command(path, QUESTION),
            python="\n".join(
                (
                    "import numpy as np",
                    "import vecdb",
                    f"db = vecdb.connect({shown(path)!r}, read_only=True)",
                    f"words = db.collection({COLLECTION!r})",
                    f"question = np.load({file!r})",
                    f"for hit in words.search(embedding=question, k={K}):",
                    _LOOP_BODY,
                )
            ),
            vector=question,
            where=None,
        ),
        Search(
            title="The same question, but only food",
            remark="These are the six nearest of all that is eaten, not what is left of the first six.",
            command=f'{command(path, QUESTION)} --where "{FOOD}"',
            python=f'for hit in words.search(embedding=question, k={K}, where="{FOOD}"):\n{_LOOP_BODY}',
            vector=question,
            where=FOOD,
        ),
        Search(
            title=f"More like this row: {LIKE}, to take a young mammal off its mother's milk",
            remark="A stored row asks with its own vector. Meaning crosses families: animals, food and verbs answer.",
            command=_command("query", path, "--id", LIKE, "--k", str(K), "--show", "lexname,text"),
            python="\n".join(
                (
                    f"wean = words.get({LIKE!r})",
                    f"""for hit in words.search(embedding=wean["embedding"], k={K}, where="{OTHERS}"):""",
                    _LOOP_BODY,
                )
            ),
            vector=None,
            where=OTHERS,
        ),
        Search(
            title=f"By meaning and by words: {text!r}, and the words {WORDS!r}",
            remark="Two rankings become one, and the one with the clearer winners counts for more.",
            command=hybrid_command(path),
            python="\n".join(
                (
                    f"both = words.search(embedding=question, text={WORDS!r}, k={K}, fusion='auto')",
                    "for hit in both:",
                    _LOOP_BODY,
                )
            ),
            vector=question,
            where=None,
            words=WORDS,
        ),
    ]


def command(path: Path, question: str) -> str:
    """Return the command line that asks the question of that id."""
    file = f"@{shown(vector_folder(path))}/{question}.npy"
    return _command("query", path, "--vector", file, "--k", str(K), "--show", "lexname,text")


def hybrid_command(path: Path) -> str:
    """Return the command line that asks by meaning and by words."""
    file = f"@{shown(vector_folder(path))}/{QUESTION}.npy"
    both = ("--vector", file, "--match", WORDS, "--fusion", "auto")
    return _command("query", path, *both, "--k", str(K), "--show", "lexname,text")


def get_command(path: Path, row: str) -> str:
    """Return the command line that shows the row of that id."""
    return _command("get", path, row)


def count_command(path: Path, where: str) -> str:
    """Return the command line that counts the rows that match a filter without double quotes or dollar signs."""
    return f'{_command("count", path)} --where "{where}"'


def recall_command(path: Path) -> str:
    """Return the command line that compares the index with an exact search."""
    return _command("recall", path)


def ask_command(path: Path) -> str:
    """Return the start of the command line that asks in words."""
    return f'{shlex.join(["vecdb", "demo", shown(path)])} --ask "a question"'


def shown(path: Path) -> str:
    """Return a path for a command line: a relative one begins with a dot, so that none looks like an option."""
    text = path.as_posix()
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"


def vector_folder(path: Path) -> Path:
    """Return the folder for the vector files: beside the database, which keeps no files that are not its own."""
    return path.with_name(f"{path.name}-queries")


def write_vectors(path: Path) -> Path:
    """Write every question's vector as a float32 .npy file named by its id; return their folder."""
    folder = vector_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, vector) in question_vectors().items():
        np.save(folder / f"{name}.npy", vector)
    return folder


def _command(name: str, path: Path, *rest: str) -> str:
    return shlex.join(["vecdb", name, shown(path), COLLECTION, *rest])
