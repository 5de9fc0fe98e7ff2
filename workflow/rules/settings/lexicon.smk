"""Settings of the lexicon.

Purpose: which targets and databases one lexicon is made of, and what hits are called with.
Inputs: the config. Outputs: the functions below; no rule.
"""


def has_lexicon():
    """Whether a lexicon is made: unless it is turned off, or no analysis has motifs."""
    return config["lexicon"] is not None and bool(lexicon_targets())


def lexicon_targets():
    """Analysis and target of every target with motifs, sorted: the order of the config reruns nothing."""
    return sorted(
        (name, target)
        for name, analysis in config["analyses"].items()
        if analysis["motifs"]
        for target in analysis["targets"]
    )


def lexicon_files(name, *, key="motifs"):
    """A file of every target with motifs, or with another part of an analysis, as a function of wildcards."""
    return lambda wildcards: [
        f"{RESULTS}/{analysis}/{target}/{name}"
        for analysis, target in lexicon_targets()
        if config["analyses"][analysis][key]
    ]


def lexicon_databases(wildcards):
    """Names of the motif databases of all analyses."""
    return sorted(
        {
            name
            for analysis in config["analyses"].values()
            if analysis["motifs"]
            for name in database_names(analysis)
        }
    )


def lexicon_with_hits(wildcards):
    """Numbers of the targets whose hits are called, in the order of their files."""
    return [
        number
        for number, (analysis, _) in enumerate(lexicon_targets())
        if config["analyses"][analysis]["hits"]
    ]


def lexicon_thresholds(wildcards):
    """When patterns are one word, and what words are named."""
    keys = ("min_similarity", "min_composite_similarity", "max_q")
    return {key: config["lexicon"][key] for key in keys}


def lexicon_trimming(wildcards):
    """How patterns and words are cut to their core and flagged."""
    return {
        "trim": config["lexicon"]["trim_threshold"],
        "min_information": config["lexicon"]["min_information"],
        "max_width": config["lexicon"]["max_width"],
    }


def searched_motifs(wildcards):
    """What hits are called with: the words of the lexicon, or without one the target's own motifs."""
    if has_lexicon():
        folder = f"{RESULTS}/lexicon"
        return {"motifs": f"{folder}/lexicon.h5", "names": f"{folder}/lexicon.tsv"}
    return {"motifs": f"{RESULTS}/{wildcards.analysis}/{wildcards.target}/modisco.h5"}
