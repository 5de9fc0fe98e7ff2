"""Settings of the motif stages.

Purpose: names of motif databases, and the settings that annotation and hits share.
Inputs: the config. Outputs: the functions below; no rule.
"""

import hashlib as _hashlib


def is_jaspar(database):
    """Whether a database is a collection of JASPAR, not the path of a MEME file."""
    return database.startswith("jaspar-") and not database.endswith(".meme")


def database_name(settings):
    """File name of a motif database: of a JASPAR release, or of a MEME file told apart by its path."""
    database = settings["database"]
    if is_jaspar(database):
        return f"{database}.{settings['release']}"
    digest = _hashlib.blake2b(database.encode(), digest_size=4).hexdigest()
    stem = "".join(
        c if c.isascii() and c.isalnum() else "-" for c in _Path(database).stem
    )
    return f"meme-{stem[:80]}.{digest}"


def database_of(wildcards):
    """MEME file of the known motifs of an analysis."""
    return f"{RESULTS}/motif_databases/{database_name(analysis_of(wildcards)['motifs'])}.meme"


def trimming_of(wildcards):
    """How motifs are cut to their core and flagged; annotation and hits agree on it."""
    settings = analysis_of(wildcards)["motifs"]
    return {
        "trim": settings["trim_threshold"],
        "min_information": settings["min_information"],
        "max_width": settings["max_width"],
    }


DATABASES = {
    database_name(analysis["motifs"]): analysis["motifs"]
    for analysis in config["analyses"].values()
    if analysis["motifs"]
}
