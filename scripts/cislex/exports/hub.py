"""A track hub of the UCSC Genome Browser: hub.txt, genomes.txt, trackDb.txt and a description.

Settings are those of UCSC's "Hub Track Database Definition". Contributions are drawn as letters (``logo on``,
which IGV calls dynseq).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from cislex.exports.browser_specs import BrowserSettings, Track, identifier, shortened

#: Longest labels that the browser shows.
SHORT, LONG = 17, 76
#: Targets that are shown when the hub is opened; the others are a click away.
SHOWN = 6

Stanza = dict[str, str]


def hub_text(settings: BrowserSettings) -> str:
    """The text of ``hub.txt``."""
    stanza = {
        "hub": _slug(settings.title),
        "shortLabel": shortened(_plain(settings.title), SHORT),
        "longLabel": shortened(_plain(settings.title), LONG),
        "genomesFile": "genomes.txt",
    }
    if settings.email:
        stanza["email"] = settings.email
    return _text([{**stanza, "descriptionUrl": "description.html"}])


def genomes_text(assembly: str | None, settings: BrowserSettings, locus: str | None) -> str:
    """The text of ``genomes.txt``: an assembly that the browser knows, or one with its own sequence.

    Parameters
    ----------
    assembly
        Name at UCSC; None: ``genome/genome.2bit`` is the genome (an assembly hub).
    settings
        Whose title describes the genome.
    locus
        What is shown first, or None.
    """
    if assembly is not None:
        return _text([{"genome": assembly, "trackDb": "trackDb.txt"}])
    title = _plain(settings.title)
    return _text(
        [
            {
                "genome": _slug(title),
                "trackDb": "trackDb.txt",
                "twoBitPath": "genome/genome.2bit",
                "description": shortened(title, LONG),
                "organism": shortened(title, SHORT),
                "scientificName": shortened(title, LONG),
                "orderKey": "4800",
                **({"defaultPos": locus} if locus else {}),
            }
        ]
    )


def track_db_text(tracks: Sequence[Track]) -> str:
    """The text of ``trackDb.txt``: a super-track for each target, and the tracks of all."""
    stanzas: list[Stanza] = []
    groups = list(dict.fromkeys(track.group for track in tracks if track.group))
    for number, group in enumerate(groups):
        own = [track for track in tracks if track.group == group]
        parent = identifier(group)
        stanzas.append(
            {
                "track": parent,
                "superTrack": "on show" if number < SHOWN else "on",
                "shortLabel": shortened(_plain(group), SHORT),
                "longLabel": shortened(f"{_plain(group)}: contributions, motif hits, predictions", LONG),
                "html": "description.html",
                "priority": str(number + 2),
            }
        )
        stanzas += [_stanza(track, parent, place) for place, track in enumerate(own, start=1)]
    shared = [track for track in tracks if not track.group]
    return _text([*stanzas, *(_stanza(track, None, 1) for track in shared)])


def _stanza(track: Track, parent: str | None, priority: int) -> Stanza:
    stanza = {
        "track": identifier(track.file.removeprefix("data/").rsplit(".", 1)[0]),
        **({"parent": parent} if parent else {}),
        "type": "bigWig" if track.is_signal else f"bigBed 9{' +' if track.extra else ''}",
        "bigDataUrl": track.file,
        "shortLabel": shortened(_plain(track.name), SHORT),
        "longLabel": shortened(_plain(f"{track.group}: {track.text}" if track.group else track.text), LONG),
        "visibility": {"contributions": "full", "hits": "pack", "variants": "pack"}.get(track.kind, "dense"),
        "color": track.color,
        "html": "description.html",
        "priority": str(priority),
    }
    if track.is_signal:
        stanza |= {
            "autoScale": "on",
            "alwaysZero": "on",
            "maxHeightPixels": "128:40:16",
            "visibility": "full",
        }
        stanza |= {"altColor": "178,24,43", "windowingFunction": "mean"}
        if track.kind == "contributions":
            stanza |= {"logo": "on", "maxHeightPixels": "128:80:16"}
    else:
        stanza["itemRgb"] = "on"
    return stanza


def description_html(tracks: Sequence[Track], settings: BrowserSettings) -> str:
    """The page that the browser shows beneath the tracks."""
    kinds = {track.kind for track in tracks}
    texts = {
        "contributions": "Contribution of each base to the prediction, observed base times hypothetical "
        "contribution, in units of the target. Zoomed in, the letters are as high as the contributions.",
        "hits": "Motif hits; red ones raise the prediction, blue ones lower it.",
        "predictions": "Prediction of each region, at the bases that are nearest to its centre.",
        "observed": "Label of each region, at the bases that are nearest to its centre.",
        "signal": "Measured signal with which predictions are compared.",
        "regions": "Regions that the model read; the thick part is the peak.",
        "variants": "Scored variants; red: the other allele raises the prediction, blue: it lowers it.",
    }
    rows = "".join(f"<li><b>{kind}</b>: {text}</li>\n" for kind, text in texts.items() if kind in kinds)
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(settings.title)}</title></head>\n'
        "<body>"
        f"<h2>Description</h2>\n<p>{html.escape(settings.title)}</p>\n"
        f"<h2>Display Conventions and Configuration</h2>\n<ul>\n{rows}</ul>\n"
        "<h2>Methods</h2>\n<p>Made with cislex. The report of the run (report.html in the results folder) "
        "has the methods text, its settings and what to know before trusting the tracks.</p>\n"
        "</body></html>\n"
    )


def _slug(text: str) -> str:
    """A title as one word."""
    return "_".join(["cislex", *re.findall("[A-Za-z0-9]+", text)])[:60]


def _plain(text: str) -> str:
    """The text in printable ASCII on one line, as hubs want labels."""
    return " ".join(text.encode("ascii", "replace").decode().split())


def _text(stanzas: Sequence[Stanza]) -> str:
    return "\n".join("".join(f"{key} {value}\n" for key, value in stanza.items()) for stanza in stanzas)
