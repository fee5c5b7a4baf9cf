"""How good answers are, on the user's own questions: recall against exact, judged measures, and a paired comparison.

    >>> from vecdb import evaluation
    >>> report = evaluation.evaluate(
    ...     collection,
    ...     evaluation.read_questions("questions.parquet"),
    ...     {"nearest": vecdb.Query(k=10).near("embedding", "$embedding")},
    ...     evaluation.read_judgements("qrels.txt"),
    ... )
    >>> print(report.means())

files.py       questions and judgements, from the files that users have
templates.py   a query configuration: a query whose places "$column" every question fills
measured.py    asks every question, and measures the answers with ir-measures
paired.py      do two configurations differ, or is it chance?
report.py      what came of it, as a value and as JSON
page.py        the same as an HTML page that needs no network

Judged measures, tests and pages need the extra `evaluate`; importing this package loads none of it.
"""

from vecdb.evaluation.files import Judgement, Question, read_judgements, read_questions
from vecdb.evaluation.measured import evaluate
from vecdb.evaluation.page import write_page
from vecdb.evaluation.paired import Comparison
from vecdb.evaluation.report import Outcome, Report

__all__ = [
    "Comparison",
    "Judgement",
    "Outcome",
    "Question",
    "Report",
    "evaluate",
    "read_judgements",
    "read_questions",
    "write_page",
]
