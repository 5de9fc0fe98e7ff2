"""Training: a small model that tells peaks of several assays from the rest of the genome.

Purpose: weights of each fold of the models whose loader is ``trained`` and whose fold names no weights file.
Inputs: the genome, a peak file per task. Outputs: models/{model}/{fold}.pt, .training.tsv, .evaluation.tsv.
"""


rule train_model:
    input:
        **genome_extra(),
        fasta=fasta_path(),
        fai=rules.index_genome.output.fai,
        gzi=rules.index_genome.output.gzi,
        peaks=lambda wildcards: list(_training(wildcards)["tasks"].values()),
        code=code("training"),
    output:
        weights=f"{RESULTS}/models/{{model}}/{{fold}}.pt",
        training=f"{RESULTS}/models/{{model}}/{{fold}}.training.tsv",
        evaluation=f"{RESULTS}/models/{{model}}/{{fold}}.evaluation.tsv",
    log:
        f"{RESULTS}/logs/train_model/{{model}}/{{fold}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_model/{{model}}/{{fold}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        tasks=lambda wildcards: list(_training(wildcards)["tasks"]),
        options=_training_options,
    message:
        "Train {wildcards.model}, {wildcards.fold}: learn to tell peaks from the rest of the genome"
    script:
        "../../scripts/train_model.py"
