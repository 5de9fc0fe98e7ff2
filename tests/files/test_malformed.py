"""Published peak files: what can be mended is, the rest is refused or dropped, and all is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from cislex import logs
from cislex.errors import ConfigError, InputError
from cislex.regions.extraction import RegionOptions, extract_regions, read_regions_bed
from cislex.regions.genome import Genome
from cislex.regions.peaks import read_peak_file, read_peaks
from cislex.training.inputs import read_positions

#: A row of a published ENCODE file in the coordinates of the small genome: its summit is one past its end.
PAST_END = "chr1\t495\t553\t.\t1000\t.\t43.8\t-1\t4.96\t58"
SOUND = "chr1\t100\t200\tgood\t5\t+\t2.5\t-1\t-1\t40"
HOPELESS = (
    "chr1\t700\t690\tturned\t5\t.\t2\t-1\t-1\t7",
    "chr1\t7e2\t800\tnumber\t5\t.\t2\t-1\t-1\t7",
    "chr1\t700\t800\tfar\t5\t.\t2\t-1\t-1\t101",
    "chr1\t700",
    "chr1\t700\t800\tstrand\t5\tx\t2\t-1\t-1\t7",
)


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n" + "ACGTACGTAC\n" * 100)
    return path


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend to be a job, whose log says where files beside it go."""
    monkeypatch.setattr(logs, "_log", tmp_path / "logs" / "set.a.log")
    return tmp_path / "logs" / "set.a.malformed.tsv"


def write(folder: Path, *rows: str, ending: str = "\n", encoding: str = "utf-8") -> Path:
    path = folder / "peaks.narrowPeak"
    path.write_bytes((ending.join(rows) + ending).encode(encoding))
    return path


def extract(peaks: Path, fasta: Path, **options: object) -> dict[str, pd.DataFrame]:
    folder = peaks.parent
    extract_regions(
        peaks,
        fasta,
        folder / "regions.bed",
        folder / "dropped.tsv",
        adjusted=folder / "adjusted.tsv",
        options=RegionOptions(length=20, **options),  # type: ignore[arg-type]
    )
    tables = {
        name: pd.read_csv(folder / f"{name}.tsv", sep="\t", keep_default_na=False, dtype={"start": "str"})
        for name in ("dropped", "adjusted")
    }
    return {"kept": read_regions_bed(folder / "regions.bed"), **tables}


@pytest.mark.parametrize(("center", "start"), [("summit", 542), ("midpoint", 514)])
def test_a_summit_one_past_the_end_is_moved_to_the_last_base_and_counted(
    tmp_path: Path, fasta: Path, caplog: pytest.LogCaptureFixture, center: str, start: int
) -> None:
    found = extract(write(tmp_path, SOUND, PAST_END), fasta, center=center)
    assert found["kept"]["start"].tolist() == [130 if center == "summit" else 140, start]
    assert found["dropped"].empty
    assert found["adjusted"][["source_line", "reason"]].to_numpy().tolist() == [[2, "summit_past_end"]]
    assert "1 rows with summit_past_end: line 2: summit 58 is one past the peak 495-553" in caplog.text


def test_summits_that_nobody_needs_refuse_no_row(tmp_path: Path, fasta: Path) -> None:
    far, none = (SOUND.rsplit("\t", 1)[0] + "\t" + summit for summit in ("900", "NA"))
    peaks = write(tmp_path, SOUND, SOUND.replace("good", "same"), far, none)
    found = extract(peaks, fasta, center="midpoint", deduplicate="none")
    assert found["kept"]["start"].tolist() == [140] * 4
    assert found["adjusted"]["source_line"].tolist() == [3, 4]
    with pytest.raises(InputError, match=r":3: summit 900 is not an offset"):
        extract(peaks, fasta)


@pytest.mark.parametrize("summit", ["40.0", "40.", "40.00"])
def test_a_whole_summit_written_as_a_float_is_a_summit(tmp_path: Path, summit: str) -> None:
    row = SOUND.removesuffix("40") + summit
    peaks = read_peaks(write(tmp_path, row, row, PAST_END))
    assert peaks.attrs["format"] == "narrowPeak"
    assert peaks["summit"].tolist() == [140, 140, 552]


def test_ten_columns_without_summits_are_bed_but_not_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, SOUND.removesuffix("40") + "0.37")
    assert read_peaks(path).attrs["format"] == "bed"
    assert "tenth is not a whole number in most rows (first 0.37): read as BED" in caplog.text
    with pytest.raises(InputError, match=r"summit '0\.37' is not a whole number"):
        read_peaks(path, file_format="narrowPeak")


def test_hopeless_rows_are_refused_by_default_and_all_are_in_the_named_file(
    tmp_path: Path, fasta: Path, log: Path
) -> None:
    rows = [SOUND, *HOPELESS * 4]
    with pytest.raises(InputError, match=r"set malformed: drop") as error:
        extract(write(tmp_path, *rows), fasta)
    assert f"all of them are listed in {log}" in str(error.value)
    every = pd.read_csv(log, sep="\t")
    assert every["source_line"].tolist() == list(range(2, 22))
    assert set(every["reason"]) == {"malformed"}


def test_kept_and_dropped_rows_are_all_rows(
    tmp_path: Path, fasta: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["# comment", SOUND, *HOPELESS, PAST_END, SOUND]
    found = extract(write(tmp_path, *rows), fasta, malformed="drop")
    lines = [*found["kept"]["source_line"], *found["dropped"]["source_line"]]
    assert sorted(lines) == list(range(2, len(rows) + 1))
    assert found["dropped"]["reason"].tolist() == ["malformed"] * 5 + ["duplicate"]
    assert found["dropped"]["start"].tolist() == ["700", "7e2", "700", "700", "700", "100"]
    assert "9 rows read" not in caplog.text
    assert "8 rows read, 2 regions kept, 6 dropped (5 malformed, 1 duplicate)" in caplog.text
    with pytest.raises(InputError, match="no valid rows are left"):
        extract(write(tmp_path, *HOPELESS), fasta, malformed="drop")


def test_the_width_of_most_rows_counts(tmp_path: Path) -> None:
    found = read_peak_file(write(tmp_path, "chr1\t5\t9", SOUND, SOUND), malformed="drop")
    assert found.dropped["detail"].tolist() == ["3 columns where most rows have 10"]
    assert len(found) == 3


def test_training_and_blacklists_take_the_same_stance(
    tmp_path: Path, fasta: Path, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, SOUND, PAST_END, *HOPELESS)
    with Genome(fasta) as genome:
        with pytest.raises(InputError, match="malformed: drop"):
            read_positions(path, genome, task="a")
        assert read_positions(path, genome, task="a", malformed="drop")["chr1"].tolist() == [140, 552]
    assert f"the 5 dropped malformed rows are listed in {log}" in caplog.text
    assert len(pd.read_csv(log, sep="\t")) == 5
    with pytest.raises(InputError) as error:
        extract_regions(
            write(tmp_path / "logs", SOUND), fasta, tmp_path / "r", tmp_path / "d",
            options=RegionOptions(length=20), blacklist=path,
        )  # fmt: skip
    assert "malformed: drop" not in str(error.value), "a blacklist that is cut short bars too little"
    with pytest.raises(ConfigError, match="malformed: found 'keep'"):
        RegionOptions(length=20, malformed="keep")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_and_letters_of_other_programs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    caplog.set_level(logging.WARNING)
    rows = [SOUND, SOUND.replace("good", "µ")]
    peaks = read_peaks(write(tmp_path, *rows, ending=ending, encoding="latin-1"))
    assert peaks["name"].tolist() == ["good", "µ"]
    assert "not UTF-8; read as Latin-1" in caplog.text
