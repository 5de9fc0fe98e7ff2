"""Settings of the comparisons of methods.

Purpose: arguments of measure_faithfulness and compare_methods.
Inputs: the config. Outputs: the functions below; no rule.
"""

import types as _types


def compared_sources(comparison):
    """What a comparison compares, in order: its analyses, and some again without correction; by name."""
    settings = config["comparisons"][comparison]
    plain = {name: name for name in settings["analyses"]}
    return plain | {f"{name}.uncorrected": name for name in settings["uncorrected"]}


def is_uncorrected(comparison, source):
    """Whether the multipliers of an analysis are meant instead of its hypothetical contributions."""
    return source not in config["comparisons"][comparison]["analyses"]


def compared_analysis(wildcards):
    """Wildcards of the analysis that {source} is, for the settings of other rules; without {source} the first."""
    sources = compared_sources(wildcards.comparison)
    name = getattr(wildcards, "source", next(iter(sources)))
    return _types.SimpleNamespace(analysis=sources[name])


def comparison_targets(wildcards):
    """Names of the targets, which all of its analyses have."""
    first = next(iter(compared_sources(wildcards.comparison).values()))
    return list(config["analyses"][first]["targets"])


def compared_attributions(wildcards, sources=None):
    """``attributions.h5`` of each target of each source, source by source."""
    known = compared_sources(wildcards.comparison)
    return [
        f"{RESULTS}/{known[source]}/{target}/attributions.h5"
        for source in sources or known
        for target in comparison_targets(wildcards)
    ]


def comparison_truth(wildcards):
    """Planted sites, where the regions lie on a simulated genome."""
    own = has_coordinates(regions_of(compared_analysis(wildcards)))
    return f"{RESULTS}/simulated/truth.tsv" if config["simulate"] and own else []


def compared_measurements(wildcards):
    """Tables of measure_faithfulness, where it runs."""
    if config["comparisons"][wildcards.comparison]["faithfulness"] is None:
        return []
    return [
        f"{RESULTS}/comparisons/{wildcards.comparison}/{source}/{table}.tsv"
        for source in compared_sources(wildcards.comparison)
        for table in ("faithfulness", "curves", "words")
    ]


def faithfulness_settings(wildcards):
    """Fields of cislex.comparison.faithfulness.FaithfulnessSettings."""
    settings = config["comparisons"][wildcards.comparison]["faithfulness"]
    return {**settings, "seed": config["seed"] + settings["seed"]}


def comparison_sources(wildcards):
    """Each source: whether it is uncorrected, and how it attributes, for the first columns of the table."""
    found = {}
    for source, name in compared_sources(wildcards.comparison).items():
        analysis = config["analyses"][name]
        method = analysis["method"]
        drawn = method["name"] not in ("saliency", "tism", "ism")
        references = method["references"]
        single = not drawn or references["kind"] in ("zeros", "uniform")
        uncorrected = is_uncorrected(wildcards.comparison, source)
        # A gradient has references only through its correction.
        own = "none" if uncorrected else "uniform"
        found[source] = {
            "uncorrected": uncorrected,
            "described": {
                "model": analysis["model"],
                "method": method["name"],
                "rule": method["rule"] if method["name"] == "deep_lift_shap" else "",
                "references": references["kind"] if drawn else own,
                "n_references": "1" if single else str(references["n"]),
            },
        }
    return found


def comparison_options(wildcards):
    """Options of cislex.comparison.compare.compare_methods."""
    settings = config["comparisons"][wildcards.comparison]
    return {key: settings[key] for key in ("top", "yardstick", "logos")}
