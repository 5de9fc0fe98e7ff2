"""Settings of attribution, and what its results depend on.

Purpose: arguments of attribute_chunk and inspect_model; what aggregate_chunks must know of them.
Inputs: the config. Outputs: the functions below; no rule.
"""


def method_of(wildcards):
    """Settings of the method; references from the genome come from outside of the analysis's regions."""
    method = analysis_of(wildcards)["method"]
    # How the number is chosen is no setting of what is computed with it.
    references = {
        key: value
        for key, value in method["references"].items()
        if key not in ("sufficiency", "most")
    }
    return {**method, "references": {**references, **reference_files(wildcards)}}


def stored_method(wildcards):
    """The same for the analysis's regions, of which ISM mutates only what is stored."""
    method, window = method_of(wildcards), window_of(wildcards)
    if method["name"] == "ism" and window:
        return {**method, "start": window[0], "end": window[1]}
    return method


def inspected_method(wildcards):
    """The same to measure what a region costs: of windows that a screen will choose, one in the centre."""
    method, screen = stored_method(wildcards), analysis_of(wildcards)["screen"]
    if method["name"] == "ism" and screen:
        low = (region_length(regions_of(wildcards)) - screen["width"]) // 2
        return {**method, "start": low, "end": low + screen["width"]}
    return method


def window_of(wildcards):
    """Columns [start, end) of each region whose attributions are stored; None: all."""
    analysis = analysis_of(wildcards)
    window = _storage_settings.stored_window(
        analysis, region_length(analysis["regions"])
    )
    return list(window) if window else None


def window_file(wildcards):
    """The windows whose attributions are stored, where a screen chooses them."""
    screened = analysis_of(wildcards)["screen"]
    return f"{RESULTS}/{wildcards.analysis}/windows.tsv" if screened else []


def screen_attributions(wildcards):
    """Attributions of the target that chooses windows."""
    analysis = analysis_of(wildcards)
    target = _screen_checks.screen_target(analysis, config)
    return f"{RESULTS}/{analysis['screen']['analysis']}/{target}/attributions.h5"


def screen_settings(wildcards):
    """Fields of cislex.chunks.window_choice.ScreenSettings."""
    screen = analysis_of(wildcards)["screen"]
    return {key: screen[key] for key in ("width", "top", "regions")}


def storage_of(wildcards):
    """Fields of cislex.chunks.thinning.Storage, where values are rounded or thinned out."""
    settings = analysis_of(wildcards)["attributions"]
    stored = {key: settings[key] for key in ("round_to", "keep")}
    return {} if stored == {"round_to": "float32", "keep": None} else stored


def reference_choice(wildcards):
    """Fields of cislex.prediction.reference_choice.ReferenceChoice but for the file; None for a given number."""
    analysis = analysis_of(wildcards)
    references = analysis["method"]["references"]
    if references["n"] != "auto":
        return None
    return {
        "sufficiency": references["sufficiency"],
        "most": references["most"],
        "seed": config["seed"],
        "same_references": analysis["same_references"],
        **held_out_of(wildcards),
    }


def reference_number(wildcards):
    """The file with the number of references, where it is chosen by the inspection."""
    return (
        f"{RESULTS}/{wildcards.analysis}/references.json"
        if reference_choice(wildcards)
        else []
    )


def reference_files(wildcards):
    """Files that references are made from."""
    references = analysis_of(wildcards)["method"]["references"]
    if references["kind"] == "saved":
        return {"path": references["path"]}
    if references["kind"] != "genomic":
        return {}
    return {
        "fasta": fasta_path(),
        "fai": f"{RESULTS}/genome/index.fai",
        "gzi": f"{RESULTS}/genome/index.gzi",
        "exclude": f"{RESULTS}/regions/{regions_of(wildcards)}/regions.bed",
    }


def strands_of(settings):
    """Whether both strands are averaged in what an analysis's model predicts: as asked, else as in the analysis."""
    own = settings["reverse_complement"]
    return (
        config["analyses"][settings["analysis"]]["reverse_complement"]
        if own is None
        else own
    )


def held_out_of(wildcards):
    """Chromosomes that each fold held out, where each region goes to its own fold; else nothing."""
    analysis = analysis_of(wildcards)
    held_out = analysis["fold_use"] == "held_out"
    return (
        {"held_out": config["models"][analysis["model"]]["held_out"]}
        if held_out
        else {}
    )


def attribution_job(wildcards):
    """What is attributed: fields of cislex.chunks.attribute.ChunkJob but for chunk and fold."""
    analysis = analysis_of(wildcards)
    return {
        "chunks": len(chunks_of(wildcards)),
        "targets": analysis["targets"],
        "method": stored_method(wildcards),
        "seed": config["seed"],
        "same_references": analysis["same_references"],
        "precision": analysis["precision"],
        "reverse_complement": analysis["reverse_complement"],
        **held_out_of(wildcards),
        # Only where it is asked for, so that analyses of before repeat no job.
        **({"uncertainty": True} if analysis["uncertainty"] else {}),
        **({"window": window} if (window := window_of(wildcards)) else {}),
        **({"storage": stored} if (stored := storage_of(wildcards)) else {}),
    }


def chunk_job(wildcards):
    """The same for the jobs of this run, which leave out the targets that are up to date (freshness.smk)."""
    job = attribution_job(wildcards)
    if analysis_of(wildcards)["fold_use"] == "mean" and len(folds_of(wildcards)) > 1:
        job.pop("storage", None)  # of the mean over folds alone
    return {
        **job,
        "targets": _watched.targets.choose(wildcards.analysis, job["targets"]),
    }


def attribution_of_target(wildcards):
    """What the numbers of one target depend on: neither other targets nor the number of chunks."""
    job = attribution_job(wildcards)
    del job["chunks"]
    return {**job, "targets": {wildcards.target: job["targets"][wildcards.target]}}


def attribution_files(wildcards):
    """Files that every fold of a target is attributed from, besides the sequences."""
    model = model_of(wildcards)
    weights = [weights_of(model, fold) for fold in folds_of(wildcards)]
    own = analysis_of(wildcards)["targets"][wildcards.target]
    return [
        *weights,
        *model_code(model),
        *reference_files(wildcards).values(),
        *_track_targets.interval_files({wildcards.target: own}),
    ]


def interval_files(wildcards):
    """Files of intervals that the targets of an analysis read."""
    return _track_targets.interval_files(analysis_of(wildcards)["targets"])


def gate_of(wildcards):
    """The gate of gate_attributions: fields of cislex.chunks.gate.Gate."""
    qc = analysis_of(wildcards)["qc"]
    return {key: qc[key] for key in ("max_relative_delta", "on_fail")}
