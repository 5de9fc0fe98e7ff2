"""Report: one self-contained page about the whole run; of many targets, an index and a page for each.

Purpose: what was found, in which regions, by which model, and how far to trust it.
Inputs: the tables, logos and attributions of every target. Outputs: report.html, report/.
"""


rule render_report:
    input:
        files=report_files(),
    output:
        **report_pages(),
        report=report(
            f"{RESULTS}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "Report of the run"},
        ),
    log:
        f"{RESULTS}/logs/render_report/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/render_report/report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory_of("render_report"),
        runtime=runtime_of("render_report"),
    params:
        code=code("render_report"),
        analyses=report_analyses(),
        regions=report_regions(),
        models=report_models(),
        options={
            "title": config["title"],
            "lexicon": report_lexicon(),
            "insertions": report_insertions(),
            "variants": report_variants(),
            "comparisons": report_comparisons(),
            "contrasts": report_contrasts(),
            "evolution": report_evolution(),
            "results": config["results"],
            "settings": report_settings(),
            "model_settings": report_model_settings(),
            "engine": "snakemake",
            "pages_above": REPORT_PAGES_ABOVE,
            **config["report"],
            "trusted": [
                name
                for name, model in config["models"].items()
                if model["trust_pickle"]
            ],
        },
    message:
        "Report"
    script:
        "../../scripts/render_report.py"
