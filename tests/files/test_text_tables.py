"""Tables: every cell comes back as it was, whatever it looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.files.tables import write_table, write_table_parts
from cislex.files.text_tables import read_numbers, read_text
from cislex.prediction.evaluate import _read_predictions
from cislex.report.sections.predictions import _read_observed
from cislex.report.tables import read_table
from cislex.training.held_out import PLACE, read_held_out, write_held_out

NAMES = ["NA", "nan", "", '"quoted"', "a 'b'", '"', "007", "1e5", "True", "ä", "None"]


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
def test_cells_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    numbers = np.r_[np.nan, np.arange(10) / 4]
    write_table(pd.DataFrame({"name": NAMES, "x": numbers, "n": range(11), "yes": [True] * 11}), path)
    found = read_numbers(path, texts=("name",))
    assert found["name"].tolist() == NAMES == read_text(path)["name"].tolist()
    np.testing.assert_array_equal(found["x"], numbers)
    assert (found["n"].dtype.kind, found["yes"].dtype.kind) == ("i", "b")
    if suffix == ".tsv":
        assert read_table(path, what="t", columns=["name"])["name"].tolist() == NAMES


def test_the_same_table_is_the_same_file_whenever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"a": ["x", "ä"], "b": [1.5, np.nan]})
    for name, now in (("one.tsv.gz", 1.0), ("two.tsv.gz", 2e9)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        write_table_parts([frame, frame], tmp_path / name)
    assert (tmp_path / "one.tsv.gz").read_bytes() == (tmp_path / "two.tsv.gz").read_bytes()
    assert read_text(tmp_path / "one.tsv.gz").to_numpy().tolist() == [["x", "1.5"], ["ä", ""]] * 2


def test_tabs_and_line_ends_are_blanks_and_move_no_cell(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"a": ["x\ty", "p\r\nq"], "b": ["1", "\n"]}), tmp_path / "t.tsv")
    assert read_text(tmp_path / "t.tsv").to_numpy().tolist() == [["x y", "1"], ["p q", " "]]


def test_regions_of_any_name_pass_from_stage_to_stage(tmp_path: Path) -> None:
    held = pd.DataFrame({**dict.fromkeys(PLACE, NAMES), "start": 0, "end": 9})
    held["t.observed"], held["t.predicted"], held["sequence"] = np.r_[np.nan, np.arange(10.0)], 0.5, "ACGT"
    write_held_out(held, tmp_path / "h.tsv.gz")
    found, outputs = read_held_out(tmp_path / "h.tsv.gz")
    assert outputs == ["t"]
    assert found["chrom"].tolist() == found["split"].tolist() == NAMES
    table = held.assign(name=NAMES, strand=".", t=np.arange(11.0))[
        ["chrom", "start", "end", "name", "strand", "t", "t.observed", "t.predicted"]
    ]
    write_table(table, tmp_path / "p.tsv")
    predictions = _read_predictions(tmp_path / "p.tsv", ["t"])
    assert predictions["chrom"].tolist() == predictions["name"].tolist() == NAMES
    assert predictions["t"].tolist() == list(range(11))
    assert _read_observed(tmp_path / "p.tsv", "t")["observed"].tolist() == list(range(10))
