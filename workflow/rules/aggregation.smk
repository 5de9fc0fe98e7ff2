"""Aggregation: the chunks and folds of one target become one checked file.

Purpose: mean over folds and their spread; then the quality gate on the completeness error, in a separate
rule, so that changing the gate recomputes no attributions.
Inputs: sequences.h5, every chunk of every fold. Outputs: {analysis}/{target}/attributions.all.h5, and from
it attributions.h5 and qc.tsv.
"""


rule aggregate_chunks:
    input:
        sequences=lambda wildcards: f"{RESULTS}/regions/{regions_of(wildcards)}/sequences.h5",
        chunks=lambda wildcards: [
            f"{RESULTS}/{wildcards.analysis}/chunks/{fold}/{chunk}.h5"
            for fold in folds_of(wildcards)
            for chunk in chunks_of(wildcards)
        ],
        # Chunk files are temporary, and Snakemake looks for changes only at what is there: so everything
        # that attributions depend on is named here once more, as inputs and as parameters.
        made_from=attribution_files,
        inspected=f"{RESULTS}/{{analysis}}/inspected.json",
        number=reference_number,
        windows=window_file,
    output:
        complete=f"{RESULTS}/{{analysis}}/{{target}}/attributions.all.h5",
    log:
        f"{RESULTS}/logs/aggregate_chunks/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/aggregate_chunks/{{analysis}}/{{target}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("aggregate_chunks"),
        runtime=runtime_of("aggregate_chunks"),
    params:
        code=code("aggregate_chunks"),
        attribution_code=code_with_method("attribute_chunk"),
        attribution=attribution_of_target,
        model=lambda wildcards: model_options(model_of(wildcards)),
        folds=folds_of,
    message:
        "Aggregate chunks: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/aggregate_chunks.py"


rule gate_attributions:
    input:
        complete=f"{RESULTS}/{{analysis}}/{{target}}/attributions.all.h5",
    output:
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
        # After the attributions: they may be a hard link to the input, and no output may be older than it.
        qc=report(
            f"{RESULTS}/{{analysis}}/{{target}}/qc.tsv",
            caption="../report/qc.rst",
            category="Quality",
            labels={
                "analysis": "{analysis}",
                "target": "{target}",
                "table": "Completeness of regions",
            },
        ),
    log:
        f"{RESULTS}/logs/gate_attributions/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gate_attributions/{{analysis}}/{{target}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("gate_attributions"),
        runtime=runtime_of("gate_attributions"),
    params:
        code=code("gate_attributions"),
        gate=gate_of,
    message:
        "Quality gate: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/gate_attributions.py"
