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


def lexicon_files(name, *, with_hits=False):
    """A file of every target with motifs, or of those with hits of words, as a function of wildcards."""
    return lambda wildcards: [
        f"{RESULTS}/{analysis}/{target}/{name}"
        for analysis, target in lexicon_targets()
        if has_word_hits(config["analyses"][analysis]) or not with_hits
    ]


def has_word_hits(analysis):
    """Whether hits of the lexicon's words are called in an analysis."""
    return has_lexicon() and bool(analysis["hits"]) and not scanned_database(analysis)


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
        if has_word_hits(config["analyses"][analysis])
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


def searched_trimming(wildcards):
    """How what hits are called with is cut to its core and flagged; a database is taken as it is."""
    if has_lexicon():
        return lexicon_trimming(wildcards)
    return trimming_of(wildcards) if analysis_of(wildcards)["motifs"] else {}


def searched_motifs(wildcards):
    """What hits are called with: the lexicon's words, without one the target's own motifs, or known motifs."""
    database = scanned_database(analysis_of(wildcards))
    if database:
        return {"motifs": database_path(database)}
    if has_lexicon():
        folder = f"{RESULTS}/lexicon"
        return {"motifs": f"{folder}/lexicon.h5", "names": f"{folder}/lexicon.tsv"}
    return {"motifs": f"{RESULTS}/{wildcards.analysis}/{wildcards.target}/modisco.h5"}
