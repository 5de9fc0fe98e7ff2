"""IGV sessions: all tracks with colours, heights and scales, for IGV on the desktop and for igv.js."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from cislex.exports.browser_specs import Track

#: Height (pixels) of each kind of track.
HEIGHTS = {
    "contributions": 90, "predictions": 40, "observed": 40, "signal": 50, "hits": 45, "regions": 35,
    "variants": 35,
}  # fmt: skip
#: Colour of values below zero.
NEGATIVE = "178,24,43"


def session_xml(tracks: Sequence[Track], *, genome: str, locus: str | None) -> str:
    """A session of IGV on the desktop (and of igv.js); paths are relative to the session's file.

    Parameters
    ----------
    tracks
        In the order in which they are shown.
    genome
        Identifier of a genome that IGV knows, or path of a FASTA file with its index beside it.
    locus
        What is shown first, such as ``chr1:100-200`` (from 1, the last base included); None: all.

    Returns
    -------
    str
        The XML.
    """
    resources = "".join(
        f"        <Resource path={quoteattr(track.file)} type={quoteattr(_format(track))}/>\n"
        for track in tracks
    )
    shown = "".join(_track_xml(track) for track in tracks)
    place = f" locus={quoteattr(locus)}" if locus else ""
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        f'<Session genome={quoteattr(genome)}{place} version="8">\n'
        f"    <Resources>\n{resources}    </Resources>\n"
        f'    <Panel name="DataPanel" height="{sum(HEIGHTS[track.kind] for track in tracks)}" width="1200">\n'
        f"{shown}    </Panel>\n</Session>\n"
    )


def _track_xml(track: Track) -> str:
    attributes = {
        "id": track.file,
        "name": _name(track),
        "clazz": "org.broad.igv.track." + ("DataSourceTrack" if track.is_signal else "FeatureTrack"),
        "height": str(HEIGHTS[track.kind]),
        "fontSize": "10",
        "visible": "true",
    }
    if track.is_signal:
        dynseq = track.kind == "contributions"
        attributes |= {
            "color": track.color,
            "altColor": NEGATIVE,
            "renderer": "DYNSEQ" if dynseq else "BAR_CHART",
            "autoScale": "true",
            "windowFunction": "mean",
        }
    else:  # intervals have colours of their own, which one of the track would hide
        attributes |= {"displayMode": "SQUISHED" if track.kind == "regions" else "EXPANDED"}
    return f"        <Track {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes.items())}/>\n"


def session_json(tracks: Sequence[Track], *, reference: str | dict[str, Any], locus: str | None) -> str:
    """A session of igv.js and IGV-Web; paths are relative to the page that loads it.

    Parameters
    ----------
    tracks, locus
        As in :func:`session_xml`.
    reference
        Identifier of a genome that IGV knows, or igv.js's ``reference``.

    Returns
    -------
    str
        The JSON.
    """
    genome = {"genome": reference} if isinstance(reference, str) else {"reference": reference}
    place = {"locus": locus} if locus else {}
    shown = [_track_json(track, order) for order, track in enumerate(tracks, start=1)]
    return json.dumps({**genome, **place, "tracks": shown}, indent=1) + "\n"


def _track_json(track: Track, order: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": _name(track),
        "url": track.file,
        "type": "wig" if track.is_signal else "annotation",
        "format": _format(track),
        "height": HEIGHTS[track.kind],
        "order": order,
    }
    if track.is_signal:
        entry |= {"color": f"rgb({track.color})", "altColor": f"rgb({NEGATIVE})"}
        entry |= {"autoscale": True, "windowFunction": "mean"}
        entry |= {"graphType": "dynseq" if track.kind == "contributions" else "bar"}
    else:
        entry |= {"displayMode": "SQUISHED" if track.kind == "regions" else "EXPANDED"}
    return entry


def _format(track: Track) -> str:
    return "bigwig" if track.is_signal else "bigbed"


def _name(track: Track) -> str:
    return f"{track.group}: {track.name}" if track.group else track.name
