"""Targets of tracks: names become numbers, bins get their place, one entry may become a target per track.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cislex_workflow.config.track_tables import TrackTable, read_track_table

Settings = dict[str, Any]
#: The table of an output of the model; None where it has none.
Tables = Callable[[Any], TrackTable | None]


def resolve_tracks(config: Settings, read: Callable[[str], Path]) -> list[str]:
    """Replace the targets of every analysis by those of jobs, in place; returns what is wrong, a line each.

    Parameters
    ----------
    config
        The config, with defaults and paths.
    read
        Where the file of a path lies.
    """
    wrong: list[str] = []
    tables = functools.cache(lambda path: read_track_table(read(path)))
    for name, analysis in config["analyses"].items():
        model = config["models"].get(analysis["model"])
        if model is None:  # told by the checks
            continue
        found: dict[str, Settings] = {}
        for key, target in analysis["targets"].items():
            where = f"analyses.{name}.targets.{key}"
            try:
                for own, entry in _expanded(key, target, model, _tables_of(model, tables)):
                    if own in found or (own != key and own in analysis["targets"]):
                        raise ValueError(
                            f"two targets would be called {own!r}; give one of the tracks a target of its own"
                        )
                    found[own] = entry
            except ValueError as error:
                wrong.append(f"{where}: {error}")
        analysis["targets"] = found
    return wrong


def interval_files(targets: Mapping[str, Settings]) -> list[str]:
    """Files of intervals that targets read, each once."""
    parts = [part for target in targets.values() for part in _places(target)]
    return list(dict.fromkeys(part["intervals"]["bed"] for part in parts if "intervals" in part))


#: Sections whose sequences are no regions, and what to do.
_ELSEWHERE = ("variants", "insertions", "evolution")


def interval_checks(config: Settings) -> Iterator[str]:
    """Intervals of regions where there are regions on a genome, a line for each misfit."""
    read = {name for name, analysis in config["analyses"].items() if interval_files(analysis["targets"])}
    for name in sorted(read):
        regions = config["analyses"][name]["regions"]
        if config["regions"].get(regions, {}).get("peaks") is None:
            yield (
                f"analyses.{name}.targets: intervals need coordinates, but {regions} are sequences given "
                "directly; use window"
            )
    for section in _ELSEWHERE:
        for name, settings in config[section].items():
            if settings["analysis"] in read:
                yield (
                    f"{section}.{name}.analysis: targets of {settings['analysis']} sum intervals of its "
                    "regions, which other sequences do not have; use an analysis whose targets have a window"
                )
    for name, settings in config["comparisons"].items():
        if settings["faithfulness"] is not None and (found := read & set(settings["analyses"])):
            yield (
                f"comparisons.{name}.faithfulness: targets of {min(found)} sum intervals of single regions, "
                "for which no curves are drawn; set faithfulness: null"
            )


def _tables_of(model: Settings, tables: Callable[[str], TrackTable]) -> Tables:
    def table(head: Any) -> TrackTable | None:
        given = model["tracks"]
        path = given.get(str(head)) if isinstance(given, dict) else given
        return None if path is None else tables(path)

    return table


def _expanded(key: str, target: Settings, model: Settings, tables: Tables) -> list[tuple[str, Settings]]:
    """Names and settings of the targets that one entry stands for."""
    parts = list(_places(target))
    several = [part for part in parts if part.get("each")]
    if len(several) > 1:
        raise ValueError("found each: true twice; expected one list of tracks that gives a target each")
    numbers = {id(part): _numbers(part, tables) for part in parts}
    if not several:
        return [(key, _complete(target, numbers, model, tables))]
    chosen = numbers[id(several[0])]
    if chosen is None:
        raise ValueError(
            "each: true needs tracks: their numbers or names, or '*' for every track of the table"
        )
    table = tables(several[0].get("head"))
    found: dict[str, int] = {}
    for track in chosen:
        label = str(track) if table is None else table.track(track).label
        name = f"{key}.{label}"
        if name in found:
            raise ValueError(
                f"tracks {found[name]} and {track} would both be called {name!r}; give each its own target"
            )
        found[name] = track
    return [
        (name, _complete(target, {**numbers, id(several[0]): [track]}, model, tables))
        for name, track in found.items()
    ]


def _places(target: Settings) -> Iterator[Settings]:
    """Every part of a target that is of kind tracks."""
    if target["kind"] == "tracks":
        yield target
    for part in _inner(target).values():
        for one in part if isinstance(part, list) else [part]:
            yield from _places(one)


def _inner(target: Settings) -> dict[str, Any]:
    return {key: target[key] for key in ("a", "b", "of", "parts") if key in target}


def _numbers(part: Settings, tables: Tables) -> list[int] | None:
    """Numbers of the tracks, ascending; None for all."""
    found = _named(part, tables)
    return None if found is None else sorted(found)


def _named(part: Settings, tables: Tables) -> list[int] | None:
    """Numbers of the tracks in the order in which they are named, each once; None for all."""
    if part.get("tracks") is None:
        return None
    table = tables(part.get("head"))
    found: list[int] = []
    for item in part["tracks"]:
        if isinstance(item, int):
            found.append(item if table is None else table.track(item).index)
        elif table is None:
            head = f" for head {part['head']}" if "head" in part else ""
            raise ValueError(f"track {item!r} is a name, but the model has no table `tracks`{head}")
        else:
            found += table.find(item)
    return list(dict.fromkeys(found))


def _complete(
    target: Settings, numbers: Mapping[int, list[int] | None], model: Settings, tables: Tables
) -> Settings:
    """The target as jobs get it."""
    found = dict(target)
    for key, part in _inner(target).items():
        several = isinstance(part, list)
        done = [_complete(one, numbers, model, tables) for one in (part if several else [part])]
        found[key] = done if several else done[0]
    if target["kind"] != "tracks":
        return found
    found.pop("each", None)
    tracks, table, pairs = numbers[id(target)], tables(target.get("head")), None
    if tracks is not None:
        found["tracks"] = tracks
        if pairs := _pairs(tracks, table):
            found["strand_pairs"] = pairs
    if "unsquash" in target:
        named = _named(target, tables)
        found["unsquash"] = _unsquash(target["unsquash"], tracks, table, named)
        turned = _unsquash(target["unsquash"], pairs or tracks, table, named, tracks)
        if turned != found["unsquash"]:
            found.setdefault("strand_unsquash", turned)
    bins = target.get("bins") or model["bins"]
    if bins is not None:
        found["bins"] = _bins(bins, model)
    if "window" in found:
        _check_window(found)
    if "intervals" in found:
        _check_intervals(found)
    return found


def _check_intervals(target: Settings) -> None:
    if "window" in target:
        raise ValueError("found window and intervals; give one of them")
    if target.get("pre_activation"):
        raise ValueError("intervals cannot be combined with pre_activation")
    if "bins" not in target:
        raise ValueError("intervals need the width of a bin: give models.<name>.bins, or bins of the target")


def _pairs(tracks: list[int], table: TrackTable | None) -> list[int] | None:
    """The tracks of the other strand, where the table says that there are any."""
    if table is None or "strand_pair" not in table.track(tracks[0]).cells:
        return None
    pairs = [int(number) for number in table.numbers("strand_pair", tracks)]
    return None if pairs == tracks else pairs


def _unsquash(
    squash: Settings,
    tracks: list[int] | None,
    table: TrackTable | None,
    named: list[int] | None,
    own: list[int] | None = None,
) -> Settings:
    """The squashing with a number for all tracks, or one for each, in place of ``table``.

    Parameters
    ----------
    squash
        As it is given; its lists belong to ``named``.
    tracks
        Tracks whose numbers are wanted; None for all.
    table
        The model's, if there is one.
    named
        The tracks in the order in which the target names them.
    own
        Where ``tracks`` are those of the other strand: the tracks whose place they take, and whose number
        they have where the list has none of their own.
    """
    found = dict(squash)
    for key in ("clip_soft", "scale"):
        value = found.get(key)
        if value == "table":
            if tracks is None or table is None:
                raise ValueError(
                    f"unsquash.{key}: table needs tracks, and a table of the model's; or give a number"
                )
            numbers = table.numbers(key, tracks)
            found[key] = numbers[0] if len(set(numbers)) == 1 else numbers
        elif isinstance(value, list):
            if tracks is None or named is None or len(value) != len(named):
                many = "all tracks" if named is None else f"{len(named)} tracks"
                raise ValueError(
                    f"unsquash.{key}: found {len(value)} numbers for {many}; expected one for each of "
                    "`tracks`, in their order"
                )
            given = dict(zip(named, value, strict=True))
            found[key] = [
                given.get(one, given[place]) for one, place in zip(tracks, own or tracks, strict=True)
            ]
    return found


def _bins(bins: Settings, model: Settings) -> Settings:
    if model["pad_to"] is not None:
        raise ValueError(
            "bins are counted in the regions, which pad_to makes longer: give regions of that length"
        )
    crop, length = bins.get("crop"), model["input_length"]
    ends = [crop, crop] if isinstance(crop, int) else crop
    if ends is not None and (sum(ends) >= length or (length - sum(ends)) % bins["width"]):
        raise ValueError(
            f"bins of {bins['width']} bp and a crop of {ends} do not make up the {length} bp of input_length"
        )
    return {"width": bins["width"], "length": length, "crop": ends}


def _check_window(target: Settings) -> None:
    """A window that lies in what the bins cover, as far as the config tells."""
    start, stop = target["window"]
    bins = target.get("bins")
    if bins is None:
        raise ValueError("window needs the width of a bin: give models.<name>.bins, or bins of the target")
    length, (left, right) = bins["length"], bins["crop"] or (0, 0)
    base = length // 2 if target.get("anchor", "centre") == "centre" else 0
    if not (start < stop and left <= base + start and base + stop <= length - right):
        raise ValueError(
            f"window [{start}, {stop}] bp from the {target.get('anchor', 'centre')} is not in what the bins "
            f"cover, [{left - base}, {length - right - base}]"
        )
