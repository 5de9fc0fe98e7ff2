"""References from the genome are windows of it, of the example's GC content, the same for the same seed."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import attribution_models as models
import cislex.attribution.genomic_references as genomic
import numpy as np
import pytest
import torch
from Bio import bgzf
from cislex.attribution import DeepLiftShap, FixedReferences, GenomicWindows, attribute, make_references
from cislex.errors import ConfigError, InputError
from torch import Tensor

LETTERS = np.array(list("ACGTN"))
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
LENGTH = 40


def make_genome() -> dict[str, str]:
    """Chromosomes whose GC content rises from 0.2 to 0.8, with runs of unknown bases."""
    rng = np.random.default_rng(0)
    genome = {}
    for name, size in {"chr1": 3001, "chr2": 1502, "tiny": 25, "chrM": 700}.items():
        gc = np.linspace(0.2, 0.8, size)
        strong = rng.random(size) < gc
        codes = np.where(strong, rng.choice([1, 2], size), rng.choice([0, 3], size))
        if name == "chrM":
            codes[100:103] = codes[600:] = 4
        genome[name] = "".join(LETTERS[codes])
    return genome


GENOME = make_genome()


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in GENOME.items()))
    return path


def decode(one_hot: Tensor) -> str:
    codes = torch.where(one_hot.bool().any(0), one_hot.int().argmax(0), 4)
    return "".join(LETTERS[codes.numpy()])


def gc_of(text: str) -> float:
    return (text.count("G") + text.count("C")) / max(1, len(text) - text.count("N"))


def places(text: str) -> list[tuple[str, int]]:
    """Where a window lies, on either strand."""
    turned = text.translate(COMPLEMENT)[::-1]
    return [
        (name, start)
        for name, letters in GENOME.items()
        for wanted in (text, turned)
        for start in range(len(letters) - len(text) + 1)
        if letters[start : start + len(text)] == wanted
    ]


X = models.one_hot(5, LENGTH, unknown=True)


def test_every_reference_is_a_window_of_the_genome_with_the_examples_gc(fasta: Path) -> None:
    references = GenomicWindows(fasta, n=6, tolerance=0.03)
    made = references(X)
    assert made.shape == (5, 6, 4, LENGTH)
    assert made.dtype == torch.uint8
    for example, drawn in zip(X, made, strict=True):
        texts = [decode(row) for row in drawn]
        assert all(places(text) for text in texts)
        assert all("N" not in text for text in texts)
        assert all(abs(gc_of(text) - gc_of(decode(example))) <= 0.03 + 1e-9 for text in texts)


def test_both_strands_are_drawn(fasta: Path) -> None:
    drawn = [decode(row) for row in GenomicWindows(fasta, n=40)(X[:1])[0]]
    forward = sum(any(text in letters for letters in GENOME.values()) for text in drawn)
    assert 5 < forward < 35


@pytest.mark.parametrize("block", [64, 1 << 23])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("max_unknown", [0.0, 0.1])
def test_the_windows_to_choose_from_are_all_that_are_allowed(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, packed: bool, max_unknown: float
) -> None:
    monkeypatch.setattr(genomic, "BLOCK", block)
    if packed:
        source = tmp_path / "genome.fa.gz"
        with bgzf.BgzfWriter(str(source), "wb") as handle:
            handle.write(fasta.read_bytes())
        fasta = source
    exclude = tmp_path / "exclude.bed"
    exclude.write_text("chr1\t500\t620\nchr1\t610\t700\nchrM\t0\t10\nother\t0\t5\n")
    references = GenomicWindows(
        fasta, n=1, exclude=exclude, chromosomes=("chrM", "tiny", "chr1"), max_unknown=max_unknown
    )
    index = references._index(LENGTH)
    wanted = []
    for name in ("chr1", "chrM"):
        for start in range(len(GENOME[name]) - LENGTH + 1):
            text = GENOME[name][start : start + LENGTH]
            barred = (500 - LENGTH < start < 700) if name == "chr1" else start < 10
            if not barred and text.count("N") <= max_unknown * LENGTH:
                wanted.append((round(gc_of(text), 9), text))
    codes = np.empty(LENGTH, np.uint8)
    found = []
    bases = index.bases
    for gc, start in zip(index.gc, index.starts, strict=True):
        genomic._unpack(bases.packed, bases.run_starts, bases.run_ends, start, False, codes)
        found.append((round(gc, 9), "".join(LETTERS[codes])))
    assert sorted(found) == sorted(wanted)
    assert (np.diff(index.gc) >= 0).all()


def test_a_large_genome_is_thinned(fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = GenomicWindows(fasta, chromosomes=("chr1",))._index(LENGTH)
    monkeypatch.setattr(genomic, "MOST_WINDOWS", 1000)
    thin = GenomicWindows(fasta, chromosomes=("chr1",))._index(LENGTH)
    assert len(thin.starts) < 1000
    assert set(thin.starts) == {start for start in full.starts if start % 4 == 0}


def test_references_depend_on_the_seed_only(fasta: Path) -> None:
    references = GenomicWindows(fasta, n=4, seed=3)
    seeds = np.array([5, 900, 5, 2**31 - 1, -4])
    made = make_references(references, X, seeds)
    alone = torch.cat([make_references(references, X[[i]], seeds[[i]]) for i in range(5)])
    assert torch.equal(made, alone)
    assert torch.equal(make_references(references, X.flip(0), seeds[::-1].copy()), made.flip(0))
    assert torch.equal(make_references(references, X, [3] * 5), make_references(references, X))
    assert not torch.equal(make_references(references, X[:1], [4]), made[:1])
    more = make_references(replace(references, n=9), X, seeds)
    assert torch.equal(more[:, :4], made), "the first references do not depend on their number"


def test_copies_pickles_and_threads_draw_the_same(fasta: Path) -> None:
    references = GenomicWindows(fasta, n=3)
    made = references(X)
    again = pickle.loads(pickle.dumps(references))
    assert again == references
    assert torch.equal(again(X), made)
    assert len(pickle.dumps(references)) < 2000, "the index does not travel"
    fresh = GenomicWindows(fasta, n=3)
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: fresh(X), range(8)))
    assert all(torch.equal(one, made) for one in drawn)


def test_no_window_is_drawn_twice_for_one_example(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(f">c\n{GENOME['chr2'][:29]}\n")
    references = GenomicWindows(tmp_path / "g.fa", n=10, tolerance=1)
    starts = {
        min(start, key=lambda place: place[1])
        for row in references(models.one_hot(1, 20))[0]
        if (start := [p for p in places(decode(row)) if p[0] == "chr2"])
    }
    assert len(starts) == 10, "29 bp have 10 windows of 20 bp, each is drawn once"


def test_the_nearest_are_taken_and_told_where_the_tolerance_finds_too_few(
    fasta: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strong = torch.zeros(1, 4, LENGTH, dtype=torch.uint8)
    strong[:, 2] = 1
    references = GenomicWindows(fasta, n=5, tolerance=0.01)
    index = references._index(LENGTH)
    found = [gc_of(decode(row)) for row in references(strong)[0]]
    np.testing.assert_allclose(sorted(found), index.gc[-5:])
    references(strong)
    messages = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == 1
    assert f"GC 1.000 with windows up to {1 - index.gc[-5]:.3f} away" in messages[0]


def test_unknown_bases_of_windows_and_examples_are_zero(fasta: Path) -> None:
    references = GenomicWindows(fasta, n=30, tolerance=1, max_unknown=0.5, chromosomes=("chrM",))
    drawn = references(X[1:2])[0]
    assert any("N" in decode(row) for row in drawn)
    assert all(places(decode(row)) for row in drawn)
    made = make_references(references, X[1:2])[0]
    assert torch.equal(made[:, :, 10:13], torch.zeros(30, 4, 3, dtype=torch.uint8))
    assert torch.equal(made[:, :, 13:], drawn[:, :, 13:])
    nothing = torch.zeros_like(X[:1])
    assert not make_references(references, nothing).any()


def test_attributions_are_those_of_the_same_references_given(fasta: Path) -> None:
    model = models.trap("dropout")
    references = GenomicWindows(fasta, n=3)
    found = attribute(model, X, DeepLiftShap(references))
    expected = attribute(model, X, DeepLiftShap(FixedReferences(make_references(references, X))))
    torch.testing.assert_close(found.hypothetical, expected.hypothetical)
    torch.testing.assert_close(found.delta, expected.delta)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n": 0}, "at least 1 reference"),
        ({"tolerance": -0.1}, "tolerance: found -0.1, expected 0 to 1"),
        ({"tolerance": float("nan")}, "expected 0 to 1"),
        ({"max_unknown": 1.0}, "max_unknown"),
        ({"chromosomes": "chr1"}, r"for example \('chr1',\)"),
        ({"chromosomes": ("chr1", "chrX", "chrY")}, "no chrX, chrY; it has chr1, chr2, tiny"),
    ],
)
def test_settings_that_cannot_be_are_named(fasta: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        GenomicWindows(fasta, **options)(X)


def test_genomes_that_cannot_serve_are_named(fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        GenomicWindows(tmp_path / "absent.fa")(X)
    with pytest.raises(InputError, match=r"found 0 windows of 40 bp .* expected at least n=20"):
        GenomicWindows(fasta, chromosomes=("tiny",))(X)
    exclude = tmp_path / "exclude.bed"
    exclude.write_text("1\t0\t100\n")
    with pytest.raises(InputError, match=r"intervals on 1, but .* has chr1, chr2, tiny"):
        GenomicWindows(fasta, exclude=exclude)(X)
    exclude.write_text("chr1\t0\t3001\nchr2\t0\t1502\nchrM\t0\t700\n")
    with pytest.raises(InputError, match="exclude less"):
        GenomicWindows(fasta, exclude=exclude)(X)
