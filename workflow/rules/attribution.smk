"""Attribution: how much each base of each region moves the prediction.

Purpose: one job per chunk of regions and fold of the model, all targets at once, on a GPU where there is one.
Inputs: sequences.h5, the weights of the fold, the inspection. Outputs: {analysis}/chunks/{fold}/{chunk}.h5.
"""


rule attribute_chunk:
    input:
        sequences=lambda wildcards: f"{RESULTS}/regions/{regions_of(wildcards)}/sequences.h5",
        weights=lambda wildcards: weights_of(model_of(wildcards), wildcards.fold),
        module=lambda wildcards: model_code(model_of(wildcards)),
        references=lambda wildcards: list(reference_files(wildcards).values()),
        # The model passed its inspection. This file holds no timings, which must never make a job run again.
        # (`ancient` would hide changes: Snakemake skips what lies behind a job that reruns.)
        inspected=f"{RESULTS}/{{analysis}}/inspected.json",
        number=reference_number,
        intervals=interval_files,
        windows=window_file,
    output:
        chunk=chunk_output(f"{RESULTS}/{{analysis}}/chunks/{{fold}}/{{chunk}}.h5"),
    log:
        f"{RESULTS}/logs/attribute_chunk/{{analysis}}/{{fold}}/{{chunk}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attribute_chunk/{{analysis}}/{{fold}}/{{chunk}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("attribute_chunk"),
        runtime=runtime_of("attribute_chunk"),
    params:
        code=code_with_method("attribute_chunk"),
        job=chunk_job,
        model=lambda wildcards: model_options(model_of(wildcards)),
        batch_size=lambda wildcards: analysis_of(wildcards)["batch_size"],
        device=lambda wildcards: analysis_of(wildcards)["device"],
    message:
        "Attribution: {wildcards.analysis} / {wildcards.fold}, chunk {wildcards.chunk}"
    script:
        "../../scripts/attribute_chunk.py"
