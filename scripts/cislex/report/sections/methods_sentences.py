"""Sentences about one region set, one model and one way of attributing, for the section on methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cislex.report.facts import count, in_words, percent, setting
from cislex.report.sections.references import Bibliography

Settings = Mapping[str, Any]

RULES = {
    "rescale": "the Rescale rule",
    "reveal_cancel": "the RevealCancel rule",
    "genomics_default": "Rescale after convolutions and RevealCancel after dense layers",
}
#: Papers of architectures and of formats of models.
PAPERS = {
    "bpnet": "avsec2021bpnet", "bpnet-lite": "avsec2021bpnet", "chrombpnet": "pampari2024chrombpnet",
    "deepsea_beluga": "zhou2018expecto", "basset": "kelley2016basset", "deepstarr": "dealmeida2022deepstarr",
}  # fmt: skip
NETWORKS = {
    "cnn": "convolutional network (cnn)",
    "cnn_lstm": "convolutional and recurrent network (cnn_lstm)",
    "bpnet": "BPNet",
}
QUADRATURES = {
    "gauss_legendre": "points of Gauss-Legendre quadrature",
    "trapezoid": "steps of the trapezoid rule",
    "adaptive": "steps at first, doubled until the tolerance of {tolerance} is met",
}
#: What happens at the limit of ``on_fail: error``: finished results have no such region.
STOPPED = "would have stopped the run"
ON_FAIL = {"error": STOPPED, "drop": "were dropped", "keep": "were kept and flagged"}


def some(items: Sequence[str], *, first: int = 8) -> str:
    """``a, b and c``; of many the first, and how many more."""
    if len(items) > first:
        return f"{', '.join(items[:first])} and {len(items) - first} more"
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def region_words(settings: Settings) -> str:
    """How windows were chosen, as the rest of a sentence; empty where nothing is known."""
    if not settings:
        return ""
    if settings.get("fasta") or settings.get("hdf5"):
        return f": {', '.join(['sequences given directly', *_chosen_directly(settings)])}"
    parts = [f"windows centred on the {settings.get('center', 'summit')}s of the peaks"]
    if settings.get("top"):
        parts.append(f"the {settings['top']:,} peaks with the largest {settings.get('order_by', 'score')}")
    if settings.get("sample"):
        parts.append(f"a random sample of {settings['sample']:,}")
    if settings.get("exclude_chromosomes"):
        parts.append(f"excluding {in_words(settings['exclude_chromosomes'])}")
    if settings.get("only_chromosomes"):
        parts.append(f"{in_words(settings['only_chromosomes'])} only")
    kind = settings.get("deduplicate")
    if kind in ("exact", "overlap"):
        parts.append(
            "duplicate windows removed" if kind == "exact" else "only the best of overlapping windows"
        )
    if settings.get("max_unknown") is not None:
        parts.append(f"at most {percent(settings['max_unknown'])} unknown bases")
    return f": {', '.join(parts)}"


def _chosen_directly(settings: Settings) -> list[str]:
    """How sequences given directly were chosen."""
    parts = []
    if settings.get("names"):
        parts.append("selected by name")
    parts += [
        f"with {column} {' or '.join(map(str, values))}"
        for column, values in (settings.get("select") or {}).items()
    ]
    if settings.get("top"):
        parts.append(f"the {settings['top']:,} with the largest {settings.get('order_by', 'score')}")
    if settings.get("sample"):
        parts.append(f"a random sample of {settings['sample']:,}")
    if settings.get("deduplicate") == "exact":
        parts.append("duplicate sequences removed")
    if settings.get("max_unknown") not in (None, 1):
        parts.append(f"at most {percent(settings['max_unknown'])} unknown bases")
    return parts


def model_words(name: str, settings: Settings, cited: Bibliography) -> str:
    """What a model is, and how it was trained where it was trained in this run."""
    if not settings:
        return f"Model {name}: supplied by the user."
    loader, folds = str(settings.get("loader", "")), list(settings.get("folds") or [])
    training = settings.get("training")
    kind = training.get("architecture") if isinstance(training, Mapping) else settings.get("architecture")
    papers = [PAPERS[key] for key in dict.fromkeys((str(kind), loader)) if key in PAPERS]
    paper = f" ({cited.cite(*papers)})" if papers else ""
    length = f"{settings.get('input_length', '?'):,} bp"
    in_folds = f", {count(len(folds), 'fold')} ({some([str(f) for f in folds])})" if folds else ""
    if not isinstance(training, Mapping):
        form = f"architecture {kind}" if kind else f"format {loader}"
        return f"Model {name}: pretrained, {form}{paper}, input {length}{in_folds}."
    shape = in_words(training["hyperparameters"]) if training.get("hyperparameters") else "default size"
    network = NETWORKS.get(str(kind), f"{kind} network")
    said = f"Model {name}: {network}{paper}, {shape}, input {length}{in_folds}."
    return f"{said} {_training(training, settings)}"


def _training(training: Settings, settings: Settings) -> str:
    """How a model was trained: data, optimiser, held-out chromosomes."""
    given = {key: in_words(value) for key, value in training.items()}
    parts = [
        f"It was trained for {given.get('epochs')} epochs (AdamW, one-cycle schedule, peak learning rate "
        f"{given.get('learning_rate')}, weight decay {given.get('weight_decay')}, batches of "
        f"{given.get('batch_size')}, seed {given.get('seed')})"
    ]
    if training.get("reverse_complement"):
        parts.append("with reverse complements")
    negatives = training.get("negatives")
    if training.get("tasks") and isinstance(negatives, Mapping) and negatives.get("kind") != "none":
        kind = str(negatives["kind"]).replace("gc_matched", "GC-matched").replace("bed", "given")
        number, more = (training.get(f"{use}negatives_per_positive") for use in ("", "train_"))
        also = f" ({number} for validation and test)" if more not in (None, number) else ""
        parts.append(f"and {in_words(more or number)} {kind} negatives per positive{also}")
    text = " ".join(parts) + "."
    if training.get("keep_epoch") == "auprc":
        text += " The epoch with the highest mean AUPRC on the validation windows was kept."
    held = settings.get("held_out")
    validation, test = training.get("validation_chromosomes"), training.get("test_chromosomes")
    if validation:
        text += f" Validation chromosomes: {in_words(validation)}."
    if held:
        text += f" Test chromosomes by fold: {in_words(held)}."
    elif test:
        text += f" Test chromosomes: {in_words(test)}."
    return text


def attribution_words(attributes: Settings, settings: Settings, cited: Bibliography) -> str:
    """How predictions were attributed: method, references, precision, folds, and the gate."""
    method = attributes.get("method")
    if not isinstance(method, Mapping):
        return f"attributed by {method}." if method else "attributed."
    said = f"attributed by {_method(method, cited)}"
    if attributes.get("precision"):
        said += f", in {attributes['precision']}"
    if settings.get("reverse_complement"):
        said += ", to the average prediction of both strands"
    said += f"; seed {attributes.get('seed', 0)}."
    folds = attributes.get("folds") or []
    if len(folds) > 1:
        if settings.get("fold_use") == "held_out":
            said += " Each region was attributed by the fold that held out its chromosome."
        else:
            same = "the same" if settings.get("same_references") else "different"
            said += f" Attributions of {len(folds)} folds, with {same} references, were averaged."
    said += _storage(settings)
    limit = attributes.get("max_relative_delta_limit")
    if promises(attributes) and isinstance(limit, float):
        fate = ON_FAIL.get(str(attributes.get("on_fail")), "were flagged")
        said += (
            f" Regions whose contributions deviate from the difference between prediction and reference "
            f"prediction by more than {setting(limit)} of it {fate}"
        )
    return said


def _storage(settings: Settings) -> str:
    """Which part of the attributions is stored, where that is not all."""
    screen, stored = settings.get("screen"), settings.get("attributions")
    said = ""
    if isinstance(screen, Mapping):
        several = screen.get("top", 1) > 1
        which = f"up to {screen['top']} windows" if several else "the window"
        hold = "hold the largest sums" if several else "holds the largest sum"
        said += (
            f" Attributions were stored of {which} of {screen['width']:,} bp of each region that {hold} of "
            f"absolute contributions in analysis {screen['analysis']}."
        )
    if isinstance(stored, Mapping):
        window, kept = stored.get("window"), stored.get("keep")
        if isinstance(window, int):
            said += f" Attributions of the central {window:,} bp of each region were stored."
        elif window:
            said += f" Attributions of bp {window[0]:,} to {window[1]:,} of each region were stored."
        if kept:
            said += f" Only the {kept:,} largest contributions of each region were kept."
    return said


def promises(attributes: Settings) -> bool:
    """Whether the method promises completeness, so that regions were gated."""
    method = attributes.get("method")
    return isinstance(method, Mapping) and method.get("name") in ("deep_lift_shap", "integrated_gradients")


def _method(method: Settings, cited: Bibliography) -> str:
    name, given = str(method.get("name", "")), method.get("references")
    references: Settings = given if isinstance(given, Mapping) else {}
    compared = _references(references, cited)
    if name == "deep_lift_shap":
        rule = RULES.get(str(method.get("rule")), f"the rule {method.get('rule')}")
        return (
            f"DeepLIFT ({cited.cite('shrikumar2017deeplift')}) with {rule}, as in DeepSHAP "
            f"({cited.cite('lundberg2017shap')}), {compared}"
        )
    if name == "integrated_gradients":
        rule = QUADRATURES.get(str(method.get("quadrature")), "steps").format(
            tolerance=setting(method.get("tolerance", 0.0))
        )
        return (
            f"integrated gradients ({cited.cite('sundararajan2017ig')}) with {method.get('steps')} {rule}, "
            f"{compared}"
        )
    if name == "expected_gradients":
        return f"expected gradients ({cited.cite('erion2021expected')}), {compared}"
    centred = f"centred over the four bases ({cited.cite('majdandzic2023correction')})"
    if name == "tism":
        return f"Taylor in-silico mutagenesis ({cited.cite('sasse2024tism')}), {centred}"
    if name == "saliency":
        return f"gradients ({cited.cite('simonyan2013saliency')}), {centred}"
    if name == "ism":
        stretch = ""
        if method.get("start") or method.get("end") is not None:
            stretch = f" from bp {method.get('start', 0)} to {method.get('end') or 'the end'}"
        return (
            f"in-silico mutagenesis of every base{stretch} ({cited.cite('zhou2015deepsea')}), "
            f"effects centred over the four bases"
        )
    return name


def _references(references: Settings, cited: Bibliography) -> str:
    kind, n = str(references.get("kind", "")), references.get("n", "?")
    if kind == "dinucleotide_shuffle":
        start, end = references.get("start", 0), references.get("end", -1)
        part = f" from bp {start} to {end}" if start or end not in (-1, None) else ""
        uniform = "uniformly drawn " if references.get("sampling") == "uniform" else ""
        return (
            f"against {n} {uniform}dinucleotide-preserving shuffles of each region{part} "
            f"({cited.cite('altschul1985shuffle')})"
        )
    if kind == "shuffle":
        return f"against {n} shuffles of each region"
    if kind == "genomic":
        tolerance = f"{references.get('gc_tolerance', 0):g}"
        return f"against {n} other windows of the genome for each region, GC content within {tolerance}"
    if kind == "uniform":
        return f"against base frequencies of {in_words(references.get('frequencies', []))} at every position"
    if kind == "zeros":
        return "against the all-zero sequence"
    return f"against {kind} references"
