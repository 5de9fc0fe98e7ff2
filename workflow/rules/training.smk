"""Training: a small model that tells peaks of several assays from the rest of the genome.

Purpose: weights of each fold of the models whose loader is ``trained`` and whose fold names no weights file.
Inputs: the genome, a peak file per task. Outputs: models/{model}/{fold}.pt, .training.tsv, .evaluation.tsv.
"""


def _training(wildcards):
    """Training settings of a model; only models that are trained here have them."""
    if not is_trained_here(wildcards.model, wildcards.fold):
        raise WorkflowError(
            f"models.{wildcards.model}: {wildcards.fold} is given, not trained here"
        )
    return config["models"][wildcards.model]["training"]


def _training_options(wildcards):
    """Arguments of train_model: what the config says, and a seed of the fold's own."""
    training = _training(wildcards)
    model = config["models"][wildcards.model]

    def chosen(*keys):
        return {key: training[key] for key in keys if key in training}

    return {
        "windows": {
            "input_length": model["input_length"],
            **chosen(
                "jitter",
                "positive_distance",
                "min_negative_distance",
                "negatives_per_positive",
            ),
        },
        "optimisation": chosen(
            "epochs",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "reverse_complement",
            "positive_weight",
            "patience",
        ),
        "seed": training["seed"] + list(model["folds"]).index(wildcards.fold),
        **chosen(
            "architecture",
            "hyperparameters",
            "validation_chromosomes",
            "test_chromosomes",
            "exclude_chromosomes",
        ),
    }


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
