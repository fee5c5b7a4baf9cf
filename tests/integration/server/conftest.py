"""A server with two collections and a key for each kind of caller."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm

from integration.server.running import AUDIENCE, ISSUER, ROLES, Running, rows, schema
from vecdb_server.auth.keys import Keys
from vecdb_server.config import AuthSection, Config, JwtSection, ServerSection
from vecdb_server.server import Server


@pytest.fixture(scope="module", params=(0, 1), ids=("one process", "through a reader"))
def running(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    tokens, keys = {}, Keys({})
    for role in (*ROLES, "reader", "writer", "admin", "operator"):
        keys, _, tokens[role] = keys.with_key(role, [role])
    keys, _, tokens["expired"] = keys.with_key("expired", ["admin"], time.time() - 1)
    keys, gone, tokens["revoked"] = keys.with_key("revoked", ["admin"])
    keys = keys.revoked(gone.id)
    keys, _, tokens["roleless"] = keys.with_key("roleless", ["no-such-role"])
    keys.write(folder / "keys.json")
    tokens["wrong"] = tokens["admin"][:-4] + ("AAAA" if not tokens["admin"].endswith("AAAA") else "BBBB")
    private = ed25519.Ed25519PrivateKey.generate()
    entry = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    (folder / "jwks.json").write_text(json.dumps({"keys": [{**entry, "kid": "a", "alg": "EdDSA"}]}))
    now = int(time.time())
    for name, change in {"jwt-reader-docs": {}, "jwt-expired": {"exp": now - 60}, "jwt-other": {"aud": "x"}}.items():
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "maria", "nbf": now - 90, "exp": now + 900}
        roles = {"roles": ["reader-docs" if name == "jwt-reader-docs" else "admin"]}
        tokens[name] = jwt.encode({**claims, **roles, **change}, private, "EdDSA", {"kid": "a"})
    config = Config(
        server=ServerSection(path=str(folder / "db"), port=0, drain_seconds=5.0, readers=request.param),
        auth=AuthSection(
            keys=str(folder / "keys.json"),
            jwt=JwtSection(jwks=str(folder / "jwks.json"), issuer=ISSUER, audience=AUDIENCE),
            roles=ROLES,
        ),
        database={"durability": "none", "background": False},
    )
    server = Server(config)
    address = server.start()
    if request.param:
        server._server.stop(None).wait()  # so that every call goes through the reader
    for name in ("docs", "other"):
        server.served.create(name, schema(), False).upsert(rows(20))
    try:
        yield Running(server, address.target, tokens, folder / "keys.json")
    finally:
        server.stop()
