"""A window of each region is stored: the same numbers as of whole regions, at their own places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyBigWig
import pytest
from cislex.chunks import attribute as module
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.gate import Gate
from cislex.errors import ConfigError, StorageError
from cislex.exports.tracks import export_tracks
from cislex.sequences.store import SequenceStore
from cislex.sequences.stored_windows import Windows, WindowStore
from stored_project import LENGTH, N, Project, contributions

WIDE = ("hypothetical", "baseline", "sequences", "fold_spread", "reference_spread")
WINDOW = (7, 33)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("windows"))


@pytest.fixture(scope="module")
def whole(project: Project) -> dict[str, Any]:
    return project.run(project.folder / "whole", folds=2, uncertainty=True)


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("window", [WINDOW, (0, 5), (0, LENGTH)])
def test_a_window_holds_the_columns_of_whole_regions(
    project: Project, whole: dict[str, Any], tmp_path: Path, window: tuple[int, int], chunks: int
) -> None:
    found = project.run(tmp_path, chunks=chunks, folds=2, uncertainty=True, window=window)
    for name in WIDE:
        assert found[name].shape == (*whole[name].shape[:-1], window[1] - window[0])
        np.testing.assert_allclose(found[name], whole[name][..., slice(*window)], atol=1e-6, err_msg=name)
    for name in ("prediction", "reference_prediction", "delta"):
        np.testing.assert_allclose(found[name], whole[name], atol=1e-6)
    assert found["window_start"].tolist() == [window[0]] * N
    assert found["attrs"]["input_length"] == LENGTH
    assert not {"window_start", "window_share"} & whole.keys()


def test_the_share_of_the_window_is_of_all_absolute_contributions(project: Project, tmp_path: Path) -> None:
    sizes = np.abs(contributions(project.run(tmp_path / "whole")))
    found = project.run(tmp_path / "window", window=WINDOW)
    share = sizes[:, slice(*WINDOW)].sum(axis=1) / sizes.sum(axis=1)
    np.testing.assert_allclose(found["window_share"], share, rtol=1e-5)
    assert 0.1 < share.min() < share.max() < 0.9


def test_regions_are_where_their_windows_lie_on_the_genome(project: Project, tmp_path: Path) -> None:
    """Read from the genome at the stored places, the sequences are the stored ones."""
    found = project.run(tmp_path, window=WINDOW)
    genome = project.fasta.read_text().split("\n")[1]
    letters = np.array(list("ACGT"))
    for row, sequence in enumerate(found["sequences"]):
        start, end = (int(found["regions"][name][row]) for name in ("start", "end"))
        text = genome[start:end]
        if found["regions"]["strand"][row] == b"-":
            text = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert "".join(letters[sequence.argmax(axis=0)]) == text
    table = pd.read_csv(tmp_path / "qc.tsv", sep="\t")
    assert table["start"].tolist() == found["regions"]["start"].tolist()


def test_the_track_of_a_window_is_that_of_whole_regions(project: Project, tmp_path: Path) -> None:
    tracks = []
    for name, own in (("whole", {}), ("window", {"window": WINDOW})):
        found = project.run(tmp_path / name, **own)
        export_tracks(tmp_path / name / "a.h5", project.fasta, tmp_path / f"{name}.bw")
        with pyBigWig.open(str(tmp_path / f"{name}.bw")) as track:
            tracks.append(track.values("chr1", 0, 4000, numpy=True))
    windows, regions = np.zeros(4000, int), np.zeros(4000, int)
    for start, end in zip(found["regions"]["start"], found["regions"]["end"], strict=True):
        windows[start:end] += 1
    for start in project.regions["start"]:
        regions[start : start + LENGTH] += 1
    np.testing.assert_array_equal(np.isfinite(tracks[1]), windows > 0)
    single = (windows > 0) & (regions == 1)  # of regions that overlap there is a mean
    assert single.sum() > 200
    np.testing.assert_allclose(tracks[1][single], tracks[0][single], atol=1e-6)


def test_ism_mutates_the_window_alone(project: Project, tmp_path: Path) -> None:
    whole = project.run(tmp_path / "whole", method={"name": "ism"})
    method = {"name": "ism", "start": WINDOW[0], "end": WINDOW[1]}
    found = project.run(tmp_path / "window", method=method, window=WINDOW)
    np.testing.assert_allclose(found["hypothetical"], whole["hypothetical"][..., slice(*WINDOW)], atol=1e-6)
    assert "window_share" not in found


def test_a_job_resumes_in_the_middle_of_its_windows(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = project.run(tmp_path / "whole", chunks=1, window=WINDOW)
    monkeypatch.setattr(module, "BLOCK", 4)
    plain = module.stored_batches

    def stops(*arguments: Any, **options: Any) -> Any:
        for number, batch in enumerate(plain(*arguments, **options)):
            if number == 1:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(module, "stored_batches", stops)
    with pytest.raises(KeyboardInterrupt):
        project.run(tmp_path / "stopped", chunks=1, window=WINDOW)
    monkeypatch.setattr(module, "stored_batches", plain)
    found = project.run(tmp_path / "stopped", chunks=1, window=WINDOW)
    np.testing.assert_allclose(found["hypothetical"], expected["hypothetical"], atol=1e-6)


def test_chunks_of_another_window_are_refused(project: Project, tmp_path: Path) -> None:
    project.run(tmp_path, window=(10, 20))
    made = {"fold_0": [tmp_path / "fold_0" / f"{i}.h5" for i in range(2)]}
    for window, message in (((10, 22), "which does not match"), ((12, 22), "are different regions")):
        with pytest.raises(StorageError, match=message):
            aggregate_chunks(
                project.sequences, made, tmp_path / "b.h5", None, target="t", gate=Gate(), window=window
            )


def test_windows_outside_of_the_regions_are_named(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"found \[50, 61\) of regions of 60 bp"):
        WindowStore(project.sequences, Windows.fixed(N, (50, 61)))


def test_several_windows_of_a_region_are_numbered_and_read(project: Project) -> None:
    rows, starts = np.array([1, 1, 4, 7, 7, 7]), np.array([0, 30, 5, 50, 2, 20])
    with SequenceStore(project.sequences) as store:
        sequences = store.read()
    with WindowStore(project.sequences, Windows(rows, starts, 9)) as store:
        names = ["r1.1", "r1.2", "r4", "r7.1", "r7.2", "r7.3"]
        assert store.regions()["name"].tolist() == names
        assert store.regions(2, 5)["name"].tolist() == names[2:5]
        expected = np.stack([sequences[r, :, s : s + 9] for r, s in zip(rows, starts, strict=True)])
        np.testing.assert_array_equal(store.read(), expected)
        np.testing.assert_array_equal(store.read_rows(np.array([1, 3])), expected[[1, 3]])
        assert len(store.regions(3, 3)) == 0
