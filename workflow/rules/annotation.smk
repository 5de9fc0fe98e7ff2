"""Annotation: which known motifs the found ones resemble, with tables and logos.

Purpose: make motifs readable. Settings of this stage do not touch TF-MoDISco, whose result stays.
Inputs: {analysis}/{target}/modisco.h5, JASPAR (inside pyjaspar) or a MEME file.
Outputs: motif_databases/{database}.meme, {analysis}/{target}/motifs.tsv, motifs.meme, logos/.
"""


rule fetch_motif_database:
    input:
        meme=lambda wildcards: (
            []
            if is_jaspar(DATABASES[wildcards.database]["database"])
            else DATABASES[wildcards.database]["database"]
        ),
    output:
        meme=f"{RESULTS}/motif_databases/{{database}}.meme",
    log:
        f"{RESULTS}/logs/fetch_motif_database/{{database}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_motif_database/{{database}}.tsv"
    # First of all jobs: what is wrong with a file is then said before the long ones.
    priority: 100
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("fetch_motif_database"),
        runtime=runtime_of("fetch_motif_database"),
    params:
        code=code("fetch_motif_database"),
        database=lambda wildcards: DATABASES[wildcards.database]["database"],
        release=lambda wildcards: DATABASES[wildcards.database]["release"],
    message:
        "Motif database: {wildcards.database}"
    script:
        "../../scripts/fetch_motif_database.py"


rule annotate_motifs:
    input:
        motifs=f"{RESULTS}/{{analysis}}/{{target}}/modisco.h5",
        databases=database_files,
    output:
        table=report(
            f"{RESULTS}/{{analysis}}/{{target}}/motifs.tsv",
            caption="../report/motifs.rst",
            category="Motifs",
            labels={
                "analysis": "{analysis}",
                "target": "{target}",
                "table": "Motifs",
            },
        ),
        meme=f"{RESULTS}/{{analysis}}/{{target}}/motifs.meme",
        logos=directory(f"{RESULTS}/{{analysis}}/{{target}}/logos"),
    log:
        f"{RESULTS}/logs/annotate_motifs/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/annotate_motifs/{{analysis}}/{{target}}.tsv"
    wildcard_constraints:
        analysis=with_motifs(),
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("annotate_motifs"),
        runtime=runtime_of("annotate_motifs"),
    params:
        code=code("annotate_motifs"),
        databases=databases_of,
        trimming=trimming_of,
    message:
        "Annotate motifs: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/annotate_motifs.py"
