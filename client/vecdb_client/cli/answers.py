"""The answer to a query on stdout: hits with what each arm said of them, their group, and the words that were found.

In JSON a hit has, beside its fields, `group` where the query groups, `arms` (rank and score of each) where it has
several, `path` (id, link and direction of each step) where links led to it, `pick` (its place in the set, its gain,
and whom it stands for) where it selects, and `highlights` (a fragment of each text and where in it the words stand)
where it asks for words. These names are left to a field of the same name. A table shows the fragment in place of the
text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vecdb_client.cli.options import Output

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.highlights import Highlight
    from vecdb.results import SearchResult


SIMILAR = "+similar"
"""The column with how many candidates a chosen row stands for."""


def write_answer(collection: "Collection", result: "SearchResult", output: Output, explain: Any = None) -> None:
    """Write the hits; with `explain` and JSON an object of hits and that."""
    from vecdb_client.cli.render import embedded, json_bytes, write_arrow, write_bytes, write_records

    if output is Output.ARROW:
        write_arrow(result.to_arrow())
        return
    found = result.highlights()
    if output is Output.TABLE:
        _write_table(collection, result, found)
        return
    records = _told(result, found)
    if explain is not None and output is Output.JSON:
        write_bytes(json_bytes({"hits": records, "explain": explain}) + b"\n")
        return
    write_records(embedded(records, collection.schema, output), output)


def _told(result: "SearchResult", found: "Sequence[dict[str, Highlight]]") -> list[dict[str, Any]]:
    groups = _groups(result)
    records = []
    for at, record in enumerate(result.to_list()):
        told: dict[str, Any] = {} if groups is None else {"group": groups[at]}
        if result[at].arms:
            told["arms"] = {name: arm._asdict() for name, arm in result[at].arms.items()}
        pick = result[at].pick
        if pick is not None:
            members = [member._asdict() for member in pick.members]
            told["pick"] = {"order": pick.order, "gain": pick.gain, "members": members}
        if result[at].path:
            told["path"] = [step._asdict() for step in result[at].path]
        if found[at]:
            told["highlights"] = {name: {"text": one.text, "spans": one.spans} for name, one in found[at].items()}
        records.append({**record, **{name: value for name, value in told.items() if name not in record}})
    return records


def _groups(result: "SearchResult") -> list[Any] | None:
    """Return the group's value of each hit."""
    return None if result.groups is None else [group.value for group in result.groups for _ in group.hits]


def _write_table(collection: "Collection", result: "SearchResult", found: "Sequence[dict[str, Highlight]]") -> None:
    """Write a table: the group first, the id, the scores, the rank in each of several arms, then the fields."""
    from vecdb_client.cli.render import embedded, write_records

    name = collection.schema.id.name
    arms = list(dict.fromkeys(arm for hit in result for arm in hit.arms))
    groups = _groups(result)
    head = [] if groups is None else ["group"]
    head += [name, "score", *(["distance"] if not len(result) or result.distances is not None else [])]
    ranks = {arm: f"#{arm}" for arm in arms}
    rows = []
    for at, record in enumerate(embedded(result.to_list(), collection.schema, Output.TABLE)):
        told: dict[str, Any] = {} if groups is None else {"group": groups[at]}
        told |= {ranks[arm]: one.rank for arm, one in result[at].arms.items()}
        pick = result[at].pick
        if pick is not None:
            told[SIMILAR] = len(pick.members)
        rows.append({**told, **record, **{field: one for field, one in found[at].items() if field in record}})
    fields = [column for column in dict.fromkeys(key for row in rows for key in row) if column not in head]
    ahead = [*ranks.values(), *([] if result.selection is None else [SIMILAR])]
    columns = [*head, *ahead, *(column for column in fields if column not in ahead)]
    write_records(rows, Output.TABLE, columns)
