"""Which columns of a file become which fields: --map, --id, and columns that are the numbers of one vector.

Everything that can be wrong with the choice is found here, before the first row is stored.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vecdb_client.cli.columns import Plan
from vecdb_client.cli.errors import CommandError

if TYPE_CHECKING:
    from vecdb.schema import Schema

_NUMBERED = re.compile(r"(.*?)[_\-. \[]*(\d+)\]?")
_INDEX = re.compile(r"__index_level_\d+__")
_IDS = ("id", "_id", "ID", "Id")
SHORTEST_GROUP = 4


def parse_map(entries: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Read --map: renames (an empty target leaves the column out) and patterns of columns to join."""
    renames: dict[str, str] = {}
    patterns: list[tuple[str, str]] = []
    for entry in entries:
        source, equals, target = entry.rpartition("=")
        if not equals or not source:
            raise CommandError(f"--map {entry!r} is not of the form SOURCE=FIELD")
        if "*" in source and target:
            patterns.append((source, target))
        elif source in renames:
            raise CommandError(f"--map names the column {source!r} twice")
        else:
            renames[source] = target
    return renames, patterns


def make_plan(
    columns: list[str],
    entries: Sequence[str],
    id_option: str | None,
    schema: "Schema | None",
    *,
    only_vectors: bool = False,
    open_ended: bool = False,
) -> Plan:
    """Settle which column becomes which field; schema is None when it will be inferred from the plan.

    only_vectors: the file has no room for ids (.npy), so its rows are numbered unless told otherwise. open_ended:
    columns are only those seen so far (JSON Lines), so an unknown one is the matter of its row.

    Raises:
        CommandError: --map or --id name a column that the file has not, no column can be the id, two columns want
            one field, or a column has no field in the schema.

    """
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise CommandError(f"the file has two columns called {twice!r}")
    renames, patterns = parse_map(entries)
    renames = _expanded(renames, columns, open_ended)
    free = [name for name in columns if name not in renames]
    targets = _joined(free, columns, patterns)
    joined = {name for members in targets.values() for name in members}
    groups = _groups([name for name in free if name not in joined], id_option, schema)
    joined |= {name for members in groups.values() for name in members}
    targets |= {target: members for target, members in groups.items() if target not in targets}
    pairs = [(name, renames.get(name, name)) for name in columns if name not in joined]
    pairs = [(source, target) for source, target in pairs if target]
    source_id, id_name, auto = _id(columns, pairs, id_option, schema, only_vectors)
    if auto:
        pairs = [(source, target) for source, target in pairs if target != id_name]
        renames |= {id_name: ""} if id_name in columns else {}
    else:
        pairs = [(source, id_name if source == source_id else target) for source, target in pairs]
        renames |= {source_id: id_name} if source_id != id_name else {}
    for source, target in pairs:
        if target in targets:
            raise CommandError(f"two columns want to be the field {target!r}", hint=f"--map '{source}=' leaves one out")
        targets[target] = (source,)
    targets = dict(sorted(targets.items(), key=lambda item: columns.index(item[1][0])))
    if schema is not None:
        targets = _only_vector(targets, schema) if only_vectors else targets
        if not open_ended:
            _check_known(targets, schema)
    return Plan(targets, renames, id_name, auto)


def _expanded(renames: dict[str, str], columns: list[str], open_ended: bool) -> dict[str, str]:
    """Apply patterns that leave columns out, and leave out the index columns that pandas writes."""
    result = {name: "" for name in columns if _INDEX.fullmatch(name)}
    for source, target in renames.items():
        matches = [name for name in columns if name == source or (not target and fnmatchcase(name, source))]
        if not matches and open_ended and "*" not in source:
            matches = [source]
        if not matches:
            raise CommandError(f"--map names {source!r}, but the columns are {_listed(columns)}")
        result |= dict.fromkeys(matches, target)
    return result


def _joined(free: list[str], columns: list[str], patterns: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return the vectors that --map joins from several columns."""
    targets: dict[str, tuple[str, ...]] = {}
    for pattern, target in patterns:
        taken = {name for members in targets.values() for name in members}
        members = _in_order([name for name in free if name not in taken and fnmatchcase(name, pattern)])
        if not members:
            raise CommandError(f"--map '{pattern}={target}': no column matches; the columns are {_listed(columns)}")
        targets[target] = tuple(members)
    return targets


def _id(
    columns: list[str],
    pairs: list[tuple[str, str]],
    option: str | None,
    schema: "Schema | None",
    only_vectors: bool,
) -> tuple[str, str, bool]:
    """Return the id's source column, its field name, and whether rows are numbered instead."""
    name = schema.id.name if schema is not None else None
    if option is not None and option != "auto":
        if option not in columns:
            raise CommandError(f"--id names {option!r}, but the columns are {_listed(columns)}")
        mapped = dict(pairs).get(option, option)
        return option, name or mapped, False
    if option == "auto" or only_vectors:
        return "", name or "id", True
    by_target = {target: source for source, target in pairs}
    for candidate in (name,) if name else _IDS:
        if candidate in by_target:
            return by_target[candidate], candidate, False
    wanted = f"{name!r}, the id of the collection" if name else "'id'"
    raise CommandError(
        f"no column is called {wanted}; the columns are {_listed(columns)}",
        hint="--id COLUMN says which one holds the ids, --id auto numbers the rows",
    )


def _groups(columns: list[str], id_option: str | None, schema: "Schema | None") -> dict[str, tuple[str, ...]]:
    """Find columns such as e0, e1, ... e383 that are the numbers of one vector."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in columns:
        match = _NUMBERED.fullmatch(name)
        if match and name != id_option and not (schema is not None and name in schema):
            found.setdefault(match[1], []).append((int(match[2]), name))
    groups: dict[str, tuple[str, ...]] = {}
    for prefix, members in found.items():
        members.sort()
        places = [place for place, _ in members]
        least = SHORTEST_GROUP if places[0] == 0 else 8 * SHORTEST_GROUP
        if places != list(range(places[0], places[0] + len(places))) or places[0] > 1:
            continue
        if schema is not None:
            vectors = [c.name for c in schema.vectors if c.field.dimension == len(members)]
            target = prefix if prefix in vectors else vectors[0] if len(vectors) == 1 else None
        else:
            target = _field_name(prefix) if len(members) >= least else None
        if target is not None and target not in groups:
            groups[target] = tuple(name for _, name in members)
    return groups


def _field_name(prefix: str) -> str:
    from vecdb.schema import RESERVED

    good = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", prefix) and prefix not in RESERVED and prefix != "id"
    return prefix if good else "embedding"


def _in_order(names: list[str]) -> list[str]:
    """Sort by the numbers inside the names, so that v10 comes after v9."""
    return sorted(names, key=lambda name: [int(s) if s.isdecimal() else s for s in re.split(r"(\d+)", name)])


def _only_vector(targets: dict[str, tuple[str, ...]], schema: "Schema") -> dict[str, tuple[str, ...]]:
    """Give the one matrix of a .npy file the name of the one vector field."""
    (name, sources), *others = targets.items()
    vectors = [column.name for column in schema.vectors]
    if others or name in schema or len(vectors) != 1:
        return targets
    return {vectors[0]: sources}


def _check_known(targets: dict[str, tuple[str, ...]], schema: "Schema") -> None:
    unknown = next((name for name in targets if name not in schema), None)
    if unknown is not None:
        source = targets[unknown][0]
        known = ", ".join(column.name for column in schema)
        raise CommandError(
            f"the column {source!r} has no field in the collection, whose fields are {known}",
            hint=f"--map '{source}=FIELD' stores it under another name, --map '{source}=' leaves it out",
        )


def _listed(columns: list[str]) -> str:
    shown = ", ".join(columns[:12])
    return shown if len(columns) <= 12 else f"{shown}, ... ({len(columns)} columns)"
