"""The stubs are those of the .proto files, and run with the oldest libraries that are allowed."""

import importlib
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

BUF = shutil.which("buf") or shutil.which("buf", path=sysconfig.get_path("scripts"))
PACKAGE = "vecdb_proto/v1"


def described(path: Path) -> FileDescriptorProto:
    """Return what the stubs of a .proto file were made from."""
    stubs = importlib.import_module(f"vecdb_proto.v1.{path.stem}_pb2")
    return FileDescriptorProto.FromString(stubs.DESCRIPTOR.serialized_pb)


def strip(messages: Iterable[DescriptorProto]) -> None:
    """Take away the JSON names that follow from the names: buf writes them down, stubs do without."""
    for message in messages:
        for field in message.field:
            field.ClearField("json_name")
        strip(message.nested_type)


@pytest.fixture(scope="module")
def sources(root: Path) -> list[Path]:
    return sorted((root / "proto" / PACKAGE).glob("*.proto"))


@pytest.mark.skipif(BUF is None, reason="needs buf, from the package buf-bin")
def test_the_stubs_are_those_of_the_proto_files(root: Path, sources: list[Path]) -> None:
    assert BUF is not None
    command = [BUF, "build", "--exclude-source-info", "-o", "-"]
    built = subprocess.run(command, cwd=root / "proto", capture_output=True, check=True).stdout
    files = {file.name: file for file in FileDescriptorSet.FromString(built).file}

    assert sources
    for path in sources:
        file = files[f"{PACKAGE}/{path.name}"]
        file.DiscardUnknownFields()  # pyright: ignore[reportAttributeAccessIssue]  # buf's own remarks
        strip(file.message_type)
        assert file == described(path), f"{path.name} changed: run proto/generate.py"


def test_every_service_has_stubs_with_its_methods(sources: list[Path]) -> None:
    for path in sources:
        for service in described(path).service:
            stubs = importlib.import_module(f"vecdb_proto.v1.{path.stem}_pb2_grpc")
            servicer = getattr(stubs, f"{service.name}Servicer")

            assert {name for name in vars(servicer) if not name.startswith("_")} == {one.name for one in service.method}


def test_the_stubs_run_with_the_oldest_libraries_that_are_allowed(root: Path) -> None:
    """Stubs refuse libraries that are older than what wrote them."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    floors: dict[str, str] = dict(line.split(">=") for line in project["dependencies"])
    stubs = [path.read_text() for path in sorted((root / "proto" / PACKAGE).glob("*_pb2*.py"))]
    written = {
        ".".join(re.findall(r"\d+", found)[:3])
        for text in stubs
        for found in re.findall(r"ValidateProtobufRuntimeVersion\(\s*_runtime_version.Domain.PUBLIC,([\d,\s]+)", text)
    }
    served = {found for text in stubs for found in re.findall(r"GRPC_GENERATED_VERSION = '([\d.]+)'", text)}

    assert written == {floors["protobuf"]}
    assert served == {floors["grpcio"]}
