"""Whether the in-silico experiments of a config fit its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion

#: Letters of IUPAC, as in cislex.insertions.inserts.
LETTERS = frozenset("ACGTRYSWKMBDHVN")


def not_iupac(text: str) -> str:
    """What of a string is no letter of IUPAC, the whole where it is N alone; empty: nothing."""
    wrong = sorted(set(text.upper()) - LETTERS)
    return ", ".join(wrong) if wrong or text.upper().strip("N") else text


def insertion_checks(config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete config."""
    for name, settings in config["insertions"].items():
        analysis = config["analyses"].get(settings["analysis"])
        if analysis is None:
            yield (
                f"insertions.{name}.analysis: no '{settings['analysis']}' in analyses: "
                f"{', '.join(config['analyses'])}{suggestion(settings['analysis'], config['analyses'])}"
            )
            continue
        has_lexicon = config["lexicon"] is not None and any(a["motifs"] for a in config["analyses"].values())
        for part in (_inserts(settings, has_lexicon), _backgrounds(settings), _sites(settings, analysis)):
            yield from (f"insertions.{name}.{problem}" for problem in part)
        model = config["models"].get(analysis["model"])
        if model is not None:
            length = model["input_length"]
            for problem in (*_strings(settings, length), *_pairs(settings, length)):
                yield f"insertions.{name}.{problem}"


def _inserts(settings: dict[str, Any], has_lexicon: bool) -> Iterator[str]:
    """Something to insert, from where there is something."""
    words = settings["words"]
    if words is None and not settings["motifs"] and settings["meme"] is None:
        yield "words: nothing is inserted: set words: all, or give motifs or a MEME file"
    if words is not None and not has_lexicon:
        yield "words: there is no lexicon (lexicon: null, or no analysis has motifs); give motifs or meme"


def _strings(settings: dict[str, Any], length: int) -> Iterator[str]:
    for name, letters in settings["motifs"].items():
        if found := not_iupac(letters):
            yield f"motifs.{name}: found {found}; expected letters of IUPAC, and not N alone"
        if len(letters) > length:
            yield f"motifs.{name}: {len(letters)} bp, longer than the sequences ({length} bp)"


def _pairs(settings: dict[str, Any], length: int) -> Iterator[str]:
    """Pairs of motifs that are inserted, at distances that fit into the sequences."""
    pairs, spacings = settings["pairs"], settings["spacings"]
    if not pairs:
        return
    if not isinstance(pairs, str) and settings["words"] is None and settings["meme"] is None:
        for name in sorted({name for pair in pairs for name in pair} - set(settings["motifs"])):
            known = ", ".join(settings["motifs"])
            yield f"pairs: no motif '{name}' in motifs: {known}{suggestion(name, settings['motifs'])}"
    low, high = spacings["from"], spacings["to"]
    if low > high:
        yield f"spacings: from is {low} and to is {high}; expected from at most to"
    widths = {name: len(letters) for name, letters in settings["motifs"].items()}
    named = [(one, one) for one in widths] if isinstance(pairs, str) else pairs
    # Widths of words and of motifs of a file are not known here: at least 1.
    halves = [widths.get(a, 1) + widths.get(b, 1) for a, b in named] or [2]
    if high + max(halves) // 2 > length:
        yield (
            f"spacings.to: a pair {high} bp apart takes {high + max(halves) // 2} bp or more, and the "
            f"sequences have {length} bp"
        )


def _backgrounds(settings: dict[str, Any]) -> Iterator[str]:
    given = settings["backgrounds"]
    if (given["kind"] == "fasta") != (given["fasta"] is not None):
        yield "backgrounds.fasta: required with kind: fasta and only valid there"
    if given["n"] is None and given["kind"] != "fasta":
        yield f"backgrounds.n: null is only valid with kind: fasta, not {given['kind']}"
    sites = settings["sites"]
    if sites is not None and given["n"] is not None and sites["contexts"] > given["n"]:
        yield f"sites.contexts: {sites['contexts']} of {given['n']} backgrounds; expected at most as many"


def _sites(settings: dict[str, Any], analysis: dict[str, Any]) -> Iterator[str]:
    """Sites of words, in an analysis with hits."""
    sites = settings["sites"]
    if sites is None:
        return
    if settings["words"] is None:
        yield "sites: sites are of words; set words: all, or a list"
    if analysis["hits"] is None:
        yield f"sites: analysis {settings['analysis']} has no hits; set hits: {{}} there, or sites: null"
    target = sites["target"]
    if target is not None and target not in analysis["targets"]:
        known = ", ".join(analysis["targets"])
        yield f"sites.target: no '{target}' in the targets: {known}{suggestion(target, analysis['targets'])}"
