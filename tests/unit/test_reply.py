"""Bodies of replies: what is decoded, what is refused, and how soon."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
import zlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.quota import Reason
from quota_exporter.reply import MAX_BODY_BYTES, MAX_DEPTH, BadReplyError, parse_json, read_body

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def _read(chunks: Iterable[bytes], encoding: str = "") -> bytes:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return asyncio.run(read_body(stream(), encoding))


def _cut(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_plain_body_is_read_as_it_is(encoding: str) -> None:
    """A body without compression arrives byte for byte, whatever pieces it came in."""
    assert _read([b'{"a"', b"", b": 1}"], encoding) == b'{"a": 1}'


@given(st.binary(max_size=2000), st.integers(min_value=1, max_value=40))
def test_gzip_is_decoded_however_it_is_cut(body: bytes, size: int) -> None:
    """A gzip body is decoded on the way, however the network cuts it."""
    assert _read(_cut(gzip.compress(body), size), "gzip") == body
    assert _read(_cut(gzip.compress(body), size), "X-GZIP") == body


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br"])
def test_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    """Only gzip was asked for, so anything else cannot be read."""
    with pytest.raises(BadReplyError) as caught:
        _read([b"whatever"], encoding)
    assert caught.value.reason is Reason.BAD_ENCODING


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b'{"tokens": {"limit": 5}}')[:-9],
        gzip.compress(b'{"tokens": {"limit": 5}}')[:-1],
        gzip.compress(b"{}")[:3],
        gzip.compress(b"{}")[:-8] + bytes(8),
        zlib.compress(b"{}"),
        b"{}",
        gzip.compress(b"{}") + gzip.compress(b"{}"),
        gzip.compress(b"{}") + b"\n",
    ],
    ids=[
        *("no trailer and less", "last byte missing", "half a header", "wrong checksum", "zlib", "plain"),
        *("two members", "rubbish at the end"),
    ],
)
def test_broken_gzip_is_refused(body: bytes) -> None:
    """Gzip data that is cut short, wrong or followed by more gives no quota, not even when a part of it would do."""
    with pytest.raises(BadReplyError) as caught:
        _read([body], "gzip")
    assert caught.value.reason is Reason.BAD_ENCODING


def test_empty_body_under_gzip_is_an_empty_body() -> None:
    """A reply without a body may still carry the header of compression."""
    assert _read([], "gzip") == b""


@pytest.mark.parametrize("size", [1000, MAX_BODY_BYTES])
def test_body_of_the_largest_size_passes(size: int) -> None:
    """A body of exactly 256 KiB is read, plain or compressed."""
    body = b" " * (MAX_BODY_BYTES - 2) + b"{}"
    assert _read(_cut(body, size)) == body
    assert _read(_cut(gzip.compress(body), size), "gzip") == body


def test_body_that_never_ends_is_left_after_the_cap() -> None:
    """Reading stops with the chunk that passes 256 KiB: an endless body costs no more than that."""
    taken = itertools.count()
    endless = (bytes(64 << 10) for _ in taken)
    with pytest.raises(BadReplyError) as caught:
        _read(endless)
    assert caught.value.reason is Reason.TOO_LARGE
    assert next(taken) == 5


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_gzip_bomb_is_left_after_the_cap(size: int) -> None:
    """A few kilobytes that would become 50 MB are given up after 256 KiB of output."""
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < MAX_BODY_BYTES
    with pytest.raises(BadReplyError) as caught:
        _read(_cut(bomb, size), "gzip")
    assert caught.value.reason is Reason.TOO_LARGE


def test_rubbish_after_the_gzip_data_counts_towards_the_cap() -> None:
    """What follows the compressed data cannot make the exporter read on for ever."""
    chunks = itertools.chain([gzip.compress(b"{}")], itertools.repeat(bytes(64 << 10)))
    with pytest.raises(BadReplyError) as caught:
        _read(chunks, "gzip")
    assert caught.value.reason is Reason.TOO_LARGE


@given(_JSON)
def test_json_is_parsed_as_the_standard_library_does(value: Any) -> None:
    """Whatever valid JSON of moderate depth comes, it is taken as it is, with or without a byte order mark."""
    text = json.dumps(value).encode()
    assert parse_json(text) == value
    assert parse_json(b"\xef\xbb\xbf" + text) == value


def test_non_ascii_text_survives() -> None:
    """UTF-8 beyond ASCII arrives intact."""
    assert parse_json('{"key": "ключ €"}'.encode()) == {"key": "ключ €"}


def _nested(depth: int, opening: str, closing: str, inside: str = "") -> bytes:
    return (opening * depth + inside + closing * depth).encode()


@pytest.mark.parametrize(
    ("opening", "closing", "inside"), [("[", "]", ""), ("[", "]", "1"), ('{"a":', "}", "1"), ('[{"a":', "}]", "{}")]
)
def test_nesting_is_limited_to_32_levels(opening: str, closing: str, inside: str) -> None:
    """The 32nd level of lists and objects is the last that is accepted, whatever is in it."""
    per_round = opening.count("[") + opening.count("{")
    rounds = (MAX_DEPTH - inside.count("{")) // per_round
    parse_json(_nested(rounds, opening, closing, inside))
    with pytest.raises(BadReplyError) as caught:
        parse_json(_nested(rounds + 1, opening, closing, inside))
    assert caught.value.reason is Reason.UNEXPECTED_SHAPE
    assert "32" in caught.value.detail


@pytest.mark.parametrize("body", [_nested(10_000, "[", "]"), _nested(10_000, '{"a":', "}", "1"), b"[" * MAX_BODY_BYTES])
def test_absurd_nesting_ends_in_a_reason(body: bytes) -> None:
    """Ten thousand levels are refused like thirty-three, and crash nothing."""
    with pytest.raises(BadReplyError) as caught:
        parse_json(body)
    assert caught.value.reason is Reason.UNEXPECTED_SHAPE


def test_brackets_in_text_are_no_levels() -> None:
    """Only structure counts as nesting, not the characters of a string."""
    assert parse_json(json.dumps({"note": "[{" * 100}).encode()) == {"note": "[{" * 100}


def test_many_siblings_are_no_levels() -> None:
    """A long list of objects is wide, not deep."""
    assert len(parse_json(json.dumps([{}] * 1000).encode())) == 1000


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (b"", Reason.NOT_JSON, "empty"),
        (b" \r\n", Reason.NOT_JSON, "empty"),
        (b"\xef\xbb\xbf", Reason.NOT_JSON, "empty"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", Reason.NOT_JSON, "HTML"),
        (b"OK", Reason.NOT_JSON, "something else"),
        (b'{"limit": 1}{"limit": 2}', Reason.NOT_JSON, "something else"),
        (b'{"limit": 1', Reason.NOT_JSON, "something else"),
        (b'{"limit": NaN}', Reason.NOT_JSON, "NaN"),
        (b'{"limit": -Infinity}', Reason.NOT_JSON, "NaN, Infinity"),
        (b'{"limit": %s}' % (b"9" * 10_000), Reason.NOT_JSON, "digits"),
        (b'{"key": "caf\xe9"}', Reason.BAD_ENCODING, "UTF-8"),
        (b'{"key": "\xed\xa0\x80"}', Reason.BAD_ENCODING, "UTF-8"),
        ('{"limit": 1}'.encode("utf-16"), Reason.BAD_ENCODING, "UTF-8"),
    ],
)
def test_what_is_no_json_says_so(body: bytes, reason: Reason, words: str) -> None:
    """Each kind of unusable text has its reason, and words that tell it from the others."""
    with pytest.raises(BadReplyError) as caught:
        parse_json(body)
    assert caught.value.reason is reason
    assert words in caught.value.detail


def test_details_quote_nothing_of_the_reply(canary: str) -> None:
    """A reply that repeats the key does not get it into the words about the reply."""
    with pytest.raises(BadReplyError) as caught:
        parse_json(f"<p>{canary}</p>".encode())
    assert canary not in caught.value.detail + str(caught.value) + repr(caught.value)


def test_numbers_that_python_can_hold_stay() -> None:
    """A number that is too large for a float is left to the mapping, which drops that one value."""
    value = parse_json(b'{"limit": %s, "used": 1e400}' % (b"9" * 400))
    assert value["limit"] == 10**400 - 1
    assert value["used"] == math.inf
