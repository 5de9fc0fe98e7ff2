"""Hits: planted sites are found in coordinates of the genome, the same each time."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pysam
import pytest
from cislex.errors import CislexError, ConfigError, InputError
from cislex.files.indexed_text import index_path, write_indexed_bed
from cislex.motifs.files import TrimSettings
from cislex.motifs.hits import COLUMNS, HitSettings, call_hits, read_hits
from cislex.regions.overlaps import overlaps

MOTIFS = {"pos_0": "RAP1", "pos_1": "REB1", "neg_0": "GCN4"}


def test_planted_sites_are_hit_on_their_strand_with_their_sign(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted
) -> None:
    hits, truth = read_hits(found.hits), pd.read_csv(planted.truth, sep="\t")
    for motif, name in MOTIFS.items():
        own, sites = hits[hits["motif"] == motif], truth[truth["name"] == name]
        assert overlaps(own, sites).mean() > 0.95
        assert overlaps(sites, own).mean() > 0.7
        assert len(own) <= 1.05 * len(sites)  # palindromes are not counted on both strands
        assert (np.sign(own["contribution"]) == (-1 if motif == "neg_0" else 1)).all()
    # RAP1 is no palindrome: its hits lie on the strand of the site or on the other, always the same.
    rap1 = hits[hits["motif"] == "pos_0"].merge(
        truth[truth["name"] == "RAP1"], left_on="region", right_on="peak", suffixes=("", "_site")
    )
    same = (rap1["strand"] == rap1["strand_site"]).mean()
    assert max(same, 1 - same) > 0.95


def test_contributions_are_those_of_the_bases_under_the_hit(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted
) -> None:
    regions = motif_fixtures.make_regions(160).set_index("name", drop=False)
    with h5py.File(planted.attributions) as handle:
        observed = (handle["sequences"][()] * handle["hypothetical"][()]).sum(axis=1)
    for hit in read_hits(found.hits).head(40).itertuples():
        region = regions.loc[hit.region]
        values = observed[regions.index.get_loc(hit.region)]
        values = values[::-1] if region["strand"] == "-" else values
        expected = values[hit.start - region["start"] : hit.end - region["start"]].sum()
        assert hit.contribution == pytest.approx(expected, rel=1e-4)
        under = np.abs(values[hit.start - region["start"] : hit.end - region["start"]]).sum()
        assert hit.share == pytest.approx(under / np.abs(values).sum(), rel=1e-4)


def test_the_file_is_sorted_bed_with_a_header_and_an_index(found: motif_fixtures.Found) -> None:
    with gzip.open(found.hits, "rt") as handle:
        assert handle.readline().rstrip("\n").split("\t") == COLUMNS
    hits = read_hits(found.hits)
    assert hits.sort_values(["chrom", "start", "end"], kind="stable").index.tolist() == list(range(len(hits)))
    assert (hits["start"] < hits["end"]).all()
    assert hits["score"].between(0, 1000).all()
    with pysam.TabixFile(str(found.hits)) as indexed:
        rows = [line.split("\t")[:3] for line in indexed.fetch("chr10", 5_000, 9_000)]
    part = hits[(hits["chrom"] == "chr10") & (hits["end"] > 5_000) & (hits["start"] < 9_000)]
    assert rows == part[["chrom", "start", "end"]].astype(str).to_numpy().tolist()
    assert rows


def shrink(planted: motif_fixtures.Planted, folder: Path, regions: pd.DataFrame, scale: float = 1.0) -> Path:
    """The first regions of the data set, under other coordinates."""
    path = folder / "attributions.h5"
    with h5py.File(planted.attributions) as handle:
        arrays = handle["sequences"][: len(regions)], handle["hypothetical"][: len(regions)] * scale
    motif_fixtures.write_attributions(path, *arrays, regions)
    return path


def test_small_scores_and_repeated_regions_change_no_hit_and_no_other_file_is_left(
    found: motif_fixtures.Found,
    planted: motif_fixtures.Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scores far below half precision's range give the same hits; a region given twice gives them once.

    Fi-NeMo, which indexes a genome beside its file, is given none, and works in a folder of its own.
    """
    monkeypatch.chdir(tmp_path)
    folders = (planted.attributions.parent, found.modisco.parent)
    before = [sorted(folder.iterdir()) for folder in folders]
    regions = motif_fixtures.make_regions(8)
    path = shrink(planted, tmp_path, pd.concat([regions, regions], ignore_index=True), scale=1e-9)
    with h5py.File(path, "r+") as handle:
        for name in ("sequences", "hypothetical"):
            handle[name][8:] = handle[name][:8]
    call_hits(path, found.modisco, tmp_path / "hits.bed.gz", HitSettings(batch_size=3), analysis="demo")
    hits, whole = read_hits(tmp_path / "hits.bed.gz"), read_hits(found.hits)
    whole = whole[whole["region"].isin(regions["name"])].reset_index(drop=True)
    same = ["chrom", "start", "end", "motif", "strand", "region"]
    pd.testing.assert_frame_equal(hits[same], whole[same])
    np.testing.assert_allclose(hits["contribution"], whole["contribution"] * 1e-9, rtol=1e-4)
    np.testing.assert_allclose(hits["share"], whole["share"], rtol=1e-4)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["attributions.h5", "hits.bed.gz", "hits.bed.gz.tbi"]
    assert [sorted(folder.iterdir()) for folder in folders] == before


def test_hits_of_a_window_are_those_that_lie_in_it(
    found: motif_fixtures.Found,
    planted: motif_fixtures.Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In blocks of a few regions, too; a window wider than the regions is an error."""
    regions = motif_fixtures.make_regions(8)
    path = shrink(planted, tmp_path, regions)
    monkeypatch.setattr("cislex.motifs.finemo_runs.RUN_BYTES", 12 * 100 * 5)
    call_hits(path, found.modisco, tmp_path / "hits.bed.gz", HitSettings(window=100), analysis="demo")
    hits, whole = read_hits(tmp_path / "hits.bed.gz"), read_hits(found.hits)
    keys = ["chrom", "start", "end", "motif", "strand"]
    joined = hits.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(joined) >= 0.8 * len(hits) > 0
    np.testing.assert_allclose(joined["contribution"], joined["contribution_whole"], rtol=1e-4)
    assert (joined["share"] >= 0.999 * joined["share_whole"]).all(), (
        "of the window, which is a part of the region"
    )
    where = hits.merge(regions, left_on="region", right_on="name", suffixes=("", "_region"))
    assert (where["start"] >= where["start_region"] + 50).all()
    assert (where["end"] <= where["start_region"] + 150).all()
    with pytest.raises(ConfigError, match=r"hits\.window .* is 201, but regions are 200"):
        call_hits(path, found.modisco, tmp_path / "no.gz", HitSettings(window=201), analysis="demo")


@pytest.mark.parametrize(
    ("end", "advice"),
    [
        (
            "os.kill(os.getpid(), 9)",
            r"status -9.*out of memory: request more.*mem_mb.*window.*batch_size",
        ),
        (
            "raise MemoryError('no block of 2 GB')",
            r"no block of 2 GB; out of memory.*mem_mb of call_hits",
        ),
        ("sys.exit('odd motif')", "odd motif; see the log above"),
    ],
)
def test_memory_that_fi_nemo_lacks_is_named_with_the_keys(
    found: motif_fixtures.Found,
    planted: motif_fixtures.Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    advice: str,
) -> None:
    (tmp_path / "finemo.py").write_text(f"import os, sys\n{end}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path, out = shrink(planted, tmp_path, motif_fixtures.make_regions(4)), tmp_path / "hits.bed.gz"
    with pytest.raises(CislexError, match=advice):
        call_hits(path, found.modisco, out, HitSettings(), analysis="demo")
    assert not out.exists()


def test_nothing_to_call_is_a_valid_file_with_a_reason(
    found: motif_fixtures.Found,
    planted: motif_fixtures.Planted,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    regions = motif_fixtures.make_regions(4)
    trimming = TrimSettings(min_information=2.0)
    path, out = shrink(planted, tmp_path, regions), tmp_path / "hits.bed.gz"
    assert call_hits(path, found.modisco, out, HitSettings(), analysis="demo", trimming=trimming) == 0
    assert "flagged" in caplog.text
    assert list(read_hits(out).columns) == ["chrom", *COLUMNS[1:]]


def test_hits_of_direct_sequences_are_those_of_the_genome_counted_from_each_sequence(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    """Also where two sequences, or all, have one name."""
    regions = motif_fixtures.make_regions(12)
    direct = regions.assign(chrom="", start=0, end=200, strand=".")
    direct.loc[[0, 1], "name"], direct.loc[2, "name"] = "twice", "#3"
    path, out = shrink(planted, tmp_path, direct), tmp_path / "hits.bed.gz"
    call_hits(path, found.modisco, out, HitSettings(), analysis="demo")
    names = ["twice.row1", "twice.row2", "_#3", *direct["name"][3:]]
    rows = regions.assign(region=regions["name"], place=names).set_index("region")
    hits, whole = read_hits(out), read_hits(found.hits)
    whole = whole[whole["region"].isin(regions["name"])]
    where = rows.loc[whole["region"]].reset_index()
    minus = (where["strand"] == "-").to_numpy()
    begin, end = whole["start"].to_numpy(), whole["end"].to_numpy()
    start = np.where(minus, where["end"] - end, begin - where["start"])
    expected = sorted(zip(where["place"], start, whole["motif"], strict=True))
    found_here = sorted(zip(hits["chrom"], hits["start"], hits["motif"], strict=True))
    # Palindromes are hit on one strand of two, which differs with the strand that is read.
    assert len(set(expected) & set(found_here)) >= 0.9 * len(expected) > 0
    assert len(found_here) == len(expected)
    assert (hits["end"] <= 200).all()
    lines = gzip.decompress(out.read_bytes()).decode().splitlines()
    assert sum(line.startswith("#") for line in lines) == 1


def test_nan_is_an_error_and_leaves_nothing(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    path = shrink(planted, tmp_path, motif_fixtures.make_regions(4))
    with h5py.File(path, "r+") as handle:
        handle["hypothetical"][2, 0, 0] = np.nan
    with pytest.raises(InputError, match="rows 2"):
        call_hits(path, found.modisco, tmp_path / "hits.bed.gz", HitSettings(), analysis="demo")
    assert [p.name for p in tmp_path.iterdir()] == ["attributions.h5"]


def test_the_script_gives_the_same_bytes_as_the_function(
    found: motif_fixtures.Found, planted: motif_fixtures.Planted, tmp_path: Path
) -> None:
    out = tmp_path / "hits.bed.gz"
    motif_fixtures.run_script(
        "call_hits.py",
        tmp_path / "hits.log",
        input={"attributions": planted.attributions, "motifs": found.modisco},
        output={"hits": out, "index": index_path(out)},
        params={"settings": {"sparsity": 0.7}, "trimming": {"trim": 0.3}},
        wildcards={"analysis": "demo"},
    )
    assert out.read_bytes() == found.hits.read_bytes()
    assert index_path(out).read_bytes() == index_path(found.hits).read_bytes()


def test_files_of_before_are_read(tmp_path: Path) -> None:
    """Plain gzip, without the columns of words."""
    lines = [
        "#chrom\tstart\tend\tmotif\tscore\tstrand\tcontribution\tregion",
        "chr1\t5\t9\tpos_0\t900\t+\t0.5\tr",
    ]
    (tmp_path / "hits.bed.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    found = read_hits(tmp_path / "hits.bed.gz")
    assert found["motif"].tolist() == ["pos_0"]
    assert (found["contribution"] == 0.5).all()
    assert "word" not in found


def test_names_that_look_like_something_else_stay_text(tmp_path: Path) -> None:
    names = ["NA", '"quoted"', "nan"]
    table = pd.DataFrame(
        [["NA", 1, 9, "p0", 5, "+", "NA", "x", 1.0, 0.5, 0.1, 0.2, "NA", name] for name in names]
    )
    write_indexed_bed(table.set_axis(COLUMNS, axis=1), tmp_path / "hits.bed.gz")
    found = read_hits(tmp_path / "hits.bed.gz")
    assert found["region"].tolist() == names
    assert found["chrom"].tolist() == found["analysis"].tolist() == found["word"].tolist() == ["NA"] * 3
