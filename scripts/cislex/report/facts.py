"""Words and numbers as a reader expects them: counts, p-values, settings, recorded attributes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cislex.files.tables import open_hdf5
from cislex.wording import counted

#: What the page calls a setting or attribute; others keep their name, with spaces.
LABELS = {
    "qc": "quality gate", "max_relative_delta": "largest relative delta", "on_fail": "over the limit",
    "max_relative_delta_limit": "limit of relative deltas", "n_over_limit": "regions over the limit",
    "n_regions": "regions", "n_leiden_runs": "Leiden runs", "target_fdr": "seqlet FDR", "n": "number",
    "trust_pickle": "trusted pickles", "pearson": "Pearson r", "q": "q-value",
    "n_planted_in_regions": "planted in regions", "n_functional_in_regions": "functional",
    "hits_precision": "hit precision", "hits_recall": "hit recall", "hits_on_decoys": "decoy sites hit",
}  # fmt: skip

#: Smaller p- and q-values are not told apart: floats end there.
LEAST = 1e-300

#: Letters of an allele that are shown.
ALLELE_SHOWN = 12

Fact = tuple[str, str]

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 motif``, ``1,078 regions``, ``no motifs``."""
    if number == 0:
        return f"no {many or one + 's'}"
    return counted(number, one, many)


def number(value: float, digits: int = 3) -> str:
    """Write a measured number with three significant digits, trailing zeros kept; a dash if unknown.

    ``0.886``, ``5.00``, ``12,345``; very small and very large ones as powers of ten.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -3 <= size <= 6:
        return power_of_ten(value, digits)
    return decimals(value, max(digits - 1 - size, 0))


def power_of_ten(value: float, digits: int = 2) -> str:
    """``3.3×10⁻⁷``; ``10⁻³`` where the factor is one; a dash if unknown."""
    if not math.isfinite(value):
        return "–"
    factor, exponent = f"{value:.{digits - 1}e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    return power if value == float(f"1e{exponent}") else f"{factor}×{power}".replace("-", "−")


def small(value: float) -> str:
    """Write a small error with two digits, below 0.001 as a power of ten."""
    if not math.isfinite(value):
        return "–"
    return number(value, 2) if value >= 1e-3 or value == 0 else power_of_ten(value)


def probability(value: float) -> str:
    """Write a p- or q-value with two digits; one that is hardly above zero, or rounded to it, as a bound."""
    return f"< {power_of_ten(LEAST)}" if 0 <= value < LEAST else small(value)


def equation(written: str, name: str) -> str:
    """``q = 0.02``, ``q < 10⁻³⁰⁰``: a written p- or q-value with its name."""
    return f"{name} {written}" if written.startswith("<") else f"{name} = {written}"


def setting(value: float) -> str:
    """Write a number that was given, not measured: as it was given, without needless digits."""
    text = f"{value:g}"
    return power_of_ten(value, 6).replace(".00000", "") if "e" in text else text


def percent(share: float) -> str:
    """``34 %``; ``0.1 %`` and ``< 0.1 %`` of a share that would be rounded to nothing."""
    if 0 < share < 0.005:
        return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"
    return f"{100 * share:.0f} %"


def decimals(value: float, places: int) -> str:
    """Write a number with so many decimals; a dash if unknown."""
    return f"{value:,.{places}f}".replace("-", "−") if math.isfinite(value) else "–"


def cell(text: str, write: Callable[[float], str] | None = None) -> str:
    """Write a table's cell: whole numbers with thousands separators, others by ``write``; text as it is."""
    if not text:
        return "–"
    try:
        value = float(text)
    except ValueError:
        return text
    if write is None and text.lstrip("-").isdigit():
        return f"{int(text):,}"
    return (write or number)(value)


def interval(value: float, low: float, high: float) -> str:
    """``0.986 (0.975–0.994)``, ``0.1 (−0.1 to 0.3)``; without the interval where it is unknown."""
    if not math.isfinite(value):
        return "–"
    middle, left, right = (f"{number:.3f}".replace("-", "−") for number in (value, low, high))
    if not (math.isfinite(low) and math.isfinite(high)):
        return middle
    return f"{middle} ({left}{' to ' if low < 0 else '–'}{right})"


def shortened(text: str, length: int) -> str:
    """Cut a long name, and mark that it is cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def variant_name(chrom: str, pos: int, ref: str, alt: str) -> str:
    """``chr1:1,002 A>C``; of a long allele the beginning and the length."""
    shown = (
        allele if len(allele) <= ALLELE_SHOWN else f"{shortened(allele, ALLELE_SHOWN)} ({len(allele)} bp)"
        for allele in (ref, alt)
    )
    return f"{chrom}:{pos:,} {'>'.join(shown)}"


def label(key: str) -> str:
    """Return the name that the page gives to a setting; names with a number, such as ``fold_0``, stay."""
    if key.rpartition("_")[2].isdigit():
        return key
    return LABELS.get(key, key.replace("_", " "))


def in_words(value: Any) -> str:
    """Write a setting as text: nested ones as ``name value; name value``, none as a dash."""
    if value is None or value == "" or value == [] or value == {}:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{label(str(key))} {in_words(entry)}" for key, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(in_words(entry) for entry in value)
    if isinstance(value, float):
        return setting(value)
    return str(value)


def facts(settings: Mapping[str, Any]) -> list[Fact]:
    """Settings as pairs of label and text, in their order."""
    return [(label(str(key)), in_words(value)) for key, value in settings.items()]


def recorded(path: str | Path) -> dict[str, Any]:
    """Read what an HDF5 file says about its making: its attributes, JSON text decoded."""
    with open_hdf5(path, what="report: attributions") as handle:
        return {str(key): _decode(value) for key, value in sorted(handle.attrs.items())}


def shared(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes that all files agree on."""
    if not attributes:
        return {}
    first, *others = attributes
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _decode(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value
