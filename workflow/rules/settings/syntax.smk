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
