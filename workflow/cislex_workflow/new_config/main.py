"""Write a first config for the user's genome, peaks and model.

Run: make new NAME=mine GENOME=genome.fa PEAKS=my.narrowPeak MODEL=net.pt MODULE=net.py:build
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import yaml
from cislex.errors import CislexError
from cislex.inquiry.model import ModelFacts, ask_model
from cislex.inquiry.regions import RegionFacts, ask_regions
from cislex.wording import counted

from cislex_workflow import model_sources
from cislex_workflow.config import configuration
from cislex_workflow.config.errors import ConfigurationError
from cislex_workflow.new_config.given import Given, read_variables
from cislex_workflow.new_config.text import (
    OPEN,
    alias_words,
    config_text,
    length_words,
    shape_words,
    unknown_words,
)

#: Folder of cislex.
ROOT = Path(__file__).resolve().parents[3]
#: Functions beside the weights that are named.
_MOST_CANDIDATES = 3


def new_config(variables: Mapping[str, str], start: Path) -> list[str]:
    """Write the config, and perhaps a table of chromosome names beside it.

    Parameters
    ----------
    variables
        See :func:`cislex_workflow.new_config.given.read_variables`.
    start
        Folder in which relative paths start.

    Returns
    -------
    list
        Lines for the user: what was found, what is left, what to run.

    Raises
    ------
    ConfigurationError, CislexError
        With what is wrong with a variable or a file. Nothing was written then.
    """
    began = time.perf_counter()
    given = read_variables(variables, start)
    regions = ask_regions(
        given.at(given.genome) if given.genome else None, given.at(given.peaks) if given.peaks else None
    )
    model = _ask_model(given) if given.models else None
    text = config_text(given, model, regions, commands=_commands(given), candidates=_candidates(given))
    if OPEN + ": " not in text:
        configuration.resolve(yaml.safe_load(text), ROOT / "workflow" / "schemas" / "config.schema.yaml")
    _write_new(given.config, text)
    if regions.aliases:
        rows = [("alias", "name"), *regions.aliases.items()]
        _write_new(given.aliases, "".join(f"{alias}\t{name}\n" for alias, name in rows))
    seconds = time.perf_counter() - began
    wrote = f"wrote {os.path.relpath(given.config, start)} in {seconds:.1f} s"
    return [wrote, *_said(given, model, regions), *_left(given, text)]


def _ask_model(given: Given) -> ModelFacts:
    """Facts of the model, whose files are named as the config names them."""
    path, _, function = (given.module or "").rpartition(":")
    module = f"{given.at(path)}:{function}" if given.module else None
    files = {given.at(name): name for name in given.models}
    facts = ask_model(list(files), module=module, length=given.length)
    options = {key: given.module if key == "module" else value for key, value in facts.kind.options.items()}
    return ModelFacts(
        **{
            **vars(facts),
            "kind": type(facts.kind)(facts.kind.loader, options, facts.kind.missing),
            "folds": {fold: Path(files[path]) for fold, path in facts.folds.items()},
        }
    )


def _candidates(given: Given) -> tuple[str, ...]:
    """Functions of Python files beside the weights, which may build the model."""
    if not given.models or given.module:
        return ()
    folder = given.at(given.models[0]).parent
    found = [
        f"{given.named(path)}:{name}"
        for path in sorted(folder.glob("*.py"))
        for name in model_sources.defined_callables(str(path))
    ]
    return tuple(found[:_MOST_CANDIDATES])


def _commands(given: Given) -> dict[str, str]:
    """What to run next, by purpose: by make in the clone, by Snakemake in a folder of the user's."""
    if given.run_folder == ROOT:
        config = shlex.quote(given.named(given.config))
        return {
            "Check the model": f"make inspect CONFIG={config}",
            "Estimate the cost": f"make estimate CONFIG={config}",
            "Run": f"make run CONFIG={config}",
        }
    snakemake, snakefile = Path(sys.executable).parent / "snakemake", ROOT / "Snakefile"
    run = " ".join(map(shlex.quote, (str(snakemake), "-s", str(snakefile), "--configfile")))
    run = (
        f"cd {shlex.quote(str(given.run_folder))} && {run} {shlex.quote(given.named(given.config))} --cores 2"
    )
    return {"Check the model": f"{run} -- inspect", "Estimate the cost": f"{run} -- estimate", "Run": run}


def _write_new(path: Path, text: str) -> None:
    """Write a file whole, unless there is one.

    Raises
    ------
    ConfigurationError
        When there is one, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path} cannot be written: {path.parent} is not a folder")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours now
        os.replace(temporary, path)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already and is not overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _said(given: Given, model: ModelFacts | None, regions: RegionFacts) -> list[str]:
    """What was found, and what may be wrong with it."""
    found = []
    if given.genome:
        name = regions.assembly or "assembly not known by its chromosome lengths"
        found.append(f"genome: {name}, {counted(len(regions.genome), 'sequence')}")
    if given.peaks:
        summits = "with summits" if regions.summits else "without summits"
        found.append(f"peaks: {regions.format}, {counted(regions.peaks, 'row')} {summits}")
    if model:
        length = f"{model.length:,} bp" if model.length else "input length open"
        parts = [f"loader {model.kind.loader}", counted(len(model.folds), "fold"), length]
        shape = shape_words(model).removeprefix("the model returns ")
        found.append(f"model: {', '.join([*parts, *([shape] if shape else [])])}")
        found.append(f"targets: {', '.join(model.targets) or 'open'}")
    if regions.aliases:
        found.append(f"! chromosome names: {alias_words(regions)} in {given.named(given.aliases)}: check it")
    if regions.lost:
        found.append(
            f"! {counted(regions.lost, 'peak is', 'peaks are')} on chromosomes that the genome lacks (of "
            f"{regions.peaks:,}; {unknown_words(regions)}): dropped unless genome.aliases maps their names"
        )
    if regions.beyond:
        found.append(
            f"! {counted(regions.beyond, 'peak ends', 'peaks end')} beyond the end of the chromosome (of "
            f"{regions.peaks:,}): are genome and peaks of the same assembly?"
        )
    if regions.malformed:
        found.append(f"! rows of the peak file that cannot be used, and are dropped: {regions.malformed:,}")
    if model and model.length is None and model.lengths:
        found.append(f"! input length: {length_words(model.lengths)}")
    return [f"  {line}" for line in found]


def _left(given: Given, text: str) -> list[str]:
    """Lines of the config that the user completes, and what to run then."""
    lines = text.splitlines()
    left = [
        f"  line {number}: {line.strip().removeprefix('# ').partition(': ')[0]}"
        for number, line in enumerate(lines, 1)
        if f"{OPEN}: " in line
    ]
    commands = _commands(given)
    then = [f"  {command}" for command in commands.values()]
    return [*(["to fill in:", *left] if left else []), "then:" if left else "next:", *then]


def main(variables: Mapping[str, str]) -> int:
    """Write the config and say so; an error is one sentence on standard error."""
    try:
        print(*new_config(variables, Path.cwd()), sep="\n")
    except (CislexError, ConfigurationError) as error:
        print(f"make new: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
