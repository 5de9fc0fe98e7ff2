"""Section about motifs: each with its logos and matches, or why a target has none."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from cislex.motifs.files import reverse_complement
from cislex.motifs.logos import information_heights
from cislex.report.facts import cell, count, decimals, probability, recorded
from cislex.report.figures.motif_logos import Symbols, is_reversed_match, motif_logo
from cislex.report.sections.motif_details import MotifDetails, describe_details
from cislex.report.sections.pattern_arrays import Core, KnownMotifs, read_cores
from cislex.report.sections.pattern_words import PatternWord
from cislex.report.specs import AnalysisTarget
from cislex.report.tables import numbers, read_table

MEDIA = {".svg": "image/svg+xml", ".png": "image/png"}

#: A match with a larger q-value is likely chance: it is shown, but names nothing on the page.
WEAK_Q = 0.05


def embed(path: Path) -> str | None:
    """Return a file as a data URI, or ``None`` where there is no such file.

    An SVG as the source of an ``img`` runs no script and shares no ids with the page.
    """
    media = MEDIA.get(path.suffix.lower())
    if media is None or not path.is_file():
        return None
    return f"data:{media}{_encode(path.read_bytes(), path.suffix.lower())}"


def _encode(content: bytes, suffix: str) -> str:
    """Encode a file for a data URI; an SVG stays text, which is a quarter shorter than base64."""
    if suffix != ".svg":
        return ";base64," + base64.b64encode(content).decode()
    text = content.decode("utf-8", errors="replace").strip()
    # Single quotes need no escape inside an attribute of the page in double quotes.
    text = text if "'" in text else text.replace('"', "'")
    return "," + quote(text.replace("\n", " "), safe=" =:;,.()/'-")


@dataclass(frozen=True)
class Match:
    """A known motif that resembles one found.

    ``null`` says where q comes from; ``source`` is the database as the page names it, if there are several.
    """

    matrix: str
    name: str
    p: str
    q: str
    weak: bool = False
    database: str = ""
    null: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.matrix})" if self.name and self.name != self.matrix else self.matrix


@dataclass(frozen=True)
class MotifView:
    """One row of the motif table.

    ``word`` and ``identifier`` are name and number of the pattern's word in the lexicon; empty: it has none.
    Logos are elements of the page; ``None``: there is no file to draw them from.
    """

    name: str
    sign: str
    seqlets: int
    width: str
    consensus: str
    information: str
    flagged: str
    matches: list[Match]
    logo: Markup | None
    reverse: Markup | None
    match_logo: Markup | None
    composite: bool = False
    word: str = ""
    identifier: str = ""
    details: MotifDetails | None = None

    @property
    def pattern(self) -> str:
        """What the page calls the pattern where its own number is meant: words are numbered, too."""
        return f"pattern {self.name}"

    @property
    def said(self) -> str:
        """The word's name with the pattern's own; without a word the latter."""
        return f"{self.word} ({self.pattern})" if self.word else self.pattern

    @property
    def search(self) -> str:
        """What a search finds it by."""
        matches = (f"{match.name} {match.matrix}" for match in self.matches if not match.weak)
        return " ".join(filter(None, [self.word, self.name, *matches, self.consensus]))

    @property
    def best(self) -> Match | None:
        """The best match, if it is one that chance would hardly give."""
        return self.matches[0] if self.matches and not self.matches[0].weak else None

    @property
    def short(self) -> str:
        """The word's name, else the match's, else the motif's own: for labels in figures."""
        if self.word:
            return self.word
        if not self.best:
            return self.name
        return (self.best.name or self.best.matrix) + (" composite" if self.composite else "")

    @property
    def known(self) -> str:
        """The best match, or of what the pattern is a composite, or a dash."""
        if self.composite and self.word:
            return f"composite {self.word}"
        if not self.best:
            return "–"
        return f"composite with {self.best}" if self.composite else str(self.best)


@dataclass(frozen=True)
class Drawing:
    """What logos of a page are drawn with: logos that it shares, and known motifs by database file."""

    symbols: Symbols = field(default_factory=Symbols)
    known: KnownMotifs = field(default_factory=dict)


def describe_motifs(
    spec: AnalysisTarget,
    drawing: Drawing | None = None,
    *,
    composite: Callable[[int, Match], bool] = lambda width, match: False,
    words: Mapping[str, PatternWord] | None = None,
) -> list[MotifView]:
    """Read ``motifs.tsv`` and draw its logos; the most frequent motif first, flagged ones last.

    Logos are drawn from ``modisco.h5`` and the databases; where these are not given, from the files that the
    table names.

    Parameters
    ----------
    spec
        The target.
    drawing
        What the page draws logos with.
    composite
        Says of a pattern's width (bp) and its best match whether it holds more than that; asked where the
        lexicon does not tell.
    words
        Words of the lexicon by the patterns' names.
    """
    if spec.motifs is None:
        return []
    table = read_table(
        spec.motifs,
        what=f"motifs of {spec.label}",
        columns=["motif", "sign", "n_seqlets", "width", "consensus", "information", "flagged", "logo"],
    )
    table = table.assign(order=numbers(table, "n_seqlets").fillna(0), last=table["flagged"] != "")
    table = table.sort_values(["last", "order"], ascending=[True, False], kind="stable")
    cores, drawing = read_cores(spec, table), drawing or Drawing()
    flagged = set(table.loc[table["last"], "motif"])
    details = describe_details(spec, {name: core for name, core in cores.items() if name not in flagged})
    found = [
        _motif(spec, row, cores.get(row["motif"]), drawing, composite, (words or {}).get(row["motif"]))
        for _, row in table.iterrows()
    ]
    return [replace(motif, details=details.get(motif.name)) for motif in found]


def _motif(
    spec: AnalysisTarget,
    row: pd.Series,
    core: Core | None,
    drawing: Drawing,
    composite: Callable[[int, Match], bool],
    word: PatternWord | None,
) -> MotifView:
    matches = _matches(row, several=len(spec.databases) > 1)
    is_wide = bool(matches) and composite(int(row["width"] or 0), matches[0])
    logo, reverse, match_logo = _logos(spec, row, core, drawing, matches)
    return MotifView(
        name=row["motif"],
        sign=row["sign"],
        seqlets=int(row["order"]),
        width=row["width"],
        consensus=row["consensus"],
        information=cell(row["information"], lambda value: decimals(value, 2)),
        flagged=row["flagged"],
        matches=matches,
        logo=logo,
        reverse=reverse,
        match_logo=match_logo,
        composite=is_wide if word is None else word.composite,
        word="" if word is None else word.name,
        identifier="" if word is None else word.word,
    )


def _logos(
    spec: AnalysisTarget, row: pd.Series, core: Core | None, drawing: Drawing, matches: Sequence[Match]
) -> tuple[Markup | None, Markup | None, Markup | None]:
    """Logos of a motif and, unless it is flagged, of its reverse complement and of its best match."""
    name = row["motif"]
    labels = (
        f"Contribution logo of {name}: {row['consensus']}",
        f"Reverse complement of {name}",
        f"Logo of {matches[0]}" if matches else "Logo of the match",
    )
    if core is None:
        files = row["logo"], f"{name}.rc.svg", row.get("match_logo") or f"{name}.match.svg"
        first, second, third = (_image(spec, *of) for of in zip(files, labels, strict=True))
        return (first, None, None) if row["flagged"] else (first, second, third)
    own, turned = motif_logo(core.cwm, label=labels[0]), reverse_complement(core.cwm)
    if row["flagged"]:
        return own, None, None
    return own, motif_logo(turned, label=labels[1]), _known_logo(spec, row, core, drawing, matches)


def _known_logo(
    spec: AnalysisTarget, row: pd.Series, core: Core, drawing: Drawing, matches: Sequence[Match]
) -> Markup | None:
    """Logo of the best match in bits, on the strand on which it resembles the motif; drawn once a page."""
    if not matches:
        return None
    best, label = matches[0], f"Logo of {matches[0]}"
    named = (
        {best.database: spec.databases[best.database]} if best.database in spec.databases else spec.databases
    )
    for database, path in named.items():
        ppm = drawing.known.get(str(path), {}).get(best.matrix)
        if ppm is not None:
            turned = is_reversed_match(core.ppm, ppm)
            heights = partial(information_heights, reverse_complement(ppm) if turned else ppm)
            key = f"{database}-{best.matrix}{'-rc' if turned else ''}"
            return drawing.symbols.place(key, heights, label=label)
    return _image(spec, row.get("match_logo") or f"{row['motif']}.match.svg", label)


def _image(spec: AnalysisTarget, name: str, label: str) -> Markup | None:
    # Only the last part of a name: a table cannot make the page read files elsewhere.
    known = spec.logos is not None and Path(name).name
    source = embed(Path(spec.logos) / Path(name).name) if known and spec.logos is not None else None
    return None if source is None else Markup('<img src="{}" alt="{}">').format(Markup(source), label)


def _matches(row: pd.Series, *, several: bool) -> list[Match]:
    """Known motifs that resemble a pattern; with several databases, the page says which each is from."""
    matches = []
    for rank in range(1, 10):
        matrix = row.get(f"match_{rank}", "")
        if matrix:
            cells = [row.get(f"match_{rank}_{key}", "") for key in ("name", "p", "q", "database", "null")]
            p, q = (cell(text, probability) if text else "" for text in cells[1:3])
            source = database_label(cells[3]) if several else ""
            matches.append(Match(matrix, cells[0], p, q, _is_weak(cells[2]), cells[3], cells[4], source))
    return matches


def database_label(name: str) -> str:
    """A database by the name of its file: ``JASPAR2026 fungi``, ``hocomoco`` (a MEME file)."""
    jaspar = re.fullmatch(r"jaspar-(\w+)\.(JASPAR\d+)", name)
    if jaspar:
        return f"{jaspar[2]} {jaspar[1]}"
    own = re.fullmatch(r"meme-(.+)\.[0-9a-f]{8}", name)
    return own[1] if own else name


def _is_weak(q: str) -> bool:
    try:
        return float(q) > WEAK_Q
    except ValueError:
        return False


def why_no_motif(spec: AnalysisTarget) -> str:
    """Say why TF-MoDISco reports no pattern of a target; empty where its file does not tell.

    Parameters
    ----------
    spec
        The target; read are the attributes ``positive_seqlets``, ``negative_seqlets`` and ``settings`` of its
        ``modisco.h5``.
    """
    if spec.motifs is None:
        return "Motif discovery is switched off for this analysis (motifs: null)."
    if spec.modisco is None:
        return ""
    facts = recorded(spec.modisco)
    if facts.get("no_attribution"):
        return "Every attribution is zero: this output of the model does not depend on the sequence."
    settings = facts.get("settings")
    if not isinstance(settings, Mapping) or not {"positive_seqlets", "negative_seqlets"} <= facts.keys():
        return ""
    positive, negative = int(facts["positive_seqlets"]), int(facts["negative_seqlets"])
    needed, least = int(settings["min_metacluster_size"]), int(settings["final_min_cluster_size"])
    found = (
        f"TF-MoDISco found {count(positive, 'seqlet')} with positive and {count(negative, 'seqlet')} with "
        "negative contributions"
    )
    if max(positive, negative) > needed:
        return (
            f"{found}, but no {least} of them are similar enough to form a pattern "
            "(motifs.final_min_cluster_size)."
        )
    return (
        f"{found}; more than {needed} of one sign are needed (motifs.min_metacluster_size). More regions "
        "give more seqlets; so few may also mean that the model has learned no motifs."
    )
