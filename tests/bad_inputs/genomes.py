"""Genomes: which are refused with which words, and which are read."""

from __future__ import annotations

from bad_inputs.case import bad, blocked, folder, genome, letters, packed

TEXT = genome()
ONE, TWO = letters(400, 1), letters(200, 2)

# fmt: off
#: fault, file, what must be read, when
BAD = [
    bad("empty file", "", "genome.fasta: genome.fa is empty"),
    bad("no records", "\n\n", "genome.fa is not FASTA", "it has no records"),
    bad("BED", "chr1\t1\t5\n", "genome.fa is not FASTA, whose first line begins with '>'", r"chr1\t1\t5"),
    bad("FASTQ", "@r\nACGT\n+\nIIII\n", "is not FASTA", "it begins with b'@r'"),
    bad("binary", b"C\x1aA\x1a\0\0", "genome.fa is not FASTA"),
    bad("gzip, not bgzip", packed(TEXT), "genome.fa.gz is compressed with gzip", "then bgzip it", name="genome.fa.gz"),
    bad("bgzip without its name", blocked(TEXT), "genome.fa is bgzipped, so its name must end in .gz"),
    bad("plain with a name of bgzip", TEXT, "has the name of a compressed file but is not", name="genome.fa.gz"),
    bad("bgzip cut between blocks", blocked(TEXT, cut=28), "genome.fa.gz is truncated", name="genome.fa.gz"),
    bad("bgzip cut in a block", blocked(TEXT, cut=60), "genome.fa.gz is truncated", name="genome.fa.gz"),
    bad("byte-order mark", "\ufeff" + TEXT, "genome.fa begins with a byte-order mark", "plain text"),
    bad("lines that end with CR", TEXT.replace("\n", "\r"), "end with a carriage return alone", "convert"),
    bad("web page", "<html>", "genome.fasta: genome.fa is a web page"),
    bad("folder", folder, "genome.fasta: genome.fa is a folder; expected a file"),
    bad("no such file", lambda path: None, "genome.fasta: no such file: genome.fa"),
    bad("record without a name", TEXT + ">\nACGT\n", "genome.fa: a FASTA record has no name", when="job"),
    bad("duplicate names", TEXT + ">chr1\nAC\n", "names occur more than once: chr1; rename", when="job"),
    bad("protein", ">chr1\nMEEPQSDPSV\n", "chr1: character 'E' at position 1 (0-based) is not DNA", when="job"),
    bad("RNA", ">chr1\nACGU\n", "character 'U' at position 3", "write T for U", when="job"),
    bad("gaps", ">chr1\nAC-GT\n", "genome.fa, chr1: character '-' at position 2", when="job"),
    bad("blank line within a record", ">chr1\nACGT\n\nACGT\n", "line 4 has 4 bases after line 3", "seqtk", when="job"),
    bad("lines of several lengths", ">chr1\nACGT\nAC\nACGT\n", "line 4 has 4 bases", "rewrap", when="job"),
]
# fmt: on

# fmt: off
#: The sequences of these are those of ``TEXT``.
GOOD: dict[str, tuple[str, object]] = {
    "plain": ("genome.fa", TEXT),
    "bgzip": ("genome.fa.gz", blocked(TEXT)),
    "lower case": ("genome.fa", TEXT.replace(ONE, ONE.lower())),
    "CRLF": ("genome.fa", TEXT.replace("\n", "\r\n")),
    "blank lines between records": ("genome.fa", TEXT.replace("\n>", "\n\n>") + "\n\n"),
    "words behind the names": ("genome.fa", TEXT.replace("chr1", "chr1 Saccharomyces")),
    "words in Latin-1": ("genome.fa", TEXT.replace("chr1", "chr1 g\xe8ne").encode("latin-1")),
    "words in UTF-8": ("genome.fa", TEXT.replace("chr1", "chr1\t基因 β")),
    "no line end at the end": ("genome.fa", TEXT.strip()),
    "wrapped": ("genome.fa", TEXT.replace(ONE, "\n".join(ONE[i : i + 60] for i in range(0, 400, 60)))),
}
# fmt: on
#: Letters that are read as unknown bases.
UNKNOWN = {"IUPAC": "RYSWKMBDHVryswkmbdhv", "N": "NNNNNNNNNNnnnnnnnnnn"}


# fmt: off
#: Index files beside the genome that must not be used: name, text, older than the genome.
INDEXES = {
    "stale": ("chr1\t400\t6\t400\t401\nchr2\t200\t413\t200\t201\n", True),
    "of another genome": ("chrI\t90\t6\t90\t91\n", False),
    "of other lengths": ("chr1\t300\t6\t300\t301\nchr2\t200\t313\t200\t201\n", False),
    "truncated": ("chr1\t400\t6\t400\t401\n", False),
    "empty": ("", False),
    "binary": ("\x00\x01\x02", False),
    "missing": (None, False),
}
# fmt: on
