"""Which Python runs which system: vecdb's own, or one with the peers, whose packages need not fit vecdb's.

The peers' environment is made from bench/peers/requirements.txt and needs no vecdb. Without one, peers run in this
Python as far as they are installed here.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import libraries, systems, texts
from bench.checkout import ROOT, child_environment

_OTHERS = {
    "pyversity": "pyversity",
    "milvus-lite": "milvus_lite",
    "chromadb": "chromadb",
    "pylate": "pylate",
    "fast-plaid": "fast_plaid",
}
"""The packages of systems that one workload alone compares."""

# Systems that the peers' environment is for; all others run beside vecdb.
PEERS = tuple(
    name
    for name in dict.fromkeys([*libraries.names(), *systems.names(), *texts.names(), *_OTHERS])
    if name in ("zvec", "zvec-int8", "qdrant-edge", *_OTHERS)
    or (name in (*libraries.names(), *texts.names()) and name != "vecdb")
)

_PROBE = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is not None]))
"""
_VERSIONS = "import json; from bench import machine; print(json.dumps(machine.versions()))"


def package_of(system: str) -> str | None:
    """Return the package behind a system; None for one that needs none (a reference)."""
    return _OTHERS.get(system) or libraries.package(system) or systems.package(system) or texts.package(system)


class Interpreters:
    """This Python, and that of the peers when one is named."""

    def __init__(self, peers: Path | None) -> None:
        """Take the path of the peers' interpreter.

        Raises:
            FileNotFoundError: there is no such file.

        """
        if peers is not None and not peers.exists():
            raise FileNotFoundError("the peers' Python (--peers-python or VECDB_BENCH_PEERS) does not exist")
        self._peers = peers

    def of(self, system: str) -> str:
        """Return the path of the interpreter that runs a system's jobs."""
        return str(self._peers.absolute()) if self._peers is not None and system in PEERS else sys.executable

    def importable(self, system: str) -> bool:
        """Tell whether the package behind a system is installed where it would run; a reference has none."""
        package = package_of(system)
        return package is None or package in self._installed[self.of(system)]

    def peer_versions(self) -> dict[str, str] | None:
        """Return the versions in the peers' environment, as machine.versions does; None without one."""
        if self._peers is None:
            return None
        found: dict[str, str] = _ask(str(self._peers.absolute()), _VERSIONS)
        # The checkout's, which the peers' environment sees but does not use.
        found.pop("vecdb", None)
        return found

    def known_paths(self) -> dict[str, str]:
        """Return the folder that must not stand in a record, with what replaces it."""
        return {} if self._peers is None else {str(self._peers.absolute().parent.parent): "PEERS"}

    @cached_property
    def _installed(self) -> Mapping[str, list[str]]:
        names = [*systems.names(), *libraries.names(), *texts.names()]
        packages = sorted({found for name in (*names, *_OTHERS) if (found := package_of(name)) is not None})
        return {python: _ask(python, _PROBE, *packages) for python in {self.of(name) for name in names}}


def _ask(python: str, code: str, *arguments: str) -> Any:
    done = subprocess.run(
        [python, "-c", code, *arguments], cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
