"""A scan finds the sites that FIMO's definition says, on both strands, with their contributions."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path

import lexicon_fixtures
import motif_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.motifs.files import MemeMotif, TrimSettings, reverse_complement, write_meme
from cislex.motifs.hits import COLUMNS, call_hits, read_hits
from cislex.motifs.scanning import SCAN_COLUMNS, ScanSettings, read_scanned

ROOT = Path(__file__).resolve().parents[2]
MAX_P = 2e-3
MOTIFS = [
    MemeMotif("M1", "SIX", lexicon_fixtures.ppm_of("GATAAG"), 50),
    MemeMotif("M2", "WIDE", lexicon_fixtures.ppm_of("ACGT" * 60), 50),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Attributions of ten regions, a MEME file, and sequences and observed contributions of the regions."""
    folder, rng = tmp_path_factory.mktemp("scan"), np.random.default_rng(3)
    sequences = np.eye(4)[rng.integers(0, 4, (10, 200))].transpose(0, 2, 1)
    sequences[:, :, 60:66] = np.eye(4)[[2, 0, 3, 0, 0, 2]].T
    sequences[:, :, 190:] = 0  # unknown bases
    hypothetical = rng.normal(size=sequences.shape).astype(np.float32)
    motif_fixtures.write_attributions(
        folder / "attributions.h5", sequences, hypothetical, motif_fixtures.make_regions(10)
    )
    write_meme(MOTIFS, folder / "known.meme")
    return (
        folder / "attributions.h5",
        folder / "known.meme",
        sequences,
        (sequences * hypothetical).sum(axis=1),
    )


def exact_p_values(log_odds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of all sequences of the motif's width that score at least as much."""
    columns = (log_odds[:, number] for number in range(log_odds.shape[1]))
    every = np.sort([sum(letters) for letters in itertools.product(*columns)])
    return 1 - np.searchsorted(every, scores - 1e-9) / len(every)


def test_sites_are_those_of_the_exact_p_values(
    made: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    attributions, meme, sequences, observed = made
    out = tmp_path / "hits.bed.gz"
    call_hits(attributions, meme, out, ScanSettings(max_p=MAX_P), analysis="demo")
    hits = read_hits(out)
    assert list(hits.columns) == ["chrom", *COLUMNS[1:], *SCAN_COLUMNS]
    assert set(hits["word"]) == {"M1"}
    assert set(hits["motif"]) == {"SIX"}
    assert hits[["hit_coefficient", "hit_similarity"]].isna().all(axis=None)
    regions = motif_fixtures.make_regions(10).set_index("name")
    frequencies = (MOTIFS[0].ppm * 50 + 0.25) / 51
    log_odds = np.log2(frequencies / 0.25)
    found = set()
    for hit in hits.itertuples():
        region = regions.loc[hit.region]
        minus, row = region["strand"] == "-", regions.index.get_loc(hit.region)
        start = region["end"] - hit.end if minus else hit.start - region["start"]
        found.add((row, start, {"+": "-", "-": "+"}[hit.strand] if minus else hit.strand))
        assert hit.contribution == pytest.approx(observed[row, start : start + 6].sum(), rel=1e-4, abs=1e-5)
    for strand, matrix in (("+", log_odds), ("-", reverse_complement(log_odds))):
        windows = np.lib.stride_tricks.sliding_window_view(sequences, 6, axis=2)
        scores = np.einsum("ncpw,cw->np", windows, matrix)
        p = exact_p_values(log_odds, scores.ravel()).reshape(scores.shape)
        here = {(row, start) for row, start, which in found if which == strand}
        assert here == {(int(row), int(start)) for row, start in zip(*np.nonzero(p < MAX_P), strict=True)}
    assert hits["p"].to_numpy() == pytest.approx(np.full(len(hits), 4.0**-6), rel=1e-5)
    assert hits["log_odds"].to_numpy() == pytest.approx(log_odds.max(axis=0).sum(), abs=0.05)
    assert (hits["score"] == (-100 * np.log10(hits["p"])).round()).all()
    assert len(found) >= 10


def test_only_the_window_is_scanned_and_a_wide_motif_alone_is_told(
    made: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "hits.bed.gz"
    call_hits(made[0], made[1], out, ScanSettings(max_p=MAX_P, window=60), analysis="demo")
    where = read_hits(out).merge(motif_fixtures.make_regions(10), left_on="region", right_on="name")
    assert (where["start_x"] >= where["start_y"] + 70).all()
    assert (where["end_x"] <= where["end_y"] - 70).all()
    assert "1 motif wider than 60 bp" in caplog.text
    write_meme(MOTIFS[1:], tmp_path / "wide.meme")
    assert call_hits(made[0], tmp_path / "wide.meme", out, ScanSettings(), analysis="demo") == 0
    assert "no hits were called" in caplog.text
    assert list(read_hits(out).columns) == ["chrom", *COLUMNS[1:], *SCAN_COLUMNS]


def test_words_are_scanned_by_their_cores_without_flagged_ones(tmp_path: Path) -> None:
    texts = lexicon_fixtures.WORDS[:2]
    path = lexicon_fixtures.write_modisco(
        tmp_path / "m.h5", [lexicon_fixtures.pattern(text, n=90 - i) for i, text in enumerate(texts)]
    )
    cores = read_scanned(path, None)
    assert [(m.identifier, m.pattern, m.sites) for m in cores] == [
        ("pos_0", "pos_patterns/pattern_0", 90), ("pos_1", "pos_patterns/pattern_1", 89),
    ]  # fmt: skip
    assert [m.ppm.shape[1] for m in cores] == [len(text) for text in texts]
    assert read_scanned(path, TrimSettings(max_width=10))[0].identifier == "pos_1"


def test_the_script_scans_where_the_settings_say_so(
    made: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    call_hits(made[0], made[1], tmp_path / "one.bed.gz", ScanSettings(max_p=MAX_P), analysis="demo")
    runpy.run_path(str(ROOT / "scripts" / "call_hits.py"))["main"](
        *made[:2], tmp_path / "two.bed.gz", settings={"method": "scan", "max_p": MAX_P, "window": None},
        trimming={}, analysis="demo", threads=1,
    )  # fmt: skip
    assert (tmp_path / "one.bed.gz").read_bytes() == (tmp_path / "two.bed.gz").read_bytes()
    assert len(pd.read_csv(tmp_path / "two.bed.gz", sep="\t"))
