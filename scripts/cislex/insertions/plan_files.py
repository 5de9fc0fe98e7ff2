"""The plan of an experiment: everything that its jobs need besides the model, in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex import provenance
from cislex.files.hdf5 import new_hdf5
from cislex.files.tables import (
    FORMAT_VERSION,
    REGION_COLUMNS,
    atomic_path,
    open_hdf5,
    read_regions,
    write_array,
    write_regions,
)
from cislex.insertions.backgrounds import Codes
from cislex.insertions.constructs import Grid, GridSettings, make_grid
from cislex.insertions.inserts import Insert
from cislex.insertions.sites import Sites, SiteSettings


@dataclass(frozen=True)
class Plan:
    """What is put where.

    Attributes
    ----------
    inserts
        The motifs.
    grid_settings
        Distances, orientations and pairs; the constructs follow from them (:meth:`grid`).
    backgrounds
        Codes (n, L), without unknown bases.
    names
        Of the backgrounds.
    seed
        Of the sites that are drawn from motifs.
    sites, site_settings
        Real sites; none without ``site_settings``.
    """

    inserts: Sequence[Insert]
    grid_settings: GridSettings
    backgrounds: Codes
    names: Sequence[str]
    seed: int
    sites: Sites
    site_settings: SiteSettings | None

    @property
    def length(self) -> int:
        """Length of the sequences in bp."""
        return int(self.backgrounds.shape[1])

    def grid(self) -> Grid:
        """The constructs, in an order that the inserts and settings determine."""
        return make_grid(self.inserts, self.grid_settings, self.length)

    def digest(self) -> str:
        """Digest of all of it."""
        sites = self.sites
        arrays = (self.backgrounds, sites.word, sites.sequences, sites.start, sites.end, sites.contexts)
        return provenance.digest_strings([json.dumps(_settings(self)), *(a.tobytes().hex() for a in arrays)])


def no_sites(length: int) -> Sites:
    """No sites in sequences of a length."""
    empty = np.zeros(0, np.int64)
    regions = pd.DataFrame({name: [] for name in REGION_COLUMNS})
    return Sites(empty, np.zeros((0, length), np.uint8), empty, empty, np.zeros((0, 0), np.int64), regions)


def _settings(plan: Plan) -> dict[str, Any]:
    return {
        "inserts": [
            dataclasses.asdict(insert) | {"choices": insert.choices.tolist()} for insert in plan.inserts
        ],
        "grid": dataclasses.asdict(plan.grid_settings),
        "sites": None if plan.site_settings is None else dataclasses.asdict(plan.site_settings),
        "names": list(plan.names),
        "seed": plan.seed,
    }


def write_plan(plan: Plan, path: str | Path) -> None:
    """Write a plan, atomically."""
    sites = plan.sites
    arrays: dict[str, NDArray[Any]] = {
        "backgrounds": plan.backgrounds,
        "sites/word": sites.word,
        "sites/sequences": sites.sequences,
        "sites/start": sites.start,
        "sites/end": sites.end,
        "sites/contexts": sites.contexts,
    }
    with atomic_path(path) as temporary, new_hdf5(temporary) as handle:
        for name, values in arrays.items():
            write_array(handle, name, values)
        write_regions(handle["sites"], sites.regions)
        settings = json.dumps(_settings(plan)).encode()
        write_array(handle, "settings", np.frombuffer(settings, np.uint8))
        handle.attrs.update(
            provenance.to_attributes(
                {
                    "format_version": FORMAT_VERSION,
                    "digest": plan.digest(),
                    "versions": provenance.versions(),
                }
            )
        )


def read_plan(path: str | Path) -> Plan:
    """Read a plan.

    Raises
    ------
    StorageError, InputError
        The file is missing, damaged or no plan.
    """
    names = ("backgrounds", "sites", "settings")
    with open_hdf5(path, what="plan of insertions", datasets=names) as handle:
        settings = json.loads(bytes(handle["settings"][...]))
        sites = _read_sites(handle["sites"])
        backgrounds = handle["backgrounds"][...]
    inserts = [Insert(**{**one, "choices": np.array(one["choices"])}) for one in settings["inserts"]]
    return Plan(
        inserts,
        GridSettings(**settings["grid"]),
        backgrounds,
        settings["names"],
        settings["seed"],
        sites,
        None if settings["sites"] is None else SiteSettings(**settings["sites"]),
    )


def _read_sites(group: h5py.Group) -> Sites:
    names = ("word", "sequences", "start", "end", "contexts")
    word, sequences, start, end, contexts = (group[name][...] for name in names)
    return Sites(word, sequences, start, end, contexts, read_regions(group))
