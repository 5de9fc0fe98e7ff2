"""Whether Snakemake was asked for a check of finished results and for nothing else.

Snakemake reads the workflow before it says what it was asked for, so that its command line is read here.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Rules that only read finished results.
RULES = ("check", "verify_results")
#: The file that they write, below the results folder.
TABLE = "verification.tsv"


def asked_for(arguments: Sequence[str]) -> set[str]:
    """Targets of a command line of Snakemake, and the rules of jobs in a process of a job; empty if none."""
    from snakemake.cli import get_argument_parser

    try:
        found, _ = get_argument_parser().parse_known_args(list(arguments))
    except SystemExit:  # no command line of Snakemake's
        return set()
    jobs = {str(job.rulename) for job in found.target_jobs or []}
    return {str(name) for name in found.targets or []} | jobs


def is_check(arguments: Sequence[str], results: str) -> bool:
    """Whether results are only checked: their inputs may be gone, and nothing but the table may change.

    Parameters
    ----------
    arguments
        The command line, without the program.
    results
        The results folder.
    """
    words = (*RULES, f"{results}/{TABLE}")
    if not any(argument.startswith(words) for argument in arguments):
        return False
    asked = asked_for(arguments)
    return bool(asked) and asked <= set(words)
