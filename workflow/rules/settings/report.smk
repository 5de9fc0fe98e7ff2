"""What the report reads and says.

Purpose: files and settings of every region set, model and target.
Inputs: the config. Outputs: the functions below; no rule.
"""

import json as _json

#: Targets on one page at most; the report of more is a folder of pages, as in cislex/report/page.py.
REPORT_PAGES_ABOVE = 8


def report_pages():
    """The folder of pages, where there are many targets."""
    targets = sum(len(analysis["targets"]) for analysis in config["analyses"].values())
    if targets <= REPORT_PAGES_ABOVE:
        return {}
    return {
        "pages": report(
            directory(f"{RESULTS}/report"),
            htmlindex="index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "Pages of all targets"},
        )
    }


def report_regions():
    """Files of each region set, as the report names them."""
    return [
        {
            "name": name,
            "regions": f"{RESULTS}/regions/{name}/regions.bed",
            "dropped": f"{RESULTS}/regions/{name}/dropped.tsv",
            "sequences": f"{RESULTS}/regions/{name}/sequences.h5",
            "direct": not has_coordinates(name),
            "settings": PORTABLE_CONFIG["regions"][name],
        }
        for name in dict.fromkeys(
            analysis["regions"] for analysis in config["analyses"].values()
        )
    ]


def report_models():
    """Training curve and scores of each fold trained in this run."""
    return [
        {
            "name": name,
            "fold": fold,
            "training": f"{RESULTS}/models/{name}/{fold}.training.tsv",
            "evaluation": f"{RESULTS}/models/{name}/{fold}.evaluation.tsv",
            "held_out": f"{RESULTS}/models/{name}/{fold}.held_out.tsv.gz",
            "baseline": (
                f"{RESULTS}/models/{name}/{fold}.baseline.tsv"
                if has_baseline(name)
                else None
            ),
        }
        for name, fold in dict.fromkeys(
            (analysis["model"], fold)
            for analysis in config["analyses"].values()
            for fold in used_folds(analysis)
        )
        if is_trained_here(name, fold)
    ]


def report_labels(name, target):
    """Where the labels of a target come from; without a file of its own, a dataset lies beside the sequences."""
    analysis = PORTABLE_CONFIG["analyses"][name]
    label = analysis["labels"][target]
    own = PORTABLE_CONFIG["regions"][analysis["regions"]]["hdf5"]
    return {**label, "hdf5": label["hdf5"] or (own if label["dataset"] else None)}


def _report_motifs(analysis, folder):
    """Files of the motifs of a target, and of what is read from them; nothing where motifs are left out."""
    if not analysis["motifs"]:
        return {"motifs": None}
    return {
        "motifs": f"{folder}/motifs.tsv",
        "logos": f"{folder}/logos",
        "modisco": f"{folder}/modisco.h5",
        "databases": {name: database_path(name) for name in database_names(analysis)},
        "truth": f"{folder}/truth.tsv" if config["simulate"] else None,
    }


def _report_hits(analysis, folder):
    """Files of the hits of a target, and of what is read from them."""
    usage = f"{RESULTS}/lexicon/usage.tsv"
    return {
        "hits": f"{folder}/hits.bed.gz" if analysis["hits"] else None,
        "usage": usage if analysis["motifs"] and has_word_hits(analysis) else None,
        **{
            name: f"{folder}/{name}.tsv" if analysis["syntax"] else None
            for name in SYNTAX_TABLES
        },
        "grammar": (
            f"{folder}/grammar.tsv"
            if config["simulate"] and analysis["syntax"]
            else None
        ),
    }


def report_analyses():
    """Files and settings of each target of each analysis."""
    entries = []
    for name, analysis in config["analyses"].items():
        for target, scalar in analysis["targets"].items():
            folder = f"{RESULTS}/{name}/{target}"
            tracks = (
                [f"{folder}/contributions.bw"]
                if has_coordinates(analysis["regions"])
                else []
            )
            shown = (
                "method",
                "fold_use",
                "precision",
                "reverse_complement",
                "same_references",
                "attributions",
                "screen",
                "qc",
                "motifs",
                "hits",
                "syntax",
                "seqlets",
            )
            entries.append(
                {
                    "analysis": name,
                    "target": target,
                    "region_set": analysis["regions"],
                    "model": analysis["model"],
                    "attributions": f"{folder}/attributions.h5",
                    "qc": f"{folder}/qc.tsv",
                    **_report_motifs(analysis, folder),
                    **_report_hits(analysis, folder),
                    **(
                        {
                            "evaluation": f"{RESULTS}/{name}/evaluation.tsv",
                            "observed": f"{RESULTS}/{name}/observed.tsv",
                            "labels": report_labels(name, target),
                            "peaks": PORTABLE_CONFIG["regions"][analysis["regions"]][
                                "peaks"
                            ],
                        }
                        if target in (analysis["labels"] or {})
                        else {}
                    ),
                    "seqlets": (
                        f"{folder}/seqlets.tsv.gz" if analysis["seqlets"] else None
                    ),
                    "inspection": f"{RESULTS}/{name}/inspection.tsv",
                    "limit": analysis["qc"]["max_relative_delta"],
                    "settings": {
                        "target": scalar,
                        **{key: analysis[key] for key in shown},
                    },
                    "files": [
                        *([f"{folder}/motifs.meme"] if analysis["motifs"] else []),
                        f"{RESULTS}/{name}/inspection.txt",
                        f"{RESULTS}/{name}/predictions.tsv",
                        *tracks,
                    ],
                }
            )
    return entries


def report_lexicon():
    """Tables of the lexicon and its further files; None where there is none."""
    if not has_lexicon():
        return None
    names = ("lexicon.meme", "usage.h5ad")
    return {
        "words": f"{RESULTS}/lexicon/lexicon.tsv",
        "members": f"{RESULTS}/lexicon/lexicon_members.tsv",
        "usage": f"{RESULTS}/lexicon/usage.tsv",
        "matrices": f"{RESULTS}/lexicon/lexicon.h5",
        "files": [f"{RESULTS}/lexicon/{name}" for name in names],
        "folds": _analyses_of_single_folds(),
    }


def _analyses_of_single_folds():
    """Groups of analyses with motifs that are alike but for the one fold of the model that each uses."""
    groups = {}
    for name, analysis in config["analyses"].items():
        if analysis["motifs"] and len(analysis["folds"] or ()) == 1:
            alike = _json.dumps({**analysis, "folds": None}, sort_keys=True)
            groups.setdefault(alike, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def report_insertions():
    """Tables of each in-silico experiment and its further files."""
    found = []
    for name, settings in config["insertions"].items():
        folder = f"{RESULTS}/insertions/{name}"
        found.append(
            {
                "name": name,
                "analysis": settings["analysis"],
                "insertions": f"{folder}/insertions.tsv",
                "contexts": f"{folder}/contexts.tsv",
                "sites": f"{folder}/sites.tsv",
                "backgrounds": settings["backgrounds"]["kind"],
                "settings": PORTABLE_CONFIG["insertions"][name],
                "files": [f"{folder}/inserts.tsv"],
            }
        )
    return found


def report_comparisons():
    """Tables of each comparison of methods."""
    found = []
    for name, settings in config["comparisons"].items():
        folder = f"{RESULTS}/comparisons/{name}"
        tables = ("comparison", "methods", "curves", "words", "logos")
        found.append(
            {
                "name": name,
                "yardstick": settings["yardstick"],
                **{table: f"{folder}/{table}.tsv" for table in tables},
                "files": [f"{folder}/regions.tsv.gz"],
            }
        )
    return found


def report_contrasts():
    """Tables of each contrast."""
    names = {"hits": "hits.tsv.gz", "words": "words.tsv", "sides": "sides.tsv"}
    return [
        {"name": name}
        | {key: f"{RESULTS}/contrasts/{name}/{file}" for key, file in names.items()}
        for name in config["contrasts"]
    ]


def report_evolution():
    """Files of each design."""
    names = {
        "trajectories": "trajectories.tsv",
        "fasta": "evolved.fa",
        "arrays": "evolution.h5",
    }
    return [
        {"name": name, "analysis": settings["analysis"]}
        | {key: f"{RESULTS}/evolution/{name}/{file}" for key, file in names.items()}
        for name, settings in config["evolution"].items()
    ]


def report_variants():
    """Tables of each set of variants."""
    return [
        {
            "name": name,
            "analysis": settings["analysis"],
            "targets": list(config["analyses"][settings["analysis"]]["targets"]),
            "scores": f"{RESULTS}/variants/{name}/variants.tsv",
            "dropped": f"{RESULTS}/variants/{name}/dropped_variants.tsv",
            "vcf": f"{RESULTS}/variants/{name}/variants.vcf.gz",
            "settings": PORTABLE_CONFIG["variants"][name],
            **(
                {
                    "top": f"{RESULTS}/variants/{name}/top_variants.tsv",
                    "arrays": f"{RESULTS}/variants/{name}/top_variants.h5",
                }
                if settings["top"]
                else {}
            ),
            **(
                {
                    key: f"{RESULTS}/variants/{name}/{key}.tsv"
                    for key in ("evaluation", "enrichment", "observed")
                }
                if settings["observed"]
                else {}
            ),
        }
        for name, settings in config["variants"].items()
    ]


def report_files():
    """Every file that the report reads or links to."""
    shared = (
        "regions",
        "dropped",
        "sequences",
        "training",
        "evaluation",
        "held_out",
        "baseline",
    )
    own = (
        "attributions",
        "motifs",
        "logos",
        "qc",
        "modisco",
        "hits",
        *SYNTAX_TABLES,
        "seqlets",
        "truth",
        "grammar",
        "observed",
        "inspection",
    )
    found = []
    for entry in report_regions() + report_models() + report_analyses():
        found += [entry[key] for key in shared + own if entry.get(key)]
        found += [*entry.get("databases", {}).values(), *entry.get("files", [])]
    for entry in report_insertions():
        tables = (entry[key] for key in ("insertions", "contexts", "sites"))
        found += [*tables, *entry["files"]]
    for entry in report_comparisons():
        found += [
            entry[key] for key in entry if key not in ("name", "yardstick", "files")
        ]
        found += entry["files"]
    for entry in report_variants() + report_contrasts() + report_evolution():
        found += [
            entry[key]
            for key in entry
            if key not in ("name", "analysis", "targets", "settings")
        ]
    lexicon = report_lexicon() or {"files": []}
    return [
        *found,
        *(
            lexicon[key]
            for key in ("words", "members", "usage", "matrices")
            if key in lexicon
        ),
        *lexicon["files"],
    ]


def report_model_settings():
    """What the section on methods says of each model."""
    return {
        name: {
            **{
                key: model[key]
                for key in ("loader", "architecture", "input_length", "held_out")
            },
            "folds": list(model["folds"]),
            "training": model["training"],
        }
        for name, model in PORTABLE_CONFIG["models"].items()
    }


def report_settings():
    """Facts of the run for the head of the page; settings that were not given are left out."""
    genome, models = PORTABLE_CONFIG["genome"] or {}, config["models"]
    facts = {
        "genome": genome.get("fasta"),
        "chromosome aliases": genome.get("aliases"),
        "blacklist": genome.get("blacklist"),
        "sources": [
            f"{name} from {entry['url']}" for name, entry in config["fetch"].items()
        ]
        or None,
        "simulated data": config["simulate"],
        "seed": config["seed"],
        "models": {
            name: f"{model['loader']}, {model['input_length']} bp, folds {', '.join(model['folds'])}"
            for name, model in models.items()
        },
    }
    return {
        key: (value.removeprefix("{project}/") if isinstance(value, str) else value)
        for key, value in facts.items()
        if value is not None
    }
