"""Labels: what is read equals the file, row by row; what does not fit is named, counted and located."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyBigWig
import pytest
from cislex.errors import ConfigError, InputError
from cislex.prediction.labels import LabelSource, Origin, is_classes, read_labels

LENGTH = 100
SIZES = {"chr1": 3000, "chr2": 2000}


@pytest.fixture
def regions() -> pd.DataFrame:
    """Six regions of two chromosomes, in the order of lines 3, 1, 2, 6, 5, 4 of their peak file."""
    starts = np.array([100, 400, 900, 300, 800, 1200])
    return pd.DataFrame(
        {
            "chrom": ["chr1"] * 3 + ["chr2"] * 3,
            "start": starts,
            "end": starts + LENGTH,
            "name": [f"peak_{i}" for i in range(6)],
            "score": ".",
            "strand": ["+", "-", ".", "-", "+", "-"],
            "peak_start": starts + 20,
            "peak_end": starts + 60,
            "source_line": [3, 1, 2, 6, 5, 4],
        }
    )


def read(source: dict[str, object], regions: pd.DataFrame, **origin: object) -> np.ndarray:
    return read_labels(LabelSource(**source), regions, Origin(lengths=SIZES, **origin), target="t")


def write_peaks(path: Path, values: list[object]) -> Path:
    """BED6 and a seventh column; line i + 1 has value i."""
    rows = [f"chr1\t{100 * i}\t{100 * i + 40}\tp{i}\t{i}\t+\t{value}" for i, value in enumerate(values)]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_column_of_the_peak_file_follows_each_region_to_its_own_line(
    tmp_path: Path, regions: pd.DataFrame
) -> None:
    peaks = write_peaks(tmp_path / "peaks.bed", [10, 20.5, 30, 40, 50, 60])
    for column in (7, "thick_start"):
        found = read({"column": column}, regions, peaks=peaks, file_format="bed")
        assert found.tolist() == [30, 10, 20.5, 60, 50, 40]
    assert read({"column": "score"}, regions, peaks=peaks).tolist() == [2, 0, 1, 5, 4, 3]
    logs = read({"column": "score", "transform": "log1p"}, regions, peaks=peaks)
    np.testing.assert_allclose(logs, np.log([3, 1, 2, 6, 5, 4]))


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_table_finds_regions_by_name(tmp_path: Path, regions: pd.DataFrame, separator: str) -> None:
    path = tmp_path / "labels.tsv"
    rows = [["name", "other", "activity"], *([f"peak_{i}", "x", str(i * i)] for i in (5, 3, 1, 0, 2, 4, 9))]
    path.write_text("# made by hand\n" + "\n".join(separator.join(row) for row in rows) + "\n")
    for column in ("activity", 3):
        found = read({"table": path, "column": column}, regions)
        assert found.tolist() == [0, 1, 4, 9, 16, 25]


TABLES = {
    "stray quotes between tabs": ("name\tnote\tvalue", '{name}\t"x\t{value}'),
    "tabs at the ends of lines": ("name\tnote\tvalue\t", "{name}\tx\t{value}\t"),
    "quoted text between commas": ('"name","note","value"', '"{name}","a, b",{value}'),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_as_programs_write_them(tmp_path: Path, regions: pd.DataFrame, table: str) -> None:
    header, row = TABLES[table]
    path = tmp_path / "labels.txt"
    rows = [row.format(name=f"peak_{i}", value=i) for i in range(6)]
    path.write_text("\n".join([header, *rows]) + "\n")
    assert read({"table": path, "column": "value"}, regions).tolist() == [0, 1, 2, 3, 4, 5]


def test_rows_of_another_width_are_named(tmp_path: Path, regions: pd.DataFrame) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('name,value\npeak_0,1\n"peak_1,2\n')
    with pytest.raises(InputError, match=r"labels\.csv cannot be read as a table"):
        read({"table": path, "column": "value"}, regions)


def test_a_table_finds_regions_by_the_locus_of_the_window_or_of_its_peak(
    tmp_path: Path, regions: pd.DataFrame
) -> None:
    path = tmp_path / "labels.tsv.gz"
    text = "#chrom\tstart\tend\tname\tvalue\n"
    for i, row in regions.iterrows():
        start, end = (row["start"], row["end"]) if i % 2 else (row["peak_start"], row["peak_end"])
        # Names are those of other regions: the locus decides.
        text += f"{row['chrom'][3:]}\t{start}\t{end}\tpeak_{5 - int(str(i))}\t{i}.5\n"
    path.write_bytes(gzip.compress(text.encode()))
    aliases = {"1": "chr1", "2": "chr2"}
    found = read({"table": path, "column": "value"}, regions, aliases=aliases)
    assert found.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    by_name = read({"table": path, "column": "value", "key": "name"}, regions)
    assert by_name.tolist() == found[::-1].tolist()


def test_a_bed_file_without_header_is_a_table(tmp_path: Path, regions: pd.DataFrame) -> None:
    path = tmp_path / "labels.bed"
    places = regions[["chrom", "start", "end"]].assign(name=".", score=range(6))
    path.write_text("track name=x\n" + places.to_csv(sep="\t", header=False, index=False))
    assert read({"table": path, "column": "score"}, regions).tolist() == [0, 1, 2, 3, 4, 5]
    assert read({"table": path, "column": 5}, regions).tolist() == [0, 1, 2, 3, 4, 5]


def write_bigwig(path: Path, values: dict[str, np.ndarray]) -> Path:
    handle = pyBigWig.open(str(path), "w")
    handle.addHeader([(chrom, len(found)) for chrom, found in values.items()])
    for chrom, found in values.items():
        handle.addEntries(chrom, 0, values=found.astype(float), span=1, step=1)
    handle.close()
    return path


@pytest.fixture
def signal(tmp_path: Path) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    found = {
        strand: {chrom: rng.poisson(2, size).astype(float) for chrom, size in SIZES.items()}
        for strand in ("plus", "minus")
    }
    write_bigwig(tmp_path / "plus.bw", found["plus"])
    write_bigwig(tmp_path / "minus.bw", {chrom: -values for chrom, values in found["minus"].items()})
    return found


@pytest.mark.parametrize("window", [None, 100, 40, 2])
def test_signal_is_the_log_of_the_sum_over_the_middle(
    tmp_path: Path, regions: pd.DataFrame, signal: dict, window: int | None
) -> None:
    width = window or LENGTH
    middle = [
        slice(row["start"] + (LENGTH - width) // 2, row["start"] + (LENGTH + width) // 2)
        for _, row in regions.iterrows()
    ]
    totals = {
        strand: np.array([tracks[c][m].sum() for c, m in zip(regions["chrom"], middle, strict=True)])
        for strand, tracks in signal.items()
    }
    files = {strand: tmp_path / f"{strand}.bw" for strand in totals}
    one = read({"bigwig": files["plus"], "window": window}, regions)
    np.testing.assert_allclose(one, np.log1p(totals["plus"]), rtol=1e-12)
    both = read({**files, "window": window}, regions)
    np.testing.assert_allclose(both, np.log1p(totals["plus"] + totals["minus"]), rtol=1e-12)
    counts = read({**files, "window": window, "strand": "plus", "transform": "none"}, regions)
    reverse = (regions["strand"] == "-").to_numpy()
    np.testing.assert_allclose(counts, np.where(reverse, totals["minus"], totals["plus"]), rtol=1e-12)
    other = read({**files, "window": window, "strand": "minus", "transform": "none"}, regions)
    np.testing.assert_allclose(counts + other, totals["plus"] + totals["minus"], rtol=1e-12)


def test_signal_that_does_not_fit_is_named(tmp_path: Path, regions: pd.DataFrame, signal: dict) -> None:
    plus, minus = tmp_path / "plus.bw", tmp_path / "minus.bw"
    for window in (101, 99, 102):
        with pytest.raises(ConfigError, match=f"window is {window}; expected 1 to 100"):
            read({"bigwig": plus, "window": window}, regions)
    with pytest.raises(InputError, match=r"minus\.bw: found signal below 0"):
        read({"bigwig": minus}, regions)
    with pytest.raises(InputError, match="needs coordinates"):
        read({"bigwig": plus}, regions.assign(chrom=""))
    with pytest.raises(InputError, match="chromosome lengths differ from the genome"):
        read_labels(LabelSource(bigwig=plus), regions, Origin(lengths={"chr1": 9000}), target="t")
    with pytest.raises(ConfigError, match="found plus; give bigwig alone, or both plus and minus"):
        LabelSource(plus=plus)


def test_a_peak_near_the_middle_is_a_positive(tmp_path: Path, regions: pd.DataFrame) -> None:
    middles = regions["start"] + LENGTH // 2
    offsets = [0, -30, 31, None, 500, 30]
    rows = [
        f"{chrom[3:]}\t{middle + offset - 7}\t{middle + offset + 7}\n"
        for chrom, middle, offset in zip(regions["chrom"], middles, offsets, strict=True)
        if offset is not None
    ]
    path = tmp_path / "other.bed"
    path.write_text("".join(rows[::-1]) + "chrUn\t5\t9\n")
    aliases = {"1": "chr1", "2": "chr2"}
    found = read({"peaks": path, "distance": 30}, regions, aliases=aliases)
    assert found.tolist() == [1, 1, 0, 0, 0, 1]
    assert read({"peaks": path, "distance": 31}, regions, aliases=aliases).tolist() == [1, 1, 1, 0, 0, 1]
    summits = tmp_path / "other.narrowPeak"
    at = middles[3]
    summits.write_text(f"chr2\t{at - 200}\t{at + 900}\tp\t0\t.\t1\t1\t1\t200\n")
    assert read({"peaks": summits, "distance": 0}, regions).tolist() == [0, 0, 0, 1, 0, 0]
    with pytest.raises(InputError, match="no peak is on a chromosome of the genome; found 2, 1, chrUn"):
        read({"peaks": path}, regions)
    with pytest.raises(InputError, match="needs coordinates"):
        read({"peaks": path}, regions.assign(chrom=""))


def test_a_dataset_is_read_row_by_row(tmp_path: Path, regions: pd.DataFrame) -> None:
    path = tmp_path / "data.h5"
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    with h5py.File(path, "w") as handle:
        handle["y/test"], handle["flat"], handle["text"] = values, values[:, 1], ["a"] * 6
    for column in range(3):
        found = read({"hdf5": path, "dataset": "y/test", "index": column}, regions)
        np.testing.assert_array_equal(found, values[:, column])
    np.testing.assert_array_equal(read({"hdf5": path, "dataset": "flat"}, regions), values[:, 1])
    with pytest.raises(InputError, match="6 labels for 5 regions; expected one each"):
        read({"hdf5": path, "dataset": "flat"}, regions[:5])
    with pytest.raises(ConfigError, match="index is 3; it has columns 0 to 2"):
        read({"hdf5": path, "dataset": "y/test", "index": 3}, regions)
    with pytest.raises(InputError, match="no dataset 'y'; it has flat \\(6,\\), text"):
        read({"hdf5": path, "dataset": "y"}, regions)
    with pytest.raises(InputError, match="expected numbers"):
        read({"hdf5": path, "dataset": "text"}, regions)


def table_of(folder: Path, values: list[object]) -> Path:
    path = folder / "labels.tsv"
    path.write_text("name\tv\n" + "".join(f"peak_{i}\t{v}\n" for i, v in enumerate(values)))
    return path


def test_labels_that_are_missing_are_counted_and_the_first_are_named(
    tmp_path: Path, regions: pd.DataFrame
) -> None:
    path = table_of(tmp_path, [1, "NA", 3, ""])
    with pytest.raises(InputError) as raised:
        read({"table": path, "column": "v"}, regions)
    assert "no label for 4 of 6 regions, first chr1:400-500, chr2:300-400, chr2:800-900" in str(raised.value)
    assert "labels of t" in str(raised.value)
    assert str(path) in str(raised.value)
    found = read({"table": path, "column": "v", "missing": "drop"}, regions)
    np.testing.assert_array_equal(found, [1, np.nan, 3, np.nan, np.nan, np.nan])
    with pytest.raises(InputError, match="no label for any of the 6 regions"):
        read({"table": path, "column": "v", "missing": "drop"}, regions.assign(name="x"))


@pytest.mark.parametrize(
    ("values", "source", "message"),
    [
        ([1, 2, "high", "low", 5, 6], {}, "2 labels are not numbers, first 'high', 'low'"),
        ([1, 2, "inf", 4, 5, 6], {}, "infinite labels for 1 of 6 regions, first chr1:900-1000"),
        ([0, 1, 2, 1, 0, 1], {"kind": "classes"}, "neither 0 nor 1 for 1 of 6 regions, first chr1:900-1000"),
        ([0, 1, -2, 1, 0, 1], {"transform": "log1p"}, "labels above -1; violated by 1 of 6 regions"),
        ([0, 1, 2, 1, 0, 1], {"column": "w"}, "has no column 'w'; it has name, v"),
        ([0, 1, 2, 1, 0, 1], {"column": 3}, "has no column 3; it has name, v"),
        ([0, 1, 2, 1, 0, 1], {"key": "locus"}, "has no locus; it has name, v"),
    ],
)
def test_labels_that_cannot_be_used_are_named(
    tmp_path: Path, regions: pd.DataFrame, values: list[object], source: dict[str, object], message: str
) -> None:
    path = table_of(tmp_path, values)
    with pytest.raises((InputError, ConfigError)) as raised:
        read({"table": path, "column": "v", **source}, regions)
    assert message in str(raised.value)


def test_two_labels_of_one_region_are_refused_and_equal_ones_are_one(
    tmp_path: Path, regions: pd.DataFrame
) -> None:
    path = table_of(tmp_path, [1, 2, 3, 4, 5, 6])
    path.write_text(path.read_text() + "peak_1\t2\n")
    assert read({"table": path, "column": "v"}, regions).tolist() == [1, 2, 3, 4, 5, 6]
    path.write_text(path.read_text() + "peak_2\t9\n")
    with pytest.raises(InputError, match="the same key have different labels: peak_2"):
        read({"table": path, "column": "v"}, regions)


def test_a_file_that_is_no_table_and_a_changed_peak_file_are_named(
    tmp_path: Path, regions: pd.DataFrame
) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text("id\tactivity\n1\t2\n")
    with pytest.raises(InputError, match="its first line has id, activity"):
        read({"table": path, "column": "activity"}, regions)
    peaks = write_peaks(tmp_path / "peaks.bed", [1, 2, 3, 4])
    with pytest.raises(InputError, match="no row for 2 regions, first line 6, 5; did it change"):
        read({"column": 7}, regions, peaks=peaks)
    with pytest.raises(ConfigError, match="needs a table"):
        read({"column": "score"}, regions)
    with pytest.raises(InputError, match="no such file"):
        read({"table": tmp_path / "gone.tsv", "column": "v"}, regions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give exactly one of column"),
        ({"column": "a", "dataset": "y"}, "give exactly one of column"),
        ({"column": "a", "kind": "class"}, "labels, kind: found 'class', expected one of auto, classes"),
        ({"bigwig": "a", "plus": "b", "minus": "c"}, "give bigwig alone"),
    ],
)
def test_a_source_that_says_nothing_or_too_much_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelSource(**settings)


def test_classes_are_told_by_their_values_unless_said() -> None:
    zeros_and_ones, counts = np.array([0, 1, np.nan]), np.array([0, 1, 2.0])
    assert is_classes(zeros_and_ones, LabelSource(column="a"))
    assert not is_classes(counts, LabelSource(column="a"))
    assert not is_classes(zeros_and_ones, LabelSource(column="a", kind="numbers"))
    assert not is_classes(zeros_and_ones, LabelSource(bigwig="a.bw")), "a sum of signal is a number"


def test_labels_of_selected_direct_sequences_are_those_of_their_rows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as handle:
        handle["y"] = np.arange(8.0)
    regions = pd.DataFrame({"chrom": "", "source_line": [2, 5, 8]})
    regions.attrs["rows_read"] = 8
    assert read({"hdf5": tmp_path / "d.h5", "dataset": "y"}, regions).tolist() == [1, 4, 7]
    regions.attrs["rows_read"] = 9
    with pytest.raises(InputError, match="8 labels for 9 regions"):
        read({"hdf5": tmp_path / "d.h5", "dataset": "y"}, regions)
