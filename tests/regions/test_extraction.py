"""Peak files become windows; every row is kept or dropped with a reason."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cislex.errors import ConfigError, InputError
from cislex.regions.aliases import read_aliases
from cislex.regions.extraction import (
    REGION_COLUMNS,
    RegionOptions,
    extract_regions,
    read_regions_bed,
    select_regions,
    write_regions_bed,
)
from cislex.regions.genome import Genome
from cislex.regions.peaks import order_values, read_peaks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LENGTHS = {"chrI": 1_000, "chrII": 500, "chrM": 30}


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    with open(path, "w") as handle:
        for name, length in LENGTHS.items():
            letters = "".join(rng.choice(list("ACGT"), length))
            if name == "chrII":
                letters = letters[:100] + "N" * 100 + letters[200:]
            lines = [letters[i : i + 50] for i in range(0, length, 50)]
            handle.write(f">{name} some words\n" + "\n".join(lines) + "\n")
    return path


def write(folder: Path, *rows: str, name: str = "peaks.bed") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def extract(
    peaks: Path, fasta: Path, *, aliases: Path | None = None, blacklist: Path | None = None, **options: object
) -> tuple[pd.DataFrame, pd.DataFrame]:
    regions, dropped = peaks.parent / "out" / "regions.bed", peaks.parent / "out" / "dropped.tsv"
    chosen = RegionOptions(**{"length": 20, **options})  # type: ignore[arg-type]
    extract_regions(peaks, fasta, regions, dropped, options=chosen, aliases=aliases, blacklist=blacklist)
    return read_regions_bed(regions), pd.read_csv(dropped, sep="\t", keep_default_na=False)


class TestReadPeaks:
    @pytest.mark.parametrize("columns", range(3, 13))
    def test_bed_of_any_width(self, tmp_path: Path, columns: int) -> None:
        row = ["chrI", "10", "30", "a", "5", "-", "12", "28", "0,0,0", "2", "5,5", "0,15"][:columns]
        if columns == 10:  # ten columns that end in an integer are narrowPeak
            row[6:10] = ["2.5", "-1", "-1", "7"]
        peaks = read_peaks(write(tmp_path, "\t".join(row)))
        assert peaks.loc[0, ["chrom", "start", "end"]].tolist() == ["chrI", 10, 30]
        assert peaks.loc[0, "strand"] == ("-" if columns >= 6 else ".")
        assert peaks.loc[0, "summit"] == (17 if columns == 10 else -1)

    def test_lines_that_are_no_rows(self, tmp_path: Path) -> None:
        path = write(
            tmp_path, "# a comment", "track name=x", "browser position chrI", "chrom\tstart\tend", "",
            "chrI\t1\t5", "  ", "# more", "chrI\t7\t9",
        )  # fmt: skip
        assert read_peaks(path)["source_line"].tolist() == [6, 9]

    def test_chromosome_may_be_called_track(self, tmp_path: Path) -> None:
        assert len(read_peaks(write(tmp_path, "track1\t1\t5", "browserX\t1\t5"))) == 2

    def test_gzip_windows_line_ends_and_blanks(self, tmp_path: Path) -> None:
        path = tmp_path / "peaks.bed.gz"
        path.write_bytes(gzip.compress(b"chrI 10 20 a\r\nchrI 30 50 b\r\n"))
        peaks = read_peaks(path)
        assert peaks["name"].tolist() == ["a", "b"]
        assert peaks["end"].tolist() == [20, 50]

    def test_formats_are_told_apart(self, tmp_path: Path) -> None:
        narrow = write(tmp_path, "chrI\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t-1", name="n")
        assert read_peaks(narrow).attrs["format"] == "narrowPeak"
        assert read_peaks(narrow)["summit"].tolist() == [-1]
        summits = read_peaks(write(tmp_path, "chrI\t10\t11\ta\t5", name="s"))
        assert (summits.attrs["format"], summits["summit"].tolist()) == ("summits", [10])
        assert read_peaks(write(tmp_path, "chrI\t10\t12", name="b")).attrs["format"] == "bed"

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["chrI\t5\t5"], "peaks.bed:1: start 5 is not below end 5"),
            (["chrI\t1\t2", "chrI\t9\t5"], "peaks.bed:2: start 9 is not below end 5"),
            (["# x", "chrI\t1.5\t5"], "peaks.bed:2: start '1.5' is not a whole number"),
            (["chrI\t1\t5", "chrI\tx\t5"], "peaks.bed:2: start 'x' is not a whole number"),
            (["chrI\t-1\t5"], "start -1 is negative"),
            (["chrI\t1\t99999999999999999999"], "end '99999999999999999999' is not a whole number"),
            (["chrI\t1\t5\ta\t0\tx"], "strand 'x'"),
            (["chrI\t1\t5", "chrI\t1\t5\ta"], "4 columns where the first row has 3"),
            (["chrI\t1"], "at least chrom, start and end"),
            (["\t1\t5"], "no chromosome name"),
            (["# nothing"], "no rows"),
            (["chrI\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t21"], "summit 21 is not an offset within the peak 10-30"),
        ],
    )
    def test_malformed_rows_are_named(self, tmp_path: Path, rows: list[str], message: str) -> None:
        with pytest.raises(InputError, match=message.replace(".", r"\.").replace("'1", ".1")):
            read_peaks(write(tmp_path, *rows))

    def test_first_three_and_count(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as error:
            read_peaks(write(tmp_path, *["chrI\t5\t5"] * 5))
        assert str(error.value).count("is not below end") == 3
        assert "5 malformed rows in all" in str(error.value)

    def test_every_kind_of_fault_is_told_at_once(self, tmp_path: Path) -> None:
        rows = [
            *("chrI\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t7",) * 20,
            "chrI\t10\t30\ta\t5\t.",
            "chrI\tten\t30\ta\t5\t?\t2.5\t-1\t-1\t7",
            *("chrI\t40\t30\ta\t5\t.\t2.5\t-1\t-1\t7",) * 5,
            "chrI\t-4\t30\ta\t5\t.\t2.5\t-1\t-1\t7",
            "chrI\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t90",
            "chrI\t10\t30\ta\t5\tx\t2.5\t-1\t-1\tmiddle",
            "\t10\t3e1\ta\t5\t.\t2.5\t-1\t-1\t7",
        ]
        path = write(tmp_path, *rows)
        with pytest.raises(InputError) as error:
            read_peaks(path)
        *told, last = str(error.value).splitlines()
        every = pd.read_csv(last.removeprefix("all of them are listed in "), sep="\t", keep_default_na=False)
        assert every["source_line"].tolist() == list(range(21, 32))
        assert every.loc[1, ["start", "detail"]].tolist() == [
            "ten", "start 'ten' is not a whole number; strand '?' is not one of + - .",
        ]  # fmt: skip
        assert told == [
            "malformed rows in a peak file; correct or remove them, or set malformed: drop:",
            f"{path}:21: 6 columns where the first row has 10",
            f"{path}:22: start 'ten' is not a whole number",
            f"{path}:31: end '3e1' is not a whole number",
            f"{path}:31: no chromosome name",
            f"{path}:28: start -4 is negative",
            f"{path}:23: start 40 is not below end 30",
            f"{path}:24: start 40 is not below end 30",
            f"{path}:25: start 40 is not below end 30",
            "(5 such rows)",
            f"{path}:30: summit 'middle' is not a whole number",
            f"{path}:29: summit 90 is not an offset within the peak 10-30 (from 0; -1 for none)",
            f"{path}:22: strand '?' is not one of + - .",
            f"{path}:30: strand 'x' is not one of + - .",
            "(11 malformed rows in all, 9 kinds of errors)",
        ]

    def test_a_narrow_peak_without_a_number_does_not_make_the_file_a_bed(self, tmp_path: Path) -> None:
        row = "chrI\t10\t30\ta\t5\t.\t2.5\t-1\t-1\t"
        path = write(tmp_path, row + "7", row + "7", row + "NA")
        with pytest.raises(InputError, match=r"peaks.bed:3: summit 'NA' is not a whole number"):
            read_peaks(path)
        texts = read_peaks(write(tmp_path, row + "x", row + "y"))
        assert texts.attrs["format"] == "bed"

    def test_binary_broken_and_missing_files(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"\x89HDF\r\n\x1a\n\0\0\xff")
        with pytest.raises(InputError, match="binary"):
            read_peaks(tmp_path / "x")
        (tmp_path / "y.gz").write_bytes(gzip.compress(b"chrI\t1\t5\n" * 1000)[:-10])
        with pytest.raises(InputError, match="corrupt or truncated"):
            read_peaks(tmp_path / "y.gz")
        with pytest.raises(InputError, match="no such file"):
            read_peaks(tmp_path / "z")
        with pytest.raises(ConfigError, match="format"):
            read_peaks(tmp_path / "z", file_format="gff")

    def test_order_by_name_and_number(self, tmp_path: Path) -> None:
        peaks = read_peaks(write(tmp_path, "chrI\t10\t30\ta\t.\t.\t2.5\t-1\t7\t-1"))
        assert order_values(peaks, "signal_value", path="p").tolist() == [2.5]
        assert order_values(peaks, 9, path="p").tolist() == order_values(peaks, "9", path="p").tolist() == [7]
        with pytest.raises(ConfigError, match="no column 'signal'"):
            order_values(peaks, "signal", path="p")
        with pytest.raises(ConfigError, match="is not numeric"):
            order_values(peaks, "score", path="p")
        with pytest.raises(ConfigError, match="columns 1 to 10"):
            order_values(peaks, 11, path="p")


class TestWindows:
    @pytest.mark.parametrize(
        ("length", "start"), [(20, 490), (21, 490), (1, 500)], ids=["even", "odd", "single"]
    )
    def test_centre_rule(self, tmp_path: Path, fasta: Path, length: int, start: int) -> None:
        kept, _ = extract(write(tmp_path, "chrI\t500\t501"), fasta, length=length)
        assert kept.loc[0, ["start", "end"]].tolist() == [start, start + length]

    def test_summit_or_midpoint(self, tmp_path: Path, fasta: Path) -> None:
        peaks = write(
            tmp_path, "chrI\t100\t200\ta\t5\t.\t2.5\t-1\t-1\t10", "chrI\t300\t401\tb\t5\t.\t2\t-1\t-1\t-1"
        )
        assert extract(peaks, fasta)[0]["start"].tolist() == [100, 340]
        assert extract(peaks, fasta, center="midpoint")[0]["start"].tolist() == [140, 340]

    def test_edges(self, tmp_path: Path, fasta: Path) -> None:
        peaks = write(
            tmp_path, "chrI\t3\t4", "chrI\t998\t999", "chrI\t10\t11", "chrI\t990\t991", "chrM\t4\t5"
        )
        kept, dropped = extract(peaks, fasta)
        assert kept["source_line"].tolist() == [3, 4]
        assert dropped["reason"].tolist() == ["past_edge"] * 3
        kept, dropped = extract(peaks, fasta, edge="shift", deduplicate="none")
        assert kept["start"].tolist() == [0, 980, 0, 980, 0]
        kept, dropped = extract(peaks, fasta, edge="shift", length=40, deduplicate="none")
        assert dropped["reason"].tolist() == ["short_chromosome"]

    def test_order_and_columns_of_the_file_are_kept(self, tmp_path: Path, fasta: Path) -> None:
        peaks = write(tmp_path, "chrII\t300\t310\tx\t7.5\t-", "chrI\t400\t410\t.\t3\t+")
        kept, _ = extract(peaks, fasta)
        assert kept.columns.tolist() == REGION_COLUMNS
        assert kept.iloc[0].tolist() == ["chrII", 295, 315, "x", "7.5", "-", 300, 310, 1]
        assert kept.loc[1, "name"] == "chrI:400-410"
        assert (tmp_path / "out" / "regions.bed").read_text().startswith("#chrom\tstart\tend\tname\tscore")

    def test_regions_bed_keeps_odd_names(self, tmp_path: Path, fasta: Path) -> None:
        kept, _ = extract(write(tmp_path, 'chrI\t400\t410\t"a" b\t3\t+', "chrI\t500\t510\tNA\t3\t+"), fasta)
        assert kept["name"].tolist() == ['"a" b', "NA"]
        write_regions_bed(kept, tmp_path / "again.bed")
        pd.testing.assert_frame_equal(read_regions_bed(tmp_path / "again.bed"), kept)
        with pytest.raises(InputError, match="expected the columns"):
            read_regions_bed(write(tmp_path, "chrI\t1\t2"))


class TestChromosomes:
    def test_aliases(self, tmp_path: Path, fasta: Path) -> None:
        aliases = write(tmp_path, "alias\tname", "# x", "chr1\tchrI", "chrM\tchrII", name="aliases.tsv")
        peaks = write(tmp_path, "chr1\t500\t510", "chrM\t10\t20", "chr7\t500\t510")
        kept, dropped = extract(peaks, fasta, aliases=aliases)
        assert kept["chrom"].tolist() == ["chrI", "chrM"]  # a name that the genome has is itself
        assert dropped.iloc[0].tolist()[:5] == [3, "chr7", 500, 510, "unknown_chromosome"]
        kept, _ = extract(peaks, fasta, aliases=aliases, exclude_chromosomes=["chr1"])
        assert kept["chrom"].tolist() == ["chrM"]

    def test_bad_alias_tables(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"aliases\.tsv:1: expected two"):
            read_aliases(write(tmp_path, "chr1 chrI", name="aliases.tsv"))
        with pytest.raises(InputError, match="stands for both 'chrI' and 'chrII'"):
            read_aliases(write(tmp_path, "a\tchrI", "a\tchrII", name="aliases.tsv"))

    def test_no_usable_row_hints_at_aliases(self, tmp_path: Path, fasta: Path) -> None:
        with pytest.raises(InputError, match=r"none of 2 rows.*chr1, chr2.*chrI.*aliases"):
            extract(write(tmp_path, "chr1\t500\t510", "chr2\t500\t510"), fasta)
        assert not (tmp_path / "out").exists()

    def test_filters(self, tmp_path: Path, fasta: Path) -> None:
        peaks = write(tmp_path, "chrI\t500\t510", "chrII\t300\t310")
        for options in ({"exclude_chromosomes": ["chrII", "chrX"]}, {"only_chromosomes": ["chrI"]}):
            kept, dropped = extract(peaks, fasta, **options)
            assert kept["chrom"].tolist() == ["chrI"]
            assert dropped["reason"].tolist() == ["excluded_chromosome"]
        with pytest.raises(ConfigError, match="not in the genome: chrX"):
            extract(peaks, fasta, only_chromosomes=["chrX"])

    def test_peak_past_the_chromosome(self, tmp_path: Path, fasta: Path) -> None:
        _, dropped = extract(write(tmp_path, "chrI\t900\t1001", "chrI\t900\t1000"), fasta, edge="shift")
        assert dropped[["source_line", "reason"]].iloc[0].tolist() == [1, "outside_chromosome"]


class TestFilters:
    def test_blacklist_touches_the_window(self, tmp_path: Path, fasta: Path) -> None:
        aliases = write(tmp_path, "one\tchrI", name="aliases.tsv")
        barred = write(tmp_path, "one\t100\t200", "one\t150\t160", "chrX\t1\t5", name="barred.bed")
        rows = [f"chrI\t{centre}\t{centre + 1}" for centre in (89, 90, 91, 209, 210)]
        kept, dropped = extract(write(tmp_path, *rows), fasta, blacklist=barred, aliases=aliases)
        assert kept["start"].tolist() == [79, 80, 200]
        assert dropped["detail"].tolist() == ["overlaps chrI:100-200"] * 2

    def test_unknown_bases(self, tmp_path: Path, fasta: Path) -> None:
        rows = [f"chrII\t{centre}\t{centre + 1}" for centre in (90, 92, 93, 210, 150)]
        kept, dropped = extract(write(tmp_path, *rows), fasta)
        assert kept["source_line"].tolist() == [1, 2, 4]
        assert dropped["detail"].tolist() == ["3 of 20 bases are unknown", "20 of 20 bases are unknown"]
        assert len(extract(write(tmp_path, *rows), fasta, max_unknown=1.0)[0]) == 5
        assert len(extract(write(tmp_path, *rows), fasta, max_unknown=0)[0]) == 2

    def test_exact_duplicates_keep_the_best(self, tmp_path: Path, fasta: Path) -> None:
        rows = [
            "chrI\t500\t510\ta\t1\t+",
            "chrI\t500\t510\tb\t9\t.",
            "chrI\t501\t509\tc\t9\t+",
            "chrI\t500\t510\td\t1\t-",
        ]
        kept, dropped = extract(write(tmp_path, *rows), fasta)
        assert kept["name"].tolist() == ["b", "d"]
        assert dropped["detail"].tolist() == ["of the window of line 2, which is kept"] * 2
        assert len(extract(write(tmp_path, *rows), fasta, deduplicate="none")[0]) == 4

    def test_overlaps_keep_the_best(self, tmp_path: Path, fasta: Path) -> None:
        rows = [
            f"chrI\t{c}\t{c + 1}\tp\t{score}"
            for c, score in ((100, 1), (119, 5), (138, 2), (139, 3), (500, 0))
        ]
        kept, dropped = extract(write(tmp_path, *rows), fasta, deduplicate="overlap")
        assert kept["source_line"].tolist() == [2, 4, 5]
        assert dropped["detail"].str.contains("line 2").tolist() == [True, True]

    def test_top_and_sample(self, tmp_path: Path, fasta: Path) -> None:
        scores = [5, 1, 9, 7, 9]
        rows = [f"chrI\t{100 + 50 * i}\t{101 + 50 * i}\tp\t{score}" for i, score in enumerate(scores)]
        peaks = write(tmp_path, *rows)
        kept, dropped = extract(peaks, fasta, top=3)
        assert kept["source_line"].tolist() == [3, 4, 5]
        assert set(dropped["reason"]) == {"below_top"}
        first = extract(peaks, fasta, sample=2, seed=1)[0]
        pd.testing.assert_frame_equal(first, extract(peaks, fasta, sample=2, seed=1)[0])
        assert len({tuple(extract(peaks, fasta, sample=2, seed=s)[0]["start"]) for s in range(8)}) > 1
        assert len(extract(peaks, fasta, sample=99)[0]) == 5

    def test_top_without_a_score_is_refused(self, tmp_path: Path, fasta: Path) -> None:
        peaks = write(tmp_path, "chrI\t500\t510")
        assert len(extract(peaks, fasta, deduplicate="overlap")[0]) == 1
        with pytest.raises(ConfigError, match="no column 'score'"):
            extract(peaks, fasta, top=1)

    @pytest.mark.parametrize(
        "wrong",
        [{"length": 0}, {"edge": "clip"}, {"center": "start"}, {"deduplicate": "yes"}, {"top": 0},
         {"sample": -1}, {"max_unknown": 2}, {"file_format": "gff"}],
    )  # fmt: skip
    def test_options_are_checked(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            RegionOptions(**{"length": 20, **wrong})  # type: ignore[arg-type]


ROWS = st.tuples(
    st.sampled_from(["chrI", "chrII", "chrM", "chrX"]),
    st.integers(0, 999),
    st.integers(1, 120),
    st.integers(0, 3),
    st.sampled_from("+-."),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROWS, min_size=1, max_size=30),
    length=st.integers(1, 60),
    edge=st.sampled_from(["drop", "shift"]),
    deduplicate=st.sampled_from(["none", "exact", "overlap"]),
    top=st.none() | st.integers(1, 10),
    sample=st.none() | st.integers(1, 10),
    max_unknown=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_every_row_is_kept_or_dropped(
    fasta: Path, tmp_path: Path, rows: list[tuple[str, int, int, int, str]], length: int, edge: str,
    deduplicate: str, top: int | None, sample: int | None, max_unknown: float,
) -> None:  # fmt: skip
    lines = [
        f"{chrom}\t{start}\t{start + width}\tp\t{score}\t{strand}"
        for chrom, start, width, score, strand in rows
    ]
    peaks = read_peaks(write(tmp_path, *lines))
    options = RegionOptions(
        length=length, edge=edge, deduplicate=deduplicate, top=top, sample=sample, max_unknown=max_unknown
    )
    with Genome(fasta) as genome:
        try:
            kept, dropped = select_regions(peaks, genome, options)
        except InputError as error:
            assert f"none of {len(rows)} rows" in str(error)  # noqa: PT017
            return
    lines_seen = sorted([*kept["source_line"], *dropped["source_line"]])
    assert lines_seen == list(range(1, len(rows) + 1))
    assert (dropped["reason"] != "").all()
    assert (kept["end"] - kept["start"] == length).all()
    assert (kept["start"] >= 0).all()
    assert (kept["end"] <= kept["chrom"].map(LENGTHS)).all()
    assert kept["source_line"].is_monotonic_increasing
    if deduplicate == "overlap":
        ordered = kept.sort_values(["chrom", "start"])
        same = ordered["chrom"].to_numpy()[1:] == ordered["chrom"].to_numpy()[:-1]
        assert (np.diff(ordered["start"])[same] >= length).all()


@pytest.mark.parametrize(
    ("foreign", "options", "level"),
    [(1, {}, "INFO"), (2, {}, "WARNING"), (0, {"top": 2}, "INFO")],
)
def test_many_rows_that_were_dropped_unasked_are_a_warning(
    tmp_path: Path,
    fasta: Path,
    caplog: pytest.LogCaptureFixture,
    foreign: int,
    options: dict[str, Any],
    level: str,
) -> None:
    names = ["chr1"] * foreign + ["chrI"] * (10 - foreign)
    rows = [f"{name}\t{100 + 20 * i}\t{110 + 20 * i}\t.\t{i}" for i, name in enumerate(names)]
    with caplog.at_level("INFO", logger="cislex.regions.extraction"):
        extract(write(tmp_path, *rows), fasta, **options)
    line = next(record for record in caplog.records if "10 rows read" in record.message)
    assert line.levelname == level
    assert ("dropped.tsv; map other chromosome names" in line.message) == (level == "WARNING")


@pytest.mark.parametrize(("twice", "level"), [(1, "INFO"), (3, "WARNING")])
def test_many_duplicates_that_the_default_drops_are_a_warning(
    tmp_path: Path, fasta: Path, caplog: pytest.LogCaptureFixture, twice: int, level: str
) -> None:
    rows = [f"chrI\t{100 + 20 * i}\t{110 + 20 * i}\t.\t{i}" for i in range(10 - twice)]
    with caplog.at_level("INFO", logger="cislex.regions.extraction"):
        extract(write(tmp_path, *rows, *rows[:twice]), fasta)
    line = next(record for record in caplog.records if "10 rows read" in record.message)
    assert line.levelname == level
    assert f"{twice} duplicate" in line.message


def test_yeast_peaks_need_the_alias_table(shared_data: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    fasta = shared_data / "yeast" / "sacCer3.fa.gz"
    peaks = tmp_path / "reb1.bed"
    peaks.write_bytes((shared_data / "yeast" / "peaks" / "Reb1.bed").read_bytes())
    with pytest.raises(InputError, match="aliases"):
        extract(peaks, fasta, length=200)
    kept, dropped = extract(peaks, fasta, length=200, aliases=root / "resources" / "sacCer3.aliases.tsv")
    assert (len(kept), len(dropped)) == (1078, 0)
    assert kept.loc[0, ["chrom", "start", "end"]].tolist() == ["chrXIV", 412503, 412703]
