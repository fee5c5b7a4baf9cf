"""`vecdb query`: the best rows for a vector, a text, words, rows, or several of these at once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import complete, options, selecting
from vecdb_client.cli.errors import note
from vecdb_client.cli.options import Output

if TYPE_CHECKING:
    from vecdb.results import SearchResult


@options.example(
    'vecdb query ./library papers --vector @question.npy --where "year >= 2020" --show title,year',
    'vecdb query ./library papers --match "hash tables" --text "fast lookup of keys" --fusion auto',
    "vecdb query ./library papers --id W2741809807 --k 5",
    'vecdb query ./library packages --match "web server" --expand depends:2 --show synopsis',
    "vecdb query ./library papers --like W1 --like W2 --unlike W7 --collapse embedding:0.95",
    'vecdb query ./library papers --match "+hash table*" --group-by section --per-group 2 --analyze',
    'vecdb query ./library papers --match "hash tables" --select coverage --quota venue=0..3 --budget-tokens 4000',
    'vecdb query ./library papers --terms @question.json --match "hash tables" --fusion auto',
    'vecdb query ./library papers --text "who likes apples" --cut evt --analyze',
    "encode-question | vecdb query ./library papers --vector - --output jsonl",
    "vecdb query ./library papers --query asked.json --output json",
)
def query(
    path: options.DatabasePath,
    collection: options.CollectionName,
    vector: Annotated[
        str | None,
        typer.Option(
            "--vector",
            "-v",
            metavar="VECTOR",
            help="'[0.1, ...]', @file.npy, @file.json, or - for one of these on stdin.",
        ),
    ] = None,
    near: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Search near this row, which is left out itself.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", "-t", metavar="TEXT", help="A question, encoded by the model of the vectors."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="With --text: the model's folder or name, if it is not known."),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option("--match", "-m", metavar="WORDS", help='Words in a text, "phrases", +must, -not, prefix*.'),
    ] = None,
    match_field: Annotated[
        list[str] | None,
        typer.Option(
            "--match-field",
            metavar="FIELD[^BOOST]",
            help="With --match: which texts, e.g. title^2,body.",
            autocompletion=complete.texts,
        ),
    ] = None,
    terms: Annotated[
        str | None,
        typer.Option("--terms", metavar="TERMS", help="""A sparse vector: '{"12": 0.5, ...}', @file.json or -."""),
    ] = None,
    terms_field: Annotated[
        str | None,
        typer.Option(
            "--terms-field",
            metavar="FIELD",
            help="With --terms: which field, when there are several.",
            autocompletion=complete.sparse,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="ID", help="Search for rows like this one; several are given one by one."),
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option("--unlike", metavar="ID", help="With --like: and not like this one.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="With --like: average, best or sum [average].",
            autocompletion=complete.strategies,
        ),
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(
            "--fusion",
            metavar="KIND",
            help="How words, terms and vectors become one ranking: rrf, auto, interleave or weighted [rrf].",
            autocompletion=complete.fusions,
        ),
    ] = None,
    fetch: Annotated[
        int | None, typer.Option("--fetch", metavar="N", min=1, help="Candidates of each of them, at least [200].")
    ] = None,
    where: options.Where = None,
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, help="How many rows, or groups with --group-by [10].")
    ] = None,
    field: options.VectorField = None,
    show: options.Show = None,
    expand: Annotated[
        str | None,
        typer.Option(
            "--expand",
            metavar="TYPES[:HOPS]",
            help="Go on over links from the best rows: depends:2, 'cites,<reviews', or '*' for all.",
        ),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            "--rank",
            metavar="FORMULA",
            help="""Score by a formula as JSON, e.g. '["+", "score", ["value", "stars"]]'.""",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", metavar="SCORE", help="Leave out rows that score lower.")
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            "--cut",
            metavar="METHOD[:NUMBER]",
            help="Leave out what is not relevant: evt or zscore[:false rows], higher_criticism[:bar], gap[:extra], "
            "adapter[:chance].",
            autocompletion=complete.cuts,
        ),
    ] = None,
    collapse: Annotated[
        str | None,
        typer.Option(
            "--collapse",
            metavar="FIELD[:SIMILARITY]",
            help="Keep the best of rows with equal values, or with vectors as similar as this [0.95].",
            autocompletion=complete.fields,
        ),
    ] = None,
    order_by: Annotated[
        list[str] | None,
        typer.Option(
            "--order-by",
            metavar="FIELDS",
            help="Order by fields instead of by score, e.g. 'size desc, id'.",
            autocompletion=complete.fields,
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="FIELD",
            help="Keep the best rows of each value of a field.",
            autocompletion=complete.fields,
        ),
    ] = None,
    per_group: Annotated[
        int | None, typer.Option("--per-group", metavar="N", min=1, help="With --group-by: how many rows of each [1].")
    ] = None,
    select: selecting.SelectOption = None,
    balance: selecting.Balance = None,
    form: selecting.Form = None,
    quota: selecting.QuotaOption = None,
    grid: selecting.GridOption = None,
    budget_tokens: selecting.BudgetTokens = None,
    budget_field: selecting.BudgetField = None,
    distinct: selecting.Distinct = None,
    fixed: selecting.Fixed = None,
    forbidden: selecting.Forbidden = None,
    min_gain: selecting.MinGain = None,
    pool: selecting.PoolOption = None,
    by_links: selecting.ByLinks = None,
    select_field: selecting.SelectField = None,
    universe: selecting.UniverseOption = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Answer although a damaged segment cannot be read.")
    ] = False,
    after: Annotated[
        str | None, typer.Option("--after", metavar="CURSOR", help="The next page: what the one before told on stderr.")
    ] = None,
    json: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="JSON", help="A whole vecdb.Query: '{...}', a file, or - for stdin."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every row that matches.")] = False,
    recall: options.Recall = None,
    ef: options.Ef = None,
    probes: options.Probes = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also tell how the query is carried out, on stderr or in the json."),
    ] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Also run it a second time, and tell rows and times of each step.")
    ] = False,
    output: options.OutputFormat = Output.TABLE,
) -> None:
    """Find the best rows, best first.

    score: higher is better. distance, for one vector: the metric's own value (1 - cosine, the negative dot product,
    squared L2, the bits that differ). #FIELD, for several ways to search at once: the rank in each. +similar, with
    --select: how many candidates like it the row stands for; --output json names them.

    Rows with an index are searched through it, and some of the nearest may be missed: --recall says how many at most,
    on average; --exact misses none. With --explain and --output json the result is an object of hits and explain.
    """
    from vecdb_client.cli.answers import write_answer
    from vecdb_client.cli.asked import Options, query_of
    from vecdb_client.cli.session import opened_collection

    shown = options.field_list(show)
    asked = Options(
        vector=vector, text=text, near=near, model=model, field=field, match=match,
        match_field=tuple(match_field or ()), terms=terms, terms_field=terms_field, like=tuple(like or ()),
        unlike=tuple(unlike or ()), strategy=strategy, fusion=fusion, fetch=fetch, where=where, k=k,
        fields=None if shown is None else tuple(shown), exact=exact, recall=recall, ef=ef, probes=probes, expand=expand,
        rank=rank, min_score=min_score, cut=cut, collapse=collapse, order_by=tuple(order_by or ()), group_by=group_by,
        per_group=per_group, select=select, balance=balance, form=form, quota=tuple(quota or ()),
        grid=tuple(grid or ()), budget_tokens=budget_tokens, budget_field=budget_field, distinct=distinct,
        fixed=tuple(fixed or ()), forbidden=tuple(forbidden or ()), min_gain=min_gain, pool=pool, by_links=by_links,
        select_field=select_field, universe=universe,
        allow_partial=allow_partial, after=after, json=json,
    )  # fmt: skip
    asked.check()
    given = asked.read()
    if output is Output.ARROW:
        from vecdb_client.cli.render import refuse_terminal

        refuse_terminal("arrow")
    with opened_collection(path, collection) as target:
        meant = query_of(path, target, asked, given)
        result = target.run(meant)
        told: Any = None
        if analyze or (explain and output is not Output.JSON):
            # After the answer, so that the times are not those of compiling kernels and reading files.
            told = target.explain(meant, analyze=analyze)
        if output is Output.JSON and (analyze or explain):
            told = _happened(result) if told is None else told.to_json()
        elif told is not None:
            note(str(told))
            told = None
        write_answer(target, result, output, told)
        if result.cursor is not None:
            note(f"next page: --after {result.cursor}")


def _happened(result: "SearchResult") -> dict[str, Any]:
    """Return how the answer was found; of one way to search without stages, its parts stand at the top as well."""
    told = result.explain
    steps = told["steps"]
    if len(steps) > 1 or "codes_compared" not in steps[0]:
        return told
    return {"parts": steps[0]["parts"], "codes_compared": steps[0]["codes_compared"], **told}
