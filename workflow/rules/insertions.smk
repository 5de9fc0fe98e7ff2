"""Insertions: what motifs do in a model, where they are put into sequences or cut out.

Purpose: every motif singly and every pair over a grid of distances and orientations, in many backgrounds; real
sites cut out and moved; one job per chunk of backgrounds and fold, on a GPU where there is one.
Inputs: sequences.h5, the weights of every fold; words of the lexicon and hits where they are asked for.
Outputs: insertions/{insertion}/plan.h5, inserts.tsv, chunks/{fold}/{chunk}.h5, insertions.tsv, contexts.tsv
and sites.tsv.
"""


rule prepare_insertions:
    input:
        sequences=lambda wildcards: f"{RESULTS}/regions/{insertion_regions(wildcards)}/sequences.h5",
        # Each of these only where the experiment asks for it.
        lexicon=insertion_file("lexicon"),
        words=insertion_file("words"),
        meme=insertion_file("meme"),
        hits=insertion_file("hits"),
        regions=insertion_file("regions"),
        backgrounds=insertion_file("backgrounds"),
        genome=insertion_file("genome"),
        fai=insertion_file("fai"),
        gzi=insertion_file("gzi"),
        exclude=insertion_file("exclude"),
    output:
        plan=f"{RESULTS}/insertions/{{insertion}}/plan.h5",
        table=f"{RESULTS}/insertions/{{insertion}}/inserts.tsv",
    log:
        f"{RESULTS}/logs/prepare_insertions/{{insertion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_insertions/{{insertion}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("prepare_insertions"),
        runtime=runtime_of("prepare_insertions"),
    params:
        code=code("prepare_insertions"),
        settings=insertion_settings,
    message:
        "Prepare insertions: {wildcards.insertion}"
    script:
        "../../scripts/prepare_insertions.py"


rule insert_chunk:
    input:
        plan=rules.prepare_insertions.output.plan,
        weights=lambda wildcards: weights_of(insertion_model(wildcards), wildcards.fold),
        module=lambda wildcards: model_code(insertion_model(wildcards)),
    output:
        # Kept: the predictions, from which the table is made again without the model.
        chunk=f"{RESULTS}/insertions/{{insertion}}/chunks/{{fold}}/{{chunk}}.h5",
    log:
        f"{RESULTS}/logs/insert_chunk/{{insertion}}/{{fold}}/{{chunk}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/insert_chunk/{{insertion}}/{{fold}}/{{chunk}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("insert_chunk"),
        runtime=runtime_of("insert_chunk"),
    params:
        code=code_with_model("insert_chunk", insertion_model),
        job=insertion_job,
        model=lambda wildcards: model_options(insertion_model(wildcards)),
        batch_size=lambda wildcards: config["insertions"][wildcards.insertion][
            "batch_size"
        ],
        device=lambda wildcards: insertion_analysis(wildcards)["device"],
    message:
        "Insertions: {wildcards.insertion} / {wildcards.fold}, chunk {wildcards.chunk}"
    script:
        "../../scripts/insert_chunk.py"


rule insert_motifs:
    input:
        plan=rules.prepare_insertions.output.plan,
        chunks=insertion_chunks,
    output:
        table=f"{RESULTS}/insertions/{{insertion}}/insertions.tsv",
        contexts=f"{RESULTS}/insertions/{{insertion}}/contexts.tsv",
        sites=f"{RESULTS}/insertions/{{insertion}}/sites.tsv",
    log:
        f"{RESULTS}/logs/insert_motifs/{{insertion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/insert_motifs/{{insertion}}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("insert_motifs"),
        runtime=runtime_of("insert_motifs"),
    params:
        code=code("insert_motifs"),
        folds=insertion_folds,
        options=insertion_options,
    message:
        "Table of insertions: {wildcards.insertion}"
    script:
        "../../scripts/insert_motifs.py"
