"""Annotation: which known motifs the found ones resemble, with tables and logos.

Purpose: make motifs readable. Settings of this stage do not touch TF-MoDISco, whose result stays.
Inputs: {analysis}/{target}/modisco.h5, JASPAR (inside pyjaspar) or a MEME file.
Outputs: motif_databases/{database}.meme, {analysis}/{target}/motifs.tsv, motifs.meme, logos/.
"""

import hashlib
from pathlib import Path


def is_jaspar(database):
    """Whether a database is a collection of JASPAR, not the path of a MEME file."""
    return database.startswith("jaspar-") and not database.endswith(".meme")


def database_name(settings):
    """File name of a motif database: of a JASPAR release, or of a MEME file told apart by its path."""
    database = settings["database"]
    if is_jaspar(database):
        return f"{database}.{settings['release']}"
    digest = hashlib.blake2b(database.encode(), digest_size=4).hexdigest()
    stem = "".join(c if c.isalnum() else "-" for c in Path(database).stem)
    return f"meme-{stem}.{digest}"


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
}


rule fetch_motif_database:
    input:
        meme=lambda wildcards: (
            []
            if is_jaspar(DATABASES[wildcards.database]["database"])
            else DATABASES[wildcards.database]["database"]
        ),
        code=code("databases"),
    output:
        meme=f"{RESULTS}/motif_databases/{{database}}.meme",
    log:
        f"{RESULTS}/logs/fetch_motif_database/{{database}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_motif_database/{{database}}.tsv"
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        database=lambda wildcards: DATABASES[wildcards.database]["database"],
        release=lambda wildcards: DATABASES[wildcards.database]["release"],
    message:
        "Collect the known motifs of {wildcards.database}"
    script:
        "../../scripts/fetch_motif_database.py"


rule annotate_motifs:
    input:
        motifs=f"{RESULTS}/{{analysis}}/{{target}}/modisco.h5",
        database=database_of,
        code=code("annotation"),
    output:
        table=f"{RESULTS}/{{analysis}}/{{target}}/motifs.tsv",
        meme=f"{RESULTS}/{{analysis}}/{{target}}/motifs.meme",
        logos=directory(f"{RESULTS}/{{analysis}}/{{target}}/logos"),
    log:
        f"{RESULTS}/logs/annotate_motifs/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/annotate_motifs/{{analysis}}/{{target}}.tsv"
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        trimming=trimming_of,
    message:
        "Name and draw the motifs of {wildcards.target} in {wildcards.analysis}"
    script:
        "../../scripts/annotate_motifs.py"
