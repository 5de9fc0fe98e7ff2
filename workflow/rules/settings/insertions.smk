"""Settings of the in-silico experiments.

Purpose: arguments of prepare_insertions, insert_chunk and insert_motifs.
Inputs: the config. Outputs: the functions below; no rule.
"""


def insertion_analysis(wildcards):
    """Settings of the analysis whose model, targets and regions an experiment uses."""
    return config["analyses"][config["insertions"][wildcards.insertion]["analysis"]]


def insertion_model(wildcards):
    """Name of that analysis's model."""
    return insertion_analysis(wildcards)["model"]


def insertion_regions(wildcards):
    """Name of that analysis's region set."""
    return insertion_analysis(wildcards)["regions"]


def insertion_folds(wildcards):
    """Names of the folds that the analysis uses, in the order of the config."""
    return used_folds(insertion_analysis(wildcards))


def insertion_files(wildcards):
    """Files that an experiment reads besides the sequences, by what they are."""
    settings = config["insertions"][wildcards.insertion]
    regions, found = insertion_regions(wildcards), {}
    if settings["words"] is not None:
        found["lexicon"] = f"{RESULTS}/lexicon/lexicon.tsv"
        found["words"] = f"{RESULTS}/lexicon/lexicon.meme"
    if settings["meme"] is not None:
        found["meme"] = settings["meme"]
    if settings["sites"] is not None:
        target = settings["sites"]["target"] or next(
            iter(insertion_analysis(wildcards)["targets"])
        )
        found["hits"] = f"{RESULTS}/{settings['analysis']}/{target}/hits.bed.gz"
        found["regions"] = f"{RESULTS}/regions/{regions}/regions.bed"
    if settings["backgrounds"]["kind"] == "fasta":
        found["backgrounds"] = settings["backgrounds"]["fasta"]
    if settings["backgrounds"]["kind"] == "genomic":
        found["genome"] = fasta_path()
        found |= {key: f"{RESULTS}/genome/index.{key}" for key in ("fai", "gzi")}
        if has_coordinates(regions):
            found["exclude"] = f"{RESULTS}/regions/{regions}/regions.bed"
    return found


def insertion_file(name):
    """One of these files, or nothing, as a function of wildcards."""
    return lambda wildcards: insertion_files(wildcards).get(name, [])


def insertion_settings(wildcards):
    """What scripts/prepare_insertions.py makes of those files: plain settings."""
    settings = config["insertions"][wildcards.insertion]
    spacings, seed = settings["spacings"], config["seed"] + settings["seed"]
    sites = settings["sites"]
    return {
        "key": f"insertions.{wildcards.insertion}",
        "words": settings["words"],
        "strings": settings["motifs"],
        "form": settings["form"],
        "grid": {
            "pairs": settings["pairs"] or [],
            "distances": list(
                range(spacings["from"], spacings["to"] + 1, spacings["step"])
            ),
            "orientations": settings["orientations"],
        },
        "backgrounds": {
            "kind": settings["backgrounds"]["kind"],
            "n": settings["backgrounds"]["n"],
            "seed": seed,
        },
        "sites": (
            None
            if sites is None
            else {
                **{key: sites[key] for key in ("n", "contexts", "ablation")},
                "seed": seed,
            }
        ),
    }


def insertion_job(wildcards):
    """Fields of cislex.insertions.chunk.InsertionJob but for chunk and fold."""
    settings, analysis = (
        config["insertions"][wildcards.insertion],
        insertion_analysis(wildcards),
    )
    return {
        "chunks": settings["chunks"],
        "targets": analysis["targets"],
        "precision": analysis["precision"],
        "reverse_complement": strands_of(settings),
    }


def insertion_chunks(wildcards):
    """Chunk files of an experiment, fold by fold."""
    return [
        f"{RESULTS}/insertions/{wildcards.insertion}/chunks/{fold}/{chunk}.h5"
        for fold in insertion_folds(wildcards)
        for chunk in range(config["insertions"][wildcards.insertion]["chunks"])
    ]


def insertion_options(wildcards):
    """Options of cislex.insertions.insert.insert_motifs."""
    analysis = insertion_analysis(wildcards)
    return {"wanted": analysis["targets"], "precision": analysis["precision"]}
