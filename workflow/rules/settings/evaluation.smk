"""Settings of the evaluation of predictions.

Purpose: which analyses have labels, the files that hold them, and the arguments of evaluate_predictions.
Inputs: the config. Outputs: the functions below; no rule.
"""


def labelled():
    """Analyses with labels."""
    return [name for name, analysis in config["analyses"].items() if analysis["labels"]]


def labelled_pattern():
    """The same as a pattern."""
    return "|".join(_re.escape(name) for name in labelled()) or "(?!)"


def _label_settings(wildcards):
    """Fields of cislex.prediction.labels.LabelSource, by target; labels of an HDF5 file are by default beside the sequences."""
    own = config["regions"][regions_of(wildcards)]["hdf5"]
    found = {}
    for target, label in analysis_of(wildcards)["labels"].items():
        hdf5 = label["hdf5"] or (own if label["dataset"] else None)
        found[target] = {**label, "hdf5": hdf5}
    return found


def label_files(wildcards):
    """Every file that holds labels."""
    regions = config["regions"][regions_of(wildcards)]
    found = []
    for label in _label_settings(wildcards).values():
        keys = ("table", "peaks", "bigwig", "plus", "minus", "hdf5")
        paths = [label[key] for key in keys if label[key]]
        found += paths or [regions["peaks"]]
    return list(dict.fromkeys(found))


def label_genome(wildcards):
    """Lengths and other names of chromosomes, where regions lie on the genome."""
    if not has_coordinates(regions_of(wildcards)):
        return {}
    aliases = config["genome"]["aliases"]
    return {
        "chromosomes": rules.index_genome.output.chromosomes,
        **({"aliases": aliases} if aliases else {}),
    }


def label_options(wildcards):
    """Arguments of evaluate_predictions."""
    analysis = analysis_of(wildcards)
    regions = config["regions"][analysis["regions"]]
    direct = regions["peaks"] is None
    return {
        "labels": _label_settings(wildcards),
        "peaks": regions["peaks"],
        "file_format": regions["format"],
        "held_out": (
            _configuration.held_out_array(analysis, config)
            if direct
            else _configuration.held_out_chromosomes(
                analysis, config["models"][analysis["model"]]
            )
        ),
        "seed": config["seed"],
    }
