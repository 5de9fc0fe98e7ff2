"""References whose number the inspection chooses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

#: What ``n: auto`` asks for, where the config does not say.
DEFAULTS = {"sufficiency": 0.98, "most": 20}
#: Methods with references, and the kinds of which there can be any number.
METHODS = ("deep_lift_shap", "integrated_gradients", "expected_gradients")
KINDS = ("dinucleotide_shuffle", "shuffle", "genomic")


def fill_reference_defaults(references: dict[str, Any]) -> None:
    """Fill in what is asked of an automatic number."""
    if references["n"] == "auto":
        references.update({key: value for key, value in DEFAULTS.items() if references[key] is None})


def uncertainty_checks(name: str, analysis: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence where contributions have no spread over references, though it is asked for."""
    if not analysis["uncertainty"]:
        return
    method, where = analysis["method"], f"analyses.{name}.uncertainty"
    references = method["references"]
    if method["name"] not in METHODS:
        yield f"{where}: {method['name']} has no references; it is for {', '.join(METHODS)}"
    elif references["kind"] in ("zeros", "uniform") or references["n"] == 1:
        yield f"{where}: needs two or more references, to see how far contributions with them differ"
    if analysis["reverse_complement"]:
        yield f"{where}: not with reverse_complement, which averages over both strands first"


def reference_checks(name: str, method: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete analysis."""
    references, where = method["references"], f"analyses.{name}.method.references"
    if references["n"] != "auto":
        given = [key for key in DEFAULTS if references[key] is not None]
        if given:
            yield (
                f"{where}: {' and '.join(given)} need n: auto, but n is {references['n']}; set n: auto, or "
                f"leave out {' and '.join(given)}"
            )
    elif method["name"] not in METHODS:
        yield f"{where}.n: auto is for {', '.join(METHODS)}; {method['name']} has no references to count"
    elif references["kind"] not in KINDS:
        yield f"{where}.n: auto is for kinds {', '.join(KINDS)}; those of kind {references['kind']} are given"
