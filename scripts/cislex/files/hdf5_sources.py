"""Whether the data of an HDF5 dataset are there: HDF5 reads what is missing as fill values, without an error.

Data may lie elsewhere: behind soft and external links, in the sources of a virtual dataset, in external raw
files. Chunks that were never written are missing, too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import h5py

from cislex.errors import InputError
from cislex.files.sealed import open_file
from cislex.logs import get_logger

logger = get_logger(__name__)

_LINKS = MappingProxyType({h5py.SoftLink: "soft", h5py.ExternalLink: "external"})


def all_datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Every dataset below a group by name, links followed; a link to nothing is left out."""
    return dict(_walk(group, "", ()))


def _walk(
    group: h5py.Group, prefix: str, above: tuple[tuple[int, bytes], ...]
) -> Iterator[tuple[str, h5py.Dataset]]:
    here = _identity(group)
    if here in above:  # a link to a group that holds it
        return
    for name in group:
        try:
            item = group[name]
        except (KeyError, OSError):
            continue
        if isinstance(item, h5py.Dataset):
            yield f"{prefix}{name}", item
        elif isinstance(item, h5py.Group):
            yield from _walk(item, f"{prefix}{name}/", (*above, here))


def _identity(item: h5py.Group | h5py.Dataset) -> tuple[int, bytes]:
    try:
        info = h5py.h5o.get_info(item.id)
    except (RuntimeError, OSError, ValueError) as error:
        raise InputError(
            f"{item.file.filename}: {item.name or 'an object'} cannot be read ({error}): the file is "
            "damaged; copy it again"
        ) from error
    return int(info.fileno), str(info.addr).encode()


def same_object(one: h5py.Dataset, other: h5py.Dataset) -> bool:
    """Whether two names are of one dataset."""
    return _identity(one) == _identity(other)


def dangling(group: h5py.Group, name: str) -> str:
    """Which link on the way to a name leads nowhere, and whereto, as words; empty where none does."""
    parts = [part for part in name.split("/") if part]
    for depth in range(1, len(parts) + 1):
        place = "/".join(parts[:depth])
        try:
            link = group.get(place, getlink=True)
            if link is None:
                return ""
            group[place]
        except (KeyError, OSError):
            if isinstance(link, h5py.ExternalLink):
                return f"{place} is an external link to {link.path} of {link.filename}, which does not exist"
            if isinstance(link, h5py.SoftLink):
                return f"{place} is a soft link to {link.path}, which does not exist"
            return ""
    return ""


def require_data(data: h5py.Dataset, where: str) -> None:
    """Raise InputError unless all that a dataset reads is there; warn of chunks that were never written.

    Parameters
    ----------
    data
        The dataset.
    where
        File and name, for messages.

    Raises
    ------
    InputError
        A source of a virtual dataset, or an external raw file, is missing or too small.
    """
    _require(data, where, ())


def _require(data: h5py.Dataset, where: str, above: tuple[tuple[int, bytes], ...]) -> None:
    here = _identity(data)
    if here in above:
        raise InputError(f"{where}: the virtual dataset refers to itself")
    if data.is_virtual:
        _require_sources(data, where, (*above, here))
    for name, offset, size in data.external or ():
        needed = offset + (data.nbytes if size == h5py.h5f.UNLIMITED else size)
        found = os.path.getsize(name) if os.path.isfile(name) else None
        if found is None or found < needed:
            state = "does not exist" if found is None else f"has {found} bytes, expected {needed} or more"
            raise InputError(
                f"{where}: its data are in {name}, which {state} (searched from {os.getcwd()}); missing data "
                "would read as zeros"
            )
    if data.chunks is not None and data.size and not data.is_virtual:
        sizes = zip(data.shape, data.chunks, strict=True)
        expected = math.prod(-(-size // chunk) for size, chunk in sizes)
        if (written := data.id.get_num_chunks()) < expected:
            logger.warning(
                "%s: %d of %d chunks were never written and read as %s: was the file written completely?",
                where, expected - written, expected, data.fillvalue,
            )  # fmt: skip


def _require_sources(data: h5py.Dataset, where: str, above: tuple[tuple[int, bytes], ...]) -> None:
    sources = data.virtual_sources()
    problems: list[str] = []
    for source in sources:
        problem = _source_problem(data, source, above)
        if problem and problem not in problems:
            problems.append(problem)
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(
            f"{where} is a virtual dataset of {len(sources)} sources, and HDF5 reads missing data as "
            f"{data.fillvalue} without an error: {'; '.join(problems[:3])}{more}; restore the files at "
            "those paths, or copy all data into one file"
        )


def _source_problem(data: h5py.Dataset, source: h5py.h5d.VDSmap, above: tuple[tuple[int, bytes], ...]) -> str:
    """What is wrong with one source of a virtual dataset, or nothing."""
    name, inner = str(source.file_name), str(source.dset_name)
    if "%b" in name + inner:
        return f"{name}, {inner} is a pattern of names, so missing sources cannot be detected"
    if name == ".":
        return _inner_problem(data.file, name, source, above)
    path = _source_path(data.file.filename, name)
    if path is None:
        return f"no file {name}"
    try:
        with open_file(path) as handle:
            return _inner_problem(handle, name, source, above)
    except OSError as error:
        return f"{name} cannot be read ({error})"


def _source_path(virtual: str, name: str) -> Path | None:
    """The file that HDF5 opens: as named, else by its last part; beside the virtual dataset's file first."""
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(Path(virtual).parent))
    folders = [*([Path(prefix)] if prefix else []), Path(os.path.realpath(virtual)).parent]
    names = [name] if not os.path.isabs(name) else [name, Path(name).name]
    tried = [folder / part for part in names for folder in folders] + [Path(name)]
    return next((path for path in tried if path.is_file()), None)


def _inner_problem(
    handle: h5py.File, name: str, source: h5py.h5d.VDSmap, above: tuple[tuple[int, bytes], ...]
) -> str:
    inner = str(source.dset_name)
    try:
        found = handle[inner]
    except (KeyError, OSError):
        return f"{name} has no dataset {inner}{_in_brackets(dangling(handle, inner))}"
    if not isinstance(found, h5py.Dataset):
        return f"{name}: {inner} is not a dataset"
    _require(found, f"{name}, {inner}", above)
    if (wanted := _beyond(source, found)) is not None:
        return f"{name}, {inner} has shape {found.shape}; the virtual dataset reads {wanted}"
    return ""


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _beyond(source: h5py.h5d.VDSmap, found: h5py.Dataset) -> str | None:
    """What a virtual dataset reads of a source that has less; None where it has enough."""
    if _is_unlimited(source.src_space) or _is_unlimited(source.vspace):
        return None
    if source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        wanted = int(source.vspace.get_select_npoints())
        return f"{wanted} values" if wanted > found.size else None
    last = source.src_space.get_select_bounds()[1]
    beyond = len(last) != found.ndim or any(at >= size for at, size in zip(last, found.shape, strict=True))
    return f"up to {tuple(at + 1 for at in last)}" if beyond else None


def _is_unlimited(space: h5py.h5s.SpaceID) -> bool:
    """Whether a selection has no end of its own."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, count, block = space.get_regular_hyperslab()
    return h5py.h5s.UNLIMITED in (*count, *block)
