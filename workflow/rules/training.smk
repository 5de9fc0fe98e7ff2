"""Training: a small model on peaks or signal of the genome, on labelled sequences, or on arrays.

Purpose: weights of each fold of the models whose loader is ``trained`` and whose fold names no weights file.
Inputs: the genome and a peak file per task (or bigWig, FASTA, HDF5 files, as the config says).
Outputs: models/{model}/{fold}.pt, .training.tsv, .evaluation.tsv, .held_out.tsv.gz; of classifiers .baseline.tsv.
"""


rule train_model:
    input:
        examples=training_inputs,
    output:
        weights=f"{RESULTS}/models/{{model}}/{{fold}}.pt",
        training=f"{RESULTS}/models/{{model}}/{{fold}}.training.tsv",
        evaluation=f"{RESULTS}/models/{{model}}/{{fold}}.evaluation.tsv",
        held_out=f"{RESULTS}/models/{{model}}/{{fold}}.held_out.tsv.gz",
    log:
        f"{RESULTS}/logs/train_model/{{model}}/{{fold}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_model/{{model}}/{{fold}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("train_model"),
        runtime=runtime_of("train_model"),
    params:
        code=code("train_model"),
        options=training_options,
    message:
        "Train model: {wildcards.model} / {wildcards.fold}"
    script:
        "../../scripts/train_model.py"


rule score_baseline:
    input:
        held_out=rules.train_model.output.held_out,
        databases=baseline_databases,
    output:
        baseline=f"{RESULTS}/models/{{model}}/{{fold}}.baseline.tsv",
    log:
        f"{RESULTS}/logs/score_baseline/{{model}}/{{fold}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/score_baseline/{{model}}/{{fold}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("score_baseline"),
        runtime=runtime_of("score_baseline"),
    params:
        code=code("score_baseline"),
        seed=lambda wildcards: training_options(wildcards)["seed"],
    message:
        "Motif-scan baseline: {wildcards.model} / {wildcards.fold}"
    script:
        "../../scripts/score_baseline.py"
