"""Settings of the designs.

Purpose: arguments of evolve_sequences.
Inputs: the config. Outputs: the functions below; no rule.
"""


def evolution_of(wildcards):
    """Settings of a design."""
    return config["evolution"][wildcards.evolution]


def evolution_analysis(wildcards):
    """Settings of the analysis whose model, targets and regions a design uses."""
    return config["analyses"][evolution_of(wildcards)["analysis"]]


def evolution_model(wildcards):
    """Name of that analysis's model."""
    return evolution_analysis(wildcards)["model"]


def evolution_folds(wildcards):
    """Names of the folds that the analysis uses, in the order of the config."""
    return used_folds(evolution_analysis(wildcards))


def evolution_method(wildcards):
    """The guide as the method of an analysis, and its model, for the digest of the code."""
    name = evolution_of(wildcards)["guide"]["name"]
    return {
        "method": {"name": "ism" if name == "greedy" else name},
        "model": evolution_model(wildcards),
    }


def evolution_file(name):
    """One of the files that a design reads besides the weights, or nothing, as a function of wildcards."""

    def found(wildcards):
        settings, start = (
            evolution_of(wildcards),
            evolution_of(wildcards)["start"],
        )
        files = {"fasta": start["fasta"], "keep": settings["constraints"]["keep_bed"]}
        if start["kind"] == "regions":
            regions = evolution_analysis(wildcards)["regions"]
            files["sequences"] = f"{RESULTS}/regions/{regions}/sequences.h5"
            if start["rows"] is None:
                files["predictions"] = (
                    f"{RESULTS}/{settings['analysis']}/predictions.tsv"
                )
        return files.get(name) or []

    return found


def evolution_job(wildcards):
    """Fields of cislex.design.evolve.EvolutionJob but for allow_incomplete, which changes no number."""
    settings, analysis = evolution_of(wildcards), evolution_analysis(wildcards)
    seed = config["seed"] + settings["seed"]
    return {
        "length": input_length(evolution_model(wildcards)),
        "targets": analysis["targets"],
        **{key: settings[key] for key in ("target", "against", "direction")},
        **{key: settings[key] for key in ("guide", "rounds", "beam")},
        "start": {
            **{
                key: value for key, value in settings["start"].items() if key != "fasta"
            },
            "seed": seed,
        },
        "constraints": {
            key: value
            for key, value in settings["constraints"].items()
            if key != "keep_bed"
        },
        "precision": analysis["precision"],
        "reverse_complement": strands_of(settings),
        "seed": seed,
    }
