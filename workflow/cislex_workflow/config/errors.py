"""The error of an invalid config.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class ConfigurationError(Exception):
    """The config cannot be used; the message names the key, what was found and what is valid."""


def suggestion(wrong: Any, valid: Iterable[str]) -> str:
    """``; did you mean …?`` where a valid name is near, else nothing."""
    near = difflib.get_close_matches(wrong, list(valid), n=1) if isinstance(wrong, str) else []
    return f"; did you mean '{near[0]}'?" if near else ""
