"""Tokens: the attacks that libraries have fallen for, and the ordinary refusals."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.auth.tokens import Tokens
from vecdb_server.config import JwtSection

ISSUER, AUDIENCE = "https://issuer.example.org", "vecdb"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def entry(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    """Return a public key as a key set has it."""
    kind = RSAAlgorithm if algorithm == "RS256" else OKPAlgorithm
    told = kind.to_jwk(key.public_key(), as_dict=True)
    return {"kty": told["kty"], **told, "kid": kid, "alg": algorithm}


@pytest.fixture
def section(tmp_path: Path) -> JwtSection:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [entry("RS256", RSA, "one"), entry("EdDSA", ED, "two")]}))
    return JwtSection(jwks=str(path), issuer=ISSUER, audience=AUDIENCE)


@pytest.fixture
def tokens(section: JwtSection) -> Tokens:
    return Tokens(section)


def claims(**changed: Any) -> dict[str, Any]:
    """Return claims that are believed; a change of None leaves one out."""
    now = int(time.time())
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "maria", "nbf": now - 5, "exp": now + 60, "roles": ["reader"]}
    return {name: value for name, value in {**whole, **changed}.items() if value is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", kid: str = "one", header: Any = None, **changed: Any) -> str:
    """Return a token."""
    return jwt.encode(claims(**changed), key, algorithm, {"kid": kid, **(header or {})})


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "one"), (ED, "EdDSA", "two")])
def test_a_right_token_is_believed(tokens: Tokens, key: Any, algorithm: str, kid: str) -> None:
    found = tokens.find(signed(key, algorithm, kid), time.time())

    assert found is not None
    assert (found.subject, found.roles) == ("maria", ("reader",))


def test_a_token_that_was_believed_is_believed_no_longer_when_it_expires(tokens: Tokens) -> None:
    token, now = signed(), time.time()

    assert tokens.find(token, now) is not None
    assert tokens.find(token, now + 60 + 11) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": None}, {"nbf": None}, {"iss": None}, {"aud": None}, {"sub": None},
        {"exp": int(time.time()) - 60}, {"nbf": int(time.time()) + 86_400},
        {"iss": ISSUER[:-1]}, {"iss": ISSUER + "x"}, {"iss": [ISSUER]}, {"iss": "https://issuer.example.or"},
        {"aud": "vecd"}, {"aud": "other"}, {"aud": ["other"]}, {"aud": []},
        {"roles": {"reader": 1}}, {"roles": [1]},
    ],
)  # fmt: skip
def test_a_token_with_a_wrong_claim_is_not_believed(tokens: Tokens, changed: dict[str, Any]) -> None:
    key = RSA
    header = {"kid": "one", "alg": "RS256", "typ": "JWT"}
    assert tokens.find(_raw(header, claims(**changed), key), time.time()) is None


def _raw(header: dict[str, Any], payload: dict[str, Any], key: Any) -> str:
    """Return a signed token whose claims no library has looked at."""
    return jwt.PyJWS().encode(json.dumps(payload).encode(), key, header["alg"], header)


def test_a_token_without_a_signature_is_not_believed(tokens: Tokens) -> None:
    parts = [{"alg": "none", "kid": "one", "typ": "JWT"}, claims()]
    bare = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)

    for token in (f"{bare}.", bare, f"{bare}.AAAA", bare.replace("none", "None")):
        assert tokens.find(token, time.time()) is None


@pytest.mark.parametrize("form", ["pem", "der"])
def test_a_public_key_is_no_secret_of_a_hash(tokens: Tokens, form: str) -> None:
    """The header says HS256, and the signature is made with the public key as the secret."""
    encoding = serialization.Encoding.PEM if form == "pem" else serialization.Encoding.DER
    public = RSA.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "kid": "one", "typ": "JWT"}, claims()]
    signing = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(public, signing.encode(), hashlib.sha256)).rstrip(b"=").decode()

    assert tokens.find(f"{signing}.{signature}", time.time()) is None


def test_a_key_is_used_with_its_own_algorithm_only(tokens: Tokens) -> None:
    assert tokens.find(signed(kid="two"), time.time()) is None
    assert tokens.find(signed(ED, "EdDSA", "one"), time.time()) is None
    assert tokens.find(signed(RSA, "RS512"), time.time()) is None
    assert tokens.find(signed(RSA, "PS256"), time.time()) is None


def test_a_token_of_an_unknown_key_is_not_believed(tokens: Tokens) -> None:
    assert tokens.find(signed(OTHER), time.time()) is None
    assert tokens.find(signed(RSA, kid="three"), time.time()) is None
    assert tokens.find(jwt.encode(claims(), RSA, "RS256"), time.time()) is None


def test_a_key_that_the_token_brings_along_is_not_used(tokens: Tokens) -> None:
    own = entry("RS256", OTHER, "one")
    header = {"jwk": own, "jku": "https://attacker.example.org/keys", "x5u": "https://attacker.example.org/c.pem"}

    assert tokens.find(signed(OTHER, header=header), time.time()) is None


def test_an_extension_that_must_be_understood_is_not_ignored(tokens: Tokens) -> None:
    for crit in (["exp"], ["b64"], ["x"], []):
        assert tokens.find(signed(header={"crit": crit, "x": 1}), time.time()) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é", "\ud800", "x" * 100_000, "ey.ey.ey"])
def test_what_is_no_token_is_not_believed(tokens: Tokens, token: str) -> None:
    assert tokens.find(token, time.time()) is None


def test_a_changed_token_is_not_believed(tokens: Tokens) -> None:
    head, _, signature = signed().split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(roles=["admin"])).encode()).rstrip(b"=").decode()

    assert tokens.find(f"{head}.{other}.{signature}", time.time()) is None


def test_roles_may_be_words_of_a_text(tokens: Tokens) -> None:
    found = tokens.find(signed(roles="reader support"), time.time())

    assert found is not None
    assert found.roles == ("reader", "support")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "is not a JSON Web Key Set"),
        ("x", "is not a JSON Web Key Set"),
        ('{"keys": [{"kty": "RSA", "kid": "a"}]}', "alg None"),
        ('{"keys": [{"kty": "oct", "kid": "a", "alg": "HS256", "k": "AAAA"}]}', "alg 'HS256'"),
        ('{"keys": [{"kty": "RSA", "alg": "RS256"}]}', "kid None"),
        (
            '{"keys": [{"kty": "RSA", "alg": "RS256", "kid": "a", "n": "AQAB", "e": "AQAB", "d": "AA"}]}',
            "a private one",
        ),
        ('{"keys": [{"kty": "RSA", "alg": "RS256", "kid": "a"}]}', "is not a JSON Web Key Set"),
    ],
)
def test_a_key_set_that_is_malformed_or_too_loose_is_refused(section: JwtSection, content: str, told: str) -> None:
    Path(section.jwks).write_text(content)

    with pytest.raises(InvalidInputError, match=told):
        Tokens(section)


def test_a_key_set_needs_a_file_an_issuer_and_an_audience(section: JwtSection, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="issuer is missing"):
        Tokens(JwtSection(jwks=section.jwks, audience=AUDIENCE))
    with pytest.raises(InvalidInputError, match="audience is missing"):
        Tokens(JwtSection(jwks=section.jwks, issuer=ISSUER))
    with pytest.raises(NotFoundError, match="there is no key set"):
        Tokens(JwtSection(jwks=str(tmp_path / "none"), issuer=ISSUER, audience=AUDIENCE))
