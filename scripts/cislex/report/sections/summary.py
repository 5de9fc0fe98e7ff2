"""Sentences that sum up a target: its motifs, and the method behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cislex.report.facts import count, equation
from cislex.report.sections.lexicon import Lexicon, composition, known_motifs, read_lexicon
from cislex.report.sections.motifs import MotifView
from cislex.report.template import capital


def named(lexicon: Lexicon) -> str:
    """``: REB1, RAP1``; nothing without a known motif."""
    return f": {some(lexicon.names, ', ')}" if lexicon.names else ""


def some(items: Sequence[str], separator: str, *, first: int = 6) -> str:
    """Join the first few and count the others."""
    more = f"{separator}and {len(items) - first:,} more" if len(items) > first else ""
    return separator.join(items[:first]) + more


def summarise(motifs: Sequence[MotifView], flagged: Sequence[MotifView], total: int) -> str:
    """Say in a few sentences what one target's motifs are."""
    over = f"over {count(total, 'region')}"
    rest = f" {capital(count(len(flagged), 'further pattern'))} flagged as doubtful." if flagged else ""
    if not motifs:
        none = "No convincing motif" if flagged else "No motif"
        return f"{none} was found {over}.{rest}"
    lexicon, best = read_lexicon(motifs), motifs[0]
    match = "resembles no known motif"
    if best.composite and best.word:
        match = f"is the {best.known}"
    elif best.best:
        match = f"is a {best.known}" if best.composite else f"resembles {best.best}"
        match += f", {equation(best.best.p, 'p')}, {equation(best.best.q, 'q')}"
    elif best.matches:
        match += f" of the database (nearest: {best.matches[0]}, {equation(best.matches[0].q, 'q')})"
    first = f"{capital(known_motifs(lexicon))} {over}{named(lexicon)}."
    pattern = (
        f"{best.name if len(motifs) == 1 else best.pattern}, with {count(best.seqlets, 'seqlet')}, {match}"
    )
    if len(motifs) == 1:
        verb = "raises" if best.sign == "+" else "lowers"
        return f"{first} The one pattern, {pattern}; it {verb} the prediction.{rest}"
    return f"{first} {composition(lexicon)} The most frequent, {pattern}. {_directions(motifs)}{rest}"


def _directions(motifs: Sequence[MotifView]) -> str:
    """``3 raise and 1 lowers the prediction.``"""
    up = sum(motif.sign == "+" for motif in motifs)
    counts = [(n, verb) for n, verb in ((up, "raise"), (len(motifs) - up, "lower")) if n]
    if len(counts) == 1:
        return f"All {counts[0][1]} the prediction."
    said = " and ".join(f"{n:,} {verb}{'s' if n == 1 else ''}" for n, verb in counts)
    return f"{said} the prediction."


def method_line(attributes: Mapping[str, Any]) -> str:
    """Name the method, its rule, references and the precision, as far as the file records them."""
    method = attributes.get("method")
    parts = []
    if isinstance(method, Mapping):
        name, references = str(method.get("name", "")), method.get("references")
        parts.append(name)
        # The config fills in every key: only those that the method uses are told.
        if name == "deep_lift_shap" and "rule" in method:
            parts.append(f"rule {method['rule']}")
        if name in ("deep_lift_shap", "integrated_gradients") and isinstance(references, Mapping):
            kind = str(references.get("kind", "references")).replace("_", " ")
            shuffled = "shuffle" in kind
            parts.append(f"{references.get('n', '?')} references per region ({kind})" if shuffled else kind)
    elif method:
        parts.append(str(method))
    if attributes.get("precision"):
        parts.append(str(attributes["precision"]))
    return ", ".join(part for part in parts if part)
