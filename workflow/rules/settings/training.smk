"""Settings of the training rules.

Purpose: arguments of train_model and score_baseline from the config.
Inputs: the config. Outputs: the functions below; no rule.
"""


def _training(wildcards):
    """Training settings of a fold, tested on what it holds out; only models trained here have them."""
    if not is_trained_here(wildcards.model, wildcards.fold):
        raise WorkflowError(
            f"models.{wildcards.model}: {wildcards.fold} has given weights and is not trained"
        )
    model = config["models"][wildcards.model]
    held_out = (model["held_out"] or {}).get(wildcards.fold)
    own = {"test_chromosomes": held_out} if held_out else {}
    return {**model["training"], **own}


def _chosen(settings, *keys):
    return {key: settings[key] for key in keys}


def _is_genomic(training):
    """Whether examples are windows of the genome."""
    return _configuration.training_source(training) in ("tasks", "signal")


def _fasta_files(path):
    """The file that was named, or every file of the folder, so that a changed one is noticed."""
    folder = _Path(path)
    return [str(f) for f in sorted(folder.iterdir())] if folder.is_dir() else [path]


def training_inputs(wildcards):
    """Every file that the examples of a model come from."""
    training = _training(wildcards)
    source = _configuration.training_source(training)
    if source == "hdf5":
        return [training["hdf5"]["path"]]
    if source == "labels":
        return [f for path in training["labels"].values() for f in _fasta_files(path)]
    files = [fasta_path(), *rules.index_genome.output[:], *genome_extra().values()]
    if training["negatives"]["path"]:
        files.append(training["negatives"]["path"])
    if source == "tasks":
        return files + list(training["tasks"].values())
    tracks = training["signal"]["tracks"].values()
    signals = [path for track in tracks for path in track.values() if path]
    return [*files, training["signal"]["peaks"], *signals]


def _genomic_settings(training, length):
    """Fields of cislex.training.sources.GenomicSettings."""
    return {
        "fasta": fasta_path(),
        "fai": str(rules.index_genome.output.fai),
        "gzi": str(rules.index_genome.output.gzi),
        **genome_extra(),
        "windows": {
            "input_length": length,
            **_chosen(
                training,
                "jitter",
                "positive_distance",
                "min_negative_distance",
                "negatives_per_positive",
            ),
        },
        "negatives": training["negatives"],
        **_chosen(
            training,
            "train_negatives_per_positive",
            "malformed",
            "validation_chromosomes",
            "test_chromosomes",
            "exclude_chromosomes",
        ),
    }


def _source_options(training, length):
    """Kind and settings of cislex.training.sources.make_source."""
    source = _configuration.training_source(training)
    head = _configuration.training_head(training)
    fractions = _chosen(training, "validation_fraction", "test_fraction")
    if source == "labels":
        settings = _chosen(training, "labels", "stride", "hold_out")
        return "labels", {"input_length": length, **settings, **fractions}
    if source == "hdf5":
        kinds = {"sigmoid": "tasks", "softmax": "classes", "regression": "numbers"}
        settings = {**training["hdf5"], "kind": kinds[head]}
        return "hdf5", {"input_length": length, **settings, **fractions}
    genome = _genomic_settings(training, length)
    if source == "signal":
        return "signal", {"genome": genome, **training["signal"]}
    background = training["background"] if head == "softmax" else None
    return "peaks", {
        "genome": genome,
        "tasks": training["tasks"],
        "background": background,
    }


def training_options(wildcards):
    """Arguments of train_model: what the config says, and a seed of the fold's own."""
    training = _training(wildcards)
    model = config["models"][wildcards.model]
    head = _configuration.training_head(training)
    kind, source = _source_options(training, model["input_length"])
    profile = {"profile": True} if head == "profile" else {}
    return {
        "kind": kind,
        "source": source,
        "loss": {
            "head": head,
            **_chosen(
                training,
                "positive_weight",
                "class_weights",
                "focal_gamma",
                "counts_weight",
            ),
        },
        "optimisation": _chosen(
            training,
            "epochs",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "reverse_complement",
            "patience",
            "keep_epoch",
        ),
        "seed": training["seed"] + list(model["folds"]).index(wildcards.fold),
        "architecture": training["architecture"],
        "hyperparameters": {**training["hyperparameters"], **profile},
    }


def has_baseline(model):
    """Whether a model trained here is a classifier with known motifs, whose scan is a baseline."""
    training = config["models"][model]["training"]
    classes = _configuration.training_head(training) in ("sigmoid", "softmax")
    return classes and bool(_motifs_of(model))


def _motifs_of(model):
    """Analyses of a model that look for motifs."""
    return [
        analysis
        for analysis in config["analyses"].values()
        if analysis["model"] == model and analysis["motifs"]
    ]


def baseline_databases(wildcards):
    """Databases of all analyses of the model that look for motifs."""
    names = {
        name
        for analysis in _motifs_of(wildcards.model)
        for name in database_names(analysis)
    }
    return [database_path(name) for name in sorted(names)]
