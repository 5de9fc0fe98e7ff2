"""Effects of variants are those of in-silico mutagenesis and of plain edits, in any order and batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from attribution_models import Wrapped
from cislex.attribution import ISM, attribute
from cislex.errors import ConfigError, ModelError
from cislex.sequences.store import to_one_hot
from cislex.targets import LogCounts, Output, Profile, Target, targets
from cislex.variants.alleles import check_variants
from cislex.variants.context import Context
from cislex.variants.effects import MEASURES, jensen_shannon, prepare_comparison, sign_of, variant_effects
from cislex.variants.windows import WindowOptions, drop_unfit
from scipy.spatial.distance import jensenshannon
from torch import Tensor, nn
from variants_genome import open_context, random_variants, sequences

LENGTH = 40
OPTIONS = WindowOptions(length=LENGTH)


class TwoHeads(nn.Module):
    """A profile (B, 1, 34) and log counts (B, 1), as a BPNet returns them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 7)
        self.profile = nn.Conv1d(6, 1, 1)
        self.counts = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.conv(x) * 3)
        return self.profile(h), self.counts(h.mean(-1))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return open_context(tmp_path_factory.mktemp("genome"))


@pytest.fixture
def model() -> nn.Module:
    return TwoHeads().eval()


TARGETS: dict[str, Target] = {
    "profile": Profile(),
    "secant": Profile(weights="secant"),
    "counts": LogCounts(),
}


def checked(table: pd.DataFrame, context: Context, options: WindowOptions = OPTIONS) -> pd.DataFrame:
    ledger = check_variants(table, context)
    drop_unfit(ledger, context.genome.lengths, options)
    return ledger.peaks[ledger.alive].reset_index(drop=True)


def effects(
    model: nn.Module,
    table: pd.DataFrame,
    context: Context,
    options: WindowOptions = OPTIONS,
    *,
    batch_size: int | None = None,
    scored: dict[str, Target] = TARGETS,
    **settings: Any,
) -> np.ndarray:
    comparison = prepare_comparison(model, scored, **settings)
    return variant_effects(comparison, table, context, options, batch_size=batch_size)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-5)])
@pytest.mark.parametrize("both_strands", [False, True])
def test_the_effect_of_a_substitution_is_that_of_in_silico_mutagenesis(
    model: nn.Module, context: Context, precision: str, tolerance: float, both_strands: bool
) -> None:
    table = checked(random_variants(12, indels=False), context)
    found = effects(model, table, context, precision=precision, both_strands=both_strands)[2]
    centre = LENGTH // 2
    starts = table["at"].to_numpy() - centre
    x = to_one_hot(np.stack([context.codes("chr1", s, s + LENGTH) for s in starts]))
    base = ["ACGT".index(letter) for letter in table["after"]]
    for number, target in enumerate(TARGETS.values()):
        result = [
            attribute(model, strand, ISM(centre - 1, centre + 1), target=target, precision=precision)
            for strand in (x, np.ascontiguousarray(x[:, ::-1, ::-1]))
        ]
        forward = result[0].multipliers.numpy()[range(len(x)), base, centre]
        expected = forward
        if both_strands:
            other = result[1].multipliers.numpy()[range(len(x)), [3 - b for b in base], LENGTH - 1 - centre]
            expected = (forward + other) / 2
        scale = float(np.abs(expected).max())
        assert scale > 0
        np.testing.assert_allclose(found[number], expected, rtol=0, atol=tolerance * scale)


def windows_of(row: pd.Series, shift: int, side: str) -> tuple[str, str]:
    """Both windows, by hand."""
    genome = sequences()["chr1"]
    w, b = len(row["before"]), len(row["after"])
    start = row["at"] + w // 2 - LENGTH // 2 + shift
    edited = genome[: row["at"]] + row["after"] + genome[row["at"] + w :]
    moved = start if side == "left" else start + b - w
    return genome[start : start + LENGTH], edited[moved : moved + LENGTH]


def predicted(model: nn.Module, text: str, flip: bool) -> tuple[Tensor, float]:
    x = torch.from_numpy(to_one_hot(np.array([["ACGT".index(letter) for letter in text]], dtype=np.uint8)))
    x = x.flip(1, 2) if flip else x
    with torch.no_grad():
        profile, counts = model(x.double())
    return torch.softmax(profile.flatten(), 0), float(counts)


@pytest.mark.parametrize("anchor", ["left", "right", "both"])
@pytest.mark.parametrize("shifts", [(0,), (-2, 0, 3)])
@pytest.mark.parametrize("both_strands", [False, True])
def test_the_effect_of_an_indel_is_its_plain_definition(
    model: nn.Module, context: Context, anchor: str, shifts: tuple[int, ...], both_strands: bool
) -> None:
    model = model.double()
    options = WindowOptions(length=LENGTH, anchor=anchor, shifts=shifts)
    table = checked(random_variants(12), context, options)
    found = effects(model, table, context, options, both_strands=both_strands)
    for number, row in table.iterrows():
        counts, distances, fold = [], [], []
        for shift in shifts:
            for side in options.anchors:
                for flip in (False, True)[: 1 + both_strands]:
                    (p, before), (q, after) = (
                        predicted(model, t, flip) for t in windows_of(row, shift, side)
                    )
                    counts.append(after - before)
                    fold.append((after - before) / math.log(2))
                    distances.append(jensenshannon(p.numpy(), q.numpy(), base=2))
        np.testing.assert_allclose(found[2, 2, number], np.mean(counts), rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found[3, 2, number], np.mean(fold), rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(abs(found[4, 0, number]), np.mean(distances), rtol=1e-6, atol=1e-9)
    assert (np.sign(found[4, 0]) == np.sign(found[2, 0])).all()
    assert np.isnan(found[3, :2]).all()
    assert np.isnan(found[4, 2]).all()


def test_differently_normalised_variants_have_the_same_effect(model: nn.Module, context: Context) -> None:
    """A deletion of one CA from a repeat and an insertion of one: left and right aligned, and padded."""
    genome = sequences()["chrR"]
    at = genome.index("CACACACA")  # the repeat is TCACACACACG
    deleted, inserted = genome[:at] + genome[at + 2 :], genome[:at] + "CA" + genome[at:]
    for edited, change in ((deleted, -2), (inserted, 2)):
        spans = [(at - 1, at + 2), (at + 5, at + 8), (at - 3, at + 9), (at - 1, at + 12)]
        rows = [(2, "chrR", a, genome[a:b], edited[a : b + change], ".") for a, b in spans]
        table = pd.DataFrame(rows, columns=["source_line", "chrom", "start", "ref", "alt", "id"])
        assert len({(row[3], row[4]) for row in rows}) == len(rows)
        found = effects(model, checked(table, context), context, batch_size=2)
        assert found.shape[2] == len(rows)
        assert (found[:3] == found[:3, :, :1]).all()
        assert (found[2] != 0).all()


@pytest.mark.parametrize("batch_size", [1, 2, 7, 500])
def test_order_batch_size_and_blocks_change_nothing(
    model: nn.Module, context: Context, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = WindowOptions(length=LENGTH, anchor="both", shifts=(0, 1))
    table = checked(random_variants(30), context, options)
    expected = effects(model.double(), table, context, options)
    order = np.random.default_rng(0).permutation(len(table))
    monkeypatch.setattr("cislex.variants.effects.BLOCK_BASES", 5 * LENGTH * 8)
    found = effects(model, table.iloc[order], context, options, batch_size=batch_size)
    np.testing.assert_allclose(found, expected[:, :, order], rtol=1e-12, atol=1e-8)


def test_linear_counts_have_a_fold_change(context: Context) -> None:
    model = nn.Sequential(Wrapped(nn.Identity()), nn.Softplus()).double()
    table = checked(random_variants(8), context)
    found = effects(model, table, context, scored={"a": Output(0), "b": Output(1)}, counts={"a": "linear"})
    np.testing.assert_allclose(found[3, 0], np.log2(found[1, 0] / found[0, 0]))
    assert np.isnan(found[3, 1]).all()
    np.testing.assert_allclose(found[2], found[1] - found[0])


def test_targets_before_the_activation_are_read(context: Context) -> None:
    model = nn.Sequential(Wrapped(nn.Identity()), nn.Sigmoid()).double()
    logit = targets.from_config({"kind": "output", "index": 0, "pre_activation": True})
    found = effects(model, checked(random_variants(4), context), context, scored={"p": Output(0), "l": logit})
    np.testing.assert_allclose(found[:2, 0], 1 / (1 + np.exp(-found[:2, 1])))


def test_distances_equal_those_of_scipy_also_where_a_probability_is_zero() -> None:
    p = np.random.default_rng(0).dirichlet(np.full(9, 0.3), size=20)
    q = np.random.default_rng(1).dirichlet(np.full(9, 0.3), size=20)
    p[0], q[0] = np.eye(9)[0], np.eye(9)[1]
    p[1], q[1] = np.eye(9)[3], np.eye(9)[3]
    found = jensen_shannon(torch.from_numpy(p), torch.from_numpy(q)).numpy()
    np.testing.assert_allclose(found, jensenshannon(p, q, axis=1, base=2), atol=1e-9)
    assert found[:2].tolist() == [1, 0]


class Failing(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        if self.what == "raise":
            raise ValueError("no such layer")
        value = x.sum((1, 2), keepdim=True)[:, 0] * self.weight
        return value * torch.nan if self.what == "nan" else value * 0


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raise", r"begins with variant chr1:\d+ [ACGT]+>[ACGT]+: ValueError: no such layer"),
        ("nan", r"NaN or infinite for variants chr1:\d+ [ACGT]+>[ACGT]+"),
        ("zero", r"counts that are not positive for variants chr1:\d+ "),
    ],
)
def test_what_the_model_gets_wrong_names_the_variants(context: Context, what: str, message: str) -> None:
    table = checked(random_variants(5), context)
    with pytest.raises(ModelError, match=message):
        effects(Failing(what), table, context, scored={"a": Output(0)}, counts={"a": "linear"})


def test_a_batch_that_does_not_fit_is_halved(model: nn.Module, context: Context) -> None:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model.double()

        def forward(self, x: Tensor) -> Any:
            if len(x) > 6:
                raise torch.OutOfMemoryError("out of memory")
            return self.inner(x)

    table = checked(random_variants(20), context)
    np.testing.assert_allclose(
        effects(Small(), table, context), effects(model, table, context), rtol=1e-12, atol=1e-8
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"counts": {"x": "log"}}, "counts: found x"), ({"counts": {"counts": "ln"}}, "expected log or linear")],
)
def test_settings_of_counts_are_checked(model: nn.Module, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare_comparison(model, TARGETS, **settings)


def test_signs_may_come_from_another_target() -> None:
    assert sign_of(["profile", "counts"], {"profile": "counts"}) == [1, 1]
    assert sign_of(["profile", "counts"], {}) == [0, 1]
    with pytest.raises(ConfigError, match="signs: found x"):
        sign_of(["profile"], {"profile": "x"})


def test_measures_are_in_the_order_of_their_names() -> None:
    assert MEASURES == ("reference", "alternative", "effect", "logfc", "jsd")
