"""Training: what the windows promise, and that a small model learns a planted motif, reproducibly."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError, InputError, ModelError
from cislex.metrics import RankedLabels
from cislex.models.architectures import build
from cislex.models.loading import load_model
from cislex.regions.genome import UNKNOWN, Genome
from cislex.regions.intervals import nearest_distance, read_blacklist
from cislex.regions.peaks import read_peaks
from cislex.regions.selection import RegionOptions, select_regions
from cislex.training.heads import LossSettings, Sigmoid
from cislex.training.held_out import read_held_out
from cislex.training.inputs import read_positions, split_chromosomes
from cislex.training.negatives import Negatives
from cislex.training.peak_windows import draw_windows
from cislex.training.sources import GenomicSettings, PeakSource
from cislex.training.train import Optimisation, fit, to_onehot, train_model
from cislex.training.windows import Windows, WindowSettings
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
MOTIFS = {"a": "TTACCCGTAACC", "b": "GATCACGTGATT"}
CHROMOSOMES = {"chrI": 90000, "chrII": 20000, "chrIII": 20000, "chrIV": 3000}
SETTINGS = WindowSettings(input_length=80, jitter=10, positive_distance=30, min_negative_distance=120)
FAST = Optimisation(epochs=20, batch_size=32, learning_rate=0.02)
FILES = ("w.pt", "training.tsv", "evaluation.tsv", "held_out.tsv.gz")


@pytest.fixture(scope="module")
def genome_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genome whose peaks (every 500 bp, tasks in turn) hold their task's motif; chrIV has no peak."""
    folder = tmp_path_factory.mktemp("genome")
    rng = np.random.default_rng(0)
    peaks: dict[str, list[str]] = {"a": [], "b": []}
    with open(folder / "genome.fa", "w") as fasta:
        for number, (chrom, length) in enumerate(CHROMOSOMES.items(), start=1):
            letters = rng.choice(list("ACGT"), p=[0.3, 0.2, 0.2, 0.3], size=length)
            for i, centre in enumerate(range(20, length - 10, 500) if chrom != "chrIV" else ()):
                task = "ab"[i % 2]
                letters[centre - 6 : centre + 6] = list(MOTIFS[task])
                peaks[task].append(f"{number}\t{centre}\t{centre + 1}\n")
            fasta.write(f">{chrom}\n{''.join(letters)}\n")
    for task, lines in peaks.items():
        (folder / f"{task}.bed").write_text("".join(lines))
    (folder / "aliases.tsv").write_text("alias\tname\n1\tchrI\n2\tchrII\n3\tchrIII\n")
    (folder / "blacklist.bed").write_text("1\t5000\t8000\n1\t7000\t7500\n2micron\t0\t10\n")
    return folder


@pytest.fixture(scope="module")
def genome(genome_files: Path) -> Genome:
    return Genome(genome_files / "genome.fa")


@pytest.fixture(scope="module")
def tasks(genome_files: Path, genome: Genome) -> dict:
    names = {"1": "chrI", "2": "chrII", "3": "chrIII"}
    return {t: read_positions(genome_files / f"{t}.bed", genome, task=t, aliases=names) for t in "ab"}


def run(folder: Path, out: Path, *, background: str | None = None, **options: object) -> pd.DataFrame:
    """Train on the genome of the fixture; the options are those of the genome, or of ``train_model``."""
    genomic = {
        "windows": SETTINGS,
        "validation_chromosomes": ["chrII"],
        "test_chromosomes": ["chrIII"],
        "exclude_chromosomes": ["chrIV"],
        "aliases": folder / "aliases.tsv",
    }
    for key in (*genomic, "negatives"):
        if key in options:
            genomic[key] = options.pop(key)
    beds = {task: folder / f"{task}.bed" for task in "ab"}
    source = PeakSource(
        genome=GenomicSettings(fasta=folder / "genome.fa", **genomic), tasks=beds, background=background
    )
    settings = {
        "loss": LossSettings(),
        "optimisation": FAST,
        "hyperparameters": {"filters": 8, "kernel": 12, "second_kernel": 3},
        "n_bootstrap": 10,
        **options,
    }
    train_model(source, *(out / name for name in FILES), **settings)
    return pd.read_csv(out / "evaluation.tsv", sep="\t")


def test_windows_keep_their_promises(genome: Genome, tasks: dict, genome_files: Path) -> None:
    avoid = read_blacklist(genome_files / "blacklist.bed", genome, aliases={"1": "chrI"})
    chosen = ["chrI", "chrII"]
    windows = draw_windows(
        genome, tasks, chosen, SETTINGS, split="train", blacklist=avoid, rng=np.random.default_rng(0)
    )
    positive = windows.labels.any(axis=(1, 2))
    assert (~positive).sum() == 2 * positive.sum()
    assert set(windows.chrom) == set(chosen)
    assert len(set(zip(windows.chrom, windows.centre, strict=True))) == len(windows)
    peaks = {c: np.unique(np.concatenate([p[c] for p in tasks.values()])) for c in chosen}
    for chrom, centre, is_positive, codes in zip(
        windows.chrom, windows.centre, positive, windows.codes, strict=True
    ):
        start = centre - SETTINGS.left
        assert np.array_equal(codes, genome.codes(chrom, start, start + SETTINGS.wide))
        blocked = chrom == "chrI" and start < 8000 and start + SETTINGS.wide > 5000
        if is_positive:
            assert centre in peaks[chrom]
            assert not (chrom == "chrI" and centre - 40 < 8000 and centre + 40 > 5000)
        else:
            assert np.abs(peaks[chrom] - centre).min() >= SETTINGS.min_negative_distance
            assert not blocked


def test_positives_are_the_regions_that_extraction_keeps(genome: Genome, tasks: dict, tmp_path: Path) -> None:
    """One peak every 500 bp; windows of 80 bp touch the interval, end at it, or begin at its end."""
    (tmp_path / "avoid.bed").write_text(
        "chrI\t559\t600\nchrI\t1061\t1100\nchrI\t1400\t1480\nchrI\t1900\t1981\n"
    )
    rows = [(chrom, c, c + 1) for task in tasks.values() for chrom, found in task.items() for c in found]
    (tmp_path / "peaks.bed").write_text("".join(f"{chrom}\t{s}\t{e}\n" for chrom, s, e in rows))
    kept, dropped = select_regions(
        read_peaks(tmp_path / "peaks.bed"),
        genome,
        RegionOptions(length=SETTINGS.input_length),
        blacklist=read_peaks(tmp_path / "avoid.bed", file_format="bed"),
    )
    avoid = read_blacklist(tmp_path / "avoid.bed", genome)
    chromosomes = ["chrI", "chrII", "chrIII"]
    rng = np.random.default_rng(0)
    found = draw_windows(genome, tasks, chromosomes, SETTINGS, split="train", blacklist=avoid, rng=rng)
    peaks = found.places(np.zeros(len(found), dtype=np.int64)).query("origin == 'peak'")
    inside = {(row.chrom, row.start) for row in kept.itertuples() if row.start >= SETTINGS.jitter}
    assert set(zip(peaks["chrom"], peaks["start"], strict=True)) == inside
    assert sorted(dropped["start"][dropped["reason"] == "blacklisted"]) == [520, 2020]


def test_labels_follow_the_shift() -> None:
    settings = WindowSettings(20, jitter=5, positive_distance=3, min_negative_distance=9)
    labels = np.zeros((1, 11, 1), dtype=np.uint8)
    labels[0, 2:9] = 1
    windows = Windows(
        np.array(["c"], dtype=object),
        np.array([100]),
        np.arange(settings.wide, dtype=np.uint8)[None] % 4,
        labels,
        ("a",),
        20,
    )
    rows = np.zeros(11, dtype=np.int64)
    codes, truth = windows.crop(rows, np.arange(-5, 6), np.zeros(11, dtype=bool))
    assert codes.shape == (11, 20)
    assert np.array_equal(codes[0], windows.codes[0, :20])
    assert np.array_equal(codes[10], windows.codes[0, 10:])
    assert np.array_equal(truth[:, 0], [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0])


def test_labels_are_the_distance_to_the_nearest_peak(genome: Genome) -> None:
    tasks = {"a": {"chrI": np.array([1000, 1012])}, "b": {"chrI": np.array([1025])}}
    settings = dataclasses.replace(SETTINGS, positive_distance=8, min_negative_distance=200)
    windows = draw_windows(genome, tasks, ["chrI"], settings, split="train", rng=np.random.default_rng(0))
    shifts = np.arange(-settings.jitter, settings.jitter + 1)
    for centre, labels in zip(windows.centre, windows.labels, strict=True):
        for i, positions in enumerate(tasks.values()):
            distance = np.abs(centre + shifts[:, None] - positions["chrI"]).min(axis=1)
            assert np.array_equal(labels[:, i], distance <= 8)


def test_flipping_is_the_reverse_complement() -> None:
    codes = np.array([[0, 1, 2, 3, 4, 0]], dtype=np.uint8)
    windows = Windows(
        np.array(["c"], dtype=object), np.array([3]), codes, np.ones((1, 1, 1), np.uint8), ("a",), 6
    )
    flipped, _ = windows.crop(np.array([0]), np.array([0]), np.array([True]))
    assert flipped.tolist() == [[3, UNKNOWN, 0, 1, 2, 3]]
    onehot = to_onehot(flipped, torch.device("cpu"))
    assert onehot.shape == (1, 4, 6)
    assert onehot[0].sum(dim=0).tolist() == [1, 0, 1, 1, 1, 1]


@given(
    st.lists(st.integers(0, 1000), max_size=8, unique=True).map(sorted),
    st.lists(st.integers(-50, 1050), min_size=1, max_size=8),
)
def test_nearest_distance_equals_its_definition(positions: list[int], centres: list[int]) -> None:
    found = nearest_distance(np.array(centres, dtype=np.int64), np.array(positions, dtype=np.int64))
    if positions:
        expected = np.abs(np.array(centres)[:, None] - np.array(positions)).min(axis=1)
        assert np.array_equal(found, expected)
    else:
        assert (found > 1 << 30).all()


def test_summits_and_midpoints_are_the_centres(tmp_path: Path, genome: Genome) -> None:
    rows = [
        ("chrI", 100, 200, ".", 0, ".", 1.0, -1, -1, 30),
        ("chrI", 300, 400, ".", 0, ".", 1.0, -1, -1, -1),
    ]
    (tmp_path / "p.narrowPeak").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    assert read_positions(tmp_path / "p.narrowPeak", genome, task="a")["chrI"].tolist() == [130, 350]
    (tmp_path / "p.bed").write_text("chrI\t100\t201\n")
    assert read_positions(tmp_path / "p.bed", genome, task="a")["chrI"].tolist() == [150]


def test_a_model_learns_planted_motifs_the_same_way_twice(genome_files: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    table = run(genome_files, tmp_path / "1")
    assert torch.equal(torch.get_rng_state(), state), "the caller's generator is as before"
    assert table[["task", "split"]].values.tolist() == [
        ["a", "validation"], ["b", "validation"], ["a", "test"], ["b", "test"],
    ]  # fmt: skip
    assert (table["auroc"] > 0.95).all()
    assert (table["auroc_low"] <= table["auroc"]).all()
    run(genome_files, tmp_path / "2")
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    run(genome_files, tmp_path / "3", seed=1)
    assert (tmp_path / "1" / "w.pt").read_bytes() != (tmp_path / "3" / "w.pt").read_bytes()
    epochs = pd.read_csv(tmp_path / "1" / "training.tsv", sep="\t")
    assert list(epochs.columns) == ["epoch", "train_loss", "validation_loss", "learning_rate", "kept"]
    assert epochs.loc[epochs["kept"] == 1, "validation_loss"].tolist() == [epochs["validation_loss"].min()]
    assert len(epochs) == FAST.epochs
    held_out, names = read_held_out(tmp_path / "1" / "held_out.tsv.gz")
    assert names == ["a", "b"]
    test = held_out[held_out["split"] == "test"]
    assert set(test["chrom"]) == {"chrIII"}
    for row in table[table["split"] == "test"].itertuples():
        scores = test[f"{row.task}.predicted"].to_numpy()
        assert RankedLabels(test[f"{row.task}.observed"].to_numpy() == 1, scores).areas()[0] == pytest.approx(
            row.auroc, abs=1e-5
        )
    assert (test["sequence"].str.len() == SETTINGS.input_length).all()
    loaded = load_model("trained", weights=tmp_path / "1" / "w.pt")
    assert loaded.input_length == SETTINGS.input_length


def test_patience_stops_early(genome: Genome, tasks: dict) -> None:
    train, validation = (
        draw_windows(genome, tasks, [chrom], SETTINGS, split="train", rng=np.random.default_rng(0))
        for chrom in ("chrII", "chrIII")
    )
    torch.manual_seed(0)
    model = build("cnn", tasks=2, input_length=80, filters=2, kernel=5)
    optimisation = Optimisation(epochs=40, learning_rate=1e-9, patience=2)
    table = fit(model, train, validation, optimisation, head=Sigmoid())
    assert len(table) < 40
    kept = table.loc[table["kept"] == 1, "epoch"].item()
    assert len(table) == kept + 2


def test_the_epoch_of_the_highest_auprc_is_kept(genome_files: Path, tmp_path: Path) -> None:
    optimisation = dataclasses.replace(FAST, epochs=8, keep_epoch="auprc")
    scores = run(genome_files, tmp_path, optimisation=optimisation).set_index("split")
    epochs = pd.read_csv(tmp_path / "training.tsv", sep="\t")
    kept = epochs.loc[epochs["kept"] == 1]
    assert kept["epoch"].tolist() == [epochs["validation_auprc"].idxmax() + 1]
    assert epochs["validation_auprc"].nunique() > 1
    assert kept["validation_auprc"].item() == pytest.approx(
        scores.loc["validation", "auprc"].mean(), abs=1e-6
    ), "the AUPRC that decides is the one that is reported"


def test_patience_counts_epochs_without_a_better_auprc(genome: Genome, tasks: dict) -> None:
    windows = draw_windows(genome, tasks, ["chrII"], SETTINGS, split="train", rng=np.random.default_rng(0))
    torch.manual_seed(0)
    model = build("cnn", tasks=2, input_length=80, filters=2, kernel=5)
    optimisation = Optimisation(epochs=60, learning_rate=1e-12, patience=2, keep_epoch="auprc")
    table = fit(model, windows, windows, optimisation, head=Sigmoid())
    assert len(table) == table.loc[table["kept"] == 1, "epoch"].item() + 2 < 60


def test_what_has_no_auprc_is_named(genome: Genome, tasks: dict, genome_files: Path, tmp_path: Path) -> None:
    by_auprc = Optimisation(epochs=1, keep_epoch="auprc")
    windows = draw_windows(genome, tasks, ["chrII"], SETTINGS, split="train", rng=np.random.default_rng(0))
    negative = dataclasses.replace(windows, labels=np.zeros_like(windows.labels))
    model = build("cnn", tasks=2, input_length=80, filters=2, kernel=5)
    with pytest.raises(InputError, match=r"all or none of the .* validation windows"):
        fit(model, windows, negative, by_auprc, head=Sigmoid())
    with pytest.raises(ConfigError, match="is only valid with head sigmoid or softmax, not counts"):
        run(genome_files, tmp_path, optimisation=by_auprc, loss=LossSettings("counts"))
    with pytest.raises(ConfigError, match="expected loss or auprc"):
        Optimisation(keep_epoch="auroc")


def test_more_training_negatives_leave_the_other_splits(genome_files: Path) -> None:
    settings = {
        "fasta": genome_files / "genome.fa", "windows": SETTINGS, "aliases": genome_files / "aliases.tsv",
        "validation_chromosomes": ["chrII"], "test_chromosomes": ["chrIII"], "exclude_chromosomes": ["chrIV"],
    }  # fmt: skip
    beds = {task: genome_files / f"{task}.bed" for task in "ab"}
    same = GenomicSettings(**settings).draw(beds, 0)
    more = GenomicSettings(**settings, train_negatives_per_positive=3).draw(beds, 0)
    for split in ("validation", "test"):
        assert np.array_equal(same[split].codes, more[split].codes)
    for drawn, share in ((same, 2), (more, 3)):
        positive = (drawn["train"].origin == "peak").sum()
        assert len(drawn["train"]) == (1 + share) * positive
    with pytest.raises(ConfigError, match="more than 0"):
        GenomicSettings(**settings, train_negatives_per_positive=0)


def test_a_loss_that_is_not_finite_is_named(genome: Genome, tasks: dict) -> None:
    windows = draw_windows(genome, tasks, ["chrII"], SETTINGS, split="train", rng=np.random.default_rng(0))
    model = build("cnn", tasks=2, input_length=80, filters=2, kernel=5)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="lower learning_rate"):
        fit(model, windows, windows, FAST, head=Sigmoid())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"validation_chromosomes": []}, ConfigError, "no chromosome for validation"),
        ({"test_chromosomes": ["chr9"]}, ConfigError, "test_chromosomes: the genome has no chr9"),
        ({"test_chromosomes": ["chrII"]}, ConfigError, "chrII appear in more than one"),
        ({"exclude_chromosomes": ["chrI", "chrIV"]}, ConfigError, "no chromosome for train"),
        ({"aliases": None}, InputError, "give genome.aliases"),
        ({"hyperparameters": {"kernels": 3}}, ConfigError, "unknown kernels"),
        ({"architecture": "bpnet", "hyperparameters": {"profile": True}}, ConfigError, "profile must be off"),
        (
            {"validation_chromosomes": ["chrIV"], "exclude_chromosomes": []},
            InputError,
            "no peak of task a, b there",
        ),
        (
            {"windows": dataclasses.replace(SETTINGS, negatives_per_positive=10000)},
            InputError,
            "lower negatives_per_positive",
        ),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    genome_files: Path, tmp_path: Path, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(genome_files, tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda: WindowSettings(200, positive_distance=210), "must exceed positive_distance"),
        (lambda: WindowSettings(0), "at least 1"),
        (lambda: WindowSettings(10, negatives_per_positive=0), "more than 0"),
        (lambda: Optimisation(epochs=0), "epochs is 0"),
        (lambda: Optimisation(batch_size=1), "batch normalisation"),
        (lambda: Optimisation(patience=0), "patience"),
        (lambda: Optimisation(weight_decay=-1), "weight_decay"),
        (lambda: LossSettings(positive_weight=0), "positive_weight is 0"),
        (
            lambda: LossSettings("softmax", positive_weight=2),
            "positive_weight is only valid with head sigmoid",
        ),
        (lambda: LossSettings("logistic"), "expected one of sigmoid"),
        (lambda: Negatives("bed"), "needs a path"),
    ],
)
def test_settings_out_of_range_are_named(settings: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings()  # type: ignore[operator]


def test_splits_are_whole_chromosomes_in_the_genomes_order() -> None:
    splits = split_chromosomes(dict.fromkeys("abcde", 10), validation=["d"], test=["b", "a"], exclude=["e"])
    assert splits == {"train": ["c"], "validation": ["d"], "test": ["a", "b"]}


def test_the_blacklist_is_merged(genome_files: Path, genome: Genome) -> None:
    found = read_blacklist(genome_files / "blacklist.bed", genome, aliases={"1": "chrI"})["chrI"]
    assert (found.starts.tolist(), found.ends.tolist()) == ([5000], [8000])
    starts = np.array([0, 4990, 4990, 7999, 8000])
    hit = found.overlap(starts, np.array([4000, 5000, 5001, 8100, 8100]))
    assert hit.tolist() == [False, False, True, True, False]


def test_the_script_trains_from_a_rules_job(genome_files: Path, tmp_path: Path) -> None:
    genome = {"fasta": str(genome_files / "genome.fa"), "aliases": str(genome_files / "aliases.tsv"),
              "windows": {"input_length": 80, "jitter": 10, "positive_distance": 30,
                          "min_negative_distance": 120},
              "negatives": {"kind": "gc_matched", "path": None},
              "validation_chromosomes": ["chrII"], "test_chromosomes": ["chrIII"]}  # fmt: skip
    options = {
        "kind": "peaks",
        "source": {"genome": genome, "tasks": {t: str(genome_files / f"{t}.bed") for t in "ab"}},
        "loss": {"head": "sigmoid"}, "optimisation": {"epochs": 1}, "seed": 0,
        "architecture": "cnn", "hyperparameters": {"filters": 4},
    }  # fmt: skip
    code = f"""
import runpy
from types import SimpleNamespace
out = {str(tmp_path)!r} + "/"
job = SimpleNamespace(
    scriptdir={str(ROOT / "scripts")!r}, log=[out + "log.txt"], threads=1,
    output=SimpleNamespace(weights=out + "w.pt", training=out + "t.tsv", evaluation=out + "e.tsv",
                           held_out=out + "h.tsv.gz"),
    params=SimpleNamespace(options={options!r}),
)
runpy.run_path({str(ROOT / "scripts" / "train_model.py")!r}, init_globals={{"snakemake": job}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    log = tmp_path / "log.txt"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert "epoch 1: loss" in log.read_text()
    assert all((tmp_path / name).stat().st_size for name in ("w.pt", "t.tsv", "e.tsv", "h.tsv.gz"))


@pytest.mark.slow
def test_the_recipe_learns_a_yeast_factor(shared_data: Path, tmp_path: Path) -> None:
    """One factor and few epochs: the whole set is trained by the integration test."""
    folder = shared_data / "yeast"
    genome = GenomicSettings(
        fasta=folder / "sacCer3.fa.gz",
        windows=WindowSettings(input_length=200),
        validation_chromosomes=["chrVII"],
        test_chromosomes=["chrIV", "chrXI"],
        aliases=ROOT / "resources" / "sacCer3.aliases.tsv",
        blacklist=folder / "ChExMix_Peak_Filter_List_190612.bed",
    )
    source = PeakSource(genome=genome, tasks={"rap1": folder / "peaks" / "Rap1.bed"})
    paths = [tmp_path / name for name in FILES]
    train_model(source, *paths, loss=LossSettings(), optimisation=Optimisation(epochs=10), n_bootstrap=20)
    table = pd.read_csv(paths[2], sep="\t").set_index("split")
    assert table.loc["test", "auroc"] > 0.9
