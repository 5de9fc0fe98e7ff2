"""What the user gives ``make new``, checked before anything is read."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cislex_workflow.config.errors import ConfigurationError
from cislex_workflow.config.paths import expand

#: Weights in a snapshot of the Hugging Face hub.
_OF_SNAPSHOTS = ("model.safetensors", "pytorch_model.bin")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True)
class Given:
    """The variables of ``make new``, as paths.

    Attributes
    ----------
    name
        Name of the config.
    run_folder
        Folder in which Snakemake will run, where relative paths of the config start.
    config
        The file to write.
    aliases
        The table of chromosome names that may be written beside it.
    genome, peaks
        Paths as the config will name them, or None.
    models
        Weights file of each fold, as the config will name it.
    module
        ``path/to/model.py:function``, or None.
    length
        Input length in bp, or None.
    """

    name: str
    run_folder: Path
    config: Path
    aliases: Path
    genome: str | None = None
    peaks: str | None = None
    models: tuple[str, ...] = ()
    module: str | None = None
    length: int | None = None

    def at(self, path: str) -> Path:
        """A path of the config, seen from the current folder."""
        return self.run_folder / path

    def named(self, path: Path) -> str:
        """A path as the config names it: relative to the folder of the run where it lies below."""
        return _named("NAME", str(path), self.run_folder)


def read_variables(variables: Mapping[str, str], start: Path) -> Given:
    """Check the variables of ``make new``.

    Parameters
    ----------
    variables
        ``NAME``, and perhaps ``GENOME``, ``PEAKS``, ``MODEL`` (several files separated by commas; ``*``
        stands for any text), ``MODULE``, ``LENGTH`` and ``FOLDER``; an empty one is not given.
    start
        Folder in which relative paths start.

    Returns
    -------
    Given
        With every file there, and no config of this name.

    Raises
    ------
    ConfigurationError
        With the variable, what was found and what is expected.
    """
    given = {key: value.strip() for key, value in variables.items() if value and value.strip()}
    name = given.get("NAME", "")
    if not name:
        raise ConfigurationError("NAME is not given: make new NAME=mine GENOME=… PEAKS=… MODEL=…")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"NAME is {name!r}; expected at most 80 letters, digits, '_', '-' and '.', a letter or digit "
            "first (no slash, no blank): another folder is given by FOLDER"
        )
    if name.endswith((".yaml", ".yml")):
        raise ConfigurationError(f"NAME is {name!r}; give it without .yaml: NAME={name.rpartition('.')[0]}")
    own = given.get("FOLDER")
    run_folder = _absolute(own, start) if own else start.absolute()
    folder = run_folder if own else run_folder / "config"
    if own and not run_folder.is_dir():
        raise ConfigurationError(f"FOLDER: no such folder: {run_folder}; make it first (mkdir -p)")
    config, aliases = folder / f"{name}.yaml", folder / f"{name}.aliases.tsv"
    for path in (config, aliases):
        if path.exists() or path.is_symlink():
            raise ConfigurationError(
                f"{path} is there already and is not overwritten: choose another NAME, or remove the file"
            )
    models = tuple(path for part in _split(given.get("MODEL", "")) for path in _weights(part, start))
    return Given(
        name=name,
        run_folder=run_folder,
        config=config,
        aliases=aliases,
        genome=_file("GENOME", given["GENOME"], start, run_folder) if "GENOME" in given else None,
        peaks=_file("PEAKS", given["PEAKS"], start, run_folder) if "PEAKS" in given else None,
        models=tuple(_file("MODEL", path, start, run_folder) for path in models),
        module=_module(given["MODULE"], start, run_folder) if "MODULE" in given else None,
        length=_length(given["LENGTH"]) if "LENGTH" in given else None,
    )


def _absolute(path: str, start: Path) -> Path:
    return Path(os.path.normpath(start / os.path.expanduser(path)))


def _file(variable: str, path: str, start: Path, run_folder: Path) -> str:
    """A file that must be there, as the config names it."""
    found = _absolute(path, start)
    if found.is_dir():
        raise ConfigurationError(f"{variable}: {path} is a folder; expected a file")
    if not found.is_file():
        raise ConfigurationError(f"{variable}: no such file: {path} (relative paths start at {start})")
    if not os.access(found, os.R_OK):
        raise ConfigurationError(f"{variable}: {path} cannot be read: no permission")
    return _named(variable, str(found), run_folder)


def _named(variable: str, path: str, run_folder: Path) -> str:
    inside = Path(path).is_relative_to(run_folder)
    named = str(Path(path).relative_to(run_folder)) if inside else path
    try:
        same = expand(named) == named
    except ValueError:
        same = False
    if not same:
        raise ConfigurationError(
            f"{variable}: {path}: a config reads '$', braces and a '~' at the start as more than text: "
            "rename the file or its folder"
        )
    return named


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _weights(part: str, start: Path) -> list[str]:
    """Files of one entry of MODEL, which may be a pattern."""
    path = _absolute(part, start)
    if path.is_dir():
        inside = [name for name in _OF_SNAPSHOTS if (path / name).is_file()]
        example = inside[0] if inside else "*.pt"
        raise ConfigurationError(f"MODEL: {part} is a folder; name its weights: MODEL='{part}/{example}'")
    if path.exists() or not glob.has_magic(part):
        return [part]
    found = sorted(glob.glob(str(path)))
    if not found:
        raise ConfigurationError(f"MODEL: no file matches {part} (relative paths start at {start})")
    return found


def _module(text: str, start: Path, run_folder: Path) -> str:
    path, _, function = text.rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise ConfigurationError(f"MODULE is {text!r}; expected path/to/model.py:function")
    return f"{_file('MODULE', path, start, run_folder)}:{function}"


def _length(text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdigit() and int(digits) > 0):
        raise ConfigurationError(f"LENGTH is {text!r}; expected a whole number of bp, such as 2114")
    return int(digits)
