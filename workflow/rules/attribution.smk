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
        # The model passed its inspection; the timings in it must never make this job run again.
        inspection=ancient(f"{RESULTS}/{{analysis}}/inspection.tsv"),
        code=code("chunks"),
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
        job=lambda wildcards: {
            "chunks": len(chunks_of(wildcards)),
            "targets": analysis_of(wildcards)["targets"],
            "method": method_of(wildcards),
            "seed": config["seed"],
            "same_references": analysis_of(wildcards)["same_references"],
            "precision": analysis_of(wildcards)["precision"],
            "reverse_complement": analysis_of(wildcards)["reverse_complement"],
            **held_out_of(wildcards),
        },
        model=lambda wildcards: model_options(model_of(wildcards)),
        batch_size=lambda wildcards: analysis_of(wildcards)["batch_size"],
        device=lambda wildcards: analysis_of(wildcards)["device"],
    message:
        "Attribute predictions to bases: {wildcards.analysis}, {wildcards.fold}, chunk {wildcards.chunk}"
    script:
        "../../scripts/attribute_chunk.py"
