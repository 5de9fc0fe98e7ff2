"""Signal: what is read equals the bigWig, moves with the window, and both heads learn it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest
import torch
from cislex.errors import ConfigError, InputError
from cislex.models.loading import load_model
from cislex.training.heads import LossSettings
from cislex.training.negatives import Negatives
from cislex.training.signal import attach_signal, read_channels
from cislex.training.sources import GenomicSettings, SignalSource
from cislex.training.train import Optimisation, train_model
from cislex.training.windows import Windows, WindowSettings

CHROMOSOMES = {"chr1": 50000, "chr2": 12000, "chr3": 12000}
MOTIF = "TTACCCGTAACC"


def write_bigwig(path: Path, values: dict[str, np.ndarray], names: dict[str, str] | None = None) -> Path:
    handle = pyBigWig.open(str(path), "w")
    handle.addHeader([((names or {}).get(chrom, chrom), len(found)) for chrom, found in values.items()])
    for chrom, found in values.items():
        handle.addEntries((names or {}).get(chrom, chrom), 0, values=found.astype(float), span=1, step=1)
    handle.close()
    return path


def windows_at(centres: list[int], *, jitter: int = 3, length: int = 20) -> Windows:
    n, wide = len(centres), length + 2 * jitter
    codes = np.random.default_rng(0).integers(0, 4, (n, wide)).astype(np.uint8)
    labels = np.ones((n, 2 * jitter + 1, 1), dtype=np.uint8)
    return Windows(np.array(["chr1"] * n, dtype=object), np.array(centres), codes, labels, ("peak",), length)


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, np.ndarray]]]:
    """A genome of sites 300 bp apart; reads of both strands around each, more where the site is complete."""
    folder = tmp_path_factory.mktemp("signal")
    rng = np.random.default_rng(0)
    values: dict[str, dict[str, np.ndarray]] = {"plus": {}, "minus": {}}
    peaks = []
    with open(folder / "genome.fa", "w") as fasta:
        for chrom, length in CHROMOSOMES.items():
            letters = rng.choice(list("ACGT"), length)
            tracks = {strand: np.zeros(length) for strand in values}
            for centre in range(200, length - 200, 300):
                strong = rng.random() < 0.5
                if strong:
                    letters[centre - 6 : centre + 6] = list(MOTIF)
                for strand, shift in (("plus", -8), ("minus", 8)):
                    reads = rng.normal(centre + shift, 3, 60 if strong else 6).round().astype(int)
                    np.add.at(tracks[strand], reads, 1)
                peaks.append(f"{chrom}\t{centre}\t{centre + 1}\n")
            for strand, track in tracks.items():
                values[strand][chrom] = track
            fasta.write(f">{chrom}\n{''.join(letters)}\n")
    (folder / "peaks.bed").write_text("".join(peaks))
    write_bigwig(folder / "plus.bw", values["plus"])
    write_bigwig(folder / "minus.bw", {chrom: -found for chrom, found in values["minus"].items()})
    return folder, values


def test_signal_equals_the_file_at_every_shift(signals: tuple) -> None:
    folder, values = signals
    channels = read_channels({"t": {"bigwig": folder / "plus.bw"}})
    found = attach_signal(windows_at([500, 800, 203]), channels, output_length=10, known=CHROMOSOMES)
    for shift in (-3, 0, 3):
        _, signal = found.crop(np.arange(3), np.full(3, shift), np.zeros(3, dtype=bool))
        for row, centre in enumerate((500, 800, 203)):
            start = centre - 5 + shift
            np.testing.assert_array_equal(signal[row, 0], values["plus"]["chr1"][start : start + 10])


def test_flipping_reverses_the_signal_and_swaps_the_strands(signals: tuple) -> None:
    folder, values = signals
    channels = read_channels(
        {"t": {"plus": folder / "plus.bw", "minus": folder / "minus.bw"}, "u": {"bigwig": folder / "plus.bw"}}
    )
    found = attach_signal(windows_at([500]), channels, output_length=20, known=CHROMOSOMES)
    assert found.tasks == ("t.plus", "t.minus", "u")
    rows, still = np.array([0]), np.array([0])
    codes, signal = found.crop(rows, still, np.array([False]))
    turned, mirrored = found.crop(rows, still, np.array([True]))
    assert np.array_equal(turned[0], 3 - codes[0, ::-1])
    np.testing.assert_array_equal(mirrored[0, 0], signal[0, 1, ::-1])
    np.testing.assert_array_equal(mirrored[0, 1], signal[0, 0, ::-1])
    np.testing.assert_array_equal(mirrored[0, 2], signal[0, 2, ::-1])
    np.testing.assert_array_equal(
        signal[0, 1], values["minus"]["chr1"][490:510]
    )  # stored as negative numbers


def test_other_names_of_chromosomes_go_through_the_aliases(signals: tuple, tmp_path: Path) -> None:
    _, values = signals
    path = write_bigwig(tmp_path / "named.bw", {"chr1": values["plus"]["chr1"]}, {"chr1": "1"})
    channels = read_channels({"t": {"bigwig": path}})
    found = attach_signal(
        windows_at([500]), channels, output_length=20, known=CHROMOSOMES, aliases={"1": "chr1"}
    )
    np.testing.assert_array_equal(found.signal[0, 0], values["plus"]["chr1"][487:513])
    with pytest.raises(InputError, match="none of its chromosomes is in the genome; found 1"):
        attach_signal(windows_at([500]), channels, output_length=20, known=CHROMOSOMES)


def test_signal_that_cannot_be_used_is_named(signals: tuple, tmp_path: Path) -> None:
    folder, _ = signals
    windows = windows_at([500])

    def attach(path: Path, **options: object) -> None:
        settings = {"output_length": 20, "known": CHROMOSOMES, **options}
        attach_signal(windows, read_channels({"t": {"bigwig": path}}), **settings)

    with pytest.raises(InputError, match="found signal below 0"):
        attach(folder / "minus.bw")
    with pytest.raises(InputError, match="is it from another assembly"):
        attach(folder / "plus.bw", known={"chr1": 40000})
    (tmp_path / "no.bw").write_text("text\n")
    with pytest.raises(InputError, match="is not a bigWig file"):
        attach(tmp_path / "no.bw")
    for length in (21, 19, 0):
        with pytest.raises(ConfigError, match="output_length is"):
            attach(folder / "plus.bw", output_length=length)
    with pytest.raises(ConfigError, match="give bigwig, or both plus and minus"):
        read_channels({"t": {"plus": folder / "plus.bw"}})
    genome = GenomicSettings(
        fasta="g.fa",
        windows=WindowSettings(20),
        validation_chromosomes=[],
        test_chromosomes=[],
        negatives=Negatives("shuffle"),
    )
    with pytest.raises(ConfigError, match="shuffled sequences have no signal"):
        SignalSource(genome=genome, peaks="p.bed", tracks={})


@pytest.mark.parametrize(("head", "architecture"), [("counts", "cnn"), ("profile", "bpnet")])
def test_signal_is_learned(signals: tuple, tmp_path: Path, head: str, architecture: str) -> None:
    """Strong sites hold a motif and ten times the reads, whose summits lie 8 bp to either side."""
    folder, values = signals
    genome = GenomicSettings(
        fasta=folder / "genome.fa",
        windows=WindowSettings(64, jitter=4, positive_distance=10, min_negative_distance=40),
        validation_chromosomes=["chr2"],
        test_chromosomes=["chr3"],
        negatives=Negatives("none"),
    )
    tracks = {"t": {"plus": folder / "plus.bw", "minus": folder / "minus.bw"}}
    source = SignalSource(genome=genome, peaks=folder / "peaks.bed", tracks=tracks, output_length=40)
    small = {
        "cnn": {"filters": 8, "kernel": 12, "second_kernel": 3, "dropout": 0.0},
        "bpnet": {"filters": 12, "layers": 3, "kernel": 13, "profile_kernel": 21, "profile": True},
    }
    paths = [tmp_path / name for name in ("w.pt", "t.tsv", "e.tsv", "h.tsv.gz")]
    train_model(
        source,
        *paths,
        loss=LossSettings(head),
        optimisation=Optimisation(epochs=15, batch_size=16, learning_rate=0.02),
        architecture=architecture,
        hyperparameters=small[architecture],
        n_bootstrap=10,
    )
    table = pd.read_csv(paths[2], sep="\t")
    test = table[table["split"] == "test"]
    assert test["task"].tolist() == ["t.plus", "t.minus"]
    assert (test["pearson"] > 0.9).all()
    for row in pd.read_csv(paths[3], sep="\t").sample(20, random_state=0).to_dict("records"):
        middle = slice(row["start"] + 12, row["end"] - 12)
        for strand in ("plus", "minus"):
            counted = np.log1p(values[strand][row["chrom"]][middle].sum())
            assert row[f"t.{strand}.observed"] == pytest.approx(counted, abs=1e-4)
    if head == "profile":
        assert (test["profile_jsd"] < 0.7 * test["profile_jsd_flat"]).all()
        output = load_model("trained", weights=paths[0]).model(torch.zeros(1, 4, 64))
        assert output["profile"].shape == (1, 2, 64)
