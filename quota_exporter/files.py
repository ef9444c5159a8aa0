"""Small text files, read again when they change."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")

MAX_SECRET_BYTES = 64 << 10  # of a file that holds one key

# A second write within one tick of the file system's clock leaves all of stat() as it was, and some file
# systems tick every two seconds.
_RACY_SECONDS = 2.0

_MISSING = (errno.ENOENT, errno.ENOTDIR)


class FileProblem(Exception):  # noqa: N818 - what is wrong with a file, not with the program
    """A file that cannot be read; str() completes the sentence "<path> ..." without its content."""


class FileMissing(FileProblem):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """A file's text, and what stat() said when it was read; `stamp` is None when that cannot be trusted."""

    stamp: Hashable
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Parsed:
    parse: Callable[[str], Any]
    text: str = field(repr=False)
    value: Any = field(repr=False)


class FileReader:
    """Reads small UTF-8 files and keeps what it read for as long as stat() shows no change."""

    def __init__(self) -> None:
        self._texts: dict[Path, _Cached] = {}
        self._parsed: dict[Path, _Parsed] = {}

    def read_text(self, path: Path, *, max_bytes: int = 1 << 20) -> str:
        """Return the text of `path` without a byte order mark.

        Raises FileProblem (FileMissing when there is no such file) when it is not a readable regular file of
        UTF-8 text of at most `max_bytes` bytes. Nothing of an earlier content is kept then.
        """
        try:
            status = path.stat()
            _check(status, max_bytes)
            cached = self._texts.get(path)
            if cached is not None and cached.stamp == _stamp(status):
                return cached.text
            cached = _read(path, max_bytes)
        except FileProblem:
            self._forget(path)
            raise
        except OSError as error:
            self._forget(path)
            raise _problem(error) from None
        except ValueError:  # a null byte or half of a surrogate pair
            self._forget(path)
            raise FileProblem("is not a name that a file can have") from None
        self._texts[path] = cached
        return cached.text

    def parsed(self, path: Path, parse: Callable[[str], T], max_bytes: int = 1 << 20) -> T:
        """Return `parse(text)` of the file, computed again only when the text or `parse` is another one.

        Raises FileProblem as `read_text` does, and whatever `parse` raises.
        """
        text = self.read_text(path, max_bytes=max_bytes)
        cached = self._parsed.get(path)
        if cached is None or cached.parse is not parse or cached.text != text:
            cached = self._parsed[path] = _Parsed(parse, text, parse(text))
        return cast("T", cached.value)

    def _forget(self, path: Path) -> None:
        self._texts.pop(path, None)
        self._parsed.pop(path, None)


def _read(path: Path, max_bytes: int) -> _Cached:
    # Between stat() and here the file may have become a FIFO, whose opening would block.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        _check(status, max_bytes)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileProblem("is not UTF-8 text") from None
    racy = time.time() - max(status.st_mtime, status.st_ctime) < _RACY_SECONDS
    return _Cached(None if racy else _stamp(status), text)


def _check(status: os.stat_result, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileProblem("is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise FileProblem("is not a regular file")
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)


def _stamp(status: os.stat_result) -> Hashable:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _too_large(max_bytes: int) -> FileProblem:
    return FileProblem(f"is larger than {max_bytes >> 10} KiB")


def _problem(error: OSError) -> FileProblem:
    if error.errno in _MISSING:
        return FileMissing("does not exist")
    return FileProblem(f"cannot be read: {(error.strerror or 'input/output error').lower()}")
