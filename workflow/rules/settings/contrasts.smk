"""Settings of the contrasts.

Purpose: arguments of contrast_hits.
Inputs: the config. Outputs: the functions below; no rule.
"""


def contrast_side(side):
    """Analysis and target of one side, as a function of wildcards."""

    def found(wildcards):
        given = config["contrasts"][wildcards.contrast][side]
        target = _contrast_checks.contrast_target(given, config)
        return {"analysis": given["analysis"], "target": target}

    return found


def contrast_file(name, side=None):
    """A file of one side, by default of that whose hits are compared, as a function of wildcards."""

    def found(wildcards):
        chosen = side or config["contrasts"][wildcards.contrast]["hits"]
        names = contrast_side(chosen)(wildcards)
        return f"{RESULTS}/{names['analysis']}/{names['target']}/{name}"

    return found


def contrast_options(wildcards):
    """Options of cislex.comparison.contrast.contrast_hits."""
    settings = config["contrasts"][wildcards.contrast]
    return {"hits_of": settings["hits"], "scale": settings["scale"]}
