"""Who calls: an API key, a token, or the certificate of the connection. Nothing else that a client sends counts."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vecdb.errors import UnauthenticatedError
from vecdb_server.auth.files import Watched
from vecdb_server.auth.grants import ANYBODY, Principal, Roles
from vecdb_server.auth.keys import PREFIX, Keys
from vecdb_server.auth.tokens import Tokens
from vecdb_server.config import AuthSection
from vecdb_server.log import logger

_BEARER = "bearer "
_NAMES = ("x509_subject_alternative_name", "x509_common_name")


class Peer(NamedTuple):
    """The names in the certificate of a connection; none without one."""

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, context: Mapping[str, Iterable[bytes]]) -> "Peer":
        """Return the names that gRPC verified; see `grpc.ServicerContext.auth_context`."""
        return cls(tuple(name.decode("utf-8", "replace") for kind in _NAMES for name in context.get(kind, ())))


class Identities:
    """Recognises callers."""

    def __init__(self, section: AuthSection) -> None:
        """Read keys and key sets; they are read again when their files change."""
        self.roles = Roles(section.roles)
        self._certificates = {name: tuple(self.roles.known(roles)) for name, roles in section.certificates.items()}
        self._keys: Watched[Keys] | None = None
        self._tokens: Watched[Tokens] | None = None
        if section.keys:
            path = Path(section.keys)
            if not path.exists():
                logger.warning(
                    "nobody has a key yet: `vecdb-server keys add` makes the file", extra={"file": str(path)}
                )
            self._keys = Watched([path], lambda: Keys.read_or_none(path))
        if section.jwt.jwks:
            self._tokens = Watched([Path(section.jwt.jwks)], lambda: Tokens(section.jwt))
        self._open = self._keys is None and self._tokens is None and not self._certificates
        self._principal = lru_cache(4096)(self.roles.principal)

    @property
    def open(self) -> bool:
        """Whether everybody may do everything."""
        return self._open

    @property
    def by_certificate(self) -> bool:
        """Whether certificates of connections say who calls."""
        return bool(self._certificates)

    def identify(self, metadata: Sequence[tuple[str, str | bytes]], peer: Peer) -> Principal:
        """Return who calls.

        Args:
            metadata: what the client sent beside the request.
            peer: the certificate of the connection.

        Raises:
            UnauthenticatedError: nobody that is known; the message does not tell why.

        """
        if self._open:
            return ANYBODY
        given = [value for name, value in metadata if name == "authorization"]
        if len(given) > 1:
            raise UnauthenticatedError("there are several authorization headers")
        if given:
            return self._bearer(given[0])
        for name in peer.names:
            if name in self._certificates:
                return self._principal(f"certificate:{name}", self._certificates[name])
        raise UnauthenticatedError("the request has no API key and no token: send `authorization: Bearer ...`")

    def _bearer(self, header: str | bytes) -> Principal:
        token = header[len(_BEARER) :] if isinstance(header, str) and header[: len(_BEARER)].lower() == _BEARER else ""
        now = time.time()
        if self._keys is not None and token.startswith(PREFIX):
            key = self._keys.value.find(token, now)
            if key is not None:
                return self._principal(f"key:{key.id}", tuple(key.roles))
        elif self._tokens is not None and token:
            claims = self._tokens.value.find(token, now)
            if claims is not None:
                return self._principal(f"token:{claims.subject}", claims.roles)
        raise UnauthenticatedError("the API key or token is not valid")
