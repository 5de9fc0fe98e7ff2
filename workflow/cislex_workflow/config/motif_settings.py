"""Settings of motifs: which databases, and what can be found in regions of which length.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.storage_settings import region_length, stored_length

#: Known motifs that pyjaspar carries, as in cislex.motifs.databases; other names are paths.
JASPAR = tuple(
    f"jaspar-{group}" for group in ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")
)
#: The database where none is named, and what holds for seqlets where there are no motifs.
DEFAULT_DATABASE = "jaspar-vertebrates"
DEFAULTS: dict[str, Any] = {"database": None, "databases": None, "release": "JASPAR2026"}
#: TF-MoDISco's patterns before trimming in bp, as in cislex.motifs.discovery; regions must be longer.
PATTERN_WIDTH = 50


def is_jaspar(database: str) -> bool:
    """Whether a database is a collection of JASPAR, not the path of a MEME file."""
    return database.startswith("jaspar-") and not set("./") & set(database)


def databases(motifs: dict[str, Any]) -> list[str]:
    """Databases of the motifs of an analysis, each once, in the order of the config."""
    return list(dict.fromkeys(motifs["databases"] or [motifs["database"] or DEFAULT_DATABASE]))


def seqlet_databases(analysis: dict[str, Any]) -> list[str]:
    """Databases that name the seqlets of an analysis: its own, else those of its motifs."""
    seqlets = analysis["seqlets"]
    if seqlets is None:
        return []
    own = seqlets["databases"]
    return list(dict.fromkeys(own)) if own else databases(analysis["motifs"] or DEFAULTS)


def _database_checks(key: str, motifs: dict[str, Any]) -> Iterator[str]:
    """One way to name databases, and names that exist."""
    if motifs["database"] is not None and motifs["databases"] is not None:
        yield f"{key}: give database or databases, not both; move {motifs['database']} into databases"
    yield from _unknown(key, databases(motifs))


def _unknown(key: str, named: list[str]) -> Iterator[str]:
    for database in named:
        if is_jaspar(database) and database not in JASPAR:
            known, hint = ", ".join(JASPAR), suggestion(database, JASPAR)
            yield f"{key}: database '{database}' is not one of {known}{hint}"


def _hit_checks(key: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Hits that have something to look for."""
    hits = analysis["hits"]
    if hits is None:
        return
    if hits["database"] is not None:
        if hits["method"] != "scan":
            yield f"{key}: database goes with method: scan only; Fi-NeMo needs motifs with contributions"
        elif is_jaspar(hits["database"]) and hits["database"] not in JASPAR:
            known, hint = ", ".join(JASPAR), suggestion(hits["database"], JASPAR)
            yield f"{key}: database '{hits['database']}' is not one of {known}{hint}"
        return
    words = config["lexicon"] is not None and any(a["motifs"] for a in config["analyses"].values())
    if analysis["motifs"] is None and not words:
        yield (
            f"{key}: hits need motifs, but motifs is null and there is no lexicon of other analyses; set "
            "hits: null too, or scan for known motifs: hits: {method: scan, database: jaspar-vertebrates}"
        )


def _seqlet_checks(key: str, seqlets: dict[str, Any], length: int | None) -> Iterator[str]:
    """Seqlets that fit into the regions, of databases that exist."""
    yield from _unknown(key, seqlets["databases"] or [])
    if seqlets["min_length"] > seqlets["max_length"]:
        yield f"{key}: min_length is {seqlets['min_length']}, more than max_length ({seqlets['max_length']})"
    if length is None:
        return
    window = min(seqlets["window"] or length, length)
    if seqlets["min_length"] > window:
        yield f"{key}.min_length: {seqlets['min_length']} bp, but {window} bp of each region are searched"


def motif_checks(name: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Motifs and seqlets that are short enough for their regions, and hits that have motifs."""
    motifs = analysis["motifs"]
    whole = region_length(analysis, config)
    length = None if whole is None else stored_length(analysis, whole)
    yield from _hit_checks(f"analyses.{name}.hits", analysis, config)
    for part in ("motifs", "seqlets", "hits"):
        window = (analysis[part] or {"window": None})["window"]
        if length is not None and window is not None and window > length:
            key = f"analyses.{name}.{part}.window"
            yield f"{key}: {window} bp of regions of {length} bp; expected at most {length}, or null"
    if analysis["seqlets"] is not None:
        yield from _seqlet_checks(f"analyses.{name}.seqlets", analysis["seqlets"], length)
    if motifs is None:
        return
    yield from _database_checks(f"analyses.{name}.motifs", motifs)
    if length is None:
        return
    if length <= PATTERN_WIDTH:
        stored = "" if length == whole else ", of which attributions.window stores"
        yield (
            f"analyses.{name}: regions of {whole} bp{stored and f'{stored} {length} bp,'} are too short for "
            f"motifs: TF-MoDISco needs more than {PATTERN_WIDTH} bp. Set motifs: null, or use "
            f"{'a larger window' if stored else 'a model with longer regions'}"
        )
