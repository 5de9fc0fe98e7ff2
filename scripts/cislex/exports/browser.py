"""The folder ``browser/``: all tracks with sessions of IGV, a hub for UCSC and a page with igv.js.

Nothing in it leads out of it: it can be moved or served as it is. Large files are hard links where the file
system has them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cislex.errors import InputError
from cislex.exports import hub, sessions
from cislex.exports.browser_specs import (
    COLORS,
    BrowserGenome,
    BrowserSettings,
    BrowserTarget,
    BrowserVariants,
    Track,
)
from cislex.exports.features import write_hits, write_regions, write_variants
from cislex.exports.igv.page import write_igv_page
from cislex.exports.signals import write_region_values
from cislex.files.links import link_file
from cislex.files.tables import open_hdf5, read_regions, require_file, write_text
from cislex.files.temporary import replace_folder, temporary_folder
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger, progress
from cislex.regions.chromosome_table import read_sizes
from cislex.regions.twobit import write_twobit

logger = get_logger("browser")


def export_browser(
    folder: str | Path,
    *,
    targets: Sequence[BrowserTarget],
    genome: BrowserGenome,
    regions: Mapping[str, str | Path],
    variants: Sequence[BrowserVariants] = (),
    settings: BrowserSettings,
) -> list[Track]:
    """Write tracks (``data/``), two IGV sessions, a UCSC hub and ``igv.html`` into a folder.

    Parameters
    ----------
    folder
        The folder; ``data/`` and ``genome/`` in it are made anew.
    targets
        Targets on the genome, at least one.
    genome
        The genome of all tracks.
    regions
        ``regions.bed`` by name of the region set.
    variants
        Scored sets of variants.
    settings
        Texts and sizes.

    Returns
    -------
    list of Track
        The tracks, in their order.

    Raises
    ------
    InputError
        When there is no target, or files do not fit the genome.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    if not targets:
        raise InputError("export_browser: no target on the genome, so there is nothing to show in a browser")
    folder = Path(folder)
    sizes = read_sizes(genome.chromosomes)
    with temporary_folder(folder / "data") as staged:
        tracks = _write_tracks(staged, targets, regions, variants, sizes)
        reference, path = _write_genome(staged, genome, settings)
        for part in ("data", "genome"):
            if (staged / part).exists():
                replace_folder(staged / part, folder / part)
            else:  # that of an earlier run
                shutil.rmtree(folder / part, ignore_errors=True)
    locus = _first_locus(targets)
    write_text(sessions.session_xml(tracks, genome=path, locus=locus), folder / "session.xml")
    write_text(sessions.session_json(tracks, reference=reference, locus=locus), folder / "session.json")
    write_text(hub.hub_text(settings), folder / "hub.txt")
    write_text(hub.genomes_text(genome.assembly, settings, locus), folder / "genomes.txt")
    write_text(hub.track_db_text(tracks), folder / "trackDb.txt")
    write_text(hub.description_html(tracks, settings), folder / "description.html")
    if settings.page_regions:
        write_igv_page(targets, folder / "igv.html", sizes, settings)
    logger.info("%d tracks of %d targets in %s", len(tracks), len(targets), folder)
    return tracks


def _write_tracks(
    folder: Path,
    targets: Sequence[BrowserTarget],
    regions: Mapping[str, str | Path],
    variants: Sequence[BrowserVariants],
    sizes: Mapping[str, int],
) -> list[Track]:
    """Write ``data/`` below a folder; return the tracks."""
    tracks: list[Track] = []
    for number in progress(range(len(targets)), total=len(targets), label="tracks of targets"):
        tracks += _target_tracks(targets[number], COLORS[number % len(COLORS)], folder, sizes)
    for name, bed in regions.items():
        file = f"data/regions.{name}.bb"
        if write_regions(bed, folder / file, sizes) is not None:
            tracks.append(Track("regions", f"regions {name}", f"Regions of {name}", file, "", "90,90,90"))
    for found in variants:
        file = f"data/variants.{found.name}.bb"
        columns = write_variants(found.table, folder / file, sizes, found.targets)
        if columns is not None:
            name, text = f"variants {found.name}", f"Variants of {found.name}: {', '.join(found.targets)}"
            tracks.append(Track("variants", name, text, file, "", "60,60,60", len(columns)))
    return tracks


def _target_tracks(target: BrowserTarget, color: str, folder: Path, sizes: Mapping[str, int]) -> list[Track]:
    """Make the files of a target; return its tracks."""
    group, tracks = target.label, []

    def place(kind: str, name: str, text: str, suffix: str, extra: int = 0) -> Path:
        file = f"data/{target.key}.{suffix}"
        tracks.append(Track(kind, name, text, file, group, color, extra))
        return folder / file

    link_file(
        target.contributions, place("contributions", "contributions", "Contributions", "contributions.bw")
    )
    if target.hits is not None:
        columns = write_hits(target.hits, folder / f"data/{target.key}.hits.bb", sizes)
        if columns is not None:
            place("hits", "motif hits", "Motif hits", "hits.bb", len(columns))
    values = _region_values(target.predictions, target.target)
    made = place("predictions", "prediction", "Prediction of each region", "predictions.bw")
    write_region_values(values, values["value"].to_numpy(float), sizes, made)
    if target.observed is not None:
        labels = _region_values(target.observed, f"{target.target}.observed")
        made = place("observed", "observed", "Label of each region", "observed.bw")
        write_region_values(labels, labels["value"].to_numpy(float), sizes, made)
    for name, source in target.signals.items():
        text = f"Measured signal ({name})"
        link_file(source, place("signal", f"signal {name}", text, f"signal.{name}.bw"))
    return tracks


def _region_values(path: Path, column: str) -> pd.DataFrame:
    """Regions of a table with a number of each, as ``value``; NaN where there is none."""
    table = read_numbers(path, texts=("chrom", "name", "strand"))
    if column not in table:
        raise InputError(f"{path}: no column {column}; run the workflow again")
    return table.assign(value=pd.to_numeric(table[column], errors="coerce"))


def _first_locus(targets: Sequence[BrowserTarget]) -> str | None:
    """The region with the highest prediction of the first target that has regions; from 1."""
    for target in targets:
        with open_hdf5(target.attributions, what="attributions", datasets=("prediction",)) as handle:
            prediction = handle["prediction"][...]
            if len(prediction):
                row = int(np.argmax(prediction))
                region = read_regions(handle, row, row + 1).iloc[0]
                return f"{region['chrom']}:{region['start'] + 1}-{region['end']}"
    return None


def _write_genome(
    folder: Path, genome: BrowserGenome, settings: BrowserSettings
) -> tuple[str | dict[str, Any], str]:
    """Put the genome into the folder where wanted; return what igv.js and what IGV know it by."""
    if genome.assembly is None:
        write_twobit(genome.fasta, folder / "genome" / "genome.2bit")
    if not genome.included:
        assert genome.assembly is not None
        return genome.assembly, genome.assembly
    is_blocks = require_file(genome.gzi, what="index of the genome").stat().st_size > 0
    name = f"genome/genome.fa{'.gz' if is_blocks else ''}"
    parts = [(genome.fasta, ""), (genome.fai, ".fai"), *([(genome.gzi, ".gzi")] if is_blocks else [])]
    for source, suffix in parts:
        link_file(source, folder / f"{name}{suffix}")
    reference = {
        "id": genome.assembly or settings.title,
        "name": genome.assembly or settings.title,
        "fastaURL": name,
        "indexURL": f"{name}.fai",
        **({"compressedIndexURL": f"{name}.gzi"} if is_blocks else {}),
    }
    return reference, name
