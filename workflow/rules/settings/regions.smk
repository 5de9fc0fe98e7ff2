"""Settings of the region and sequence rules.

Purpose: which region sets come from peaks and which directly, and the arguments of their rules.
Inputs: the config. Outputs: the functions below; no rule.
"""


def peak_sets():
    """Region sets that are peaks on the genome, as a pattern; the others are sequences given directly."""
    names = [_re.escape(name) for name in config["regions"] if has_coordinates(name)]
    return "|".join(names) or "(?!)"


def region_options(wildcards):
    """Fields of cislex.regions.selection.RegionOptions."""
    settings = config["regions"][wildcards.regions]
    same = (
        "center",
        "malformed",
        "exclude_chromosomes",
        "only_chromosomes",
        "top",
        "order_by",
        "sample",
        "deduplicate",
        "edge",
        "max_unknown",
    )
    return {
        **{key: settings[key] for key in same},
        "length": region_length(wildcards.regions),
        "file_format": settings["format"],
        "seed": config["seed"],
    }


def direct_sets():
    """Region sets that are sequences given directly, as a pattern."""
    names = [
        _re.escape(name) for name in config["regions"] if not has_coordinates(name)
    ]
    return "|".join(names) or "(?!)"


def import_options(wildcards):
    """Options of cislex.sequences.importing.import_sequences."""
    settings = config["regions"][wildcards.regions]
    chosen = (
        "malformed",
        "select",
        "max_unknown",
        "deduplicate",
        "order_by",
        "top",
        "sample",
    )
    return {
        "is_hdf5": settings["hdf5"] is not None,
        "dataset": settings["dataset"],
        "length": region_length(wildcards.regions),
        "selection": {
            **{key: settings[key] for key in chosen},
            "seed": config["seed"],
        },
    }
