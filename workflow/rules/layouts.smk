"""Layouts: contributions in the files of TF-MoDISco, ChromBPNet and Fi-NeMo, genome browsers and scanpy.

Purpose: one job per target, for the layouts that the config names (`exports`).
Inputs: {analysis}/{target}/attributions.h5; contributions.bw for bedGraph; hits.bed.gz for AnnData.
Outputs: exports/{analysis}/{target}/.
"""


rule export_layouts:
    input:
        unpack(layout_files),
    output:
        folder=directory(f"{RESULTS}/exports/{{analysis}}/{{target}}"),
    log:
        f"{RESULTS}/logs/export_layouts/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export_layouts/{{analysis}}/{{target}}.tsv"
    conda:
        "../../envs/motifs.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("export_layouts"),
        runtime=runtime_of("export_layouts"),
    params:
        code=code("export_layouts"),
        layouts=lambda wildcards: layouts_of(wildcards.analysis),
    message:
        "Layouts of other tools: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/export_layouts.py"
