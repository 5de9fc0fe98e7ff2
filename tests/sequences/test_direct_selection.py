"""Sequences given directly: every row is kept, or dropped with a reason, by each filter that can be meant."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.regions.extraction import read_regions_bed
from cislex.sequences.importing import import_sequences
from cislex.sequences.store import SequenceStore, to_one_hot

TEXTS = ["ACGTACGT", "ACGTACGT", "NNNNACGT", "TTTTTTTT", "CCCCCCCC", "NNNNNNNN", "ACGTTTTT", "GGGGGGGG"]
SETS = [
    (1, "train"),
    (9, "test"),
    (3, "test"),
    (4, "NA"),
    (5, "test"),
    (6, "train"),
    (7, "1.0"),
    ("", "test"),
]
TABLE = "name\tscore\tset\n" + "".join(f"s{i}\t{score}\t{part}\n" for i, (score, part) in enumerate(SETS))


def write(folder: Path, texts: list[str] | None = None) -> Path:
    texts = texts or TEXTS
    (folder / "t.tsv").write_text(TABLE)
    (folder / "names.txt").write_text("s1\n\ns4\ns99\n")
    (folder / "s.fa").write_text("".join(f">s{i} words\n{text}\n" for i, text in enumerate(texts)))
    return folder / "s.fa"


def run(source: Path, **selection: object) -> tuple[list[str], dict[str, str]]:
    """Names that are kept, and the reason of each name that is dropped."""
    arrays = {"is_hdf5": True, "dataset": "x"} if source.suffix == ".h5" else {}
    paths = [source.parent / "out" / name for name in ("regions.bed", "dropped.tsv", "sequences.h5")]
    n = import_sequences(source, *paths, length=8, selection=selection, **arrays)  # type: ignore[arg-type]
    bed, lost = read_regions_bed(paths[0]), pd.read_csv(paths[1], sep="\t", keep_default_na=False, dtype=str)
    assert n == len(bed)
    assert n + len(lost) == len(TEXTS)
    assert sorted([*bed["source_line"], *lost["source_line"].astype(int)]) == list(range(1, len(TEXTS) + 1))
    assert (lost["detail"] != "").all()
    codes = np.array([["ACGTN".index(letter) for letter in text] for text in TEXTS], np.uint8)
    with SequenceStore(paths[2]) as store:
        rows = bed["source_line"].to_numpy() - 1
        np.testing.assert_array_equal(store.read(), to_one_hot(codes[rows]))
        assert store.regions()["name"].tolist() == bed["name"].tolist()
    return bed["name"].tolist(), dict(zip(lost["chrom"], lost["reason"], strict=True))


@pytest.mark.parametrize(
    ("selection", "kept", "reason"),
    [
        ({}, "01234567", ""),
        ({"deduplicate": "exact"}, "0234567", "duplicate"),
        ({"deduplicate": "exact", "table": "t.tsv"}, "1234567", "duplicate"),  # s1 has the higher score
        ({"max_unknown": 0.5}, "0123467", "unknown_bases"),
        ({"table": "t.tsv", "top": 3}, "156", "below_top"),
        ({"table": "t.tsv", "select": {"set": ["test"]}}, "1247", "not_selected"),
        ({"table": "t.tsv", "select": {"set": ["NA", 1]}}, "36", "not_selected"),
        ({"names": "names.txt"}, "14", "not_named"),
    ],
)  # fmt: skip
def test_each_filter_keeps_what_it_should_and_says_why_of_the_rest(
    tmp_path: Path, selection: dict[str, object], kept: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    found, lost = run(path, **selection)
    assert found == [f"s{i}" for i in kept]
    assert set(lost.values()) == ({reason} if reason else set())


def test_a_sample_is_seeded_and_filters_go_before_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = [run(path, sample=3, seed=seed, max_unknown=0.1) for seed in (0, 0, 1, 2)]
    assert found[0] == found[1]
    assert len({tuple(names) for names, _ in found}) > 1
    for names, lost in found:
        assert len(names) == 3
        assert lost["s5"] == lost["s2"] == "unknown_bases"
        assert sorted(lost.values()).count("not_sampled") == 3


def test_what_cannot_be_read_is_dropped_where_that_is_asked(tmp_path: Path) -> None:
    texts = [*TEXTS[:6], "ACGT", "ACGTACGX"]
    with pytest.raises(InputError, match=r"not s6 \(4 bp\).*malformed: drop"):
        run(write(tmp_path, texts))
    assert run(tmp_path / "s.fa", malformed="drop")[1] == {"s6": "malformed", "s7": "malformed"}


def test_columns_of_arrays_select_and_rank(tmp_path: Path) -> None:
    codes = np.array([["ACGTN".index(letter) for letter in text] for text in TEXTS], np.uint8)
    with h5py.File(tmp_path / "s.h5", "w") as handle:
        handle["x"], handle["y"] = to_one_hot(codes), np.arange(16.0).reshape(8, 2) % 5
        handle["set"] = [b"a", b"b"] * 4
        handle["short"] = [1, 2]
    names, _ = run(tmp_path / "s.h5", select={"set": ["b"], "y[0]": [1, 2]})
    assert names == ["sequence_1", "sequence_3"]
    assert run(tmp_path / "s.h5", top=2, order_by="y[1]")[0] == ["sequence_1", "sequence_4"]
    for selection, error, message in (
        ({"top": 1}, InputError, "no dataset 'score'"),
        ({"top": 1, "order_by": "y"}, ConfigError, r"shape is \(8, 2\); expected \(N,\), or y\[i\]"),
        ({"top": 1, "order_by": "short"}, InputError, "2 values; expected 8"),
        ({"select": {"set": ["c"]}}, ConfigError, "no sequence has c; it has a, b"),
    ):
        with pytest.raises(error, match=message):
            run(tmp_path / "s.h5", **selection)


def test_lists_and_names_that_do_not_fit_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path)
    with caplog.at_level(logging.WARNING, "cislex"):
        run(path, names=tmp_path / "names.txt")
    assert "names without a sequence: s99" in caplog.text
    path.write_text("".join(f">{name}\n{text}\n" for name, text in zip("aabbcdee", TEXTS, strict=True)))
    with caplog.at_level(logging.WARNING, "cislex"):
        run(path)
    assert "names shared by several sequences: a (2), b (2), e (2)" in caplog.text
    with pytest.raises(InputError, match="has no row for a, a, b"):
        run(path, table=tmp_path / "t.tsv", top=1)
    with pytest.raises(InputError, match="none of 8 sequences is left; dropped: 8 not_named"):
        run(path, names=tmp_path / "names.txt")
