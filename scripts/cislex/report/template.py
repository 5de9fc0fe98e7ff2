"""The template of the page, with the filters that it uses."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from cislex.files.tables import require_file
from cislex.report.facts import count, equation, setting


def capital(sentence: str) -> str:
    """Begin a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def load_template(path: str | Path, folder: Path) -> jinja2.Template:
    """Load the template with escaping on; ``link`` makes a path relative to the page's folder."""
    require_file(path, what="report: template")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(path).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def link(target: str | Path) -> Markup:
        relative = Path(os.path.relpath(Path(target).resolve(), folder)).as_posix()
        return Markup('<a href="{}">{}</a>').format(quote(relative), relative)

    def breakable(value: str) -> Markup:
        # A path may go on in the next line after a slash, not amid a name.
        return Markup(escape(value).replace("/", Markup("/<wbr>")))

    environment.filters["link"] = link
    environment.filters["breakable"] = breakable
    environment.filters["count"] = count
    environment.filters["equation"] = equation
    environment.filters["capital"] = capital
    environment.filters["setting"] = setting
    return environment.get_template(Path(path).name)
