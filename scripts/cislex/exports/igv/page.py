"""igv.html: the top regions of each target in igv.js, on one page that needs no network.

igv.js (npm package ``igv``, MIT licence) lies in this folder and becomes part of the page, with the values,
letters and hits of the regions; the page's policy lets nothing else be loaded.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam
from numpy.typing import NDArray

from cislex.exports.browser_specs import COLORS, BrowserSettings, BrowserTarget
from cislex.exports.features import LOWERS, NEITHER, RAISES
from cislex.files.indexed_text import open_indexed
from cislex.files.tables import open_hdf5, read_regions, write_text
from cislex.logs import get_logger
from cislex.sequences.store import reverse_complement, to_codes

#: Template of the page, and igv.js.
TEMPLATE = Path(__file__).with_name("page.html")
IGV, IGV_VERSION = Path(__file__).with_name("igv.min.js"), "3.8.10"
#: Bases that are shown first of a window: those with the largest contributions.
ZOOM = 150
LETTERS = np.array(list("ACGTN"))

logger = get_logger("browser")


def write_igv_page(
    targets: Sequence[BrowserTarget], out: str | Path, sizes: Mapping[str, int], settings: BrowserSettings
) -> int:
    """Write the page.

    Parameters
    ----------
    targets
        Targets on the genome, of one order everywhere.
    out
        ``igv.html`` to write.
    sizes
        Length of each chromosome (bp).
    settings
        ``page_regions`` of each target are shown, those with the highest predictions, each in a window of at
        most ``page_width`` bases with the largest contributions.

    Returns
    -------
    int
        Windows on the page.
    """
    shown: list[dict[str, Any]] = []
    for number, target in enumerate(targets):
        windows = _windows(target, settings)
        if windows:
            shown.append({"label": target.label, "color": COLORS[number % len(COLORS)], "windows": windows})
    used = {window["chrom"] for one in shown for window in one["windows"]}
    data = {
        "genome": settings.title,
        "sizes": {name: size for name, size in sizes.items() if name in used},
        "targets": shown,
    }
    text = (
        f"The {settings.page_regions} regions with the highest predictions of each target: contributions as "
        "letters, motif hits (red: raises the prediction, blue: lowers it). All regions are in session.xml "
        "(IGV) and hub.txt (UCSC Genome Browser)."
    )
    texts = {
        "title": html.escape(settings.title),
        "text": text,
        "version": f"igv.js {IGV_VERSION}",
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "igv": IGV.read_text(encoding="utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--"),
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for name in texts:  # each is there before its text can hold another one's mark
        assert page.count(f"@@{name}@@") >= 1
    parts = page.split("@@")
    write_text("".join(texts[part] if odd % 2 else part for odd, part in enumerate(parts)), out)
    return sum(len(one["windows"]) for one in shown)


def _windows(target: BrowserTarget, settings: BrowserSettings) -> list[dict[str, Any]]:
    """The top regions of a target as the page's script reads them."""
    with open_hdf5(
        target.attributions, what="attributions", datasets=("hypothetical", "sequences", "prediction")
    ) as handle:
        prediction = handle["prediction"][...]
        order = np.argsort(-prediction, kind="stable")[: 4 * settings.page_regions]
        regions = read_regions(handle).iloc[order]
        regions = regions.assign(row=order).drop_duplicates(["chrom", "start", "end"])
        named = ~regions["chrom"].str.contains(":", regex=False)
        if not named.all():
            logger.info("igv.html: regions on chromosomes with ':' in their names are left out (igv.js)")
        regions = regions[named].head(settings.page_regions)
        rows = regions["row"].tolist()
        onehot = [handle["sequences"][row] for row in rows]
        values = [
            (handle["hypothetical"][row] * letters).sum(0) for row, letters in zip(rows, onehot, strict=True)
        ]
    hits = open_indexed(target.hits) if target.hits else None
    try:
        return [
            _window(region, prediction[region.row], onehot[i], values[i], hits, settings.page_width)
            for i, region in enumerate(regions.itertuples())
        ]
    finally:
        if hits:
            hits.close()


def _window(
    region: Any,
    prediction: float,
    onehot: NDArray[np.uint8],
    values: NDArray[np.float32],
    hits: pysam.TabixFile | None,
    width: int,
) -> dict[str, Any]:
    codes = to_codes(onehot)
    if region.strand == "-":
        codes, values = reverse_complement(codes[None])[0], values[::-1]
    letters = LETTERS[codes]
    low, high = _strongest(values, width)
    first, last = (region.start + low + place for place in _strongest(values[low:high], ZOOM))
    start, end = region.start + low, region.start + high
    return {
        "name": region.name,
        "chrom": region.chrom,
        "region": [int(region.start), int(region.end)],
        "start": int(start),
        "zoom": [int(first), int(last)],
        "prediction": f"{prediction:.3g}",
        "sequence": "".join(letters[low:high]),
        "values": [float(f"{value:.3g}") for value in values[low:high].tolist()],
        "hits": _hits(hits, region.chrom, int(start), int(end)),
    }


def _strongest(values: NDArray[np.float32], width: int) -> tuple[int, int]:
    """Start and end of the window with the largest sum of absolute values."""
    if len(values) <= width:
        return 0, len(values)
    sums = np.concatenate([[0.0], np.abs(values.astype(np.float64)).cumsum()])
    start = int(np.argmax(sums[width:] - sums[:-width]))
    return start, start + width


def _hits(hits: pysam.TabixFile | None, chrom: str, start: int, end: int) -> list[list[Any]]:
    """Start, end, name, strand, colour and contribution of the hits in a window."""
    if hits is None or chrom not in hits.contigs:
        return []
    names = [*hits.header][-1].lstrip("#").split("\t")
    rows = pd.DataFrame([line.split("\t") for line in hits.fetch(chrom, start, end)], columns=names)
    found = []
    for row in rows.to_dict("records"):
        contribution = float(row.get("contribution") or "nan")
        color = RAISES if contribution > 0 else LOWERS if contribution < 0 else NEITHER
        told = None if np.isnan(contribution) else contribution
        found.append([int(row["start"]), int(row["end"]), row["motif"], row["strand"], color, told])
    return found
