"""The configuration of a server: frozen, checked once, with the defaults that most should keep.

Where values come from is `sources.py`. A section is a table of the TOML file, and the middle of an environment
variable's name: `limits.k` is `VECDB__LIMITS__K`.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from vecdb.filters.expression import MAX_DEPTH, MAX_NODES

MIB = 1 << 20

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0)]

RoleName = Literal["reader", "writer", "admin", "operator"]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a configuration. A name that is none of its attributes is refused."""


class ServerSection(Section, frozen=True):
    """Where the server listens and what it serves.

    Attributes:
        path: the folder of the database.
        create: make the database when the folder is new or empty.
        warmup: search each field once before the first client can, which loads and compiles what that takes and
            compares the checksums of the files that it reads.
        host: the address to listen on.
        port: its port; 0 takes a free one.
        socket: a Unix socket to listen on instead, readable by the server's own user alone.
        readers: processes that read beside the one that writes, so that reads use more cores; 0: the one does all. They
            listen on the same port, and need one.
        threads: threads that answer quick requests, and as many for the others, while none takes long; None takes the
            cores. More are started for requests that take long, up to limits.concurrent_requests. Each process has so
            many.
        backups: the folder in which clients with the role operator may make backups, each below a name of its own.
        drain_seconds: how long running requests may go on after SIGTERM.
        connection_age_seconds: connections older than this are closed after their last request, so that clients spread
            over servers; 0 keeps them.
        connection_idle_seconds: connections without a request for this long are closed.

    """

    path: str = ""
    create: bool = True
    warmup: bool = True
    host: str = "127.0.0.1"
    port: Port = 7700
    socket: str = ""
    readers: Annotated[int, Meta(ge=0, le=256)] = 0
    threads: Positive | None = None
    backups: str = ""
    drain_seconds: Share = 30.0
    connection_age_seconds: Share = 0.0
    connection_idle_seconds: Seconds = 1800.0


class TlsSection(Section, frozen=True):
    """Certificates, as paths of PEM files. The files are read again when they change.

    Attributes:
        certificate: the server's certificate, followed by intermediate ones.
        key: its private key.
        client_ca: whose certificates clients must show (mutual TLS); empty asks for none.

    """

    certificate: str = ""
    key: str = ""
    client_ca: str = ""


class GrantSection(Section, frozen=True):
    """What a role allows.

    Attributes:
        role: reader, writer, admin or operator.
        collections: the collections it is about, as a pattern in which * stands for any characters.
        where: only rows that pass this filter are there for the caller; for readers and writers.

    """

    role: RoleName
    collections: str = "*"
    where: str = ""


class JwtSection(Section, frozen=True):
    """Whose tokens are believed.

    Attributes:
        jwks: a file with the public keys (a JSON Web Key Set); every key names its `kid` and `alg`, RS256 or EdDSA.
        issuer: what `iss` must be.
        audience: what `aud` must have.
        roles_claim: the claim with the names of roles.
        leeway_seconds: how far clocks may differ.

    """

    jwks: str = ""
    issuer: str = ""
    audience: str = ""
    roles_claim: str = "roles"
    leeway_seconds: Annotated[float, Meta(ge=0, le=30)] = 10.0


class AuthSection(Section, frozen=True):
    """Who may do what. Without keys, tokens and certificates everybody may do everything, on loopback only.

    Attributes:
        keys: the file of API keys, which `vecdb-server keys` writes.
        jwt: whose tokens are believed.
        certificates: names of clients' certificates, and the roles of each.
        roles: names of roles beside reader, writer, admin and operator, and the grants of each. The first grant whose
            pattern matches a collection counts.

    """

    keys: str = ""
    jwt: JwtSection = field(default_factory=JwtSection)
    certificates: dict[str, list[str]] = {}
    roles: dict[str, list[GrantSection]] = {}


class LimitsSection(Section, frozen=True):
    """What one request may ask for; `GetLimits` tells clients.

    Attributes:
        message_in_bytes: of a message of a client.
        message_out_bytes: of a message to a client.
        metadata_bytes: of the headers of a request.
        connections: connections at once; more are closed as they come. Each takes a file descriptor of the process.
            With readers, this limit, concurrent_requests and requests_per_caller are those of each process.
        handshake_seconds: how long a new connection may take until it has said hello.
        concurrent_streams: requests at once on one connection.
        concurrent_requests: requests at once on all connections; more are refused.
        requests_per_caller: requests at once of one key, token or certificate; more are refused.
        rows_per_request: rows of an upsert, a patch or a chunk of a stream; ids of a get or a delete.
        expanded_bytes: of rows when they are no longer compressed, and of an upload that is one write.
        expansion_ratio: how many times as large compressed rows may become.
        k: hits of a search.
        ef: candidates that a walk through a graph keeps.
        probes: lists that an inverted file reads.
        queries_per_batch: queries of a batch.
        filter_depth: levels of a filter.
        filter_nodes: conditions and connectives of a filter.
        deadline_seconds: how long a request may take whose client does not say.
        longest_deadline_seconds: how long it may take whatever the client says; uploads, scans and upkeep apart.
        query_memory_bytes: what one request may hold for rows, scores and masks.
        server_memory_bytes: what all requests may hold together.
        snapshot_seconds: how long a snapshot is kept that nobody reads.
        snapshots: how many are kept at once.
        stalled_seconds: how long a stream waits for a client that does not read.
        idle_upload_seconds: how long an upload waits for the next chunk.

    """

    message_in_bytes: Annotated[int, Meta(ge=64 << 10, le=1 << 30)] = 32 * MIB
    message_out_bytes: Annotated[int, Meta(ge=64 << 10, le=1 << 30)] = 64 * MIB
    metadata_bytes: Annotated[int, Meta(ge=4 << 10, le=MIB)] = 16 << 10
    connections: Positive = 512
    handshake_seconds: Seconds = 10.0
    concurrent_streams: Positive = 128
    concurrent_requests: Positive = 256
    requests_per_caller: Positive = 192
    rows_per_request: Positive = 10_000
    expanded_bytes: Positive = 256 * MIB
    expansion_ratio: Positive = 200
    k: Positive = 10_000
    ef: Positive = 10_000
    probes: Positive = 10_000
    queries_per_batch: Positive = 10_000
    filter_depth: Annotated[int, Meta(ge=1, le=MAX_DEPTH)] = MAX_DEPTH
    filter_nodes: Annotated[int, Meta(ge=1, le=MAX_NODES)] = MAX_NODES
    deadline_seconds: Seconds = 10.0
    longest_deadline_seconds: Seconds = 60.0
    query_memory_bytes: Positive = 256 * MIB
    server_memory_bytes: Positive = 1024 * MIB
    snapshot_seconds: Seconds = 60.0
    snapshots: Positive = 1_024
    stalled_seconds: Seconds = 30.0
    idle_upload_seconds: Seconds = 600.0


class MetricsSection(Section, frozen=True):
    """Prometheus metrics, on a port of their own.

    Attributes:
        host: the address; whoever reaches it reads the metrics.
        port: its port; 0 takes a free one, None serves none.

    """

    host: str = "127.0.0.1"
    port: Port | None = None


class LogSection(Section, frozen=True):
    """The log, on stderr, one line an event.

    Attributes:
        level: the least level that is written.
        format: "json", or "text" for people.
        requests: write a line for each request, and not only for those that fail, are slow, or change what others see.

    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
    requests: bool = False


class TelemetrySection(Section, frozen=True):
    """OpenTelemetry spans; needs the extra 'otel'. The usual OTEL_ variables say where they go."""

    enabled: bool = False
    service_name: str = "vecdb"


class EncoderSection(Section, frozen=True):
    """What makes vectors of texts on the server: a model; or a tokenizer, of questions to fields of sparse vectors.

    Attributes:
        model: the folder of a model of sentence-transformers.
        tokens: make a vector for each token, for fields of multi-vectors, and not one for the whole text.
        tokenizer: a `tokenizer.json`, or the folder that has one.
        table: what each token of the tokenizer counts, `.npy` or `.json`; without one, how rare it is among the rows.

    """

    model: str = ""
    tokens: bool = False
    tokenizer: str = ""
    table: str = ""


class Config(Section, frozen=True):
    """All of it.

    Attributes:
        database: attributes of `vecdb.Settings`.
        encoders: models that make vectors of texts, by the name that clients use: the folder of each, or more about it.

    """

    server: ServerSection = field(default_factory=ServerSection)
    tls: TlsSection = field(default_factory=TlsSection)
    auth: AuthSection = field(default_factory=AuthSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    metrics: MetricsSection = field(default_factory=MetricsSection)
    log: LogSection = field(default_factory=LogSection)
    telemetry: TelemetrySection = field(default_factory=TelemetrySection)
    database: dict[str, Any] = {}
    encoders: dict[str, str | EncoderSection] = {}
