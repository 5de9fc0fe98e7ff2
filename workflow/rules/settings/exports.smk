"""Settings of what is made for genome browsers and other tools.

Purpose: which targets have tracks, the files of the folder `browser`, and the layouts of each target.
Inputs: the config. Outputs: the functions below; no rule.
"""


def has_browser():
    """Whether the folder for genome browsers is made: some regions are on the genome."""
    return config["browser"] is not None and bool(browser_analyses())


def browser_analyses():
    """Names of the analyses whose regions are on the genome."""
    return [
        name
        for name, analysis in config["analyses"].items()
        if has_coordinates(analysis["regions"])
    ]


def browser_genome_included():
    """Whether the genome is put into the folder."""
    wanted = config["browser"]["genome"]
    return config["report"]["assembly"] is None if wanted is None else wanted


def browser_options():
    """Arguments of export_browser."""
    names = browser_analyses()
    return {
        "targets": [
            _browser_target(name, target)
            for name in names
            for target in config["analyses"][name]["targets"]
        ],
        "genome": {
            "chromosomes": str(rules.index_genome.output.chromosomes),
            "fasta": fasta_path(),
            "fai": str(rules.index_genome.output.fai),
            "gzi": str(rules.index_genome.output.gzi),
            "assembly": config["report"]["assembly"],
            "included": browser_genome_included(),
        },
        "regions": {
            regions: f"{RESULTS}/regions/{regions}/regions.bed"
            for regions in dict.fromkeys(
                config["analyses"][name]["regions"] for name in names
            )
        },
        "variants": [
            {
                "name": name,
                "table": f"{RESULTS}/variants/{name}/variants.tsv",
                "targets": list(config["analyses"][settings["analysis"]]["targets"]),
            }
            for name, settings in config["variants"].items()
        ],
        "settings": {
            "title": config["title"],
            **{
                key: config["browser"][key]
                for key in ("email", "page_regions", "page_width")
            },
        },
    }


def _browser_target(name, target):
    """Fields of cislex.exports.browser_specs.BrowserTarget."""
    analysis = config["analyses"][name]
    folder = f"{RESULTS}/{name}/{target}"
    label = (analysis["labels"] or {}).get(target)
    signals = label if label and config["browser"]["signal"] else {}
    return {
        "analysis": name,
        "target": target,
        "contributions": f"{folder}/contributions.bw",
        "attributions": f"{folder}/attributions.h5",
        "predictions": f"{RESULTS}/{name}/predictions.tsv",
        "observed": f"{RESULTS}/{name}/observed.tsv" if label else None,
        "hits": f"{folder}/hits.bed.gz" if analysis["hits"] else None,
        "signals": {
            key: signals[key] for key in ("bigwig", "plus", "minus") if signals.get(key)
        },
    }


def browser_files(wildcards):
    """Every file that the folder is made of."""
    options = browser_options()
    keys = ("contributions", "attributions", "predictions", "observed", "hits")
    found = [one[key] for one in options["targets"] for key in keys if one[key]]
    found += [f"{path}.tbi" for path in found if path.endswith("hits.bed.gz")]
    found += [path for one in options["targets"] for path in one["signals"].values()]
    genome = options["genome"]
    found += [genome[key] for key in ("chromosomes", "fasta", "fai", "gzi")]
    found += list(options["regions"].values())
    return list(dict.fromkeys([*found, *(one["table"] for one in options["variants"])]))


def browser_outputs():
    """What the folder has in this run."""
    folder = f"{RESULTS}/browser"
    found = {
        "data": directory(f"{folder}/data"),
        "hub": f"{folder}/hub.txt",
        "genomes": f"{folder}/genomes.txt",
        "track_db": f"{folder}/trackDb.txt",
        "description": f"{folder}/description.html",
        "session": f"{folder}/session.xml",
        "session_json": f"{folder}/session.json",
    }
    if browser_genome_included():
        found["genome"] = directory(f"{folder}/genome")
    if config["browser"]["page_regions"]:
        found["page"] = report(
            f"{folder}/igv.html",
            caption="../report/igv.rst",
            category="Report",
            labels={"page": "Top regions in igv.js"},
        )
    return found


def layouts_of(analysis):
    """The layouts that the targets of an analysis can have."""
    settings = config["analyses"][analysis]
    lacking = {
        "bedgraph": not has_coordinates(settings["regions"]),
        "anndata": not settings["hits"],
    }
    return [layout for layout in config["exports"] if not lacking.get(layout)]


def layout_folders():
    """The folder of each target that has a layout."""
    return [
        f"{RESULTS}/exports/{name}/{target}"
        for name, analysis in config["analyses"].items()
        if layouts_of(name)
        for target in analysis["targets"]
    ]


def layout_files(wildcards):
    """What the layouts of a target are made of."""
    folder = f"{RESULTS}/{wildcards.analysis}/{wildcards.target}"
    layouts = layouts_of(wildcards.analysis)
    return {
        "attributions": f"{folder}/attributions.h5",
        **({"track": f"{folder}/contributions.bw"} if "bedgraph" in layouts else {}),
        **({"hits": f"{folder}/hits.bed.gz"} if "anndata" in layouts else {}),
    }
