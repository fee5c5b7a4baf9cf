"""Search by words as plain Python has it: counts in dictionaries, the formula in double precision, no index."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import vecdb
from vecdb.fulltext import Clause, TextQuery, parse_text
from vecdb.storage.text_index import analyzer_of

NEAR = 1e-5
"""How far a score may be from the formula: some units of 2^-24 of what all words of a question count together."""

VOCABULARY = (
    *("chess", "engine", "engines", "board", "game", "games", "the", "of", "and", "knight", "opening", "endgame"),
    *("Zug", "naïve", "e-mail", "mail", "programming", "program", "progress", "queen", "rook", "pawn", "2026"),
)


def sentence(rng: np.random.Generator, longest: int = 12) -> str | None:
    """Return a text of a few words, of which some are common; sometimes none."""
    length = int(rng.integers(0, longest))
    if length == 0 and rng.random() < 0.5:
        return None
    at = np.minimum(rng.geometric(0.15, length) - 1, len(VOCABULARY) - 1)
    return " ".join(VOCABULARY[place] for place in at.tolist())


class Texts:
    """Live rows, and what a search by words must find among them."""

    def __init__(self, rows: Mapping[Any, Mapping[str, str | None]], spec: vecdb.FullText) -> None:
        self.spec = spec
        self.rows = rows
        analyzer = analyzer_of(spec)
        self.terms = {
            key: {name: analyzer.terms(text or "") for name, text in row.items()} for key, row in rows.items()
        }

    def scores(self, fields: Mapping[str, float], question: str) -> dict[Any, float]:
        """Return the score of every row that matches."""
        asked = parse_text(question)
        total: dict[Any, float] = defaultdict(float)
        for name, boost in fields.items():
            for key, score in self._scores(name, boost, asked).items():
                total[key] += score
        return {key: score for key, score in total.items() if score > 0 and self._passes(key, fields, asked)}

    def _passes(self, key: Any, fields: Iterable[str], asked: TextQuery) -> bool:
        for clause in asked.clauses:
            required = clause.occur == "must"
            if not required and clause.occur != "not":
                continue
            if not self._searched(clause):
                continue
            here = any(self._has(self.terms[key][name], clause) for name in fields)
            if here != required:
                return False
        return True

    def _searched(self, clause: Clause) -> bool:
        return clause.kind == "prefix" or any(term is not None for term in analyzer_of(self.spec).terms(clause.text))

    def _has(self, terms: list[str | None], clause: Clause) -> bool:
        wanted = analyzer_of(self.spec).terms(clause.text)
        if clause.kind == "words":
            return all(term is None or term in terms for term in wanted)
        if clause.kind == "prefix":
            return any(self._begins(term, clause) for term in terms)
        places = range(len(terms) - len(wanted) + 1)
        alone = [term for term in wanted if term is not None]
        if len(alone) == 1:
            return alone[0] in terms
        ends = [at for at, term in enumerate(wanted) if term is not None]
        wanted = wanted[ends[0] : ends[-1] + 1]
        places = range(len(terms) - len(wanted) + 1)
        return any(all(want is None or terms[at + shift] == want for shift, want in enumerate(wanted)) for at in places)

    def _begins(self, term: str | None, clause: Clause) -> bool:
        stem = analyzer_of(self.spec).terms(clause.text)[-1]
        return term is not None and (term.startswith(clause.text.lower()) or term == stem)

    def _scores(self, name: str, boost: float, asked: TextQuery) -> dict[Any, float]:
        counts = {key: Counter(term for term in row[name] if term is not None) for key, row in self.terms.items()}
        lengths = {key: sum(count.values()) for key, count in counts.items()}
        having = [length for length in lengths.values() if length]
        if not having:
            return {}
        average = sum(having) / len(having)
        frequency = Counter(term for count in counts.values() for term in count)
        weights = self._weights(frequency, len(having), boost, asked)
        found = {}
        for key, count in counts.items():
            held_back = self.spec.k1 * (1 - self.spec.b + self.spec.b * lengths[key] / average)
            met = [(weight, count[term]) for term, weight in weights.items() if count[term]]
            if met:
                found[key] = sum(weight * many / (many + held_back) for weight, many in met)
        return found

    def _weights(self, frequency: Counter[str], rows: int, boost: float, asked: TextQuery) -> dict[str, float]:
        """Return what each term counts, before its occurrences in a row do."""
        times: dict[str, float] = {}
        frequencies: dict[str, int] = dict(frequency)
        wanted = [clause for clause in asked.clauses if clause.occur != "not"]
        for clause in wanted:
            if clause.kind != "prefix":
                for term in analyzer_of(self.spec).terms(clause.text):
                    if term is not None:
                        times[term] = times.get(term, 0.0) + boost
        for clause in wanted:
            if clause.kind == "prefix":
                some = [term for term in frequency if self._begins(term, clause)]
                together = min(sum(frequency[term] for term in some), rows)
                for term in some:
                    if term not in times:
                        times[term], frequencies[term] = boost, together
        known = {term: frequencies.get(term, 0) for term in times}
        return {term: times[term] * math.log1p((rows - many + 0.5) / (many + 0.5)) for term, many in known.items()}


def agree(result: Any, true: Mapping[Any, float], k: int) -> None:
    """Fail unless a result is the k best of the true scores, but for what rounding may exchange."""
    ids, scores = result.ids, result.scores.tolist()
    assert len(ids) == len(set(ids)) == min(k, len(true)), (ids, true)
    assert scores == sorted(scores, reverse=True)
    for key, score in zip(ids, scores, strict=True):
        assert key in true, f"{key!r} does not match"
        assert abs(score - true[key]) <= NEAR, (key, score, true[key])
    for first, second in zip(range(len(ids) - 1), range(1, len(ids)), strict=True):
        assert scores[first] > scores[second] or ids[first] < ids[second], "equal scores are not ordered by id"
    if len(ids) == k:
        left_out = [score for key, score in true.items() if key not in set(ids)]
        assert max(left_out, default=0.0) <= scores[-1] + 2 * NEAR
