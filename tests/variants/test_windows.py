"""Windows of both alleles are what a plain edit of the genome gives, for every kind of variant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.errors import ConfigError
from cislex.sequences.store import to_one_hot
from cislex.variants.alleles import check_variants
from cislex.variants.context import Context
from cislex.variants.windows import WindowOptions, cut_windows, drop_unfit, read_stretches
from tangermeme.variant_effect import deletion_effect, insertion_effect, substitution_effect
from variants_genome import open_context, random_variants, sequences


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return open_context(tmp_path_factory.mktemp("genome"))


def checked(table: pd.DataFrame, context: Context, options: WindowOptions) -> pd.DataFrame:
    ledger = check_variants(table, context)
    drop_unfit(ledger, context.genome.lengths, options)
    return ledger.peaks[ledger.alive].reset_index(drop=True)


def letters(codes: np.ndarray) -> str:
    return "".join("ACGTN"[code] for code in codes)


def plain(row: pd.Series, length: int, shift: int, anchor: str) -> tuple[str, str]:
    """Both windows as a reader of the module's text would make them by hand."""
    genome = sequences()[row["chrom"]]
    w, b = len(row["before"]), len(row["after"])
    start = row["at"] + w // 2 - length // 2 + shift
    edited = genome[: row["at"]] + row["after"] + genome[row["at"] + w :]
    moved = start if anchor == "left" else start + b - w
    return genome[start : start + length], edited[moved : moved + length]


@pytest.mark.parametrize("length", [40, 41])
@pytest.mark.parametrize("anchor", ["left", "right", "both"])
@pytest.mark.parametrize("shifts", [(0,), (-3, 0, 5)])
def test_windows_are_the_edited_genome(
    context: Context, length: int, anchor: str, shifts: tuple[int, ...]
) -> None:
    options = WindowOptions(length=length, anchor=anchor, shifts=shifts)
    table = checked(random_variants(40, margin=0), context, options)
    assert len(table) > 20
    pairs = cut_windows(read_stretches(table, context, options), options)
    found = {
        (int(v), letters(pairs.rows[r]), letters(pairs.rows[a]))
        for v, r, a in zip(pairs.variant, pairs.reference, pairs.alternative, strict=True)
    }
    expected = {
        (i, *plain(row, length, shift, side))
        for i, row in table.iterrows()
        for shift in shifts
        for side in options.anchors
    }
    assert found == expected
    indels = (table["before"].str.len() != table["after"].str.len()).to_numpy()
    assert len(pairs.variant) == len(shifts) * (len(table) + (anchor == "both") * indels.sum())
    assert (np.diff(pairs.reference) >= 0).all()


def test_alleles_of_one_locus_share_the_window_of_the_reference(context: Context) -> None:
    base = sequences()["chr1"][100]
    others = [letter for letter in "ACGT" if letter != base]
    table = pd.DataFrame(
        [(2, "chr1", 100, base, other, ".") for other in others],
        columns=["source_line", "chrom", "start", "ref", "alt", "id"],
    )
    options = WindowOptions(length=30)
    pairs = cut_windows(read_stretches(checked(table, context, options), context, options), options)
    assert len(pairs.rows) == 4
    assert pairs.reference.tolist() == [0, 0, 0]


@pytest.mark.parametrize("left", [False, True])
def test_effects_equal_those_of_the_peer(context: Context, left: bool) -> None:
    """tangermeme is given the window of the reference (for deletions a longer one) and edits it."""
    length = 40
    options = WindowOptions(length=length, anchor="right" if left else "left")
    table = checked(random_variants(40), context, options)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 5, 7), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(170, 1)
    )
    model = model.double()
    pairs = cut_windows(read_stretches(table, context, options), options)
    with torch.no_grad():
        values = model(torch.from_numpy(to_one_hot(pairs.rows)).double())[:, 0]
    effects = values[pairs.alternative] - values[pairs.reference]
    kinds = set()
    for effect, number in zip(effects, pairs.variant, strict=True):
        row = table.iloc[number]
        w, b = len(row["before"]), len(row["after"])
        start, place = row["at"] + w // 2 - length // 2, length // 2 - w // 2
        extra = max(0, w - b) if b == 0 else 0
        begin, end = (start - extra, start + length) if left else (start, start + length + extra)
        place += extra * left
        x = torch.from_numpy(to_one_hot(context.codes("chr1", int(begin), int(end))[None])).double()
        after = ["ACGT".index(letter) for letter in row["after"]]
        if w == b:
            rows = torch.tensor([[0, place + k, base] for k, base in enumerate(after)])
            y = substitution_effect(model, x, rows, device="cpu")
        elif b == 0:
            y = deletion_effect(
                model, x, torch.tensor([[0, place + k] for k in range(w)]), left=left, device="cpu"
            )
        elif w == 0:
            # To the left of the variant lie the columns before it: the peer counts the insert from there too.
            rows = torch.tensor([[0, place, base] for base in reversed(after)])
            y = insertion_effect(model, x, rows, left=left, device="cpu")
        else:
            continue
        kinds.add((w > b) - (w < b))
        torch.testing.assert_close(effect, (y[1] - y[0])[0, 0], atol=1e-9, rtol=1e-9)
    assert kinds == {-1, 0, 1}


@pytest.mark.parametrize(
    ("start", "ref", "alt", "anchor", "reason"),
    [
        (20, 1, "other", "left", ""),
        (19, 1, "other", "left", "chromosome_edge"),
        (680, 1, "other", "left", ""),
        (681, 1, "other", "left", "chromosome_edge"),
        (300, 1, "A" * 21, "left", ""),
        (300, 1, "A" * 22, "left", "longer_than_window"),
        (300, 45, "A", "left", "longer_than_window"),
        (300, 38, "first", "left", ""),
    ],
)
def test_variants_that_do_not_fit_are_dropped_with_the_reason(
    context: Context, start: int, ref: int, alt: str, anchor: str, reason: str
) -> None:
    text = sequences()["chr1"][start : start + ref]
    other = "ACGT"[("ACGT".index(text[0]) + 1) % 4]
    allele = {"other": other, "first": text[0]}.get(alt, other + alt[1:])
    table = pd.DataFrame(
        [(2, "chr1", start, text, allele, ".")], columns=["source_line", "chrom", "start", "ref", "alt", "id"]
    )
    options = WindowOptions(length=40, anchor=anchor)
    ledger = check_variants(table, context)
    drop_unfit(ledger, context.genome.lengths, options)
    assert ledger.reason.tolist() == [reason]
    assert bool(ledger.detail[0]) == bool(reason)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length: found 0"),
        ({"length": 9, "anchor": "middle"}, "anchor: found 'middle'"),
        ({"length": 9, "shifts": ()}, "shifts"),
        ({"length": 9, "shifts": (1, 1)}, "shifts"),
        ({"length": 9, "shifts": (0, 5)}, "at most half of the length, 4 bp"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WindowOptions(**options)


def test_unknown_bases_of_the_genome_stay_unknown(tmp_path: Path) -> None:
    from cislex.regions.genome import Genome

    (tmp_path / "g.fa").write_text(">c\nACGTNNACGTACGTRCGT\n")
    table = pd.DataFrame(
        [(2, "c", 8, "G", "T", ".")], columns=["source_line", "chrom", "start", "ref", "alt", "id"]
    )
    options = WindowOptions(length=12)
    with Genome(tmp_path / "g.fa") as genome:
        context = Context(genome)
        pairs = cut_windows(read_stretches(checked(table, context, options), context, options), options)
    assert [letters(row) for row in pairs.rows] == ["GTNNACGTACGT", "GTNNACTTACGT"]
