"""Facts worth recording, merged over batches without loss: names united, counts added, texts kept.

A note is a key with a text. How two texts of one key become one is decided here and nowhere else:

- names (``integrated``): the union;
- counts of pairs: the sum; largest values (``integrated_gradients.steps``): the largest;
- ``batch_size``, which only ever shrinks: the last;
- any other text: each different text once, and where it does not hold for all regions, for how many it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAMES = frozenset(("integrated",))
_COUNTS = frozenset(("integrated_gradients.pairs", "integrated_gradients.not_converged"))
_LARGEST = frozenset(("integrated_gradients.steps", "integrated_gradients.largest_delta"))
_LAST = frozenset(("batch_size",))

_BETWEEN = " | "
_REACH = re.compile(r"^(?P<text>.*) \(in (?P<count>\d+) of \d+ regions\)$", re.DOTALL)


def merge_notes(parts: Iterable[tuple[Mapping[str, str], int]]) -> dict[str, str]:
    """Merge the notes of several batches.

    Parameters
    ----------
    parts
        The notes of each batch and its number of regions, in order. Merged notes may be merged again.

    Returns
    -------
    dict[str, str]
        One text per key, for example ``{"integrated": "erf, softmax"}`` or
        ``{"ism": "whole sequences: … (in 3 of 40 regions)"}``.
    """
    parts = [(notes, regions) for notes, regions in parts if notes or regions]
    total = sum(regions for _, regions in parts)
    keys = dict.fromkeys(key for notes, _ in parts for key in notes)
    return {key: _merged(key, parts, total) for key in keys}


def unite_notes(*strands: Mapping[str, str]) -> dict[str, str]:
    """Merge the notes of computations on the same regions, such as both strands."""
    merged = merge_notes((notes, 1) for notes in strands)
    for key in merged.keys() - _NAMES - _COUNTS - _LARGEST - _LAST:
        texts = [text for notes in strands if key in notes for text in notes[key].split(_BETWEEN)]
        merged[key] = _BETWEEN.join(dict.fromkeys(texts))
    return merged


def _merged(key: str, parts: Iterable[tuple[Mapping[str, str], int]], total: int) -> str:
    found = [(notes[key], regions) for notes, regions in parts if key in notes]
    texts = [text for text, _ in found]
    if key in _NAMES:
        return ", ".join(sorted({name for text in texts for name in text.split(", ")}))
    if key in _COUNTS:
        return str(sum(int(text) for text in texts))
    if key in _LARGEST:
        return max(texts, key=float)
    if key in _LAST:
        return texts[-1]
    reach: dict[str, int] = {}
    for text, regions in found:
        for piece in text.split(_BETWEEN):
            match = _REACH.match(piece)
            plain, count = (match["text"], int(match["count"])) if match else (piece, regions)
            reach[plain] = reach.get(plain, 0) + count
    return _BETWEEN.join(
        text if count == total else f"{text} (in {count} of {total} regions)" for text, count in reach.items()
    )
