"""`vecdb check`, `repair`, `backup` and `restore`: is it whole, make it whole, keep it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, PROBLEMS, CommandError, note
from vecdb_client.cli.options import Plain
from vecdb_client.cli.target import Target

if TYPE_CHECKING:
    from vecdb.results import CheckReport
    from vecdb_client.cli.progress import StepProgress


def _existing(path: Path) -> None:
    if not path.is_dir():
        raise CommandError(f"no database at {path}", NOT_FOUND)


@options.example(
    "vecdb check ./library",
)
def check(path: options.DatabasePath, output: options.ReportFormat = Plain.TABLE) -> None:
    """Look for damage.

    Reads every file of a database and compares it with its checksum and with the others. The exit code is 1 when
    there is a problem.
    """
    from vecdb_client.cli.progress import StepProgress
    from vecdb_client.cli.render import cell, json_bytes, write_bytes

    with StepProgress() as progress:
        report = _report(path, progress)
    if output is Plain.JSON:
        problems = [{"path": p.path, "message": p.message, "severity": p.severity} for p in report.problems]
        content = {"ok": report.ok, "files": report.files, "bytes": report.bytes, "problems": problems}
        write_bytes(json_bytes(content) + b"\n")
    else:
        for problem in report.problems:
            print(f"{problem.severity}: {cell(problem.path)}: {cell(problem.message)}")
        verdict = "ok" if report.ok else f"{len(report.problems)} problems"
        print(f"{verdict}: {report.files:,} files, {report.bytes:,} bytes read")
    if not report.ok:
        where = "`vecdb repair` where its files are, while no server has them open," if path.remote else None
        note(f"hint: {where or f'`vecdb repair {path}`'} fixes what can be fixed")
        raise typer.Exit(PROBLEMS)


def _report(target: Target, progress: "StepProgress") -> "CheckReport":
    import vecdb
    from vecdb_client.cli.session import opened_database

    if target.remote:
        with opened_database(target) as database:
            return database.check(progress)
    _existing(Path(target.text))
    return vecdb.check(target.text, progress)


@options.example(
    "vecdb backup ./library ./library-copy",
    "vecdb repair ./library --allow-loss",
)
def repair(
    path: options.DatabasePath,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Give up rows that are lost anyway, so that the rest opens.")
    ] = False,
) -> None:
    """Repair a damaged database. Without --allow-loss nothing is given up."""
    import vecdb

    folder = path.folder("repair", "stop the server, and repair the database where its files are")
    _existing(folder)
    report = vecdb.repair(folder, allow_loss=allow_loss)
    for action in report.actions:
        print(action)
    print(f"{len(report.actions)} repairs, {report.rows_lost:,} rows lost")


@options.example(
    "vecdb backup ./library /backups/library-monday",
)
def backup(
    path: options.DatabasePath,
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION",
            help="A new directory, or an older backup; on a server, its name below the server's folder of backups.",
            show_default=False,
        ),
    ],
) -> None:
    """Copy a database to another directory.

    The copy is one consistent state. A database that another process writes is locked: that process can make the
    backup itself, by Database.backup; a server makes it in the folder that its operator configured. Repeated into an
    older backup only new files are copied.
    """
    from vecdb_client.cli.progress import StepProgress
    from vecdb_client.cli.session import opened_database

    with opened_database(path, write=True) as database, StepProgress() as progress:
        done = database.backup(destination, progress)
    print(f"backed up {path} to {done['path']}: {done['files']:,} files, {done['bytes']:,} bytes")


@options.example(
    "vecdb restore /backups/library-monday ./library",
)
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `backup` made.", show_default=False)],
    destination: Annotated[
        Target,
        typer.Argument(
            metavar="PATH", help="The database directory to be made.", show_default=False, parser=Target.parse
        ),
    ],
) -> None:
    """Make a database from a backup.

    Every file is checked on the way.
    """
    import vecdb

    folder = destination.folder("restore", "restore the backup where a server is to be started on it")
    _existing(source)
    report = vecdb.restore(source, folder)
    print(f"restored {source} to {destination}: {report.files:,} files, {report.bytes:,} bytes")
