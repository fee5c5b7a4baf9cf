"""Which addresses only this machine can reach."""

import ipaddress

from vecdb.errors import InvalidInputError
from vecdb_server.config import Config


def is_local(host: str) -> bool:
    """Return whether only this machine reaches an address. Names other than localhost may mean anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Return whether it stands for all addresses of this machine."""
    return host.strip("[]") in ("0.0.0.0", "::")  # nosec B104


def refuse_open(config: Config) -> None:
    """Raise unless a server that others can reach has TLS, and asks who they are.

    Raises:
        InvalidInputError: it has not; the message says what to set.

    """
    tls, auth = config.tls, config.auth
    for given, missing in (("certificate", "key"), ("key", "certificate"), ("client_ca", "certificate")):
        if getattr(tls, given) and not getattr(tls, missing):
            raise InvalidInputError(f"tls.{given} is set and tls.{missing} is not", field=f"tls.{missing}")
    if auth.certificates and not tls.client_ca:
        raise InvalidInputError("auth.certificates needs tls.client_ca, which says whose certificates count")
    if config.server.socket or is_local(config.server.host):
        return
    asks = auth.keys or auth.jwt.jwks or auth.certificates
    lacking = [told for told, there in (("TLS", tls.certificate), ("authentication", asks)) if not there]
    if lacking:
        raise InvalidInputError(
            f"{config.server.host} can be reached from other machines, and there is no {' and no '.join(lacking)}: set "
            "tls.certificate and tls.key, and auth.keys or auth.jwt.jwks, or listen on 127.0.0.1",
            field="server.host",
            value=config.server.host,
        )


def written(host: str, port: int) -> str:
    """Return an address as host:port, an IPv6 address in brackets."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
