"""Motifs: the recurring patterns of bases that carry the attributions (TF-MoDISco).

Purpose: one job per target of an analysis.
Inputs: {analysis}/{target}/attributions.h5. Outputs: {analysis}/{target}/modisco.h5.
"""


rule find_motifs:
    input:
        attributions=f"{RESULTS}/{{analysis}}/{{target}}/attributions.h5",
    output:
        motifs=f"{RESULTS}/{{analysis}}/{{target}}/modisco.h5",
    log:
        f"{RESULTS}/logs/find_motifs/{{analysis}}/{{target}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/find_motifs/{{analysis}}/{{target}}.tsv"
    wildcard_constraints:
        analysis=with_motifs(),
    conda:
        "../../envs/motifs.yaml"
    threads: lambda wildcards: motif_threads()
    resources:
        mem_mb=memory_of("find_motifs"),
        runtime=runtime_of("find_motifs"),
    params:
        code=code("find_motifs"),
        settings=lambda wildcards: {
            "max_seqlets": analysis_of(wildcards)["motifs"]["max_seqlets"],
            "window": analysis_of(wildcards)["motifs"]["window"],
            "seed": analysis_of(wildcards)["motifs"]["seed"],
            "n_leiden_runs": analysis_of(wildcards)["motifs"]["n_leiden_runs"],
            "target_seqlet_fdr": analysis_of(wildcards)["motifs"]["target_fdr"],
            "min_metacluster_size": analysis_of(wildcards)["motifs"][
                "min_metacluster_size"
            ],
            "final_min_cluster_size": analysis_of(wildcards)["motifs"][
                "final_min_cluster_size"
            ],
        },
    message:
        "TF-MoDISco: {wildcards.analysis} / {wildcards.target}"
    script:
        "../../scripts/find_motifs.py"
