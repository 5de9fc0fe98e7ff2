"""Settings of the analysis of syntax.

Purpose: what is counted, in the part of the regions where hits were called.
Inputs: the config. Outputs: the functions below; no rule.
"""

SYNTAX_TABLES = ("positions", "syntax", "periodicity")


def syntax_settings(wildcards):
    """The config's settings, and the searched part of the regions."""
    analysis = analysis_of(wildcards)
    settings = analysis["syntax"]
    return {
        **settings,
        "windows": [
            width for width in settings["windows"] if width <= settings["max_distance"]
        ],
        "searched": searched_window(analysis),
    }


def words_of_hits(wildcards):
    """The lexicon's table, where there is a lexicon, and the motifs of hits that Fi-NeMo called."""
    words = {"lexicon": f"{RESULTS}/lexicon/lexicon.tsv"} if has_lexicon() else {}
    if analysis_of(wildcards)["hits"]["method"] == "scan":
        return words
    return words | {"motifs": searched_motifs(wildcards)["motifs"]}
