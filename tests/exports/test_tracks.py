"""Tracks: each base's contribution in the genome's orientation; overlaps averaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from cislex.errors import InputError
from cislex.exports import tracks as tracks_module
from cislex.exports.tracks import chromosome_sizes, export_tracks, mean_pieces, merge_regions
from cislex.regions.genome import index_genome


def make(folder: Path, regions: list[tuple[str, int, str]], length: int = 40) -> tuple[Path, np.ndarray]:
    """A file of attributions with these regions, and the contributions in the genome's orientation."""
    rng = np.random.default_rng(1)
    sequences = np.eye(4)[rng.integers(0, 4, (len(regions), length))].transpose(0, 2, 1)
    hypothetical = rng.normal(size=(len(regions), 4, length)).astype(np.float32)
    frame = pd.DataFrame(regions, columns=["chrom", "start", "strand"])
    frame = frame.assign(end=frame["start"] + length, name="r")
    motif_fixtures.write_attributions(folder / "a.h5", sequences, hypothetical, frame)
    observed = (sequences * hypothetical).sum(axis=1)
    for row, (_, _, strand) in enumerate(regions):
        observed[row] = observed[row, ::-1] if strand == "-" else observed[row]
    return folder / "a.h5", observed


def test_values_are_those_of_the_definition(planted: motif_fixtures.Planted, tmp_path: Path) -> None:
    """Rows in no order; a pair that overlaps, a pair that touches, a minus strand, a chromosome's end."""
    places = [
        ("chr10", 500, "-"),
        ("chr2", 59_960, "+"),
        ("chr10", 100, "+"),
        ("chr10", 120, "-"),
        ("chr2", 0, "."),
    ]
    places.append(("chr10", 540, "+"))
    path, observed = make(tmp_path, places)
    total, depth = ({chrom: np.zeros(60_000) for chrom in motif_fixtures.CHROMOSOMES} for _ in range(2))
    for (chrom, start, _), values in zip(places, observed, strict=True):
        total[chrom][start : start + 40] += values
        depth[chrom][start : start + 40] += 1
    out = tmp_path / "contributions.bw"
    assert export_tracks(path, planted.fasta, out) == sum((d > 0).sum() for d in depth.values())
    with pyBigWig.open(str(out)) as track:
        assert list(track.chroms()) == list(motif_fixtures.CHROMOSOMES)
        for chrom in motif_fixtures.CHROMOSOMES:
            values = track.values(chrom, 0, 60_000, numpy=True)
            covered = depth[chrom] > 0
            np.testing.assert_array_equal(np.isfinite(values), covered)
            expected = total[chrom][covered] / depth[chrom][covered]
            np.testing.assert_allclose(values[covered], expected, atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "contributions.bw"]


def test_no_regions_make_a_valid_empty_track(planted: motif_fixtures.Planted, tmp_path: Path) -> None:
    path, _ = make(tmp_path, [])
    assert export_tracks(path, planted.fasta, tmp_path / "c.bw") == 0
    with pyBigWig.open(str(tmp_path / "c.bw")) as track:
        assert track.chroms("chr2") == 60_000


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("", 0, "+"), "no genome coordinates"),
        (("chrX", 0, "+"), "lacks chromosomes of the regions: chrX"),
        (("chr2", 59_980, "+"), "chr2:59980-60020"),
    ],
)
def test_regions_that_do_not_fit_the_genome_are_named(
    planted: motif_fixtures.Planted, tmp_path: Path, place: tuple[str, int, str], message: str
) -> None:
    path, _ = make(tmp_path, [place])
    with pytest.raises(InputError, match=message):
        export_tracks(path, planted.fasta, tmp_path / "c.bw")


def test_nan_is_an_error_and_leaves_nothing(planted: motif_fixtures.Planted, tmp_path: Path) -> None:
    path, _ = make(tmp_path, [("chr2", 0, "+"), ("chr2", 50, "+")])
    with h5py.File(path, "r+") as handle:
        handle["hypothetical"][1, :, 3] = np.nan
    with pytest.raises(InputError, match="rows 1"):
        export_tracks(path, planted.fasta, tmp_path / "c.bw")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_sizes_never_come_from_an_index_beside_the_genome(
    planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    text = b"\n>chr1 \xe9t\xe9\nACGT\n\n\n>\xc3\xa9\nAC\n"
    for name in ("g.fa", "G.FA.GZ"):
        (tmp_path / name).write_bytes(gzip.compress(text) if name == "G.FA.GZ" else text)
        (tmp_path / f"{name}.fai").write_text("chr1\t7\t6\t60\t61\n")
        assert chromosome_sizes(tmp_path / name) == {"chr1": 4, "é": 2}
    (tmp_path / "none.fa").write_text("")
    with pytest.raises(InputError, match="no FASTA record"):
        chromosome_sizes(tmp_path / "none.fa")
    index_genome(planted.fasta, tmp_path / "c.tsv", tmp_path / "g.fai", tmp_path / "g.gzi")
    path, _ = make(tmp_path, [("chr2", 0, "+")])
    assert export_tracks(path, None, tmp_path / "c.bw", chromosomes=tmp_path / "c.tsv") == 40
    with pyBigWig.open(str(tmp_path / "c.bw")) as track:
        assert track.chroms() == motif_fixtures.CHROMOSOMES


def test_touching_regions_are_one_stretch() -> None:
    assert list(merge_regions(np.array([0, 10, 25, 34, 50]), 10)) == [(0, 2), (2, 4), (4, 5)]
    assert list(merge_regions(np.array([], dtype=np.int64), 10)) == []


def test_the_script_writes_the_track(planted: motif_fixtures.Planted, tmp_path: Path) -> None:
    out = tmp_path / "contributions.bw"
    index_genome(planted.fasta, tmp_path / "chromosomes.tsv", tmp_path / "g.fai", tmp_path / "g.gzi")
    log = motif_fixtures.run_script(
        "export_tracks.py",
        tmp_path / "tracks.log",
        input={"attributions": planted.attributions, "chromosomes": tmp_path / "chromosomes.tsv"},
        output={"track": out},
    )
    assert "32000 bases" in log


@pytest.mark.parametrize("bases", [1, 100, 1 << 20])
def test_pieces_of_any_size_have_the_same_values(monkeypatch: pytest.MonkeyPatch, bases: int) -> None:
    """Random starts, some of them alike, some apart; the definition sums region by region."""
    rng = np.random.default_rng(2)
    length, starts = 17, np.sort(rng.integers(0, 900, 60))
    rows = rng.permutation(60)
    values = rng.normal(size=(60, length)).astype(np.float32)
    total, depth = np.zeros(1000), np.zeros(1000)
    for row, start in zip(rows, starts, strict=True):
        total[start : start + length] += values[row]
        depth[start : start + length] += 1
    monkeypatch.setattr(tracks_module, "PIECE_BASES", bases)
    found = np.full(1000, np.nan)
    for origin, piece in mean_pieces(starts, length, rows, lambda row: values[row]):
        assert np.isnan(found[origin : origin + len(piece)]).all()
        found[origin : origin + len(piece)] = piece
    np.testing.assert_array_equal(np.isnan(found), depth == 0)
    np.testing.assert_array_equal(found[depth > 0], total[depth > 0] / depth[depth > 0])
