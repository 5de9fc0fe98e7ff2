"""What a check of results expects of them.

Purpose: files of a finished run, and what the config promises of them.
Inputs: the config. Outputs: the functions below; no rule.
"""

import yaml as _yaml


def expected_results():
    """Files below the results folder that a finished run of this config has."""
    wanted = [
        *workflow.get_rule("all").input,
        *workflow.get_rule("render_report").input,
        *(
            f"{RESULTS}/{name}/{end}"
            for name in config["analyses"]
            for end in ("inspection.tsv", "predictions.h5")
        ),
        *all_targets("{analysis}/{target}/attributions.all.h5"),
        *all_targets("{analysis}/{target}/qc.tsv"),
    ]
    prefix = f"{RESULTS}/"
    return sorted(
        {
            str(path).removeprefix(prefix)
            for path in wanted
            if str(path).startswith(prefix)
        }
    )


def kept_config():
    """The config in the results folder; None where it cannot be read."""
    try:
        with open(f"{RESULTS}/config.yaml", encoding="utf-8") as handle:
            found = _yaml.safe_load(handle)
    except (OSError, ValueError, _yaml.YAMLError):
        return None
    return found if isinstance(found, dict) else None


def result_names():
    """Names of the config by the wildcards that stand for them."""
    analyses = config["analyses"].values()
    return {
        "analysis": list(config["analyses"]),
        "target": sorted(
            {name for analysis in analyses for name in analysis["targets"]}
        ),
        "regions": list(config["regions"]),
        "model": list(config["models"]),
        "variants": list(config["variants"]),
        "insertion": list(config["insertions"]),
        "comparison": list(config["comparisons"]),
        "contrast": list(config["contrasts"]),
        "evolution": list(config["evolution"]),
        "database": list(DATABASES),
    }


def verified_settings():
    """For each analysis what its files must agree with."""
    return {
        name: {
            "regions": analysis["regions"],
            "folds": used_folds(analysis),
            "gate": analysis["qc"],
            "lexicon": has_lexicon(),
            "database_hits": bool(scanned_database(analysis)),
            "same_prediction": {
                target: settings.get("kind") != "profile"
                and not settings.get("pre_activation")
                for target, settings in analysis["targets"].items()
            },
        }
        for name, analysis in config["analyses"].items()
    }
