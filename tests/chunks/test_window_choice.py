"""Windows that a screen chooses: they hold the most contributions, and their refined values are those of
whole regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.gate import Gate
from cislex.chunks.window_choice import COLUMNS, ScreenSettings, best_windows, choose_windows
from cislex.errors import ConfigError, InputError, StorageError
from cislex.sequences.stored_windows import Windows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from stored_project import LENGTH, SHAP, N, Project, contributions

WIDTH = 14
ISM = {"name": "ism"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("screened"))


@pytest.fixture(scope="module")
def screen(project: Project) -> dict[str, Any]:
    return project.run(project.folder / "screen", method={"name": "tism"})


def chosen(project: Project, out: Path, **settings: Any) -> pd.DataFrame:
    path = project.folder / "screen" / "a.h5"
    return choose_windows(path, out, ScreenSettings(**{"width": WIDTH, **settings}))


@given(
    sizes=numbers.arrays(np.float64, st.integers(1, 30), elements=st.integers(0, 5).map(float)),
    width=st.integers(1, 8),
    top=st.integers(1, 5),
)
def test_windows_are_the_best_that_do_not_overlap(sizes: np.ndarray, width: int, top: int) -> None:
    width = min(width, len(sizes))
    found = best_windows(sizes, width, top)
    free = np.ones(len(sizes), bool)
    for column, size in found:
        assert size == sizes[column : column + width].sum() > 0
        assert free[column : column + width].all()
        others = [
            sizes[i : i + width].sum() for i in range(len(sizes) - width + 1) if free[i : i + width].all()
        ]
        assert size == max(others)
        free[column : column + width] = False
    left = [sizes[i : i + width].sum() for i in range(len(sizes) - width + 1) if free[i : i + width].all()]
    assert len(found) == top or not any(left)


def test_the_table_holds_places_and_shares(project: Project, screen: dict[str, Any], tmp_path: Path) -> None:
    table = chosen(project, tmp_path / "w.tsv", top=2)
    sizes = np.abs(contributions(screen))
    assert table.columns.tolist() == COLUMNS
    assert len(table) == 2 * N
    for row in table.itertuples():
        window = sizes[row.row, row.window_start : row.window_start + WIDTH]
        assert row.size == pytest.approx(window.sum(), rel=1e-5)
        assert row.share == pytest.approx(window.sum() / sizes[row.row].sum(), rel=1e-5)
        region = project.regions.iloc[row.row]
        low = row.start - region.start
        assert row.window_start == (low if region.strand != "-" else LENGTH - WIDTH - low)
        assert row.end - row.start == WIDTH
    first = table[table["rank"] == 1].set_index("row")["size"]
    assert (first >= table[table["rank"] == 2].set_index("row")["size"]).all()
    read = Windows.read(tmp_path / "w.tsv")
    assert read.starts.tolist() == table["window_start"].tolist()
    assert table["name"].iloc[:3].tolist() == ["r0.1", "r0.2", "r1.1"]


def test_regions_with_the_strongest_windows_are_left(
    project: Project, screen: dict[str, Any], tmp_path: Path
) -> None:
    table = chosen(project, tmp_path / "w.tsv")
    few = chosen(project, tmp_path / "few.tsv", regions=4, top=2)
    strongest = table.nlargest(4, "size")["row"]
    assert sorted(set(few["row"])) == sorted(strongest)
    assert len(few) == 8


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("method", [SHAP, ISM])
@pytest.mark.parametrize("top", [1, 2])
def test_refined_values_are_those_of_whole_regions(
    project: Project, screen: dict[str, Any], tmp_path: Path, method: Any, chunks: int, top: int
) -> None:
    table = chosen(project, tmp_path / "w.tsv", top=top, regions=7)
    whole = project.run(tmp_path / "whole", method={**method, "start": 0, "end": None}, target="u", folds=2)
    found = project.run(
        tmp_path / "found", method=method, windows=tmp_path / "w.tsv", target="u", folds=2, chunks=chunks
    )
    assert found["window_start"].tolist() == table["window_start"].tolist()
    assert found["rows"].tolist() == list(range(7 * top))
    for name in ("hypothetical", "sequences", "fold_spread"):
        expected = np.stack(
            [whole[name][w.row, ..., w.window_start : w.window_start + WIDTH] for w in table.itertuples()]
        )
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(found[name], expected, atol=2e-6, err_msg=name)
    np.testing.assert_allclose(found["prediction"], whole["prediction"][table["row"]], atol=1e-6)
    for column in ("chrom", "start", "end", "name"):
        values = [v.decode() if isinstance(v, bytes) else v for v in found["regions"][column].tolist()]
        assert values == table[column].tolist()
    assert ("window_share" in found) == (method is SHAP)


def test_windows_of_a_window_are_placed_in_the_region(project: Project, tmp_path: Path) -> None:
    """A screen may itself store a window; what it chooses is found again in whole regions."""
    stored = project.run(tmp_path / "screen", method={"name": "tism"}, window=(11, 55))
    table = choose_windows(tmp_path / "screen" / "a.h5", tmp_path / "w.tsv", ScreenSettings(WIDTH))
    found = project.run(tmp_path / "found", method={"name": "tism"}, windows=tmp_path / "w.tsv")
    assert table["window_start"].between(11, 55 - WIDTH).all()
    np.testing.assert_allclose(np.abs(contributions(found)).sum(1), table["size"], rtol=1e-5)
    assert (table["size"] <= np.abs(contributions(stored)).sum(1) * (1 + 1e-6)).all()


def test_other_windows_make_other_chunks(project: Project, screen: dict[str, Any], tmp_path: Path) -> None:
    """Chunk files of windows that were chosen before are refused, even of as many regions."""
    chosen(project, tmp_path / "w.tsv", regions=4)
    project.run(tmp_path / "found", windows=tmp_path / "w.tsv")
    table = pd.read_csv(tmp_path / "w.tsv", sep="\t")
    moved = np.where(table["window_start"] < 10, 1, -1)
    table["window_start"] += moved
    table.to_csv(tmp_path / "moved.tsv", sep="\t", index=False)
    made = {"fold_0": [tmp_path / "found" / "fold_0" / f"{i}.h5" for i in range(2)]}
    options: dict[str, Any] = {"target": "t", "gate": Gate(), "windows": tmp_path / "moved.tsv"}
    with pytest.raises(StorageError, match="are different regions"):
        aggregate_chunks(project.sequences, made, tmp_path / "b.h5", None, **options)


def test_what_cannot_be_chosen_is_named(project: Project, screen: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"screen.width: 61 bp, but 60 bp of each region are stored"):
        chosen(project, tmp_path / "w.tsv", width=61)
    with pytest.raises(ConfigError, match=r"screen.top: found 0"):
        ScreenSettings(WIDTH, top=0)
    (tmp_path / "bad.tsv").write_text("row\tstart\n1\t2\n")
    with pytest.raises(InputError, match="lacks the columns window_start, end"):
        Windows.read(tmp_path / "bad.tsv")
    (tmp_path / "bad.tsv").write_text("row\twindow_start\tstart\tend\n1\t2\t5\t9\n0\t2\t5\t9\n")
    with pytest.raises(InputError, match="expected windows of one width, by row"):
        Windows.read(tmp_path / "bad.tsv")
