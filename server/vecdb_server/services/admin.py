"""AdminService: upkeep, and what the server is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vecdb.__about__ import __version__
from vecdb.encoders.lookup_sparse import LookupSparse
from vecdb.encoders.tokens import TokenEncoder
from vecdb.errors import ConflictError, InvalidInputError
from vecdb.filters.expression import MAX_LIST
from vecdb.schema.fields import DIMENSION
from vecdb.schema.limits import DEFAULT_LIMITS
from vecdb.storage.format import NAME
from vecdb.wire import reports, schemas
from vecdb.wire.values import as_json, ids_from_message
from vecdb_proto.v1 import admin_service_pb2 as pb
from vecdb_proto.v1.result_pb2 import Progress as ProgressMessage
from vecdb_server.call import Call
from vecdb_server.services.progress import Progress, Tell
from vecdb_server.services.search import questions
from vecdb_server.services.shared import Shared, given


class AdminService:
    """Keeps collections in order, and tells about the server."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def Flush(self, request: pb.FlushRequest, call: Call) -> pb.FlushResponse:  # noqa: N802
        """Publish a version."""
        return pb.FlushResponse(flushed=self._collection(request, call).flush())

    def Compact(self, request: pb.CompactRequest, call: Call) -> pb.CompactResponse:  # noqa: N802
        """Merge segments."""
        return pb.CompactResponse(**self._collection(request, call).compact(request.purge))

    def BuildIndexes(self, request: pb.BuildIndexesRequest, call: Call) -> Iterator[pb.BuildIndexesResponse]:  # noqa: N802
        """Build what indexes are missing."""
        collection = self._collection(request, call)

        def build(tell: Tell) -> int:
            return collection.build_indexes(lambda done, total: tell("index", done, total))

        work = Progress(build)
        for told in work:
            yield pb.BuildIndexesResponse(progress=_message(told))
        yield pb.BuildIndexesResponse(built=work.result)

    def Tune(self, request: pb.TuneRequest, call: Call) -> pb.TuneResponse:  # noqa: N802
        """Measure what recall searches reach."""
        limits = self._shared.config.limits
        self._shared.check_most("k", request.k, limits.k)
        self._shared.check_most("sample", request.sample, limits.queries_per_batch)
        report = self._collection(request, call).tune(
            questions(request, limits.queries_per_batch),
            sample=request.sample,
            k=request.k,
            reset=request.reset,
            **given(request, "field"),
        )
        return pb.TuneResponse(report=None if report is None else reports.tune_to_message(report))

    def Calibrate(self, request: pb.CalibrateRequest, call: Call) -> pb.CalibrateResponse:  # noqa: N802
        """Learn what is relevant."""
        most = self._shared.config.limits.queries_per_batch
        self._shared.check_most("judged", len(request.judged), most)
        judged = [
            (self._shared.query(one.query), ids_from_message(one.relevant) if one.HasField("relevant") else [])
            for one in request.judged
        ]
        report = self._collection(request, call).calibrate(judged, request.name, reset=request.reset)
        told = None if report is None else pb.CalibrateResponse.Report(json=as_json(report.to_json()))
        return pb.CalibrateResponse(report=told)

    def GetStats(self, request: pb.GetStatsRequest, call: Call) -> pb.GetStatsResponse:  # noqa: N802
        """Return counts and sizes."""
        served = self._shared.served
        one = request.HasField("collection")
        stats = served.collection(request.collection, call).stats() if one else served.database.stats()
        return pb.GetStatsResponse(stats=as_json(stats))

    def Backup(self, request: pb.BackupRequest, call: Call) -> Iterator[pb.BackupResponse]:  # noqa: N802
        """Copy the database into a folder below that of the operator."""
        destination = self._backup_folder(request.name)
        work = Progress(lambda tell: self._shared.served.database.backup(destination, tell))
        for told in work:
            yield pb.BackupResponse(progress=_message(told))
        yield pb.BackupResponse(done=pb.BackupResponse.Done(**work.result))

    def Check(self, request: pb.CheckRequest, call: Call) -> Iterator[pb.CheckResponse]:  # noqa: N802
        """Compare every file with its checksum."""
        work = Progress(lambda tell: self._shared.served.database.check(tell))
        for told in work:
            yield pb.CheckResponse(progress=_message(told))
        yield pb.CheckResponse(report=reports.check_to_message(work.result))

    def GetLimits(self, request: pb.GetLimitsRequest, call: Call) -> pb.GetLimitsResponse:  # noqa: N802
        """Return what the server takes."""
        limits = self._shared.config.limits
        return pb.GetLimitsResponse(
            limits=pb.Limits(
                request_bytes=limits.message_in_bytes,
                response_bytes=limits.message_out_bytes,
                metadata_bytes=limits.metadata_bytes,
                upsert_rows=limits.rows_per_request,
                row_bytes=DEFAULT_LIMITS.row_bytes,
                json_depth=DEFAULT_LIMITS.json_depth,
                dimension=DIMENSION,
                k=limits.k,
                ef=limits.ef,
                probes=limits.probes,
                filter_depth=limits.filter_depth,
                filter_nodes=limits.filter_nodes,
                filter_values=MAX_LIST,
                batch_queries=limits.queries_per_batch,
                default_deadline_seconds=limits.deadline_seconds,
                longest_deadline_seconds=limits.longest_deadline_seconds,
                query_memory_bytes=limits.query_memory_bytes,
                longest_lease_seconds=limits.snapshot_seconds,
                decompressed_bytes=limits.expanded_bytes,
                decompression_ratio=limits.expansion_ratio,
                concurrent_streams=limits.concurrent_streams,
            )
        )

    def GetServer(self, request: pb.GetServerRequest, call: Call) -> pb.GetServerResponse:  # noqa: N802
        """Return the version and the encoders."""
        served = self._shared.served
        encoders = []
        for name, encoder in served.encoders.items():
            sparse, tokens = isinstance(encoder, LookupSparse), isinstance(encoder, TokenEncoder)
            space = served.encoder_space(name)
            told = None if space is None else schemas.space_to_message(space)
            encoders.append(pb.Encoder(name=name, space=told, sparse=sparse, tokens=tokens))
        return pb.GetServerResponse(version=__version__, read_only=served.database.read_only, encoders=encoders)

    def _collection(self, request: Any, call: Call) -> Any:
        return self._shared.served.collection(request.collection, call)

    def _backup_folder(self, name: str) -> Path:
        """Return the folder of a backup: a name, never a path, below the operator's folder.

        Raises:
            InvalidInputError: the name is none, or the operator allows no backups.
            ConflictError: something else than a folder has the name.

        """
        configured = self._shared.config.server.backups
        if not configured:
            raise InvalidInputError("this server makes no backups: its operator sets server.backups", field="backups")
        if not NAME.fullmatch(name):
            raise InvalidInputError(
                f"{name!r:.80} cannot name a backup: a name has 1 to 128 letters, digits, dots, dashes and underscores "
                "and begins with a letter or digit",
                field="name",
                value=name,
            )
        folder = Path(configured).expanduser() / name
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise ConflictError(f"the backup {name!r} cannot be written: something else has its name")
        return folder


def _message(told: tuple[str, int, int]) -> ProgressMessage:
    stage, done, total = told
    return ProgressMessage(stage=stage, done=done, total=total)
