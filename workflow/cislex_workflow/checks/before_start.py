"""What the files of a config say against a run, asked before its first job.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cislex_workflow.checks import file_contents, file_kinds, input_files


def refusal(config: dict[str, Any], folder: Path, configs: Iterable[Path] = ()) -> str | None:
    """Why a run cannot start, or None.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    configs
        The config files, for the message about missing files.
    """
    if missing := input_files.missing_files(config, folder):
        return input_files.message(missing, folder, configs)
    # A file of another kind has no contents to be compared.
    if misfits := list(file_kinds.problems(config, folder)) or file_contents.problems(config, folder):
        return "\n  ".join(["the config does not match the files that it names:", *misfits])
    return input_files.results_problem(config["results"], folder)
