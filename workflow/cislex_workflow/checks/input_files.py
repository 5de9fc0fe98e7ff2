"""Check, at planning time, that the files in the config exist and that the results can be written.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cislex_workflow import model_sources
from cislex_workflow.config.motif_settings import databases, is_jaspar
from cislex_workflow.config.track_targets import interval_files

#: Missing files that are named in full.
MOST_NAMED = 8
#: Weights in a snapshot of the Hugging Face hub, whose folder may be named in their place.
_OF_SNAPSHOTS = ("model.safetensors", "pytorch_model.bin")


def named_files(config: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Key and path of every file that the analyses of a complete config read."""
    regions = {analysis["regions"] for analysis in config["analyses"].values()}
    models = {analysis["model"] for analysis in config["analyses"].values()}
    genomic = any(one["backgrounds"]["kind"] == "genomic" for one in config["insertions"].values())
    if config["variants"] or genomic or any(config["regions"][name]["peaks"] for name in regions):
        for key in ("fasta", "aliases", "blacklist"):
            yield f"genome.{key}", (config["genome"] or {}).get(key)
    for name in sorted(regions):
        for key in ("peaks", "fasta", "hdf5", "names", "table"):
            yield f"regions.{name}.{key}", config["regions"][name][key]
    for name in sorted(models):
        yield from _of_model(f"models.{name}", config["models"][name])
    for name, variants in config["variants"].items():
        for key in ("vcf", "table"):
            yield f"variants.{name}.{key}", variants[key]
    for name, settings in config["insertions"].items():
        yield f"insertions.{name}.meme", settings["meme"]
        yield f"insertions.{name}.backgrounds.fasta", settings["backgrounds"]["fasta"]
    for name, settings in config["evolution"].items():
        yield f"evolution.{name}.start.fasta", settings["start"]["fasta"]
        yield f"evolution.{name}.constraints.keep_bed", settings["constraints"]["keep_bed"]
    for name, analysis in config["analyses"].items():
        for path in interval_files(analysis["targets"]):
            yield f"analyses.{name}.targets, intervals.bed", path
        yield f"analyses.{name}.method.references.path", analysis["method"]["references"]["path"]
        for target, label in (analysis["labels"] or {}).items():
            for source in ("table", "peaks", "bigwig", "plus", "minus", "hdf5"):
                yield f"analyses.{name}.labels.{target}.{source}", label[source]
        for part, path in meme_files(analysis):
            yield f"analyses.{name}.{part}, database", path


def meme_files(analysis: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The part of an analysis that names a MEME file of known motifs, and its path."""
    named = {
        "motifs": databases(analysis["motifs"]) if analysis.get("motifs") else [],
        "seqlets": (analysis.get("seqlets") or {}).get("databases") or [],
        "hits": [(analysis.get("hits") or {}).get("database") or "jaspar-"],
    }
    for part, found in named.items():
        for database in found:
            if not is_jaspar(database):
                yield part, database


def _of_model(key: str, model: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    for fold, path in model["folds"].items():
        yield f"{key}.folds.{fold}", path
    if model["module"]:
        module = model["module"].rsplit(":", 1)[0]
        yield f"{key}.module", module
        for path in model_sources.neighbours(module):
            yield f"{key}.module, import of {path}", path
    for name in ("bias", "tracks"):
        given = model[name] or {}
        for part, path in (given if isinstance(given, dict) else {"": given}).items():
            yield f"{key}.{name}{'.' if part else ''}{part}", path
    training = model["training"]
    if training is None or all(model["folds"].values()):
        return
    for source in ("tasks", "labels"):
        for name, path in (training[source] or {}).items():
            yield f"{key}.training.{source}.{name}", path
    yield f"{key}.training.negatives.path", training["negatives"]["path"]
    if training["hdf5"]:
        yield f"{key}.training.hdf5.path", training["hdf5"]["path"]
    if training["signal"]:
        yield f"{key}.training.signal.peaks", training["signal"]["peaks"]
        for name, track in training["signal"]["tracks"].items():
            for strand, path in track.items():
                yield f"{key}.training.signal.tracks.{name}.{strand}", path


def given_files(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and path of every file that is read and that no rule of this workflow makes."""
    made = (config["results"].rstrip("/") + "/", "resources/downloads/")
    for key, path in named_files(config):
        if path and not path.startswith(made):
            yield key, path


def missing_files(config: dict[str, Any], folder: Path) -> list[str]:
    """A line for each file that is not there and that no rule of this workflow makes.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    found = []
    for key, path in given_files(config):
        if not (folder / path).exists():
            found.append(f"{key}: no such file: {path}")
        elif (folder / path).is_dir() and ".training.labels." not in key:
            inside = (
                [name for name in _OF_SNAPSHOTS if (folder / path / name).exists()]
                if ".folds." in key
                else []
            )
            named = f": name the weights in it, {path.rstrip('/')}/{inside[0]}" if inside else ""
            found.append(f"{key}: {path} is a folder; expected a file{named}")
    return found


def message(missing: list[str], folder: Path, configs: Iterable[Path] = ()) -> str:
    """What is said about them, and where relative paths start.

    Parameters
    ----------
    missing
        A line for each file.
    folder
        The folder in which relative paths start.
    configs
        The config files: paths may be meant from theirs.
    """
    lines = missing[:MOST_NAMED]
    if len(missing) > MOST_NAMED:
        lines.append(f"… and {len(missing) - MOST_NAMED} more")
    beside = [path.parent for path in configs if path.parent != folder]
    own = (
        f", not in the folder of the config: for that, run with --directory {shlex.quote(str(beside[0]))}"
        if beside
        else ""
    )
    return "\n  ".join(["files named in the config are missing:", *lines]) + (
        f"\nRelative paths are relative to {folder}{own}."
    )


def results_problem(results: str, folder: Path) -> str | None:
    """Why nothing can be written below the results folder, or None."""
    path = (folder / results).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        return f"results: {results} cannot be created: {path} is a file; name another folder"
    if not os.access(path, os.W_OK | os.X_OK):
        return f"results: {results} cannot be written: no permission in {path}; name another folder"
    return None
