"""Settings of the variant rules.

Purpose: arguments of the rules of variants, and which sets have further stages.
Inputs: the config. Outputs: the functions below; no rule.
"""

import types as _types


def variants_file(wildcards):
    """The file of a set of variants."""
    settings = config["variants"][wildcards.variants]
    return settings["vcf"] or settings["table"]


def variants_analysis(wildcards):
    """Settings of the analysis whose model and targets score a set of variants."""
    return config["analyses"][config["variants"][wildcards.variants]["analysis"]]


def variants_model(wildcards):
    """Name of that analysis's model."""
    return variants_analysis(wildcards)["model"]


def variant_folds(wildcards):
    """Names of the folds that the analysis uses, in the order of the config."""
    return used_folds(variants_analysis(wildcards))


def variant_windows(wildcards):
    """Fields of cislex.variants.windows.WindowOptions."""
    settings = config["variants"][wildcards.variants]
    return {
        "length": input_length(variants_model(wildcards)),
        "anchor": settings["anchor"],
        "shifts": settings["shifts"],
    }


def variant_null(wildcards):
    """Fields of cislex.variants.chunk.NullOptions."""
    return {
        "size": config["variants"][wildcards.variants]["null"],
        "seed": config["seed"],
    }


def variant_check(wildcards):
    """Options of cislex.variants.checked.prepare_variants."""
    return {
        "windows": variant_windows(wildcards),
        "on_mismatch": config["variants"][wildcards.variants]["on_mismatch"],
        **held_out_of(_variants_as_analysis(wildcards)),
    }


def variant_job(wildcards):
    """Fields of cislex.variants.chunk.VariantJob but for chunk and fold."""
    settings, analysis = (
        config["variants"][wildcards.variants],
        variants_analysis(wildcards),
    )
    return {
        "chunks": settings["chunks"],
        "targets": analysis["targets"],
        "windows": variant_windows(wildcards),
        "null": variant_null(wildcards),
        "reverse_complement": strands_of(settings),
        "counts": settings["counts"],
        "signs": settings["signs"],
        **held_out_of(_variants_as_analysis(wildcards)),
    }


def variant_chunks(wildcards):
    """Chunk files of a set of variants, fold by fold."""
    return [
        f"{RESULTS}/variants/{wildcards.variants}/chunks/{fold}/{chunk}.h5"
        for fold in variant_folds(wildcards)
        for chunk in range(config["variants"][wildcards.variants]["chunks"])
    ]


def variant_background(wildcards):
    """Predictions of the analysis's regions, among which alleles have a quantile; nothing where it is off."""
    settings = config["variants"][wildcards.variants]
    return (
        f"{RESULTS}/{settings['analysis']}/predictions.tsv"
        if settings["quantiles"]
        else []
    )


def variants_with(key):
    """Sets of variants with an optional part, as a pattern."""
    names = [_re.escape(name) for name, one in config["variants"].items() if one[key]]
    return "|".join(names) or "(?!)"


def _variants_as_analysis(wildcards):
    """Wildcards of the analysis of a set of variants, for the settings of attribution.smk."""
    return _types.SimpleNamespace(
        analysis=config["variants"][wildcards.variants]["analysis"]
    )


def variant_references(wildcards):
    """Settings of the method, and the files that its references are made from."""
    analysis = _variants_as_analysis(wildcards)
    return method_of(analysis), list(reference_files(analysis).values())


def top_variants_job(wildcards):
    """Fields of cislex.variants.attribute.TopJob but for allow_incomplete, which changes no number."""
    settings, analysis = (
        config["variants"][wildcards.variants],
        variants_analysis(wildcards),
    )
    windows = variant_windows(wildcards)
    return {
        "n": settings["top"]["n"],
        "flank": min(settings["top"]["flank"], windows["length"] // 2),
        "targets": analysis["targets"],
        "method": variant_references(wildcards)[0],
        "windows": windows,
        "seed": config["seed"],
        "same_references": analysis["same_references"],
        "precision": analysis["precision"],
        "reverse_complement": analysis["reverse_complement"],
        **held_out_of(_variants_as_analysis(wildcards)),
    }


def variant_databases(wildcards):
    """MEME files of the known motifs that measured variants are compared by: those of the analysis."""
    return [
        database_path(name) for name in database_names(variants_analysis(wildcards))
    ]


def variant_tracks(wildcards):
    """Contributions of each target, by which measured variants are ranked, too; nothing where they are not."""
    settings = config["variants"][wildcards.variants]
    analysis = variants_analysis(wildcards)
    if settings["attribution_flank"] is None or not has_coordinates(
        analysis["regions"]
    ):
        return []
    return [
        f"{RESULTS}/{settings['analysis']}/{target}/contributions.bw"
        for target in analysis["targets"]
    ]


def variant_comparison(wildcards):
    """Options of cislex.variants.evaluate.evaluate_variants."""
    settings = config["variants"][wildcards.variants]
    return {
        "targets": list(variants_analysis(wildcards)["targets"]),
        "column": settings["observed"],
        "threshold": settings["observed_threshold"],
        **(
            {"flank": settings["attribution_flank"]}
            if variant_tracks(wildcards)
            else {}
        ),
        "seed": config["seed"],
    }
