"""Configs: which are refused with which words. All of these are found before the first job."""

from __future__ import annotations

from typing import Any

from bad_inputs.case import Bad, bad

#: Stands for a key that is removed.
GONE = object()

#: Thirty levels, each of which names the one before it twice.
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 31))

# fmt: off
#: fault, text of the whole config, what must be read
TEXTS = [
    bad("empty file", "", "my.yaml: expected keys at the top level, such as `genome:`; found none"),
    bad("a list", "- a\n", "my.yaml: expected keys at the top level"),
    bad("tab", "results: x\n\tgenome: {}\n", "my.yaml:2: not YAML"),
    bad("bracket that is not closed", "results: [a\n", "my.yaml:2: not YAML"),
    bad("colon in a text", "results: a: b\n", "my.yaml:1: not YAML: mapping values are not allowed"),
    bad("alias without an anchor", "results: *x\n", "my.yaml:1: not YAML", "undefined alias"),
    bad("key twice", "seed: 1\nseed: 2\n", "'seed' is given twice in the top level (lines 1 and 2)", "rename or"),
    bad("key twice below an anchor", "a: &x {b: 1, b: 2}\nc: *x\n", "'b' is given twice in a (line 1)"),
    bad("number in base 8", "seed: 010\n", "my.yaml:1: YAML reads 010 as 8 (base 8): write 10"),
    bad("number in base 60", "seed: 1:30\n", "YAML reads 1:30 as 90 (base 60)"),
    bad("Latin-1", "title: caf\xe9\n".encode("latin-1"), "my.yaml:1: not UTF-8 text (byte 0xe9", "save the file as"),
    bad("UTF-16", "title: x\n".encode("utf-16"), "my.yaml:1: not UTF-8 text", "UTF-16"),
    bad("Python object", "results: !!python/object:os.system {}\n", "not YAML", "could not determine a constructor"),
    bad("list as a key", "? [a]\n: 1\n", "not YAML", "unhashable key"),
    bad("no such date", "title: 2024-13-45\n", "not YAML: month must be in 1..12; put texts that look like dates"),
    bad("nested too deep", "a: " + "[" * 5000 + "]" * 5000, "my.yaml:1: not YAML: nested more than 64 deep"),
    bad("anchors of anchors", LAUGHS, "my.yaml: the anchors stand for", "values in all, more than 1,000,000"),
    bad("anchor that holds itself", "results: &x [*x]\n", "my.yaml:1: an anchor stands within what it names"),
]
# fmt: on


def change(fault: str, keys: str, value: Any, *told: str) -> Bad:
    """The minimal config with one value set (or the key renamed, by ``(new name,)``)."""
    return bad(fault, (keys.split("/"), value), *told)


def name(fault: str, text: Any, *told: str, of: str = "analyses/first") -> Bad:
    """The minimal config with another name of an analysis, target, region set or model."""
    return change(fault, of, (text,), *told)


LETTERS = "is not made of letters, digits, '_', '-' and '.', a letter or digit first"
TAKEN = "is taken by a file or folder of the results: choose another"

# fmt: off
#: fault, key, value, what must be read
CHANGES = [
    change("unknown key", "genom", {}, "unknown key 'genom'; did you mean 'genome'?"),
    change("unknown key within", "analyses/first/motifs", {"max_seqlet": 5}, "did you mean 'max_seqlets'"),
    change("missing section", "analyses", GONE, "the key 'analyses' is missing"),
    change("missing key", "models/net/input_length", GONE, "models.net", "'input_length' is missing"),
    change("section that is text", "models", 3, "models: found 3"),
    change("section that is null", "analyses", None, "analyses"),
    change("text for a number", "models/net/input_length", "long", "models.net.input_length: found 'long'"),
    change("fraction for a whole number", "models/net/input_length", 40.5, "models.net.input_length: found 40.5"),
    change("number for a path", "regions/mine/peaks", 7, "regions.mine.peaks"),
    change("list for a path", "regions/mine/peaks", ["a.bed"], "regions.mine.peaks: found"),
    change("truth for a path", "results", True, "results: found true"),
    change("below the range", "regions/mine/chunks", 0, "regions.mine.chunks: found 0, expected"),
    change("above the range", "regions/mine/max_unknown", 2, "regions.mine.max_unknown: found 2"),
    change("infinite", "regions/mine/max_unknown", float("inf"), "regions.mine.max_unknown: found"),
    change("not a number", "analyses/first/qc", {"max_relative_delta": float("nan")}, "max_relative_delta"),
    change("unknown word", "regions/mine/edge", "clip", "regions.mine.edge: found 'clip', expected", "shift"),
    change("misspelt word", "models/net/loader", "factry", "did you mean 'factory'?"),
    change("unknown region set", "analyses/first/regions", "yours", "no 'yours' in regions: mine"),
    change("unknown model", "analyses/first/model", "nett", "no 'nett' in models: net; did you mean 'net'?"),
    change("two sources", "regions/mine/fasta", "x.fa", "give exactly one of peaks, fasta, hdf5"),
    change("no source", "regions/mine", {}, "regions.mine: give exactly one of peaks, fasta, hdf5"),
    change("lengths that differ", "regions/mine/length", 50, "all regions of a set need one length"),
    change("empty path", "results", "", "results: found an empty text"),
    change("blank at the end of a path", "genome/fasta", "a.fa ", "genome.fasta: 'a.fa ' starts or ends with a blank"),
    change("line break in a path", "genome/fasta", "a\nb.fa", "contains a line break or tab"),
    change("wildcard in a path", "genome/fasta", "{x}.fa", "genome.fasta: {x}.fa: braces are only allowed in"),
    change("variable that is not set", "genome/fasta", "$CISLEX_NONE/a.fa", "variable CISLEX_NONE is not set"),
    change("no such home", "genome/fasta", "~no-such-user/a.fa", "no home folder for ~no-such-user"),
    change("very long path", "genome/fasta", "x" * 5000, "genome.fasta: xxxx", "a name has at most 255 bytes (here 5000)"),
    change("NUL in a path", "genome/fasta", "a\0.fa", "genome.fasta", "line break or tab"),
    change("results in themselves", "results", "{results}/x", "{results} refers to this folder itself"),
    change("results in a file", "results", "genome.fa/x", "cannot be created", "genome.fa is a file; name another"),
    name("blank", "a b", f"analyses: the name 'a b' {LETTERS}"),
    name("slash", "a/b", f"analyses: the name 'a/b' {LETTERS}"),
    name("dots", "..", f"analyses: the name '..' {LETTERS}"),
    name("hidden", ".first", f"analyses: the name '.first' {LETTERS}"),
    name("option", "-rf", f"analyses: the name '-rf' {LETTERS}"),
    name("shell", "$(touch x);x", f"analyses: the name '$(touch x);x' {LETTERS}"),
    name("quotes", "a'b\"", LETTERS),
    name("regular expression", ".*", f"analyses: the name '.*' {LETTERS}"),
    name("wildcard", "{x}", LETTERS),
    name("Unicode", "gène", f"analyses: the name 'gène' {LETTERS}"),
    name("line break", "a\nb", LETTERS),
    name("empty name", "", f"analyses: the name '' {LETTERS}"),
    name("very long", "x" * 81, "analyses: the name 'xxxxxxxxxxxxxxxxxxxx…' has 81 characters; at most 80"),
    name("number as a name", 7, "analyses: YAML does not read the key 7 as text"),
    name("truth as a name", True, "analyses: YAML does not read the key"),
    name("reserved: genome", "genome", f"analyses: the name 'genome' {TAKEN}"),
    name("reserved: report", "report", f"analyses: the name 'report' {TAKEN}"),
    name("reserved: report.html", "report.html", f"analyses: the name 'report.html' {TAKEN}"),
    name("reserved: logs", "logs", f"analyses: the name 'logs' {TAKEN}"),
    name("target: a file's name", "predictions.tsv", f"'predictions.tsv' {TAKEN}", of="analyses/first/targets/t"),
    name("target: slash", "../x", LETTERS, of="analyses/first/targets/t"),
    name("region set: slash", "../x", LETTERS, of="regions/mine"),
    name("model: shell", "a;b", LETTERS, of="models/net"),
    name("fold: blank", "f 0", LETTERS, of="models/net/folds/f0"),
]
# fmt: on
