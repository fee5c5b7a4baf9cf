"""Importing is cheap: heavy libraries are loaded by what needs them."""

import subprocess
import sys

import pytest

HEAVY = {
    "vecdb": {"numpy", "pyarrow", "numba", "lark", "pandas", "polars", "typer", "rich"},
    "vecdb.demo": {"pyarrow", "numba"},
    "vecdb.encoders": {"numpy", "pyarrow", "numba", "torch", "sentence_transformers", "huggingface_hub"},
    **{
        f"vecdb.wire.{module}": {"pyarrow", "numba", "faiss", "lark", "grpc"}
        for module in ("errors", "filters", "formulas", "queries", "reports", "results", "rows", "schemas", "values")
    },
    "vecdb_client": {"numpy", "pyarrow", "numba", "faiss"},
    "vecdb_client.cli.main": {"numpy", "pyarrow", "numba", "faiss"},
    "vecdb_index": {"numba", "faiss"},
}


@pytest.mark.parametrize("package", HEAVY)
def test_importing_a_package_loads_none_of_its_heavy_libraries(package: str, environment: dict[str, str]) -> None:
    program = f"import sys; import {package}; print(*sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert HEAVY[package] & set(run.stdout.split()) == set()


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import vecdb

    with pytest.raises(AttributeError, match="Milvus"):
        _ = vecdb.Milvus  # pyright: ignore[reportAttributeAccessIssue]
