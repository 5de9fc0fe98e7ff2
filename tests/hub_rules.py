"""The published rules of UCSC's track hubs, as far as a hub here uses them, checked without the browser.

From the "Hub Track Database Definition" and the track hub help: settings by type of track, what must be
there, how long labels may be, what names and values look like. A setting that is not listed is a problem.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyBigWig

Stanza = dict[str, str]

COLOR = r"(\d{1,3}),(\d{1,3}),(\d{1,3})"
COMMON = {
    "track": r"[A-Za-z][A-Za-z0-9_-]*", "shortLabel": r"[ -~]{1,17}", "longLabel": r"[ -~]{1,76}",
    "html": r"\S+", "priority": r"\d+(\.\d+)?",
}  # fmt: skip
DATA = {
    "parent": r"[A-Za-z][A-Za-z0-9_-]*( (on|off))?", "type": r"bigWig|bigBed \d+( \+)?",
    "bigDataUrl": r"[^\s/]\S*",
    "visibility": "hide|dense|squish|pack|full", "color": COLOR, "altColor": COLOR,
}  # fmt: skip
BY_TYPE = {
    "bigWig": {
        "autoScale": "on|off|group .*", "alwaysZero": "on|off", "maxHeightPixels": r"\d+:\d+:\d+",
        "windowingFunction": r"mean\+whiskers|maximum|mean|minimum|sum", "logo": "on|off",
    },
    "bigBed": {"itemRgb": "on|off"},
}  # fmt: skip
SUPER = {"superTrack": "on( show)?"}
HUB = {
    "hub": r"[A-Za-z0-9_]+", "shortLabel": r"[ -~]{1,17}", "longLabel": r"[ -~]{1,80}",
    "genomesFile": r"\S+", "email": r"\S+@\S+", "descriptionUrl": r"\S+",
}  # fmt: skip
GENOME = {"genome": r"[A-Za-z0-9_.]+", "trackDb": r"\S+"}
ASSEMBLY = {
    "twoBitPath": r"\S+", "description": ".+", "organism": ".+", "scientificName": ".+",
    "orderKey": r"\d+", "defaultPos": r"\S+:\d+-\d+",
}  # fmt: skip


def stanzas(path: Path) -> list[Stanza]:
    """The stanzas of a file: lines of a setting and its value, between empty lines."""
    found = []
    for block in re.split(r"\n\s*\n", path.read_text(encoding="ascii").strip()):
        pairs = [line.split(" ", 1) for line in block.splitlines()]
        assert all(len(pair) == 2 for pair in pairs), f"{path.name}: a setting without a value: {block}"
        assert len({key for key, _ in pairs}) == len(pairs), f"{path.name}: a setting twice: {block}"
        found.append(dict(pairs))
    return found


def problems(folder: Path) -> list[str]:
    """What is wrong with a hub."""
    (hub,) = stanzas(folder / "hub.txt")
    found = _check("hub.txt", hub, HUB, {"hub", "shortLabel", "longLabel", "genomesFile"})
    genomes = stanzas(folder / hub["genomesFile"])
    for genome in genomes:
        own = "twoBitPath" in genome
        needed = {"genome", "trackDb"} | ({"defaultPos", "organism", "description"} if own else set())
        found += _check("genomes.txt", genome, GENOME | (ASSEMBLY if own else {}), needed)
        found += [
            f"{genome[key]}: missing"
            for key in ("twoBitPath",)
            if own and not (folder / genome[key]).is_file()
        ]
        found += _track_problems(folder, stanzas(folder / genome["trackDb"]))
    found += [] if (folder / hub["descriptionUrl"]).is_file() else ["no description"]
    return found


def _track_problems(folder: Path, tracks: list[Stanza]) -> list[str]:
    names = [track.get("track", "") for track in tracks]
    found = [f"track {name} twice" for name in names if names.count(name) > 1]
    supers = set()
    for track in tracks:
        name = track.get("track", "?")
        if next(iter(track)) != "track":
            found.append(f"{name}: a stanza begins with track")
        if "superTrack" in track:
            supers.add(name)
            found += _check(name, track, COMMON | SUPER, {"track", "shortLabel", "longLabel", "superTrack"})
            continue
        kind = track.get("type", "").split(" ")[0]
        allowed = COMMON | DATA | BY_TYPE.get(kind, {})
        found += _check(name, track, allowed, {"track", "type", "shortLabel", "longLabel", "bigDataUrl"})
        if "parent" in track and track["parent"].split()[0] not in supers:
            found.append(f"{name}: its parent does not come before it")
        found += [f"{name}: {file} is missing" for file in [track["html"]] if not (folder / file).is_file()]
        found += _file_problems(name, track["type"], folder / track["bigDataUrl"])
    return found


def _file_problems(name: str, kind: str, path: Path) -> list[str]:
    if not path.is_file():
        return [f"{name}: {path.name} is missing"]
    with pyBigWig.open(str(path)) as file:
        if file.isBigWig():
            return [] if kind == "bigWig" else [f"{name}: a bigWig of type {kind}"]
        columns = len(re.findall(r';\s*"', file.SQL().decode()))
    standard = int(kind.split()[1])
    expected = f"bigBed {standard}{' +' if columns > standard else ''}"
    return [] if kind == expected and columns >= standard else [f"{name}: {columns} columns, but {kind}"]


def _check(where: str, stanza: Stanza, allowed: dict[str, str], needed: set[str]) -> list[str]:
    found = [f"{where}: {key} is missing" for key in sorted(needed - stanza.keys())]
    for key, value in stanza.items():
        if key not in allowed:
            found.append(f"{where}: no setting {key} there")
            continue
        good = re.fullmatch(allowed[key], value)
        if not good or (allowed[key] == COLOR and max(map(int, value.split(","))) > 255):
            found.append(f"{where}: {key} {value}")
    return found
