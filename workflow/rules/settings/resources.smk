"""Settings of the rule that downloads files.

Purpose: the arguments of fetch_resources. Inputs: the config. Outputs: the function below; no rule.
"""


def download_options(name):
    """Arguments of fetch_resource for one file; the usual limit is left out, and a new one fetches again."""
    settings = config["fetch"][name]
    options = {
        "url": settings["url"],
        "mirror": settings["mirror"] or name,
        "sha256": settings["sha256"],
    }
    return (
        options
        if settings["max_gb"] == 100
        else {**options, "max_gb": settings["max_gb"]}
    )
