"""JSON Web Tokens: whose signature, issuer and audience are right, and which roles they name.

Only RS256 and EdDSA are taken, and each key of the set is bound to the algorithm that its entry names: what the header
of a token says chooses a key by `kid`, and nothing else.
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import msgspec

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.config import JwtSection

ALGORITHMS = frozenset({"RS256", "EdDSA"})
_LARGEST = 1 << 20
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Claims:
    """What a believed token says."""

    subject: str
    roles: tuple[str, ...]
    expires: float


@dataclass(frozen=True, slots=True)
class _PublicKey:
    algorithm: str
    key: Any


class Tokens:
    """The public keys of a JSON Web Key Set, and the tokens that were believed lately."""

    def __init__(self, section: JwtSection) -> None:
        """Read the key set.

        Raises:
            NotFoundError: there is no such file.
            InvalidInputError: it is malformed, or the issuer or the audience is missing.

        """
        for name in ("issuer", "audience"):
            if not getattr(section, name):
                raise InvalidInputError(f"auth.jwt.{name} is missing: tokens are believed by issuer and audience")
        self._section = section
        self._keys = _keys(Path(section.jwks))
        self._known: dict[bytes, Claims] = {}
        self._guard = threading.Lock()

    def find(self, token: str, now: float) -> Claims | None:
        """Return what a token says, None when it is not to be believed."""
        if not token.isascii():
            return None
        digest = hashlib.sha256(token.encode("ascii")).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._verified(token)
            if known is None:
                return None
            with self._guard:
                while len(self._known) >= _REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._known[digest] = known
        return known if known.expires + self._section.leeway_seconds > now else None

    def _verified(self, token: str) -> Claims | None:
        try:
            header = jwt.get_unverified_header(token)
            public = self._keys.get(header.get("kid", ""))
            if public is None or header.get("alg") != public.algorithm or "crit" in header:
                return None
            claims = jwt.decode(
                token,
                public.key,
                algorithms=[public.algorithm],
                audience=self._section.audience,
                issuer=self._section.issuer,
                leeway=self._section.leeway_seconds,
                options={"require": ["exp", "nbf", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return self._claims(claims)

    def _claims(self, claims: Mapping[str, Any]) -> Claims | None:
        # Compared here too: libraries have taken a part of the issuer, or a list of issuers, for the whole.
        audience = claims["aud"]
        meant = audience if isinstance(audience, list) else [audience]
        if claims["iss"] != self._section.issuer or self._section.audience not in meant:
            return None
        roles = claims.get(self._section.roles_claim, [])
        roles = roles.split() if isinstance(roles, str) else roles
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            return None
        return Claims(str(claims["sub"]), tuple(roles), float(claims["exp"]))


def _keys(path: Path) -> dict[str, _PublicKey]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no key set {path}") from None
    if len(data) > _LARGEST:
        raise InvalidInputError(f"the key set {path} has more than {_LARGEST} bytes")
    try:
        entries = msgspec.json.decode(data)["keys"]
        return dict(_public(entry, path) for entry in entries)
    except (msgspec.DecodeError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise InvalidInputError(f"{path} is not a JSON Web Key Set: {error}") from None


def _public(entry: Mapping[str, Any], path: Path) -> tuple[str, _PublicKey]:
    kid, algorithm = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str) or not kid or algorithm not in ALGORITHMS:
        told = ", ".join(sorted(ALGORITHMS))
        raise InvalidInputError(f"a key of {path} has kid {kid!r} and alg {algorithm!r}: both are needed, of {told}")
    if "d" in entry:
        raise InvalidInputError(f"the key {kid!r} of {path} is a private one: the server needs public keys alone")
    return kid, _PublicKey(algorithm, jwt.PyJWK(dict(entry), algorithm).key)
