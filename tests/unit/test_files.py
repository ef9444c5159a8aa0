"""Small files: what is refused, what is kept, and when it is read again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quota_exporter.files import MAX_SECRET_BYTES, FileMissing, FileProblem, FileReader


@pytest.fixture(name="opened")
def _opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every path that is opened from now on."""
    paths: list[Path] = []
    real_open = os.open

    def spy(path: Path, flags: int) -> int:
        paths.append(path)
        return real_open(path, flags)

    monkeypatch.setattr("quota_exporter.files.os.open", spy)
    return paths


@pytest.fixture(name="later")
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds on: files that were just written are old enough for their stat() to be trusted."""
    now = time.time()
    monkeypatch.setattr("quota_exporter.files.time.time", lambda: now + 10)


def test_text_comes_without_its_byte_order_mark(tmp_path: Path) -> None:
    """A file of UTF-8 is read as it is, but for a byte order mark at its start."""
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87\r\n")
    assert FileReader().read_text(path) == " ключ\r\n"


def _directory(path: Path) -> None:
    path.mkdir()


def _large(path: Path) -> None:
    path.write_bytes(b"x" * (MAX_SECRET_BYTES + 1))


def _latin(path: Path) -> None:
    path.write_bytes(b"caf\xe9")


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_directory, "is a directory"),
        (os.mkfifo, "is not a regular file"),
        (_large, "is larger than 64 KiB"),
        (_latin, "is not UTF-8 text"),
        (_loop, "cannot be read: too many levels of symbolic links"),
    ],
)
def test_what_is_no_small_text_file_is_refused_in_words(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    """Directories, FIFOs, large and binary files end in a sentence, and none of them blocks."""
    path = tmp_path / "key"
    make(path)
    with pytest.raises(FileProblem, match=f"^{message}$") as caught:
        FileReader().read_text(path, max_bytes=MAX_SECRET_BYTES)
    assert not isinstance(caught.value, FileMissing)


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    """`max_bytes` is the largest size that is allowed."""
    path = tmp_path / "key"
    path.write_text("x" * 10)
    assert FileReader().read_text(path, max_bytes=10) == "x" * 10


def test_a_device_is_refused() -> None:
    """A device is never opened: reading one can have effects or never end."""
    with pytest.raises(FileProblem, match=r"^is not a regular file$"):
        FileReader().read_text(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["absent", "file/below"])
def test_an_absent_file_is_told_apart(name: str, tmp_path: Path) -> None:
    """A file that does not exist is FileMissing, also where a part of its path is no directory."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FileMissing, match=r"^does not exist$"):
        FileReader().read_text(tmp_path / name)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_an_impossible_name_is_a_problem(name: str, tmp_path: Path) -> None:
    """A name that the operating system cannot take is refused in words."""
    with pytest.raises(FileProblem, match=r"^is not a name that a file can have$"):
        FileReader().read_text(tmp_path / name)


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's reason is passed on."""
    path = tmp_path / "key"
    path.write_text("x")

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("quota_exporter.files.os.open", refuse)
    with pytest.raises(FileProblem, match=r"^cannot be read: permission denied$"):
        FileReader().read_text(path)


def test_a_file_that_turns_into_a_fifo_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO that takes a file's place between stat() and open() is refused as well."""
    regular, fifo = tmp_path / "regular", tmp_path / "fifo"
    regular.write_text("x")
    os.mkfifo(fifo)
    status = regular.stat()
    monkeypatch.setattr(Path, "stat", lambda _path: status)
    with pytest.raises(FileProblem, match=r"^is not a regular file$"):
        FileReader().read_text(fifo)


@pytest.mark.usefixtures("later")
def test_an_unchanged_file_is_read_once(tmp_path: Path, opened: list[Path]) -> None:
    """A file that stat() shows unchanged is not opened again."""
    path = tmp_path / "key"
    path.write_text("one")
    reader = FileReader()
    assert [reader.read_text(path) for _ in range(3)] == ["one"] * 3
    assert opened == [path]


def test_a_file_written_a_moment_ago_is_not_trusted(tmp_path: Path, opened: list[Path]) -> None:
    """Within a tick of the file system's clock a second write shows nowhere: a young file is read again."""
    path = tmp_path / "key"
    path.write_text("one")
    reader = FileReader()
    assert [reader.read_text(path) for _ in range(3)] == ["one"] * 3
    assert opened == [path] * 3


@pytest.mark.usefixtures("later")
def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    """A new file of the same size and modification time that takes the old one's place is seen."""
    path, new = tmp_path / "key", tmp_path / "new"
    reader = FileReader()
    for name, text in ((path, "one"), (new, "two")):
        name.write_text(text)
        os.utime(name, (1, 1))
    assert reader.read_text(path) == "one"
    new.replace(path)
    assert reader.read_text(path) == "two"


@pytest.mark.usefixtures("later")
def test_a_file_written_in_place_is_read_again(tmp_path: Path) -> None:
    """A tool that keeps a file's size and modification time, as rsync can, does not hide the new key."""
    path = tmp_path / "key"
    path.write_text("one")
    os.utime(path, (1, 1))
    reader = FileReader()
    assert reader.read_text(path) == "one"
    before = path.stat().st_ctime_ns
    path.write_text("two")
    while path.stat().st_ctime_ns == before:  # until the file system's clock has ticked
        os.utime(path, (1, 1))
    os.utime(path, (1, 1))
    assert reader.read_text(path) == "two"


@pytest.mark.usefixtures("later")
def test_a_swapped_symbolic_link_is_followed(tmp_path: Path) -> None:
    """Kubernetes rotates a mounted secret by swapping the directory that a link points to."""
    for generation in ("1", "2"):
        (tmp_path / generation).mkdir()
        (tmp_path / generation / "key").write_text(f"key-{generation}")
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "key").symlink_to("data/key")
    reader = FileReader()
    assert reader.read_text(tmp_path / "key") == "key-1"
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "data")
    assert reader.read_text(tmp_path / "key") == "key-2"


@pytest.mark.usefixtures("later")
def test_nothing_is_kept_of_a_file_that_is_gone(tmp_path: Path) -> None:
    """After a file is removed its old content is not served, and the reader no longer holds it."""
    path = tmp_path / "key"
    path.write_text("one")
    reader = FileReader()
    reader.parsed(path, str.upper)
    path.unlink()
    with pytest.raises(FileMissing):
        reader.read_text(path)
    assert not reader._texts
    assert not reader._parsed


def test_the_limit_holds_for_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller limit refuses a file that a larger one let in."""
    path = tmp_path / "key"
    path.write_text("x" * 2000)
    reader = FileReader()
    reader.read_text(path)
    with pytest.raises(FileProblem, match=r"^is larger than 1 KiB$"):
        reader.read_text(path, max_bytes=1024)


def test_a_parsed_value_is_computed_when_the_text_changes(tmp_path: Path) -> None:
    """The same text gives the same value without parsing; a new text or another parser parses."""
    path = tmp_path / "file.json"
    path.write_text("[1]")
    reader = FileReader()
    first = reader.parsed(path, json.loads)
    path.write_text("[1]")
    assert reader.parsed(path, json.loads) is first
    path.write_text("[2]")
    assert reader.parsed(path, json.loads) == [2]
    assert reader.parsed(path, len) == 3


def test_an_error_of_the_parser_reaches_the_caller(tmp_path: Path) -> None:
    """What `parse` raises is raised, and does not stick once the file is mended."""
    path = tmp_path / "file.json"
    path.write_text("[")
    reader = FileReader()
    with pytest.raises(json.JSONDecodeError):
        reader.parsed(path, json.loads)
    path.write_text("[]")
    assert reader.parsed(path, json.loads) == []


@pytest.mark.usefixtures("later")
def test_no_repr_shows_a_file(tmp_path: Path, canary: str) -> None:
    """The reader's own values do not print what they hold."""
    path = tmp_path / "key"
    path.write_text(canary)
    reader = FileReader()
    reader.parsed(path, str.strip)
    assert canary not in repr(vars(reader))
