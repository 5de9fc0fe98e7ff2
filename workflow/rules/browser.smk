"""Genome browsers: tracks, IGV sessions, a UCSC hub and a page with igv.js.

Purpose: one folder with all that IGV and the UCSC Genome Browser open; it can be moved or served as it is.
Inputs: {analysis}/{target}/contributions.bw, attributions.h5, hits.bed.gz; {analysis}/predictions.tsv, observed.tsv;
regions/{regions}/regions.bed; variants/{name}/variants.tsv; the genome.
Outputs: browser/hub.txt, genomes.txt, trackDb.txt, session.xml, session.json, igv.html, data/, genome/.
"""

if has_browser():

    rule export_browser:
        input:
            files=browser_files,
        output:
            **browser_outputs(),
        log:
            f"{RESULTS}/logs/export_browser/browser.log",
        benchmark:
            f"{RESULTS}/benchmarks/export_browser/browser.tsv"
        conda:
            "../../envs/motifs.yaml"
        threads: 1
        resources:
            mem_mb=memory_of("export_browser"),
            runtime=runtime_of("export_browser"),
        params:
            code=code("export_browser"),
            options=lambda wildcards: browser_options(),
        message:
            "Tracks for genome browsers"
        script:
            "../../scripts/export_browser.py"
