"""Checks beyond the JSON schema: names that refer to each other, settings that must agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.comparison_checks import comparison_checks
from cislex_workflow.config.contrast_checks import contrast_checks
from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.evolution_checks import evolution_checks
from cislex_workflow.config.insertion_checks import insertion_checks
from cislex_workflow.config.model_settings import model_checks
from cislex_workflow.config.motif_settings import motif_checks
from cislex_workflow.config.reference_settings import reference_checks, uncertainty_checks
from cislex_workflow.config.region_settings import region_checks
from cislex_workflow.config.screen_checks import screen_checks
from cislex_workflow.config.storage_settings import storage_checks
from cislex_workflow.config.track_targets import interval_checks
from cislex_workflow.config.variant_checks import variant_checks

#: A limit below this on the relative delta fails nearly every region in bfloat16.
LEAST_BFLOAT16_DELTA = 0.1


def cross_checks(config: dict[str, Any]) -> Iterator[str]:
    """What a JSON schema cannot say: names that refer to each other, lengths that must agree."""
    lengths: dict[str, dict[int, str]] = {}
    for name, analysis in config["analyses"].items():
        for key, section in (("regions", "regions"), ("model", "models")):
            if analysis[key] not in config[section]:
                known = config[section]
                hint = suggestion(analysis[key], known)
                yield f"analyses.{name}.{key}: no '{analysis[key]}' in {section}: {', '.join(known)}{hint}"
        if analysis["model"] in config["models"]:
            loader = config["models"][analysis["model"]]["loader"]
            if loader == "torchscript" and analysis["method"]["name"] == "deep_lift_shap":
                yield (
                    f"analyses.{name}: deep_lift_shap cannot see the operations of TorchScript; "
                    "export the model with torch.export (loader: exported), or use a gradient method or ism"
                )
            length = config["models"][analysis["model"]]["input_length"]
            lengths.setdefault(analysis["regions"], {})[length] = name
    for name, regions in config["regions"].items():
        wanted = lengths.get(name, {})
        if regions["length"] is not None:
            wanted = {**wanted, regions["length"]: "its own length"}
        if len(wanted) > 1:
            found = ", ".join(f"{length} ({who})" for length, who in wanted.items())
            yield f"regions.{name}: all regions of a set need one length, but these differ: {found}"
        yield from region_checks(name, regions)
    for name, model in config["models"].items():
        yield from model_checks(name, model)
    yield from _genome_checks(config)
    yield from _fetch_checks(config)
    yield from _report_checks(config)
    yield from _export_checks(config)
    yield from _method_checks(config)
    yield from _fold_checks(config)
    yield from variant_checks(config)
    yield from insertion_checks(config)
    yield from comparison_checks(config)
    yield from contrast_checks(config)
    yield from evolution_checks(config)
    yield from interval_checks(config)
    for name, analysis in config["analyses"].items():
        yield from storage_checks(name, analysis, config)
        yield from screen_checks(name, analysis, config)
        yield from motif_checks(name, analysis, config)
        yield from _syntax_checks(name, analysis)
        for target, label in (analysis["labels"] or {}).items():
            for problem in _label_checks(config, analysis, target, label):
                yield f"analyses.{name}.labels.{target}: {problem}"


def notices(config: dict[str, Any]) -> list[str]:
    """What may be meant otherwise, but can be run: parts of a complete config that no analysis uses."""
    found = []
    for section, key in (("regions", "regions"), ("models", "model")):
        used = {analysis[key] for analysis in config["analyses"].values()}
        unused = [name for name in config[section] if name not in used]
        if unused:
            more = f" and {len(unused) - 5} more" if len(unused) > 5 else ""
            found.append(f"{section} that no analysis uses: {', '.join(unused[:5])}{more}")
    return found


def _syntax_checks(name: str, analysis: dict[str, Any]) -> Iterator[str]:
    """Syntax that has hits, and settings that agree."""
    settings = analysis["syntax"]
    if settings is None:
        return
    if analysis["hits"] is None:
        yield f"analyses.{name}.syntax: syntax needs hits, but hits is null; set syntax: null too"
    if settings["shortest_period"] >= settings["longest_period"]:
        yield (
            f"analyses.{name}.syntax: shortest_period ({settings['shortest_period']:g}) must be below "
            f"longest_period ({settings['longest_period']:g})"
        )


def _fetch_checks(config: dict[str, Any]) -> Iterator[str]:
    """Downloads that can be checked."""
    for name, entry in config["fetch"].items():
        if entry["sha256"] is None and entry["sequence_md5"] is None:
            yield (
                f"fetch.{name}: give a digest to verify the download: sha256 (`sha256sum` of the published "
                "file), or sequence_md5 for a genome"
            )


def _report_checks(config: dict[str, Any]) -> Iterator[str]:
    for locus in config["report"]["loci"]:
        start, dash, end = locus.rpartition(":")[2].replace(",", "").replace("–", "-").partition("-")
        if dash and int(end) <= int(start):
            yield f"report.loci: '{locus}' does not end after its start; expected chromosome:start-end"


def _export_checks(config: dict[str, Any]) -> Iterator[str]:
    """Files for browsers and other tools that no analysis could have."""
    if config["browser"] and config["browser"]["genome"] is False and config["report"]["assembly"] is None:
        yield "browser.genome: false needs report.assembly, the name by which browsers know the genome"
    on_genome = any(config["regions"].get(a["regions"], {}).get("peaks") for a in config["analyses"].values())
    if "bedgraph" in config["exports"] and not on_genome:
        yield "exports: bedgraph needs regions on the genome, but all are sequences given directly"
    if "anndata" in config["exports"] and not any(a["hits"] for a in config["analyses"].values()):
        yield "exports: anndata needs hits, but no analysis has them; set analyses.<name>.hits"


def _genome_checks(config: dict[str, Any]) -> Iterator[str]:
    """A genome, where something lies on one."""
    if config["genome"] is not None:
        return
    needs = [
        f"regions.{name} (peaks)" for name, entry in config["regions"].items() if entry["peaks"] is not None
    ]
    needs += [
        f"models.{name}.training ({source})"
        for name, model in config["models"].items()
        for source in ("tasks", "signal")
        if (model["training"] or {}).get(source) is not None
    ]
    needs += [f"variants.{name}" for name in config["variants"]]
    needs += [
        f"insertions.{name}.backgrounds (genomic)"
        for name, settings in config["insertions"].items()
        if settings["backgrounds"]["kind"] == "genomic"
    ]
    if needs:
        more = f" and {len(needs) - 3} more" if len(needs) > 3 else ""
        yield f"genome: needed by {', '.join(needs[:3])}{more}; give genome: {{fasta: …}}"


def _method_checks(config: dict[str, Any]) -> Iterator[str]:
    """References that are there, and a gate that the precision can pass."""
    for name, analysis in config["analyses"].items():
        references, gate = analysis["method"]["references"], analysis["qc"]
        yield from reference_checks(name, analysis["method"])
        yield from uncertainty_checks(name, analysis)
        if (references["kind"] == "saved") != (references["path"] is not None):
            yield f"analyses.{name}: references.path is required with kind: saved and only valid there"
        yield from _window_checks(name, analysis, config)
        direct = config["regions"].get(analysis["regions"], {}).get("peaks") is None
        if references["kind"] == "genomic" and direct:
            yield (
                f"analyses.{name}: references of kind genomic avoid the regions and so need peaks, but "
                f"{analysis['regions']} are sequences given directly"
            )
        complete = analysis["method"]["name"] in ("deep_lift_shap", "integrated_gradients")
        strict = gate["on_fail"] != "keep" and gate["max_relative_delta"] < LEAST_BFLOAT16_DELTA
        if analysis["precision"] == "bfloat16" and complete and strict:
            yield (
                f"analyses.{name}: bfloat16 rounds predictions to three digits, so nearly every region fails "
                f"a qc.max_relative_delta of {gate['max_relative_delta']:g}; set on_fail: keep, a limit of "
                f"{LEAST_BFLOAT16_DELTA:g} or more, or another precision"
            )


def _window_checks(name: str, analysis: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Parts of the regions that ISM mutates and that references shuffle: they lie in the regions."""
    regions, model = config["regions"].get(analysis["regions"]), config["models"].get(analysis["model"])
    if regions is None or model is None:
        return
    length = regions["length"] or model["input_length"]
    method, references = analysis["method"], analysis["method"]["references"]
    windows = []
    if method["name"] == "ism":
        windows.append(("method", method["start"], method["end"] or length))
    if references["kind"] == "dinucleotide_shuffle":
        end = references["end"]
        windows.append(("method.references", references["start"], end if end >= 0 else length + 1 + end))
    for key, start, end in windows:
        if not 0 <= start < end <= length:
            yield (
                f"analyses.{name}.{key}: start and end give [{start}, {end}) of regions of {length} bp; "
                f"expected 0 <= start < end <= {length}"
            )


def _fold_checks(config: dict[str, Any]) -> Iterator[str]:
    """Held-out chromosomes: of existing folds, each of one fold, and there where an analysis needs them."""
    for name, model in config["models"].items():
        held_out = model["held_out"] or {}
        strange = [fold for fold in held_out if fold not in model["folds"]]
        if strange:
            yield f"models.{name}.held_out: no fold '{strange[0]}'; folds are {', '.join(model['folds'])}"
        owner: dict[str, str] = {}
        for fold, chromosomes in held_out.items():
            for chromosome in chromosomes:
                if chromosome in owner:
                    yield (
                        f"models.{name}.held_out: {chromosome} is held out by {owner[chromosome]} and "
                        f"{fold}; expected one fold for each chromosome"
                    )
                owner[chromosome] = fold
        seen = sorted(set(owner) & set((model["training"] or {}).get("validation_chromosomes", ())))
        if seen:
            yield f"models.{name}.held_out: {', '.join(seen)} also chooses the epoch (validation_chromosomes)"
    for name, analysis in config["analyses"].items():
        model = config["models"].get(analysis["model"])
        if model is None:
            continue
        strange = [fold for fold in analysis["folds"] or () if fold not in model["folds"]]
        if strange:
            yield (
                f"analyses.{name}.folds: no fold '{strange[0]}' of model {analysis['model']}; its folds are "
                f"{', '.join(model['folds'])}"
            )
        if analysis["fold_use"] != "held_out":
            continue
        if analysis["folds"] is not None:
            yield (
                f"analyses.{name}: fold_use: held_out takes each region's own fold, and so every fold of the "
                "model; leave folds out"
            )
        if model["held_out"] is None:
            yield f"analyses.{name}: fold_use: held_out needs models.{analysis['model']}.held_out"
        elif config["regions"].get(analysis["regions"], {}).get("peaks") is None:
            yield (
                f"analyses.{name}: fold_use: held_out needs regions with chromosomes, but "
                f"{analysis['regions']} are sequences given directly"
            )


#: What labels are read from, and the other keys that go with it.
_LABEL_KEYS = {
    "column": ("table", "key", "malformed"),
    "peaks": ("distance", "malformed"),
    "bigwig": ("window",),
    "plus": ("minus", "window", "strand"),
    "dataset": ("hdf5", "index"),
}


_LABEL_DEFAULTS = {"key": "auto", "strand": "both", "index": 0, "distance": 80, "malformed": "error"}


def _label_checks(
    config: dict[str, Any], analysis: dict[str, Any], target: str, label: dict[str, Any]
) -> Iterator[str]:
    """Labels of a target that exists, from one place, which fits the regions."""
    if target not in analysis["targets"]:
        yield f"no such target; targets are {', '.join(analysis['targets'])}"
    given = [key for key in _LABEL_KEYS if label[key] is not None]
    if len(given) != 1:
        yield f"give exactly one of {', '.join(_LABEL_KEYS)}; found {', '.join(given) or 'none'}"
        return
    source = given[0]
    others = {key for keys in _LABEL_KEYS.values() for key in keys} - set(_LABEL_KEYS[source])
    strange = sorted(key for key in others if label[key] != _LABEL_DEFAULTS.get(key))
    if strange:
        yield f"{', '.join(strange)} is not valid with {source}"
    if source == "plus" and label["minus"] is None:
        yield "give both plus and minus, or bigwig"
    regions = config["regions"].get(analysis["regions"])
    model = config["models"].get(analysis["model"])
    if regions is None or model is None:
        return
    direct = regions["peaks"] is None
    if source in ("peaks", "bigwig", "plus"):
        length = regions["length"] or model["input_length"]
        if direct:
            yield f"{source} needs coordinates, but {analysis['regions']} are sequences given directly"
        if label["window"] is not None and (label["window"] > length or (length - label["window"]) % 2):
            yield f"window is {label['window']}; expected 1 to {length} bp, and an even difference"
    elif source == "dataset":
        if not direct:
            yield (
                "dataset is only valid for sequences given directly, not for the peaks of "
                f"{analysis['regions']}"
            )
        elif not (label["hdf5"] or regions["hdf5"]):
            yield f"`dataset` is set but `hdf5` is not, and the regions {analysis['regions']} have none"
    elif direct and label["table"] is None:
        yield f"column needs a table: the regions {analysis['regions']} have no peak file"
