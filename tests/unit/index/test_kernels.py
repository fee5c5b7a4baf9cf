"""Kernels: float16 without the instruction, other processors, the cache, and what a first search costs.

VECDB_BORROWING names a file that support/kernels.py wrote while it compiled everything, which saves doing so again.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import types

import vecdb_index
from vecdb_index import warmup
from vecdb_index.dense import flat
from vecdb_index.kernels import features, jit, lanes, names

HOME = Path(vecdb_index.__file__).parent.parent
TESTS = Path(__file__).parents[2]


def python(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a fresh process that finds vecdb_index, and return what it prints."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    known = {**inherited, "PYTHONPATH": str(HOME), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=known, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("instruction", [True, False])
def test_every_float16_number_is_converted_exactly(instruction: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if instruction and not features.converts_half():
        pytest.skip("this processor has no instruction for it")
    monkeypatch.setattr(features, "converts_half", lambda: instruction)
    patterns = np.arange(65536, dtype=np.uint32).astype(np.uint16)
    numbers = patterns.view(np.float16)
    kept = ~np.isnan(numbers)

    @numba.njit(types.void(jit.frozen(types.uint16, 2), jit.frozen(types.float32, 1), jit.filled(types.float32, 1)))
    def convert(matrix: np.ndarray, one: np.ndarray, out: np.ndarray) -> None:
        for row in range(matrix.shape[0]):
            out[row] = lanes.dot(matrix, row, one)

    out = np.empty(65536, np.float32)
    convert(patterns[:, None], np.ones(1, np.float32), out)

    np.testing.assert_array_equal(out[kept], numbers[kept].astype(np.float32))


SEARCH_ALL = """
import numpy as np
from vecdb_index.dense import binary, flat
from vecdb_index.warmup import compiled
print(compiled())
rng = np.random.default_rng(0)
for dtype in ("float32", "float16", "int8"):
    for dimension in (5, 16, 100):
        matrix = (20 * rng.standard_normal((150, dimension))).astype(dtype)
        x = matrix.astype(np.float64)
        expected = {"dot": x @ x[3], "l2": -((x - x[3]) ** 2).sum(axis=1)}
        expected["cosine"] = expected["dot"] / (np.linalg.norm(x, axis=1) * np.linalg.norm(x[3]))
        for metric, scores in expected.items():
            one = flat.search(matrix, matrix[3], 150, metric)
            np.testing.assert_allclose(one.scores, scores[one.rows], rtol=1e-4, atol=1e-5 * np.abs(scores).max())
            batch = flat.search_batch(matrix, matrix[:7], 150, metric)[3]
            assert batch.scores.tobytes() == one.scores.tobytes()
            assert (batch.rows == one.rows).all()
for length in (1, 7, 8, 20, 33, 64, 125, 129):
    bits = rng.integers(0, 256, (150, length)).astype(np.uint8)
    differing = np.unpackbits(bits ^ bits[3], axis=1).sum(axis=1, dtype=np.int64)
    for found in (binary.search(bits, bits[3], 150), binary.search_batch(bits, bits[:7], 150)[3]):
        assert len(found.rows) == 150
        assert (found.scores == -differing[found.rows]).all()
print(compiled())
"""

AVX2 = "+avx,+avx2,+fma,+f16c,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+bmi,+bmi2,+lzcnt,+movbe"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["host", "generic", "avx2"])
def test_a_processor_with_fewer_instructions_scores_and_caches_too(target: str, tmp_path: Path) -> None:
    if target == "avx2" and not {"avx2", "fma", "f16c"} <= features.features():
        pytest.skip("this processor cannot run code for AVX2")
    settings = {
        "host": {},
        "generic": {"NUMBA_CPU_NAME": "generic"},
        "avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2},
    }[target]

    printed = python(SEARCH_ALL, NUMBA_CACHE_DIR=str(tmp_path), **settings)

    assert printed.split() == ["False", "True"]


def test_flat_is_imported_without_numba() -> None:
    printed = python(
        "import sys, vecdb_index.dense.flat, vecdb_index.warmup as w; w.compiled(); print('numba' in sys.modules)"
    )

    assert printed.strip() == "False"


def test_warming_up_reports_each_step_and_leaves_everything_compiled() -> None:
    steps: list[tuple[str, int, int]] = []

    warmup.warmup(lambda what, done, total: steps.append((what, done, total)))

    dtypes = ["float32", "float16", "int8"]
    told = [what for what, _, _ in steps]
    assert told[:9] == [*dtypes, "binary", "queries", "graphs", *(f"graphs of {name}" for name in dtypes)]
    assert told[-1] == ""
    assert [done for _, done, _ in steps] == list(range(len(steps)))
    assert {total for _, _, total in steps} == {len(steps) - 1}
    assert warmup.compiled()
    assert all(warmup.compiled(dtype) for dtype in (*dtypes, "binary"))


def test_warming_up_leaves_no_kernels_out() -> None:
    compiling = {path.stem for path in names.HERE.glob("*.py") if re.search(r"(?<!def )\bkernel\(", path.read_text())}

    program = "import sys, vecdb_index.warmup as w; w.warmup(); print(*sys.modules)"
    loaded = python(program, NUMBA_CACHE_DIR=os.environ.get("NUMBA_CACHE_DIR", "")).split()

    # No field stores bfloat16.
    assert {name for name in compiling if f"vecdb_index.kernels.{name}" not in loaded} == {"brain"}


@pytest.mark.slow
def test_a_function_that_borrows_arrays_returns_none(tmp_path: Path) -> None:
    # An empty cache: of a kernel that is loaded from one, nobody learns what its parts return. Nor does it matter how
    # well they are compiled.
    quickly = {"NUMBA_OPT": "0", "PYTHONWARNINGS": "ignore", "PYTHONPATH": f"{HOME}{os.pathsep}{TESTS}"}
    written = os.environ.get("VECDB_BORROWING")
    if written is None:
        written = str(tmp_path / "borrowing")
        python("from support.kernels import main; main()", written, NUMBA_CACHE_DIR=str(tmp_path), **quickly)
    told = [line.split() for line in Path(written).read_text().splitlines()]

    assert len(told) > 80
    assert {name for name, holds in told if holds == "True"} == set()


def test_a_cache_with_some_kernels_is_not_taken_for_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    folder = tmp_path / "kernels_0123"
    folder.mkdir()
    version = f"py{sys.version_info.major}{sys.version_info.minor}"

    before = warmup.compiled("int8")
    for kernel in ("scan", "scan_batch"):
        (folder / f"loops.{names.name_of(kernel, 'int8')}-49.{version}.nbi").touch()
    between = warmup.compiled("int8")
    (folder / f"loops.{names.name_of('norms', 'int8')}-86.{version}.nbi").touch()

    assert [before, between, warmup.compiled("int8"), warmup.compiled()] == [False, False, True, False]


def test_kernels_work_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        def __init__(self, function: object) -> None:
            raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.dispatcher.FunctionCache", Nowhere)

    @jit.kernel(jit.frozen(types.float32, 1), jit.filled(types.float32, 1))
    def double(values: np.ndarray, out: np.ndarray) -> None:
        for i in range(values.shape[0]):
            out[i] = values[i] + values[i]

    out = np.empty(2, np.float32)
    double(np.array([1, 2], np.float32), out)

    assert out.tolist() == [2, 4]


def test_no_kernel_lets_the_compiler_reorder_sums() -> None:
    from vecdb_index.kernels import dense, half, int8, query

    kernels = [kernel for module in (dense, half, int8) for kernel in (module.scan, module.scan_batch, module.norms)]

    assert not any(kernel.targetoptions.get("fastmath") for kernel in [*kernels, query.normalise])


def test_a_kernel_refuses_types_that_it_was_not_compiled_for() -> None:
    matrix = np.ones((4, 3), np.float32)
    flat.norms(matrix)
    from vecdb_index.kernels import dense

    with pytest.raises(TypeError, match="No matching definition"):
        dense.norms(matrix.astype(np.float64), 0, 4, np.empty(4, np.float32))
