"""Files of variants and of motifs: which are refused with which words, and which are read."""

from __future__ import annotations

from bad_inputs.case import bad, blocked, folder, genome, packed

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
TABLE = "chrom\tpos\tref\talt\n"
#: Bases 101 to 103 (from 1) of chr1.
REF = genome().splitlines()[1][100:103]
ALT = "A" if REF[0] != "A" else "C"
ROW = f"chr1\t101\t.\t{REF[0]}\t{ALT}\t.\t.\t.\n"
CELLS = f"chr1\t101\t{REF[0]}\t{ALT}\n"

# fmt: off
#: fault, file, what must be read, when
BAD_VARIANTS = [
    bad("empty file", "", "variants.own.vcf: own.vcf is empty"),
    bad("header alone", HEADER, "variants.own.vcf: own.vcf: no variants after the header"),
    bad("another text", "MEME version 4\n", "own.vcf: the header lacks chrom, ref, alt, pos or start; found MEME"),
    bad("binary", b"PK\0\3", "own.vcf: found binary data; expected a VCF, or a table"),
    bad("table without a header", CELLS, "the header lacks chrom, ref, alt, pos or start; found chr1, 101"),
    bad("table with blanks", (TABLE + CELLS).replace("\t", " "), "columns are separated by tabs"),
    bad("table without positions", "chrom\tref\talt\nchr1\tA\tC\n", "the header lacks pos or start"),
    bad("pos and start", "chrom\tpos\tstart\tref\talt\nchr1\t2\t1\tA\tC\n", "keep the one that you mean"),
    bad("header of a table alone", TABLE, "own.vcf: no variants; expected a VCF"),
    bad("folder", folder, "variants.own.vcf: own.vcf is a folder; expected a file"),
    bad("position that is none", HEADER + ROW.replace("101", "x"), "own.vcf:3: cannot be read as VCF", when="job"),
    bad("four fields", HEADER + ROW + "chr1\t1\t.\tA\n", "own.vcf:4: cannot be read as VCF: found 4", when="job"),
    bad("blank line", HEADER + ROW + "\n" + ROW, "own.vcf:4: cannot be read as VCF: found 1 fields, ''", when="job"),
    bad("no position", HEADER + ROW.replace("101", ""), "own.vcf:3: cannot be read as VCF: found 8 fields", when="job"),
    bad("cell missing", TABLE + CELLS + "chr1\t5\tA\n", "own.vcf: line 3: 3 fields; expected 4", when="job"),
    bad("negative position", TABLE + CELLS.replace("101", "-1"), "pos: line 2: '-1'; expected whole", when="job"),
    bad("position 0", TABLE + CELLS.replace("101", "0"), "no variant is left", "outside_chromosome", when="job"),
    bad("past the end", HEADER + ROW.replace("101", "401"), "outside_chromosome (chromosome of 400 bp)", when="job"),
    bad("1 for chr1", HEADER + ROW.replace("chr1", "1"), "the genome puts chr in front of the same", when="job"),
    bad("REF of another genome", HEADER + ROW.replace(f"{REF[0]}\t{ALT}", f"{ALT}\tG"), "REF differs from the genome in 1", when="job"),
    bad("cut gzip", packed(HEADER + ROW * 99)[:40], "corrupt or truncated", when="job"),
    bad("cut bgzip", blocked(HEADER + ROW, cut=28), "own.vcf: truncated: the block with which bgzip", when="job"),
]
# fmt: on

# fmt: off
#: form, name, file, alleles kept, alleles dropped for which reasons
GOOD_VARIANTS: list[tuple[str, str, object, int, dict[str, int]]] = [
    ("VCF", "own.vcf", HEADER + ROW, 1, {}),
    ("CRLF", "own.vcf", (HEADER + ROW).replace("\n", "\r\n"), 1, {}),
    ("gzip", "own.vcf.gz", packed(HEADER + ROW), 1, {}),
    ("bgzip", "own.vcf.gz", blocked(HEADER + ROW), 1, {}),
    ("byte-order mark", "own.vcf", "\ufeff" + HEADER + ROW, 1, {}),
    ("unsorted", "own.vcf", HEADER + ROW.replace("chr1\t101", "chr1\t101") + ROW, 2, {}),
    ("several alternatives", "own.vcf", HEADER + ROW.replace(f"\t{ALT}\t", f"\t{ALT},<DEL>,*\t"), 1, {"symbolic_allele": 1, "spanning_deletion": 1}),
    ("some past the end", "own.vcf", HEADER + ROW + ROW.replace("101", "999"), 1, {"outside_chromosome": 1}),
    ("lower case", "own.vcf", HEADER + ROW.replace(f"\t{REF[0]}\t", f"\t{REF[0].lower()}\t"), 1, {}),
    ("table from 1", "own.tsv", TABLE + CELLS, 1, {}),
    ("table from 0", "own.tsv", (TABLE + CELLS).replace("pos", "start").replace("101", "100"), 1, {}),
]
# fmt: on

MEME = "MEME version 4\n\n"
MATRIX = "letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n"
MOTIF = f"MOTIF M1 one\n{MATRIX}0.1 0.2 0.3 0.4\n1 0 0 0\n\n"

# fmt: off
#: fault, file, what must be read, when
BAD_MOTIFS = [
    bad("empty file", "", "own.meme is empty"),
    bad("JASPAR's format", ">M1 one\nA [1 0]\nC [0 1]\n", "own.meme is not a MEME file: it has no line 'MEME ver"),
    bad("no motifs", MEME, "own.meme contains no motifs: it has no line 'MOTIF …'"),
    bad("one identifier twice", MEME + MOTIF + MOTIF.replace("1 0 0 0", "0 1 0 0"), "the same identifier: M1; give"),
    bad("folder", folder, "own.meme is a folder; expected a file"),
    bad("UTF-16", (MEME + MOTIF).encode("utf-16"), "is not a MEME file"),
    bad("other alphabet", MEME + "ALPHABET= ACDE\n" + MOTIF, ":3: the alphabet is ACDE; expected DNA", when="job"),
    bad("no identifier", MEME + "MOTIF\n" + MATRIX, "contains no motifs: it has no line 'MOTIF …'"),
    bad("no matrix", MEME + "MOTIF M1\n", ":3: motif M1 has no letter-probability matrix", when="job"),
    bad("three numbers", MEME + MOTIF.replace("1 0 0 0", "1 0 0"), ":6: motif M1: found '1 0 0'", when="job"),
    bad("a row missing", MEME + MOTIF.replace("1 0 0 0\n", ""), "motif M1 has 1 rows; expected 2 (w=)", when="job"),
    bad("negative", MEME + MOTIF.replace("1 0 0 0", "2 -1 0 0"), ":6: motif M1: found '2 -1 0 0'", when="job"),
    bad("sum 0.5", MEME + MOTIF.replace("1 0 0 0", ".5 0 0 0"), "expected frequencies summing to 1", when="job"),
    bad("not a number", MEME + MOTIF.replace("1 0 0 0", "1 0 0 x"), "found '1 0 0 x'; expected four", when="job"),
    bad("sites", MEME + MOTIF.replace("= 20", "= few"), "own.meme:4: nsites= few is not a number", when="job"),
    bad("cut gzip", packed((MEME + MOTIF) * 9)[:60], "corrupt or truncated", when="job"),
]
# fmt: on

# fmt: off
#: form, file, motifs
GOOD_MOTIFS: list[tuple[str, object, int]] = [
    ("minimal", MEME + MOTIF, 1),
    ("CRLF", (MEME + MOTIF).replace("\n", "\r\n"), 1),
    ("gzip", packed(MEME + MOTIF), 1),
    ("byte-order mark", "\ufeff" + MEME + MOTIF, 1),
    ("Latin-1", (MEME + MOTIF.replace("one", "g\xe8ne")).encode("latin-1"), 1),
    ("counts", MEME + MOTIF.replace("0.1 0.2 0.3 0.4", "1 2 3 4").replace("1 0 0 0", "10 0 0 0"), 1),
    ("RNA", MEME + "ALPHABET= ACGU\n" + MOTIF, 1),
    ("a motif twice", MEME + MOTIF + MOTIF, 1),
]
# fmt: on
