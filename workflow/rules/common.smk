"""Helpers that every rule file uses: settings looked up by name, and the code a rule depends on.

Nothing here runs a job. The package is never imported (torch would load whenever Snakemake parses).
"""

import re as _re
from pathlib import Path as _Path

#: Root of the project (this file lies in workflow/rules/).
ROOT = _Path(workflow.basedir)
PACKAGE = ROOT / "scripts" / "cislex"
RESULTS = config["results"].rstrip("/")


def code(*modules):
    """Source files that a rule's result depends on: the named modules and all that they import.

    An edited import does not trigger a rerun in Snakemake by itself, so rules declare these files as
    ``code=`` inputs. ``code("chunks")`` follows the ``cislex`` imports of scripts/cislex/chunks.py.
    """
    found, queue = set(), list(modules)
    while queue:
        module = queue.pop()
        as_file = PACKAGE / f"{module.replace('.', '/')}.py"
        as_package = PACKAGE / module.replace(".", "/")
        if as_package.is_dir():
            paths = sorted(p for p in as_package.glob("*.py"))
        elif as_file.is_file():
            paths = [as_file]
        else:
            continue
        for path in paths:
            if path in found:
                continue
            found.add(path)
            text = path.read_text(encoding="utf-8")
            for name in _re.findall(r"^\s*from cislex\.([\w.]+) import|^\s*import cislex\.([\w.]+)", text, _re.M):
                queue.append(next(part for part in name if part).split(".")[0])
    return [str(path) for path in sorted(found)]
