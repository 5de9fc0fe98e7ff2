"""Settings of the training rule.

Purpose: arguments of train_model from the config.
Inputs: the config. Outputs: the functions below; no rule.
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
