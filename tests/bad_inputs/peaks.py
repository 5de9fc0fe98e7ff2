"""Peak files: which are refused with which words, and which are read with how many rows."""

from __future__ import annotations

import numpy as np
from bad_inputs.case import Good, bad, blocked, folder, packed

ROW = "chr1\t100\t120\n"
NARROW = "chr1\t100\t120\ta\t5\t.\t2.5\t-1\t-1\t"
TWO = ROW + "chr2\t60\t70\n"


def million() -> str:
    """A million rows around 13 places."""
    starts = 100 + np.arange(1_000_000) % 13
    return "".join(f"chr1\t{start}\t{start + 20}\n" for start in starts.tolist())


# fmt: off
#: fault, file, what must be read, when
BAD = [
    bad("empty file", "", "regions.mine.peaks: peaks.bed is empty", "copy or download it again"),
    bad("zero rows", "# chrom start end\n\n", "peaks.bed: no rows", "expected BED lines (chrom, start, end)"),
    bad("header alone", "chrom\tstart\tend\n", "peaks.bed: no rows"),
    bad("two columns", "chr1\t100\n", "peaks.bed:1: found 2 column(s) in 'chr1 100'", "separated by tabs"),
    bad("commas", "chr1,100,120\n", "peaks.bed:1: found 1 column(s)", "expected at least chrom, start and end"),
    bad("a row with two columns", ROW + "chr1\t5\n", "peaks.bed:2: 2 columns where the first row has 3"),
    bad("a row with more columns", TWO + "chr1\t5\t9\ta\n", "peaks.bed:3: 4 columns", "has 3", when="job"),
    bad("end = start", "# x\nchr1\t5\t5\n", "peaks.bed:2: start 5 is not below end 5", "malformed: drop"),
    bad("end < start", ROW + "chr1\t9\t5\n", "peaks.bed:2: start 9 is not below end 5"),
    bad("negative", "chr1\t-5\t9\n", "peaks.bed:1: start -5 is negative"),
    bad("fractions", "chr1\t1.5\t9\n", "peaks.bed:1: start '1.5' is not a whole number"),
    bad("exponents", "chr1\t1\t1e2\n", "peaks.bed:1: end '1e2' is not a whole number"),
    bad("thousands", "chr1\t1,000\t1,100\n", "peaks.bed:1: start '1,000' is not a whole number"),
    bad("text", "chr1\tfrom\tto\n", "peaks.bed:1: start 'from' is not a whole number"),
    bad("huge", "chr1\t1\t18446744073709551615\n", "end '18446744073709551615' is not a whole number"),
    bad("beyond 2^40", "chr1\t1\t2000000000000\n", "end 2000000000000 is beyond any chromosome"),
    bad("no chromosome", "\t1\t9\n", "peaks.bed:1: no chromosome name"),
    bad("strand", "chr1\t1\t9\ta\t0\tx\n", "peaks.bed:1: strand 'x' is not one of + - .", when="job"),
    bad("summit outside", NARROW + "21\n", "summit 21 is not an offset within the peak 100-120", when="job"),
    bad("all past the end", "chr1\t390\t500\n", "none of 1 rows", "1 outside_chromosome", when="job"),
    bad("all at edges", "chr1\t1\t9\n", "none of 1 rows gives a usable region", "1 past_edge", when="job"),
    bad("1 for chr1", "1\t100\t120\n2\t60\t70\n", "regions.mine.peaks: peaks.bed: none of its chromosomes is in the genome; it has 1, 2, the genome chr1, " "chr2: the genome puts chr in front of the same names", "genome: {aliases: file.tsv}"),
    bad("Chr1", "Chr1\t100\t120\n", "none of its chromosomes is in the genome; it has Chr1"),
    bad("HDF5 file", b"\x89HDF\r\n\x1a\n\0\0\xff", "peaks.bed: expected a text file of peaks (BED), found binary"),
    bad("UTF-16", ROW.encode("utf-16"), "peaks.bed: expected a text file of peaks (BED)", "binary"),
    bad("web page", "<!DOCTYPE html><title>Sign in</title>", "peaks.bed is a web page", "download the file itself"),
    bad("git-lfs pointer", "version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer", "git lfs pull"),
    bad("cut gzip", packed(ROW * 99)[:20], "peaks.bed cannot be unpacked: the compressed file is corrupt or"),
    bad("damaged gzip", packed(ROW * 999)[:-6] + b"xxxxxx", "corrupt or truncated", when="plan"),
    bad("cut bgzip", blocked(ROW, cut=28), "peaks.bed: truncated: the block with which bgzip ends", when="job"),
    bad("folder", folder, "regions.mine.peaks: peaks.bed is a folder; expected a file"),
    bad("no such file", lambda path: None, "regions.mine.peaks: no such file: peaks.bed", "relative to"),
    bad("no permission", "locked", "regions.mine.peaks: peaks.bed cannot be read: Permission denied"),
]
# fmt: on

# fmt: off
#: form, file, rows kept, rows dropped for which reasons
GOOD = [
    Good("one row", ROW, 1),
    Good("no line end at the end", ROW.strip(), 1),
    Good("header, comment, track and browser lines", "# x\ntrack name=x\nbrowser position chr1\nchrom\tstart\tend\n" + TWO, 2),
    Good("blank lines", "\n\n" + ROW + "\n  \n" + "chr2\t60\t70\n\n", 2),
    Good("CRLF", TWO.replace("\n", "\r\n"), 2),
    Good("CR", TWO.replace("\n", "\r"), 2),
    Good("blanks", TWO.replace("\t", "  "), 2),
    Good("byte-order mark", "\ufeff" + TWO, 2),
    Good("gzip", packed(TWO), 2),
    Good("gzip with its name", packed(TWO), 2, name="peaks.bed.gz"),
    Good("bgzip", blocked(TWO), 2, name="peaks.bed.gz"),
    Good("unsorted", "chr2\t60\t70\n" + ROW + "chr1\t90\t99\n", 3),
    Good("duplicates", ROW + TWO, 2, {"duplicate": 1}),
    Good("whole numbers with a point", "chr1\t100.0\t120.\n", 1),
    Good("past the end", TWO + "chr2\t190\t300\n", 2, {"outside_chromosome": 1}),
    Good("at an edge", TWO + "chr2\t190\t200\n", 2, {"past_edge": 1}),
    Good("chromosome that the genome lacks", TWO + "chrUn\t1\t9\n", 2, {"unknown_chromosome": 1}),
    Good("summit -1", NARROW + "-1\n" + NARROW.replace("100\t120", "200\t220") + "3\n", 2),
    Good("summit past the end by one", NARROW + "20\n", 1),
    Good("Unicode names", "chr1\t100\t120\tgène_β_基因\t1\t+\n", 1),
    Good("Latin-1", "chr1\t100\t120\tg\xe8ne\t1\t+\n".encode("latin-1"), 1),
    Good("quotes", 'chr1\t100\t120\t"a "b\t1\t+\n', 1),
    Good("malformed: drop", TWO + "chr1\tx\t9\nchr1\t9\t5\nchr1\t1\n", 2, {"malformed": 3}, options={"malformed": "drop"}),
    Good("a million rows", million, 13, {"duplicate": 999_987}),
]
# fmt: on
