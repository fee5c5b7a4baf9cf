"""The part of a text that shows why it was found."""

import pytest

import vecdb
from vecdb.fulltext import parse_text
from vecdb.highlights import Highlighter

LONG = "Once there was nothing here. " * 20 + "A fast chess engine plays the game. " + "And then nothing more. " * 20


def shown(question: str, text: str | None, length: int = 160, spec: vecdb.FullText | None = None) -> str:
    return Highlighter(spec or vecdb.FullText(), parse_text(question)).highlight(text, length).marked("<", ">")


@pytest.mark.parametrize(
    ("question", "text", "expected"),
    [
        ("chess engine", "A Chess Engine's engines.", "A <Chess> <Engine>'s <engines>."),
        ("nothing", "a text", "a text"),
        ("nothing", None, ""),
        ("prog*", "Programs make progress, pro or con", "<Programs> make <progress>, pro or con"),
        ("engine*", "engines and engineers", "<engines> and <engineers>"),
        ("-chess board", "a chess board", "a chess <board>"),
        ('"chess of kings"', "kings of chess", "<kings> of <chess>"),
        ("NAÏVE", "so naïve, so nai\u0308ve", "so <naïve>, so <nai\u0308ve>"),
        ("ﬁsh", "a ﬁsh, a fish", "a <ﬁsh>, a <fish>"),
        ("将棋", "将 and 棋", "<将> and <棋>"),
    ],
)
def test_words_are_found_as_the_search_finds_them(question: str, text: str | None, expected: str) -> None:
    assert shown(question, text) == expected


def test_a_long_text_is_cut_around_most_of_the_words() -> None:
    found = Highlighter(vecdb.FullText(), parse_text("chess engine nothing")).highlight(LONG, 80)

    assert found.text.startswith("…")
    assert found.text.endswith("…")
    assert len(found.text) <= 82
    assert "chess engine" in found.text
    assert [found.text[first:last] for first, last in found.spans] == ["nothing", "chess", "engine"] or {
        found.text[first:last] for first, last in found.spans
    } >= {"chess", "engine"}


def test_a_text_without_the_words_shows_its_beginning_up_to_a_word() -> None:
    assert shown("zebra", "one two three four", 10) == "one two…"
    assert shown("zebra", "x" * 50, 10) == "x" * 10 + "…"


@pytest.mark.parametrize("length", [5, 20, 77, 300])
@pytest.mark.parametrize("question", ["chess", "game engine", "nothing more once", "fast nothing"])
def test_spans_lie_on_the_words(question: str, length: int) -> None:
    reader = Highlighter(vecdb.FullText(), parse_text(question))

    found = reader.highlight(LONG, length)

    inside = found.text.strip("…")
    assert inside in LONG
    assert found.spans
    for first, last in found.spans:
        assert found.text[first:last].lower() in {"chess", "game", "engine", "nothing", "more", "once", "fast"}
