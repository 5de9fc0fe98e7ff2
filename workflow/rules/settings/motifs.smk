"""Settings of the motif stages.

Purpose: names of motif databases, and the settings that annotation and hits share.
Inputs: the config. Outputs: the functions below; no rule.
"""

import hashlib as _hashlib

is_jaspar = _motif_settings.is_jaspar


def _database_name(database, release):
    """File name of a motif database: of a JASPAR release, or of a MEME file told apart by its path."""
    if is_jaspar(database):
        return f"{database}.{release}"
    digest = _hashlib.blake2b(database.encode(), digest_size=4).hexdigest()
    stem = "".join(
        c if c.isascii() and c.isalnum() else "-" for c in _Path(database).stem
    )
    return f"meme-{stem[:80]}.{digest}"


def motif_threads():
    """Threads of TF-MoDISco: one on a machine where targets keep the cores busy side by side, otherwise two.

    A second thread makes it about a fifth faster, another target twice as much of it.
    """
    targets = sum(
        len(analysis["targets"])
        for analysis in config["analyses"].values()
        if analysis["motifs"]
    )
    # None on a cluster, where each job has its own.
    cores = workflow.resource_settings.cores
    return 1 if cores and cores < 2 * targets else 2


def database_names(analysis):
    """Names of the motif databases of an analysis, in the order of the config."""
    return list(_motif_databases(analysis))


def seqlet_databases(analysis):
    """Each database that names the seqlets of an analysis, by its name: what it is made of."""
    release = (analysis["motifs"] or _motif_settings.DEFAULTS)["release"]
    return {
        _database_name(database, release): {"database": database, "release": release}
        for database in _motif_settings.seqlet_databases(analysis)
    }


def seqlet_databases_of(wildcards):
    """Names of the databases that name the seqlets of a job's analysis."""
    return list(seqlet_databases(analysis_of(wildcards)))


def database_path(name):
    """MEME file of a motif database."""
    return f"{RESULTS}/motif_databases/{name}.meme"


def databases_of(wildcards):
    """Names of the motif databases of a job's analysis."""
    return database_names(analysis_of(wildcards))


def database_files(wildcards):
    """MEME files of the known motifs of a job's analysis."""
    return [database_path(name) for name in databases_of(wildcards)]


def trimming_of(wildcards):
    """How motifs are cut to their core and flagged; annotation and hits agree on it."""
    settings = analysis_of(wildcards)["motifs"]
    return {
        "trim": settings["trim_threshold"],
        "min_information": settings["min_information"],
        "max_width": settings["max_width"],
    }


def scanned_database(analysis):
    """Name of the database whose motifs the regions of an analysis are scanned for; None where it is words."""
    hits = analysis["hits"]
    if not hits or not hits["database"]:
        return None
    return _database_name(hits["database"], hits["release"])


def searched_window(analysis):
    """Central bp of each region in which hits are called; None: all."""
    return analysis["hits"]["window"] or (
        analysis["motifs"]["window"] if analysis["motifs"] else None
    )


def hit_settings(wildcards):
    """How hits are called."""
    analysis = analysis_of(wildcards)
    hits, window = analysis["hits"], searched_window(analysis)
    if hits["method"] == "scan":
        return {"method": "scan", "max_p": hits["max_p"], "window": window}
    return {
        "sparsity": hits["alpha"],
        "batch_size": hits["batch_size"],
        "window": window,
    }


def _motif_databases(analysis):
    """Each motif database of an analysis, by its name: what it is made of."""
    motifs = analysis["motifs"]
    return {
        _database_name(database, motifs["release"]): {
            "database": database,
            "release": motifs["release"],
        }
        for database in (_motif_settings.databases(motifs) if motifs else ())
    }


def _scanned(analysis):
    """The database whose motifs the regions of an analysis are scanned for, by its name, where there is one."""
    name = scanned_database(analysis)
    hits = analysis["hits"]
    return {name: {key: hits[key] for key in ("database", "release")}} if name else {}


#: What each motif database is made of, by its name.
DATABASES = {
    name: made
    for analysis in config["analyses"].values()
    for found in (
        _motif_databases(analysis),
        seqlet_databases(analysis),
        _scanned(analysis),
    )
    for name, made in found.items()
}
