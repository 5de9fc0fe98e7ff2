"""Evolution: sequences edited base by base until the model's prediction rises or falls.

Purpose: each round, the edit that a guide names, within constraints; one job per design, on a GPU where there is
one, with a checkpoint.
Inputs: the weights of every fold; sequences.h5 and predictions.tsv, a FASTA or a BED file where they are asked for.
Outputs: evolution/{evolution}/trajectories.tsv, evolved.fa and evolution.h5.
"""


rule evolve_sequences:
    input:
        weights=lambda wildcards: [
            weights_of(evolution_model(wildcards), fold)
            for fold in evolution_folds(wildcards)
        ],
        module=lambda wildcards: model_code(evolution_model(wildcards)),
        # Each of these only where the design asks for it.
        sequences=evolution_file("sequences"),
        predictions=evolution_file("predictions"),
        fasta=evolution_file("fasta"),
        keep=evolution_file("keep"),
    output:
        table=f"{RESULTS}/evolution/{{evolution}}/trajectories.tsv",
        fasta=f"{RESULTS}/evolution/{{evolution}}/evolved.fa",
        arrays=f"{RESULTS}/evolution/{{evolution}}/evolution.h5",
    log:
        f"{RESULTS}/logs/evolve_sequences/{{evolution}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evolve_sequences/{{evolution}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("evolve_sequences"),
        runtime=runtime_of("evolve_sequences"),
    params:
        code=code_with_method("evolve_sequences", evolution_method),
        folds=evolution_folds,
        job=evolution_job,
        model=lambda wildcards: model_options(evolution_model(wildcards)),
        batch_size=lambda wildcards: evolution_of(wildcards)["batch_size"],
        device=lambda wildcards: evolution_analysis(wildcards)["device"],
    message:
        "Evolve sequences: {wildcards.evolution}"
    script:
        "../../scripts/evolve_sequences.py"
