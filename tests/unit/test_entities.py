"""Facts out of texts, names that mean the same, and the links that come of both."""

import numpy as np
import pytest

from vecdb.entities import (
    Fact,
    PatternExtractor,
    entity_rows,
    knowledge_links,
    link_entities,
    mentions,
    normalised,
)
from vecdb.errors import InvalidInputError


def test_patterns_find_facts_that_stand_in_one_sentence():
    (found,) = PatternExtractor().extract(
        ["Blade Runner was directed by Ridley Scott. Ridley Scott was born in South Shields, and he lived elsewhere."]
    )
    assert found == [
        Fact("Blade Runner", "directed by", "Ridley Scott"),
        Fact("Ridley Scott", "born in", "South Shields"),
    ]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("J. K. Rowling was born in Yate, England.", ("J. K. Rowling", "born in", "Yate")),
        ("The Hobbit was written by J. R. R. Tolkien. It is long.", ("The Hobbit", "written by", "J. R. R. Tolkien")),
        ("Dr. Who was written by Sydney Newman.", ("Dr. Who", "written by", "Sydney Newman")),
        ("Tesla, Inc. was founded by Martin Eberhard.", ("Tesla, Inc", "founded by", "Martin Eberhard")),
        ("Ludwig van Beethoven was born in Bonn and died in Vienna.", ("Ludwig van Beethoven", "born in", "Bonn")),
        ("When Alan Turing was born in London, nobody knew.", ("Alan Turing", "born in", "London")),
        ("Apple was founded by Steve Jobs and Steve Wozniak.", ("Apple", "founded by", "Steve Jobs")),
        ("Élan is part of Renault.", ("Élan", "part of", "Renault")),
    ],
)
def test_names_are_taken_whole_and_alone(text, fact):
    assert PatternExtractor().extract([text]) == [[Fact(*fact)]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "He was born in a small town.",
        "nothing here is a name",
        "She died in Passy.",
        "It was written by Jane Austen.",
        "OpenAI is not part of Microsoft.",
        "Is Berlin located in Germany?",
        "Marks and Spencer was founded by Michael Marks.",
        "A " * 20_000,
        "Aa and " * 10_000,
        "A.B&" * 20_000,
    ],
)
def test_texts_without_names_beside_a_pattern_give_no_facts(text):
    assert PatternExtractor().extract([text]) == [[]]


@pytest.mark.parametrize(
    ("written", "compared"),
    [("The Beatles", "beatles"), ("Émile  Zola!", "emile zola"), ("AT&T", "at t"), ("The", "the"), ("É", "e")],
)
def test_names_are_compared_without_case_accents_signs_and_articles(written, compared):
    assert normalised(written) == compared


def test_ways_of_writing_become_one_under_the_most_frequent():
    names = link_entities(["the beatles", "The Beatles", "The Beatles", "Beatles", "Queen"])
    assert names["the beatles"] == names["Beatles"] == "The Beatles"
    assert names["Queen"] == "Queen"


def test_names_with_similar_vectors_become_one_if_the_callback_agrees():
    vectors = {"NYC": np.array([1.0, 0.05]), "New York City": np.array([1.0, 0.0]), "Paris": np.array([0.0, 1.0])}
    assert link_entities(vectors, vectors)["NYC"] == "New York City"
    assert link_entities(vectors, vectors, threshold=0.9999)["NYC"] == "NYC"
    asked = []

    def decide(one, two, similarity):
        asked.append((one, two, round(similarity, 3)))
        return False

    assert link_entities(vectors, vectors, decide=decide)["NYC"] == "NYC"
    assert asked == [("nyc", "new york city", 0.999)]


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InvalidInputError, match=r"threshold is 2\.0"):
        link_entities(["a"], threshold=2)
    with pytest.raises(InvalidInputError, match="differ in length"):
        link_entities(["a", "b"], {"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(InvalidInputError, match="2 ids have 1 lists of facts"):
        knowledge_links(["1", "2"], [[]])


def test_texts_are_linked_to_what_they_name_and_names_by_facts():
    facts = [[Fact("Alien", "directed by", "Ridley Scott")], [Fact("Blade Runner", "directed by", "RIDLEY SCOTT")], []]
    names = link_entities(mentions(facts))
    links = {
        (row["src"], row["dst"], row["type"]): row["weight"]
        for row in knowledge_links(["1", "2", "3"], facts, names).to_pylist()
    }
    scott = "entity:RIDLEY SCOTT"
    assert links == {
        ("1", "entity:Alien", "mentions"): 1.0,
        ("1", scott, "mentions"): 0.5,
        ("2", "entity:Blade Runner", "mentions"): 1.0,
        ("2", scott, "mentions"): 0.5,
        ("entity:Alien", scott, "directed by"): 1.0,
        ("entity:Blade Runner", scott, "directed by"): 1.0,
    }
    assert [key for key, _ in entity_rows(names)] == ["entity:Alien", "entity:Blade Runner", scott]
    assert knowledge_links([], []).num_rows == 0
