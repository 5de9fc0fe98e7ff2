"""The same config gives the same results: again, in other chunks and batches, with regions in another order.

Four whole runs; `make test-determinism`. Tests of single stages run with the unit tests.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from cislex.files.text_tables import read_text
from small_project import write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run

pytestmark = pytest.mark.determinism

#: Files that say when, where, or how fast a run was (docs/reliability.md); the report only by its date.
OF_THE_RUN = re.compile(r"(runs|logs|benchmarks)/|.*inspection\.(tsv|txt)$")
#: Columns of tables and datasets that count rows, or name the file that was read.
OF_THE_ORDER = {"row", "rows", "source_line", "digest", "example_idx"}
#: What is left of rounding: compared with nothing.
ROUNDING = {"delta", "max_relative_delta"}
#: What Fi-NeMo fits in half precision, in batches of regions.
HALF = {"hit_coefficient"}


def run(folder: Path, snakemake: Run, *, cores: int = 2, reverse: bool = False, **changed: Any) -> Path:
    """Run the small project with hits and syntax in a new folder, and return its results."""
    folder.mkdir()
    write_project(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["analyses"]["gradient"]["hits"] = {}
    config["analyses"]["shap"] |= {"hits": {}, "syntax": {}}
    second = {"analysis": "shap", "target": "b"}
    config["contrasts"] = {"targets": {"first": {"analysis": "gradient"}, "second": second, "scale": "hits"}}
    config["regions"]["mine"]["chunks"] = changed.get("chunks", 4)
    for analysis in config["analyses"].values():
        analysis["batch_size"] = changed.get("batch_size")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    if reverse:
        records = (folder / "sequences.fa").read_text().split(">")[1:]
        (folder / "sequences.fa").write_text("".join(f">{record}" for record in reversed(records)))
    snakemake("--configfile", "config.yaml", "--cores", str(cores), folder=folder)
    return folder / "results"


def names(results: Path) -> set[str]:
    found = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    return {name for name in found if not OF_THE_RUN.match(name)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    return run(tmp_path_factory.mktemp("d") / "first", snakemake)


def without_date(path: Path) -> bytes:
    content = path.read_bytes()
    return re.sub(rb"\d{4}-\d{2}-\d{2}", b"", content) if path.suffix == ".html" else content


def test_a_second_run_writes_the_same_bytes(first: Path, tmp_path: Path, snakemake: Run) -> None:
    again = run(tmp_path / "again", snakemake)
    assert names(first) == names(again)
    assert len(names(first)) > 60
    differing = [name for name in names(first) if without_date(first / name) != without_date(again / name)]
    assert not sorted(differing)


@pytest.mark.parametrize(
    "changed", [{"chunks": 3, "batch_size": 7, "cores": 1}, {"reverse": True}], ids=["chunks", "order"]
)
def test_chunks_batches_cores_and_the_order_of_regions_change_nothing(
    first: Path, tmp_path: Path, snakemake: Run, changed: dict[str, Any]
) -> None:
    other = run(tmp_path / "other", snakemake, **changed)
    assert names(first) == names(other)
    compared = 0
    for name in sorted(names(first)):
        if name.endswith((".tsv", ".tsv.gz", ".bed.gz")) and not name.startswith("regions/"):
            compared += compare_tables(first / name, other / name)
        elif name.endswith(".h5"):
            compared += compare_arrays(first / name, other / name)
        elif name.endswith(".meme"):
            assert (first / name).read_text() == (other / name).read_text()
    assert compared > 300


def is_close(one: Any, two: Any, share: float = 1e-5) -> bool:
    """Whether numbers agree within a share of themselves and of the largest."""
    largest = np.nanmax(np.abs(one), initial=0)
    return np.allclose(one, two, rtol=2 * share, atol=share * largest, equal_nan=True)


def compare_tables(one: Path, two: Path) -> int:
    """Compare two tables, in the order of the names of their regions; return the number of columns."""
    tables = []
    for path in (one, two):
        table = read_text(path)
        table = table[[column for column in table if column not in OF_THE_ORDER | ROUNDING]]
        if "name" in table and table["name"].is_unique:
            table = table.sort_values("name", ignore_index=True)
        tables.append(table)
    assert list(tables[0]) == list(tables[1]), one.name
    assert len(tables[0]) == len(tables[1]), one.name
    for column in tables[0]:
        pair = [table[column] for table in tables]
        values = [pd.to_numeric(cells.replace("", "nan"), errors="coerce") for cells in pair]
        if pair[0].equals(pair[1]):
            continue
        assert (values[0].isna() == (pair[0].isin(["", "nan"]))).all(), f"{one.name}: {column} is text"
        worst = (values[0] - values[1]).abs().max()
        close = is_close(*values, share=1e-3 if column in HALF else 1e-5)
        assert close, f"{one.name}: {column}, by {worst:.3g}"
    return len(tables[0].columns)


def compare_arrays(one: Path, two: Path) -> int:
    """Compare the datasets of two files, in the order of the names of their regions; return their number."""
    compared = 0
    with h5py.File(one) as left, h5py.File(two) as right:
        orders = [
            np.argsort(handle["regions/name"][:]) if "regions/name" in handle else None
            for handle in (left, right)
        ]
        found: list[str] = []
        left.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in found:
            if {*name.split("/")} & (OF_THE_ORDER | ROUNDING):
                continue
            arrays = [handle[name][()] for handle in (left, right)]
            if orders[0] is not None and arrays[0].shape[:1] == orders[0].shape:
                arrays = [array[order] for array, order in zip(arrays, orders, strict=True)]
            assert arrays[0].shape == arrays[1].shape, f"{one.name}: {name}"
            is_number = arrays[0].dtype.kind in "fiu"
            if is_number:
                assert is_close(*(array.astype(float) for array in arrays)), f"{one.name}: {name}"
            else:
                assert (arrays[0] == arrays[1]).all(), f"{one.name}: {name}"
            compared += 1
    return compared
