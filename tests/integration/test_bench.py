"""The benchmark suite measures what it says: its arithmetic, its data, its records, and every workload's quick run."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import datasets, measure, records, report, workloads
from bench.checkout import ROOT, child_environment
from bench.context import parse_settings
from bench.systems.base import Filter

_PATH = re.compile(r"(?<![\w.<:/])/(?:[\w.@+~-]+/)+[\w.@+~-]*")


def test_interleaved_subjects_take_turns_in_alternating_direction() -> None:
    calls: list[str] = []

    samples = measure.interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, warmup=1)

    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert {name: len(taken) for name, taken in samples.items()} == {"a": 3, "b": 3}


def test_a_spent_budget_still_leaves_one_complete_round() -> None:
    samples = measure.interleave({"a": int, "b": int}, repeats=50, warmup=0, budget_s=0.0)

    assert {name: len(taken) for name, taken in samples.items()} == {"a": 1, "b": 1}


def test_a_summary_states_the_median_the_extremes_and_the_relative_spread() -> None:
    told = measure.summary([4.0, 1.0, 2.0, 3.0, 10.0])

    assert told == {"median": 3.0, "min": 1.0, "max": 10.0, "spread": pytest.approx(2 / 3), "count": 5}


def test_ratios_pair_the_runs_of_one_round_and_skip_missing_ones() -> None:
    ours = [{"metrics": {"rate": 10.0}}, {"metrics": {"rate": 30.0}}, {"metrics": {}}]
    theirs = [{"metrics": {"rate": 5.0}}, {"metrics": {"rate": 10.0}}, {"metrics": {"rate": 1.0}}]
    wanted = [
        records.Ratio("rate", ("vecdb", "rate"), ("other", "rate")),
        records.Ratio("absent", ("vecdb", "rate"), ("third", "rate")),
    ]

    found = records.ratios({"vecdb": ours, "other": theirs}, wanted)

    assert list(found) == ["rate"]
    assert found["rate"]["runs"] == [2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("opened /home/someone/data/x.parquet twice", "opened PATH twice"),
        ("File '/usr/lib/python3.11/json.py', line 3", "File 'PATH', line 3"),
        ("12 GB/s of 20 GB/s, see https://example.org/a/b", "12 GB/s of 20 GB/s, see https://example.org/a/b"),
        (f"{ROOT}/bench/run.py failed", "CHECKOUT/bench/run.py failed"),
    ],
)
def test_records_keep_no_path_of_the_machine(text: str, expected: str) -> None:
    cleaned = records.without_paths({"a": [text]})

    assert cleaned == {"a": [expected]}


def test_settings_take_the_type_of_the_default_they_replace() -> None:
    assert parse_settings(["rows=7", "seconds=2"], {"rows": 1, "seconds": 0.5, "name": "x"}) == {
        "rows": 7,
        "seconds": 2.0,
        "name": "x",
    }


@pytest.mark.parametrize("setting", ["rows", "unknown=1"])
def test_settings_that_name_no_parameter_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="is not name=value"):
        parse_settings([setting], {"rows": 1})


@pytest.mark.parametrize("name", ["gaussian:300x16", "clustered:300x16", "clustered:3000x8@12000"])
def test_a_data_set_is_the_same_each_time_and_has_as_many_rows_as_its_name_says(name: str) -> None:
    first, second = datasets.load(name, None), datasets.load(name, None)

    table = first.table()

    assert table.equals(second.table())
    assert table.num_rows == first.rows == int(name.rpartition("@")[2].rpartition(":")[2].partition("x")[0])
    assert table.column("id").to_pylist() == [datasets.row_id(row) for row in range(first.rows)]
    flat = table.column("embedding").combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(flat.reshape(first.rows, -1), first.matrix())


def test_rows_past_the_end_of_a_set_are_near_their_originals_and_no_duplicates() -> None:
    found = datasets.load("clustered:2000x64@6000", None)

    matrix = found.matrix()

    np.testing.assert_array_equal(matrix[:2000], found.vectors)
    cosine = np.einsum("ij,ij->i", matrix[2000:], found.vectors[np.arange(2000, 6000) % 2000])
    assert cosine.min() > 0.95
    assert cosine.max() < 0.999


def test_a_percentage_filter_passes_that_percentage_of_the_rows() -> None:
    found = datasets.load("gaussian:20000x4", None)
    column = np.asarray(found.attributes.column("r100").to_numpy())

    share = Filter("r100", "<", 10).mask({"r100": column}).mean()

    assert share == pytest.approx(0.1, abs=0.01)


def test_a_real_set_without_a_data_folder_says_what_to_do() -> None:
    with pytest.raises(FileNotFoundError, match="VECDB_BENCH_DATA"):
        datasets.load("debian60k", None)


def test_an_ann_benchmarks_file_loads_with_its_metric(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    train = np.arange(12, dtype=np.float32).reshape(4, 3)
    with h5py.File(tmp_path / "tiny-euclidean.hdf5", "w") as file:
        file["train"], file["test"] = train, train[:2]
        file.attrs["distance"] = "euclidean"

    found = datasets.load("tiny-euclidean.hdf5", tmp_path)

    assert (found.metric, found.rows, found.dimension) == ("l2", 4, 3)
    np.testing.assert_array_equal(found.matrix(), train)


def test_a_report_shows_ratios_metrics_and_failures_and_draws_the_headlines(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    records.write(tmp_path / "demo.json", _record())

    written = report.write(tmp_path).read_text(encoding="utf-8")

    assert "| ours / theirs | 2.00 | [1.50, 2.50] |" in written
    assert "| rows_per_s | 1,000 [900, 1,100] |" in written
    assert "| peak_MB | 3.00 [2.00, 4.00] |" in written
    assert "- **failed**: slow run: it broke" in written
    assert "<svg" in (tmp_path / "demo.svg").read_text(encoding="utf-8")


def test_a_system_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    status, record, text = _run(tmp_path, "--workload", "startup", "--systems", "no_such_module,python")

    assert status == 1
    assert [(one["system"], one["step"]) for one in record["failures"]] == [("no_such_module", "run")]
    assert "No module named" in record["failures"][0]["error"]
    assert record["systems"]["python"]["summary"]["import_ms"]["count"] == 2
    assert not _PATH.findall(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", workloads.NAMES)
def test_every_workload_runs_quickly_and_leaves_a_complete_record(name: str, tmp_path: Path) -> None:
    if name in ("exact", "graph"):
        pytest.importorskip("faiss")

    status, record, text = _run(tmp_path, "--workload", name, "--repeats", "1")

    assert record["failures"] == []
    assert status == 0
    assert "vecdb" in record["systems"]
    assert record["ratios"]
    assert set(record["machine"]) >= {"cpu", "cores", "memory_bytes", "kernel"}
    assert not _PATH.findall(text)
    assert str(tmp_path) not in text
    assert list((tmp_path / "scratch").iterdir()) == []
    for run in record["systems"]["vecdb"]["runs"]:
        assert run["cpu_s"] > 0
        assert run["peak_resident_bytes"] > 0
        _assert_answers_were_right(run["metrics"])


def _assert_answers_were_right(metrics: dict[str, float]) -> None:
    """A fast wrong answer is no result: exact search finds the true rows, and no acknowledged row is missing."""
    for metric, value in metrics.items():
        if metric.endswith("agreement"):
            assert value >= 0.99, metric
        if metric.endswith("lost_rows"):
            assert value == 0, metric


def _run(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "bench.run", "--quick", *arguments]
    options = ["--scratch", str(folder / "scratch"), "--results", str(folder / "results")]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False
    )
    written = list((folder / "results").glob("*.json"))
    assert written, done.stderr
    text = written[0].read_text(encoding="utf-8")
    return done.returncode, json.loads(text), text


def _record() -> dict[str, Any]:
    def told(median: float, low: float, high: float) -> dict[str, float]:
        return {"median": median, "min": low, "max": high, "spread": 0.1, "count": 3}

    return {
        "workload": "demo",
        "label": None,
        "quick": False,
        "measured_at": "2024-06-01T00:00:00+00:00",
        "commit": None,
        "modified": None,
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "memory_bytes": 8 * 1024**3,
            "system": "Linux",
            "kernel": "6.0",
            "scratch_filesystem": "ext4",
        },
        "versions": {"python": "3.11"},
        "parameters": {"rows": 3},
        "repeats": 3,
        "systems": {
            "ours": {
                "summary": {"rows_per_s": told(1000, 900, 1100), "peak_bytes": told(3e6, 2e6, 4e6)},
                "runs": [{"noise": {"stolen_share": 0.0}}],
            }
        },
        "ratios": {"ours / theirs": {**told(2.0, 1.5, 2.5), "runs": [1.5, 2.0, 2.5]}},
        "failures": [{"system": "slow", "step": "run", "error": "Traceback\nit broke"}],
        "headlines": ["rows_per_s"],
    }
