"""Layouts of other tools, read by their own readers; rows are in the genome's orientation."""

from __future__ import annotations

from pathlib import Path

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pyBigWig
import pysam
import pytest
from browser_fixture import write_inputs
from cislex.errors import ConfigError
from cislex.exports import layouts as layouts_module
from cislex.exports.layouts import export_layouts
from cislex.exports.tracks import export_tracks
from cislex.files.tables import read_regions
from finemo import data_io

ALL = ["modisco", "chrombpnet", "bedgraph", "anndata"]


@pytest.fixture(scope="module")
def made(planted: motif_fixtures.Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    write_inputs(planted, folder)
    export_tracks(folder / "attributions.h5", planted.fasta, folder / "track.bw")
    export_layouts(
        folder / "attributions.h5",
        folder / "out",
        layouts=ALL,
        track=folder / "track.bw",
        hits=folder / "hits.bed.gz",
    )
    return folder


def in_genome(path: Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    with h5py.File(path) as handle:
        regions = read_regions(handle)
        onehot, values = handle["sequences"][...], handle["hypothetical"][...]
    for array in (onehot, values):
        for row in np.flatnonzero(regions["strand"] == "-"):
            array[row] = array[row][::-1, ::-1].copy()
    return regions, onehot, values


def test_finemo_reads_the_same_from_both_layouts(planted: motif_fixtures.Planted, made: Path) -> None:
    regions, onehot, values = in_genome(planted.attributions)
    assert {"+", "-"} <= set(regions["strand"])
    out = made / "out"
    half = values.shape[2] // 2
    for sequences, contributions in (
        data_io.load_regions_from_chrombpnet_h5([str(out / "contributions.h5")], half),
        data_io.load_regions_from_modisco_fmt([str(out / "shap.npz")], str(out / "ohe.npz"), half),
    ):
        np.testing.assert_array_equal(sequences, onehot)
        np.testing.assert_allclose(contributions, values, rtol=1e-3, atol=1e-3)  # finemo rounds to float16
    peaks = data_io.load_peaks(str(out / "regions.narrowPeak"), None, half)
    assert peaks["peak_region_start"].to_list() == regions["start"].to_list()
    assert peaks["peak_name"].to_list() == regions["name"].to_list()
    with h5py.File(out / "contributions.h5") as handle:
        np.testing.assert_array_equal(handle["projected_shap/seq"][...], onehot * values.astype(np.float32))


def test_arrays_are_what_modisco_reads_in_blocks_of_any_size(
    planted: motif_fixtures.Planted, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts_module, "BLOCK_VALUES", 7 * 4 * 200)
    export_layouts(planted.attributions, tmp_path, layouts=["modisco"])
    with np.load(made / "out" / "shap.npz") as whole, np.load(tmp_path / "shap.npz") as pieces:
        assert whole.files == ["arr_0"]
        assert whole["arr_0"].dtype == np.float32
        np.testing.assert_array_equal(whole["arr_0"], pieces["arr_0"])
    assert (tmp_path / "ohe.npz").read_bytes() == (made / "out" / "ohe.npz").read_bytes()


@pytest.mark.parametrize("bases", [1 << 20, 97])
def test_bedgraph_has_the_values_of_the_track(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bases: int
) -> None:
    monkeypatch.setattr(layouts_module, "PIECE_BASES", bases)
    layouts_module.write_bedgraph(made / "track.bw", tmp_path / "a.bedgraph.gz")
    with (
        pyBigWig.open(str(made / "track.bw")) as track,
        pysam.TabixFile(str(tmp_path / "a.bedgraph.gz")) as found,
    ):
        for chrom, size in track.chroms().items():
            expected = track.values(chrom, 0, size, numpy=True)
            values = np.full(size, np.nan)
            for line in found.fetch(chrom):
                _, start, end, value = line.split("\t")
                assert np.isnan(values[int(start) : int(end)]).all()
                values[int(start) : int(end)] = float(value)
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-12)


def test_hits_are_counted_by_region_and_word(planted: motif_fixtures.Planted, made: Path) -> None:
    with h5py.File(made / "out" / "regions_by_words.h5ad") as handle:
        counts, weights = handle["X"][...], handle["layers/contribution"][...]
        rows, words = handle["obs/_index"].asstr()[...], handle["var/_index"].asstr()[...]
        names = handle["var/name"].asstr()[...]
    regions, _, _ = in_genome(planted.attributions)
    hits = pd.read_csv(made / "hits.bed.gz", sep="\t").set_index("region")
    assert list(rows) == list(regions["name"])
    assert list(words) == ["pos_0"]
    assert list(names) == ["AB::C"]
    np.testing.assert_array_equal(counts[:, 0], 1)
    np.testing.assert_allclose(weights[:, 0], hits.loc[rows, "contribution"].abs(), rtol=1e-5)


@pytest.mark.parametrize(("layout", "said"), [("bedgraph", "its input"), ("wig", "one of modisco")])
def test_a_layout_without_its_input_is_an_error(
    planted: motif_fixtures.Planted, tmp_path: Path, layout: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        export_layouts(planted.attributions, tmp_path, layouts=[layout])
    assert not list(tmp_path.iterdir())
