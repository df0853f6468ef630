"""From a location to the files behind it: a file, a folder, a glob, or an fsspec URL of these."""

import difflib
import hashlib
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pipeline_config.errors import DataError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Kinds of files that `tasks.data.readers` reads."""
PACKINGS = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_SHOWN = 20
"""Names listed in a message; more would hide the message."""
_GLOB = re.compile(r"[*?[]")


class SourceFile(NamedTuple):
    """`where` stands in messages, so it holds no password; `packing` is `.gz`, `.zst` or nothing."""

    name: str
    where: str
    suffix: str
    packing: str
    open: Callable[[], BinaryIO]


def find_files(location: str) -> list[SourceFile]:
    """All data files of a location, by name; hidden ones are left out, and each real file is there once.

    Raises:
        DataError: there is none, or one is not of a supported kind.
    """
    with readable(without_secrets(location)):
        if "://" in location and not location.startswith("file://"):
            return _remote_files(location)
        return _local_files(location.removeprefix("file://"))


def _local_files(location: str) -> list[SourceFile]:
    path = Path(location)
    if path.is_file():
        return [_local_file(path, path.name)]
    if path.is_dir():
        return _each_once(path, [name for name in _names_below(path) if _kind(name)]) or _refuse_nothing(location)
    if _GLOB.search(location):
        return _each_once(*_matches(path)) or _refuse_nothing(location)
    if path.exists() or path.is_symlink():
        raise _no_regular_file(path)
    raise _missing(location, path.name, os.listdir(path.parent) if path.parent.is_dir() else None)


def _names_below(folder: Path) -> list[str]:
    """Links to folders are followed, each real folder once, so that a loop of links ends."""
    seen: set[str] = set()
    names = []
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_raise):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        names += [Path(parent, name).relative_to(folder).as_posix() for name in files if not _is_hidden(name)]
    return names


def _matches(pattern: Path) -> tuple[Path, list[str]]:
    """The folder above the first wildcard, and the files below it. pathlib's `**` follows no links, so a loop of links is no danger."""
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    base = Path(*parts[:fixed])
    names = [match.relative_to(base).as_posix() for match in base.glob("/".join(parts[fixed:])) if not match.is_dir()]
    return base, [name for name in names if not _is_hidden(name)]


def _each_once(base: Path, names: Iterable[str]) -> list[SourceFile]:
    real: dict[str, str] = {}
    for name in sorted(names):
        real.setdefault(os.path.realpath(base / name), name)
    return [_local_file(base / name, name) for name in real.values()]


def _local_file(path: Path, name: str) -> SourceFile:
    if not path.is_file():
        raise _no_regular_file(path)
    return _as_file(name, str(path), lambda: path.open("rb"))


def _remote_files(url: str) -> list[SourceFile]:
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    system, path = url_to_fs(url)
    where, parent = without_secrets(url), posixpath.dirname(path)
    if url.startswith(("http://", "https://")) or system.isfile(path):  # a web address may hold a question mark, and lists nothing
        return [_remote_file(system, path, parent)]
    if glob := _GLOB.search(path):
        base, found = path[: glob.start()].rpartition("/")[0], [match for match in system.glob(path) if system.isfile(match)]
    elif system.isdir(path):
        base, found = path, [entry for entry in system.find(path) if _kind(entry)]
    else:
        entries = system.ls(parent, detail=False) if system.isdir(parent) else None
        raise _missing(where, posixpath.basename(path), entries and [posixpath.basename(entry) for entry in entries])
    visible = [entry for entry in sorted(found) if not _is_hidden(posixpath.relpath(entry, base or "/"))]
    return [_remote_file(system, entry, base) for entry in visible] or _refuse_nothing(where)


def _remote_file(system: Any, path: str, base: str) -> SourceFile:
    name = posixpath.relpath(without_secrets(path), without_secrets(base) or "/")
    return _as_file(name, without_secrets(system.unstrip_protocol(path)), partial(system.open, path, "rb"))


def _as_file(name: str, where: str, opener: Callable[[], BinaryIO]) -> SourceFile:
    if (kind := _kind(name)) is None:
        suffix = posixpath.splitext(name)[1]
        raise DataError(
            f"files that end in {suffix or 'no suffix'!r} are not supported",
            where=where,
            expected=f"one of {listed(SUFFIXES)}; text also with {listed(PACKINGS)} behind it",
        )
    return SourceFile(name, where, *kind, opener)


def _kind(name: str) -> tuple[str, str] | None:
    """Suffix and packing, or nothing if such files are not supported. Parquet has a compression of its own."""
    stem, last = posixpath.splitext(name.lower())
    suffix, packing = (posixpath.splitext(stem)[1], last) if last in PACKINGS else (last, "")
    return (suffix, packing) if suffix in SUFFIXES and not (packing and suffix == ".parquet") else None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in name.split("/"))


def file_digest(file: SourceFile) -> str:
    """SHA-256 of the bytes as they are stored.

    Raises:
        DataError: the file cannot be read.
    """
    with readable(file.where), file.open() as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"did you mean `{close[0]}`?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names for a message, cut off where they would hide it."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Whatever a file system or a decoder raises becomes one error that says where: each brings exceptions of its own."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        what = without_secrets(first_line(error))
        raise DataError(
            f"the file cannot be read: {what}", where=where, hint="check that it is complete, readable and where you say"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type."""
    text = getattr(error, "strerror", None) or str(error)
    return next(iter(str(text).splitlines()), type(error).__name__)


def without_secrets(text: str) -> str:
    """Without passwords and signed queries, which URLs may hold."""
    return re.sub(r"(https?://[^?#\s]*)[?#]\S*", r"\1", re.sub(r"(://)[^/@\s]*@", r"\1", text))


def _raise(error: OSError) -> None:
    raise error


def _missing(where: str, name: str, neighbours: Iterable[str] | None) -> DataError:
    if neighbours is None:
        return DataError("the file does not exist", where=where, hint="its folder does not exist either; check data.source")
    return DataError("the file does not exist", where=where, hint=did_you_mean(name, sorted(neighbours)) or "check data.source")


def _refuse_nothing(where: str) -> list[SourceFile]:
    raise DataError(
        "there are no data files", where=where, expected=f"at least one that ends in {listed(SUFFIXES)}",
        hint="hidden files are left out; `**/*.jsonl` matches at any depth",
    )  # fmt: skip


def _no_regular_file(path: Path) -> DataError:
    what = "the link leads to no file" if path.is_symlink() else "the path is no regular file"
    return DataError(what, where=str(path), expected="a file, a folder or a pattern", hint="remove it, or name the file itself")
