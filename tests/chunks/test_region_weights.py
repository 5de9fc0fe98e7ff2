"""Bins of the intervals of each region: which they are, on either strand, and what stages make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    Zeros,
    attribute,
    attribute_targets,
)
from cislex.attribution.methods import Method
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.chunks.region_weights import RegionWeights, trial_weights
from cislex.errors import ConfigError, InputError, ModelError
from cislex.models.loading import LoadedModel, load_model
from cislex.prediction.inspect import inspect_model
from cislex.prediction.predict import predict_regions
from cislex.sequences.store import SequenceStore, rows_per_chunk, write_sequences
from cislex.targets import Difference, PreActivation, Slice, Tracks, from_config
from cislex.targets.intervals import Intervals
from cislex.targets.tracks import Bins
from torch import Tensor, nn

LENGTH, WIDTH, CROP, TRACKS = 40, 4, 4, 3
BINS = (LENGTH - 2 * CROP) // WIDTH
MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, 3, 1)

    def forward(self, x):
        hidden = nn.functional.avg_pool1d(self.conv(x).relu(), 4)
        return nn.functional.softplus(self.out(hidden))[:, :, 1:-1]


def build():
    return Net()
"""
REGIONS = pd.DataFrame(
    {"chrom": ["c1", "c1", "c2", "c1"], "start": [100, 100, 50, 300], "end": [140, 140, 90, 340],
     "name": ["a", "b", "a", "d"], "strand": ["+", "-", "+", "."]}
)  # fmt: skip
#: Region a: bins 1-2 of [104, 136) twice; also by the name of another one. Region c2 one base, d two exons.
BED = """c1\t108\t113\ta
c1\t110\t116\ta
c1\t131\t132\tb
c2\t57\t58\ta
c1\t305\t306\td
c1\t320\t328\td
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Sequences of four regions, intervals, and a model of three tracks."""
    codes = np.random.default_rng(0).integers(0, 4, (4, LENGTH)).astype(np.uint8)
    codes[1] = 3 - codes[0, ::-1]
    blocks = (codes[i : i + rows_per_chunk(LENGTH)] for i in range(0, 4, rows_per_chunk(LENGTH)))
    attributes: dict[str, object] = {"source_digest": "x", "has_coordinates": True}
    write_sequences(tmp_path / "sequences.h5", blocks, REGIONS, LENGTH, attributes=attributes)
    (tmp_path / "exons.bed").write_text(BED)
    (tmp_path / "model.py").write_text(MODEL)
    torch.manual_seed(0)
    scope: dict[str, Any] = {}
    exec(MODEL, scope)
    torch.save(scope["build"]().state_dict(), tmp_path / "fold.pt")
    return tmp_path


def loaded_of(folder: Path) -> LoadedModel:
    return load_model(weights=folder / "fold.pt", **options(folder))


def options(folder: Path) -> dict[str, Any]:
    return {"loader": "factory", "module": f"{folder / 'model.py'}:build"}


def settings(folder: Path, **intervals: Any) -> dict[str, Any]:
    return {
        "kind": "tracks", "tracks": [0, 2], "bins": {"width": WIDTH, "length": LENGTH},
        "intervals": {"bed": str(folder / "exons.bed"), **intervals},
    }  # fmt: skip


def weights_of(folder: Path, rows: list[int], **intervals: Any) -> np.ndarray:
    target = from_config(settings(folder, **intervals))
    with SequenceStore(folder / "sequences.h5") as store:
        [found] = RegionWeights(store, [target], loaded_of(folder)).of(np.array(rows))
    assert found.shape == (len(rows), BINS, 1)
    return found[:, :, 0].numpy()


def expected(pairs: dict[int, list[tuple[int, int]]], fraction: bool = False) -> np.ndarray:
    """Weights base by base; intervals in bp of the genome."""
    found = np.zeros((4, BINS))
    for row, spans in pairs.items():
        covered = np.zeros(LENGTH)
        for start, end in spans:
            covered[max(0, start - REGIONS.start[row]) : max(0, end - REGIONS.start[row])] = 1
        covered = covered[::-1] if REGIONS.strand[row] == "-" else covered
        shares = covered[CROP:-CROP].reshape(BINS, WIDTH).mean(1)
        found[row] = shares if fraction else shares > 0
    return found


OVERLAPPING = {
    0: [(108, 116), (131, 132)], 1: [(108, 116), (131, 132)], 2: [(57, 58)], 3: [(305, 306), (320, 328)],
}  # fmt: skip
NAMED = {0: [(108, 116)], 1: [(131, 132)], 2: [(57, 58)], 3: [(305, 306), (320, 328)]}


@pytest.mark.parametrize("weighting", ["any", "fraction"])
def test_bins_that_share_a_base_with_an_interval_count_on_either_strand(
    project: Path, weighting: str
) -> None:
    fraction = weighting == "fraction"
    found = weights_of(project, [0, 1, 2, 3], weighting=weighting)
    np.testing.assert_allclose(found, expected(OVERLAPPING, fraction))
    found = weights_of(project, [3, 1], weighting=weighting, match="name")
    np.testing.assert_allclose(found, expected(NAMED, fraction)[[3, 1]])
    np.testing.assert_array_equal(expected(OVERLAPPING)[0], expected(OVERLAPPING)[1][::-1])


def test_random_intervals_are_found_as_one_by_one(project: Path) -> None:
    rng = np.random.default_rng(1)
    starts = rng.integers(40, 360, 300)
    ends = starts + rng.integers(1, 30, 300)
    chroms = rng.choice(["c1", "c2", "c3"], 300)
    lines = [f"{c}\t{s}\t{e}\n" for c, s, e in zip(chroms, starts, ends, strict=True)]
    (project / "exons.bed").write_text("".join(lines))
    mine = {
        row: [(s, e) for c, s, e in zip(chroms, starts, ends, strict=True)
              if c == region.chrom and s < region.end and e > region.start]
        for row, region in enumerate(REGIONS.itertuples())
    }  # fmt: skip
    for fraction, weighting in enumerate(("any", "fraction")):
        found = weights_of(project, [0, 1, 2, 3], weighting=weighting, outside="clip")
        np.testing.assert_allclose(found, expected(mine, bool(fraction)), atol=1e-6)


@pytest.mark.parametrize(
    ("bed", "intervals", "message"),
    [
        ("c1\t108\t112\ta\n", {}, r"2 of 4 regions without an interval .*: a c2:50-90.*, d c1:300-340"),
        (BED, {"match": "name", "outside": "clip"}, None),
        (BED + "c1\t100\t120\td\n", {"outside": "error"}, "2 of 4 regions with intervals that .*c1:100-140"),
        (BED + "c1\t100\t104\td\n", {"outside": "error"}, "2 of 4 regions with .*outside: clip"),
        ("c1\t100\t104\ta\nc2\t57\t58\ta\nc1\t320\t321\td\n", {"outside": "clip"},
         r"2 of 4 regions without an interval in what the bins cover: a c1:100-140, b c1:100-140"),
    ],
)  # fmt: skip
def test_every_region_is_checked_before_any_is_attributed(
    project: Path, bed: str, intervals: dict[str, Any], message: str | None
) -> None:
    (project / "exons.bed").write_text(bed)
    target = from_config(settings(project, **intervals))
    loaded = loaded_of(project)
    if message is None:
        assert len(trial_weights(project / "sequences.h5", [target], loaded, 7)([target])[0]) == 7
        return
    with pytest.raises(InputError, match=message):
        trial_weights(project / "sequences.h5", [target], loaded, 7)


METHODS: list[Method] = [
    DeepLiftShap(DinucleotideShuffle(n=3)),
    TISM(),
    ISM(),
    IntegratedGradients(steps=8, references=Zeros()),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_every_method_attributes_what_a_hand_written_sum_gives(
    project: Path, method: Method, both: bool, reduction: str
) -> None:
    target = from_config({**settings(project, weighting="fraction"), "reduction": reduction})
    model = loaded_of(project).model.double()
    with SequenceStore(project / "sequences.h5") as store:
        x = torch.from_numpy(store.read())
        weights = RegionWeights(store, [target], LoadedModel(model, "")).of(np.arange(4))
    w = weights[0][:, :, 0].double()
    w = w / w.sum(1, keepdim=True) if reduction == "mean" else w
    plain = Slice(2, 5, index=1)
    ours, beside = attribute_targets(
        model, x, method, [target, plain], extra_inputs=weights, reverse_complement=both
    )

    class ByHand(nn.Module):
        """The weighted sum of one region; of both strands at the same places of the genome."""

        def __init__(self, w: Tensor) -> None:
            super().__init__()
            self.model, self.w = model, w

        def forward(self, x: Tensor) -> Tensor:
            found = (self.model(x)[:, [0, 2]].mean(1) * self.w).sum(1)
            if both:
                other = (self.model(x.flip(1, 2)).flip(2)[:, [0, 2]].mean(1) * self.w).sum(1)
                found = 0.5 * (found + other)
            return found[:, None]

    for i in range(4):
        hand = attribute(ByHand(w[i]).eval(), x[i : i + 1], method, precision="float64")
        torch.testing.assert_close(ours.prediction[i], hand.prediction[0])
        torch.testing.assert_close(ours.hypothetical[i], hand.hypothetical[0], atol=1e-7, rtol=0)
    alone = attribute(model, x, method, target=plain, reverse_complement=both)
    torch.testing.assert_close(beside.hypothetical, alone.hypothetical, atol=1e-9, rtol=0)


def test_a_sum_over_intervals_reaches_every_stage(project: Path) -> None:
    wanted = {
        "exons": {"kind": "log", "of": settings(project), "pseudocount": 0.5},
        "named": settings(project, match="name"),
        "logit": {"kind": "slice", "index": 1, "pre_activation": True},
    }
    method = {"name": "deep_lift_shap", "references": {"kind": "dinucleotide_shuffle", "n": 3}}
    files = (project / name for name in ("inspection.tsv", "inspection.txt", "inspected.json"))
    inspect_model(
        {"a": project / "fold.pt"}, *files, length=LENGTH, wanted=wanted, method=method,
        model=options(project), sequences=project / "sequences.h5", reverse_complement=True,
        gate={"max_relative_delta": 1e-3, "on_fail": "error"},
    )  # fmt: skip
    table = pd.read_csv(project / "inspection.tsv", sep="\t")
    assert set(table.name[table.section == "target"]) == set(wanted)
    assert float(table.value[table.section == "delta"].astype(float).max()) < 1e-4
    predict_regions(
        project / "sequences.h5", {"a": project / "fold.pt"}, project / "p.h5", project / "p.tsv",
        wanted=wanted, batch_size=3, keep="heads", **options(project),
    )  # fmt: skip
    predicted = pd.read_csv(project / "p.tsv", sep="\t")
    model = loaded_of(project).model
    with SequenceStore(project / "sequences.h5") as store, torch.no_grad():
        tracks = model(torch.from_numpy(store.read()).float())[:, [0, 2]].mean(1).numpy()
    np.testing.assert_allclose(
        predicted["exons"], np.log((tracks * expected(OVERLAPPING)).sum(1) + 0.5), rtol=1e-5
    )
    np.testing.assert_allclose(predicted["named"], (tracks * expected(NAMED)).sum(1), rtol=1e-5)
    job = ChunkJob(0, 1, "a", wanted, method)
    attribute_chunk(
        project / "sequences.h5",
        project / "fold.pt",
        project / "0.h5",
        job,
        model=options(project),
        batch_size=2,
    )
    with h5py.File(project / "0.h5") as handle:
        for name in wanted:
            np.testing.assert_allclose(handle["targets"][name]["prediction"], predicted[name], rtol=1e-5)
            assert handle["targets"][name]["max_relative_delta"][...].max() < 1e-4
        first = dict(handle.attrs)
    (project / "exons.bed").write_text(BED + "c1\t134\t135\tb\n")
    attribute_chunk(
        project / "sequences.h5",
        project / "fold.pt",
        project / "1.h5",
        job,
        model=options(project),
        batch_size=2,
    )
    with h5py.File(project / "1.h5") as handle:
        assert handle.attrs["stage_digest"] != first["stage_digest"]
        assert not np.allclose(handle["targets/named"]["prediction"], predicted["named"])


def test_what_intervals_do_not_go_with_is_named(project: Path) -> None:
    given = from_config(settings(project))
    bins = Bins(WIDTH, LENGTH)
    intervals = Intervals(str(project / "exons.bed"))
    with pytest.raises(ConfigError, match="window and intervals"):
        Tracks(bins=bins, window=(0, 4), intervals=intervals)
    with pytest.raises(ConfigError, match="need bins"):
        Tracks(intervals=intervals)
    with pytest.raises(ConfigError, match=r"intervals.match: found 'gene', expected overlap or name"):
        Intervals("x.bed", match="gene")
    x = torch.eye(4)[torch.randint(4, (2, LENGTH))].mT
    for target in (given, Difference(given, Tracks())):
        with pytest.raises(ModelError, match="whose weights are 1 extra inputs; found 0"):
            attribute(loaded_of(project).model, x, TISM(), target=target)
    with pytest.raises(ModelError, match="do not reach it here"):
        given(torch.rand(2, TRACKS, BINS))
    weights = torch.ones(2, BINS, 1)
    with pytest.raises(ModelError, match="do not reach it here"):
        attribute(loaded_of(project).model, x, TISM(), target=PreActivation(given), extra_inputs=[weights])
    with pytest.raises(ModelError, match=r"weights \(2, 9\) of intervals for bins \(2, 8\)"):
        attribute(
            loaded_of(project).model, x, TISM(), target=given, extra_inputs=[torch.ones(2, BINS + 1, 1)]
        )
    with pytest.raises(ConfigError, match="targets with intervals need the regions"):
        trial_weights(None, [given], loaded_of(project), 3)
