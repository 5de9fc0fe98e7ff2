"""Alleles are checked against the genome and brought into one form; every row is kept or has a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.variants.alleles import DROPPED_COLUMNS, check_variants, dropped_table
from cislex.variants.context import Context
from cislex.variants.vcf import read_variants
from hypothesis import given
from hypothesis import strategies as st
from variants_genome import REPEAT, open_context, random_variants, sequences, write_vcf


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return open_context(tmp_path_factory.mktemp("genome"), block=16)


def table_of(*rows: tuple[str, int, str, str]) -> pd.DataFrame:
    """``start`` is 0-based."""
    frame = pd.DataFrame(rows, columns=["chrom", "start", "ref", "alt"])
    return frame.assign(source_line=np.arange(len(rows)) + 2, id=".")


def changed(sequence: str, start: int, ref: str, alt: str) -> str:
    assert sequence[start : start + len(ref)] == ref
    return sequence[:start] + alt + sequence[start + len(ref) :]


def test_context_is_the_genome_and_unknown_beyond_it(context: Context) -> None:
    text = sequences()["chr2"]
    for start, end in ((0, 300), (-7, 40), (290, 320), (15, 17), (31, 33), (5, 5), (-20, -3)):
        expected = "".join(text[i] if 0 <= i < 300 else "N" for i in range(start, end))
        assert "".join("ACGTN"[code] for code in context.codes("chr2", start, end)) == expected


def test_stretches_are_read_in_any_order(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cislex.variants.context.MOST", 30)
    rng = np.random.default_rng(0)
    chroms, starts = rng.choice(["chr1", "chr2", "chrR"], 50).tolist(), rng.integers(-9, 300, 50)
    found = context.stretches(chroms, starts, 12)
    expected = [context.codes(chrom, start, start + 12) for chrom, start in zip(chroms, starts, strict=True)]
    assert (found == expected).all()
    assert context.stretches([], starts[:0], 12).shape == (0, 12)


@given(data=st.data())
def test_one_form_for_all_ways_to_write_an_indel(context: Context, data: st.DataObject) -> None:
    """Every pair (REF, ALT) that makes the same sequence, found by trying all, gets the same form."""
    start = data.draw(st.integers(1, len(REPEAT) - 9))
    ref = REPEAT[start : start + data.draw(st.integers(1, 4))]
    alt = data.draw(st.sampled_from([ref[0], ref + ref[-2:], ref[0] + "CA", ref + ref]))
    if ref == alt:
        return
    result = changed(REPEAT, start, ref, alt)
    difference = len(ref) - len(alt)
    rows = []
    for at in range(len(REPEAT)):
        for width in range(1, 8):
            other = width - difference
            if other > 0 and at + width <= len(REPEAT):
                pair = REPEAT[at : at + width], result[at : at + other]
                if pair[0] != pair[1] and changed(REPEAT, at, *pair) == result:
                    rows.append(("chrR", at, *pair))
    found = check_variants(table_of(*rows), context)
    assert found.alive.all()
    forms = set(zip(found.peaks["at"], found.peaks["before"], found.peaks["after"], strict=True))
    assert len(forms) == 1
    at, before, after = forms.pop()
    assert changed(REPEAT, at, before, after) == result
    assert not (before and after) or (before[0] != after[0] and before[-1] != after[-1])


def test_an_indel_moves_left_through_a_repeat_to_the_start_of_the_chromosome(tmp_path: Path) -> None:
    from cislex.regions.genome import Genome

    (tmp_path / "g.fa").write_text(">c\n" + "AC" * 300 + "\n")
    with Genome(tmp_path / "g.fa") as genome:
        found = check_variants(
            table_of(("c", 401, "CAC", "C"), ("c", 500, "A", "ACA")), Context(genome, block=64)
        )
    assert found.peaks[["at", "before", "after"]].values.tolist() == [[0, "AC", ""], [0, "", "AC"]]


def test_every_allele_is_kept_or_dropped_with_a_reason(context: Context) -> None:
    text = sequences()["chr1"]
    base = text[10]
    other = "ACGT"[("ACGT".index(base) + 1) % 4]
    reasons = {
        ("chr1", 10, base, other): "",
        ("1", 10, base, other): "",
        ("chr1", 10, base, ""): "no_alternative",
        ("chr1", 10, base, "<*>"): "no_alternative",
        ("chr1", 10, base, "<NON_REF>"): "no_alternative",
        ("chr1", 10, base, "*"): "spanning_deletion",
        ("chr1", 10, base, "<DEL>"): "symbolic_allele",
        ("chr1", 10, base, f"{base}[chr2:30["): "symbolic_allele",
        ("chr1", 10, base, f".{base}"): "symbolic_allele",
        ("chr1", 10, base, "R"): "not_bases",
        ("chr1", 10, "-", "A"): "not_bases",
        ("chr1", 10, base, base): "same_alleles",
        ("chrU", 10, base, other): "unknown_chromosome",
        ("chr1", -1, base, other): "outside_chromosome",
        ("chr1", 700, base, other): "outside_chromosome",
        ("chr1", 699, text[699] + "A", text[699]): "outside_chromosome",
    }
    ledger = check_variants(table_of(*reasons), context, aliases={"1": "chr1"})
    assert ledger.reason.tolist() == list(reasons.values())
    assert (ledger.alive == (ledger.reason == "")).all()
    dropped = dropped_table(ledger)
    assert list(dropped) == DROPPED_COLUMNS
    assert len(dropped) + ledger.alive.sum() == len(reasons)
    assert (dropped["detail"] != "").all()
    assert (dropped["pos"] == np.array([key[1] + 1 for key, reason in reasons.items() if reason])).all()


def mismatches() -> pd.DataFrame:
    text = sequences()["chr1"]
    rest = [[letter for letter in "ACGT" if letter != text[i]] for i in range(20, 24)]
    return table_of(
        ("chr1", 20, text[20], rest[0][0]),
        ("chr1", 21, rest[1][0], text[21]),
        ("chr1", 22, rest[2][0], rest[2][1]),
        ("chr1", 23, rest[3][0] + "A", text[23:26]),
    )


def test_a_reference_mismatch_is_an_error_that_counts_swaps(context: Context) -> None:
    with pytest.raises(
        InputError, match=r"differs from the genome in 3 of 4 alleles: line 3: chr1:22 REF"
    ) as caught:
        check_variants(mismatches(), context, source="calls.vcf")
    assert "in 2 of them ALT is what the genome has" in str(caught.value)
    assert "on_mismatch: drop" in str(caught.value)
    with pytest.raises(ConfigError, match="on_mismatch: found 'ignore'"):
        check_variants(mismatches(), context, on_mismatch="ignore")


def test_reference_mismatches_can_be_dropped(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    ledger = check_variants(mismatches(), context, on_mismatch="drop")
    assert ledger.reason.tolist() == ["", "swapped_alleles", "reference_mismatch", "swapped_alleles"]
    assert "REF and ALT are swapped" in caplog.text


def test_bases_that_the_genome_does_not_know_are_no_mismatch(tmp_path: Path) -> None:
    from cislex.regions.genome import Genome

    (tmp_path / "g.fa").write_text(">c\nACGTNNACGT\n")
    with Genome(tmp_path / "g.fa") as genome:
        ledger = check_variants(
            table_of(("c", 4, "A", "C"), ("c", 3, "TA", "T"), ("c", 2, "G", "C")), Context(genome)
        )
    assert ledger.reason.tolist() == ["unknown_reference", "unknown_reference", ""]


def test_the_order_of_rows_changes_nothing(context: Context) -> None:
    table = random_variants(60)
    order = np.random.default_rng(1).permutation(len(table))
    columns = ["at", "before", "after"]
    a = check_variants(table, context).peaks[columns]
    b = check_variants(table.iloc[order].reset_index(drop=True), context).peaks[columns]
    assert a.iloc[order].values.tolist() == b.values.tolist()


def test_a_vcf_and_a_table_of_the_same_variants_agree(context: Context, tmp_path: Path) -> None:
    table = random_variants(20)
    rows = [(row.chrom, row.start + 1, row.ref, row.alt) for row in table.itertuples()]
    found = read_variants(write_vcf(tmp_path / "a.vcf", rows))
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
