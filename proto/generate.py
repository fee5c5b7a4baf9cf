"""Makes the stubs from the .proto files: `python proto/generate.py`, and commit what changed.

The generator has an environment of its own, because it must be as old as the oldest runtime that is supported: stubs
refuse a protobuf or a grpcio that is older than what wrote them.

    python -m venv proto/.venv && proto/.venv/bin/pip install --upgrade pip
    proto/.venv/bin/pip install --group proto && proto/.venv/bin/python proto/generate.py

With --check nothing is changed, and stubs that are not up to date are an error.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = Path("vecdb_proto/v1")
STUBS = "*_pb2*"
PLUGINS = "mypy", "mypy_grpc"


def generate(out: Path) -> None:
    """Write the stubs of every .proto file below a folder."""
    from grpc_tools import protoc  # pyright: ignore[reportMissingImports]

    sources = sorted((HERE / PACKAGE).glob("*.proto"))
    services = [source for source in sources if source.stem.endswith("_service")]
    include = [f"-I{HERE}", f"-I{files('grpc_tools') / '_proto'}"]
    plugin = [f"--plugin=protoc-gen-{name}={Path(sys.executable).with_name(f'protoc-gen-{name}')}" for name in PLUGINS]
    for made, options in (
        (sources, [f"--python_out={out}", f"--mypy_out=quiet:{out}"]),
        (services, [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"]),
    ):
        if protoc.main(["protoc", *include, *plugin, *options, *map(str, made)]):
            raise SystemExit("protoc failed")


def main() -> None:
    """Write the stubs, or compare them."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        made = {path.name: path.read_bytes() for path in (Path(folder) / PACKAGE).glob(STUBS)}
    held = {path.name: path.read_bytes() for path in (HERE / PACKAGE).glob(STUBS)}
    if sys.argv[1:] == ["--check"]:
        stale = sorted(name for name in made.keys() | held.keys() if made.get(name) != held.get(name))
        if stale:
            raise SystemExit(f"not up to date: {', '.join(stale)}; run {sys.argv[0]}")
        return
    for name in held.keys() - made.keys():
        (HERE / PACKAGE / name).unlink()
    for name, content in made.items():
        (HERE / PACKAGE / name).write_bytes(content)


if __name__ == "__main__":
    main()
