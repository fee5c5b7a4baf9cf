"""What becomes of texts before they are indexed."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vecdb_index.inverted.analysis import SKIPPED, Analyzer, words
from vecdb_index.inverted.build import build
from vecdb_index.inverted.check import problems
from vecdb_index.inverted.index import packed
from vecdb_index.inverted.matching import phrase

PLAIN = Analyzer(None, frozenset())


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The Cats' running, isn't it?", [None, "cat", "run", "isn", None, None]),
        ("", []),
        ("  ...  ", []),
        ("C and R_2 x86-64", ["c", None, "r_2", "x86", "64"]),
    ],
)
def test_english_texts(text: str, terms: list[str | None]) -> None:
    assert Analyzer().terms(text) == terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Straße ÉTÉ", ["straße", "été"]),
        ("e\u0301te\u0301", ["été"]),
        ("ＦＵＬＬ ﬁne", ["full", "fine"]),
        ("東京タワー is tall", ["東", "京", "タ", "ワ", "ー", "is", "tall"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("привет, мир", ["привет", "мир"]),
        ("\ud800 lone", ["lone"]),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert PLAIN.terms(text) == words


def test_stems_and_stop_words_go_by_language() -> None:
    assert Analyzer("german").terms("die Häuser") == ["die", "haus"]
    assert Analyzer("german", frozenset({"die"})).terms("die Häuser") == [None, "haus"]
    assert Analyzer(shortest=2).terms("C programs") == [None, "program"]
    with pytest.raises(ValueError, match="klingon"):
        Analyzer("klingon")


def test_a_very_long_word_is_known_by_its_beginning() -> None:
    assert PLAIN.terms("a" * 255 + " b") == ["a" * 255, "b"]
    assert PLAIN.terms("a" * 300 + " b") == ["a" * 255, "b"]
    assert Analyzer().terms("ä" * 300 + "ing") == ["ä" * 255]


def test_plain_letters_beside_others_are_one_word() -> None:
    assert words("naïve’s e\u0301x x\u0903y ab日c x²y") == ["naïve", "s", "éx", "x\u0903y", "ab", "日", "c", "x2y"]


@pytest.mark.parametrize("analyzer", [Analyzer(), PLAIN, Analyzer("french", frozenset({"le", "la"}), 2)])
def test_an_analyser_is_a_value(analyzer: Analyzer) -> None:
    assert Analyzer.of(json.loads(json.dumps(analyzer.to_json()))) == analyzer
    assert hash(Analyzer.of(analyzer.to_json())) == hash(analyzer)
    with pytest.raises(ValueError, match="else"):
        Analyzer.of({**analyzer.to_json(), "analyzer": "else"})


def test_many_texts_are_read_like_each_of_them() -> None:
    texts = ["The cat runs", None, "", "cats of the running dog", "Été"]

    tokens = Analyzer().tokens(texts)

    named = [None if i == SKIPPED else tokens.terms[i] for i in tokens.ids.tolist()]
    for row, text in enumerate(texts):
        assert named[tokens.starts[row] : tokens.starts[row + 1]] == Analyzer().terms(text or "")


def test_threads_do_not_disturb_each_other() -> None:
    texts = [f"running {word} cats relational {word}ing" for word in map(str, range(300))]
    alone = [Analyzer().terms(text) for text in texts]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(Analyzer().terms, texts)) == alone


def test_an_index_made_in_parts_is_the_same() -> None:
    rng = np.random.default_rng(3)
    texts = [" ".join(f"word{i}" for i in rng.geometric(0.05, rng.integers(0, 30))) for _ in range(400)] + [None]

    whole, parted = (build(texts, Analyzer(), positions=True, part=part) for part in (1 << 24, 1000))

    assert problems(parted) == []
    assert parted.settings() == whole.settings()
    assert all(parted.arrays()[name].tobytes() == array.tobytes() for name, array in whole.arrays().items())
    assert Analyzer.of(json.loads(whole.origin)) == Analyzer()


def test_a_phrase_keeps_its_distance_where_stop_words_were() -> None:
    index = build(["state of the art", "state art", "the state and the arts"], Analyzer(), positions=True)
    words = [None if term is None else term.encode() for term in Analyzer().terms("state of the art")]

    assert phrase(index, words)[0].tolist() == [0, 2]
    assert index.find(packed([b"of", b"state"])).tolist() == [-2, 1]
