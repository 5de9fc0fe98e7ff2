"""More about a motif: its matrices, where its seqlets lie, and examples; and histograms of a target."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import report_many_targets as many
from cislex.report.figures.histograms import histogram
from cislex.report.sections.motif_details import EXAMPLES, describe_details
from cislex.report.sections.motifs import describe_motifs
from cislex.report.sections.pattern_arrays import read_cores
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import read_table

COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> AnalysisTarget:
    """Return one target of twenty patterns."""
    root = tmp_path_factory.mktemp("details")
    (one,) = many.write_many(root, analyses=1, targets=1, patterns=20, regions=60)["analyses"]  # type: ignore[misc]
    return one


def test_motifs_that_are_not_flagged_have_details(spec: AnalysisTarget) -> None:
    motifs = describe_motifs(spec)
    assert [bool(motif.details) for motif in motifs] == [not motif.flagged for motif in motifs]
    assert sum(bool(motif.flagged) for motif in motifs) == 2


@pytest.mark.parametrize("is_reversed", [False, True])
def test_examples_are_the_strongest_seqlets_on_the_strand_that_is_shown(
    spec: AnalysisTarget, is_reversed: bool
) -> None:
    table = read_table(spec.motifs, what="motifs", columns=["motif"])  # type: ignore[arg-type]
    cores = read_cores(spec, table.assign(is_reversed=str(is_reversed)))
    details = describe_details(spec, cores)["neg_0"]
    with h5py.File(spec.modisco) as handle:
        seqlets = handle["neg_patterns/pattern_0/seqlets"]
        sums = seqlets["contrib_scores"][:].sum(axis=(1, 2))
        best = int(np.argmax(np.abs(sums)))
        bases = "".join("ACGT"[int(column.argmax())] for column in seqlets["sequence"][best])
        index = int(seqlets["example_idx"][best])
        middle = (int(seqlets["start"][best]) + int(seqlets["end"][best])) / 2 - 100
    first = details.examples[0]
    assert len(details.examples) == EXAMPLES
    assert first.bases == (bases.translate(COMPLEMENT)[::-1] if is_reversed else bases)
    assert first.locus.startswith(f"chrIV:{index * 1000 + 500:,}–")
    assert first.place.replace("−", "-") == f"{middle:+,.0f}"
    assert first.contribution.startswith("−")


def test_a_file_without_seqlets_has_matrices_alone(spec: AnalysisTarget, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    shutil.copy(str(spec.modisco), tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as handle:
        del handle["pos_patterns/pattern_1/seqlets/contrib_scores"]
    bare = dataclasses.replace(spec, modisco=tmp_path / "m.h5")
    (motif,) = [motif for motif in describe_motifs(bare) if motif.name == "pos_1"]
    assert motif.details is not None
    assert motif.details.positions is None
    assert "Hypothetical contributions of pos_1" in motif.details.hypothetical


def test_bars_of_a_histogram_are_as_high_as_counts() -> None:
    values = np.repeat([0.0, 5.0, 10.0], [10, 40, 20])
    drawn = str(histogram(values, x_label="x", label="counts"))
    (path,) = re.findall(r'<path d="M([^"]+)Z"', drawn)
    heights = 94 - np.array([float(y) for y in re.findall(r"V([\d.]+)h", path)])
    assert np.count_nonzero(heights) == 3
    np.testing.assert_allclose(heights[heights > 0] / heights.max(), [0.25, 1, 0.5], atol=0.01)
    assert "counts: 70 values" in drawn
    assert "nan" not in str(histogram(np.zeros(3), x_label="x", label="flat"))
