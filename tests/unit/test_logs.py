"""Log lines: one per record, parseable, and without what exceptions say."""

from __future__ import annotations

import io
import json
import logging
import shlex
import sys
from typing import Any

import pytest
from hypothesis import given, strategies as st

from quota_exporter.logs import LogFormat, StructuredFormatter, set_up

_FORMS: tuple[LogFormat, ...] = ("logfmt", "json")


def _line(form: LogFormat, name: str = "quota_exporter.fleet", **record: Any) -> str:
    values = {"name": name, "levelno": logging.WARNING, "levelname": "WARNING", "msg": "hello", "created": 0.25}
    return StructuredFormatter(form).format(logging.makeLogRecord(values | record))


def _failure(text: str) -> Any:
    try:
        raise ValueError(text)  # noqa: TRY301 - a real traceback is what is needed
    except ValueError:
        return sys.exc_info()


def test_logfmt_line() -> None:
    """Logfmt gives time in UTC, level, logger, message and the extra fields, quoted where needed."""
    assert _line("logfmt", provider_id="campus", detail='HTTP 500: "no" \\') == (
        "ts=1970-01-01T00:00:00.250+00:00 level=warning logger=quota_exporter.fleet msg=hello "
        'provider_id=campus detail="HTTP 500: \\"no\\" \\\\"'
    )


def test_json_line() -> None:
    """JSON gives the same fields as one object."""
    assert json.loads(_line("json", provider_id="campus", gateways=3)) == {
        "ts": "1970-01-01T00:00:00.250+00:00",
        "level": "warning",
        "logger": "quota_exporter.fleet",
        "msg": "hello",
        "provider_id": "campus",
        "gateways": 3,
    }


def test_empty_value_is_visible() -> None:
    """A field without a value is written as an empty string."""
    assert _line("logfmt", detail="").endswith(' detail=""')


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_value_cannot_forge_a_line(form: LogFormat, end: str) -> None:
    """Whatever ends a line somewhere does not end a log line when it stands in a value or the message."""
    forged = f"harmless{end}level=error msg=forged"
    assert len(_line(form, detail=forged, msg=forged).splitlines()) == 1


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("sign", ["\x1b[2J", "\u202e", "\u200b", "\ud800", "\x7f", "\x9b"])
def test_value_cannot_steer_a_terminal(form: LogFormat, sign: str) -> None:
    """Escape sequences and characters that reorder or hide text are written as escapes."""
    assert sign[0] not in _line(form, detail=f"a{sign}b")


@given(st.text(), st.text())
def test_logfmt_keeps_fields_apart(first: str, second: str) -> None:
    """Any two values are found again where they were put: neither can pass for another field."""
    line = _line("logfmt", one=first, two=second)
    tail = line.split(" one=", 1)[1]
    decoder = json.JSONDecoder()
    value, end = decoder.raw_decode(tail) if tail.startswith('"') else (tail.split(" ")[0], tail.index(" "))
    assert value == first
    rest = tail[end:].removeprefix(" two=")
    assert (json.loads(rest) if rest.startswith('"') else rest) == second


def test_logfmt_splits_like_a_shell() -> None:
    """Plain values, the common case, can be taken apart with everyday tools."""
    assert "detail=HTTP 500: no" in shlex.split(_line("logfmt", detail="HTTP 500: no"))


@pytest.mark.parametrize("form", _FORMS)
def test_exception_shows_type_and_place_only(form: LogFormat, canary: str) -> None:
    """The text of an exception may quote a secret, so only its type and where it came from are written."""
    line = _line(form, msg="it failed", exc_info=_failure(f"Illegal header value b'Bearer {canary}'"))
    assert "ValueError" in line
    assert "test_logs.py:" in line
    assert canary not in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("form", _FORMS)
def test_no_exception_is_no_error(form: LogFormat) -> None:
    """A record that was asked for exception information while there was none has no such field."""
    assert "error" not in _line(form, exc_info=(None, None, None))


def test_arguments_of_own_messages_are_filled_in() -> None:
    """The exporter's own messages are formatted as usual."""
    assert "msg=3" in _line("logfmt", msg="%d", args=(3,))


@pytest.mark.parametrize("form", _FORMS)
def test_arguments_of_other_loggers_are_left_out(form: LogFormat, canary: str) -> None:
    """What a library puts into its messages is not known to be harmless, so it is not written."""
    line = _line(form, "httpcore.http11", msg="headers %s", args=(canary,))
    assert canary not in line
    assert "headers" in line


@pytest.mark.parametrize("form", _FORMS)
def test_later_lines_of_other_loggers_are_left_out(form: LogFormat, canary: str) -> None:
    """Lost tasks are logged with the text of their exception from the second line on: only the first is kept."""
    lost = f"Task exception was never retrieved\nfuture: <Task finished exception=ValueError('{canary}')>"
    line = _line(form, "asyncio", msg=lost, exc_info=_failure(canary))
    assert canary not in line
    assert "Task exception was never retrieved" in line


@pytest.mark.parametrize("form", _FORMS)
def test_set_up_writes_to_standard_error_from_its_level_on(form: LogFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes to standard error, in the form and from the level that were asked for."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("info", form)
    logger = logging.getLogger("quota_exporter.test")
    logger.debug("too small")
    logger.info("listening", extra={"url": "http://localhost:9787"})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "listening" in lines[0]
    assert "http://localhost:9787" in lines[0]


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "httpcore.connection", "asyncio"])
def test_libraries_are_quiet_at_any_level(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even at debug level no library that sees URLs and headers may write about them."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("debug", "logfmt")
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).debug("chatter")
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("trouble")
    assert "trouble" in stream.getvalue()


def test_requests_that_are_no_http_cannot_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone can send the server what is not HTTP: its warning of each is left out, its errors are kept."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("debug", "logfmt")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.error").error("trouble")
    assert "trouble" in stream.getvalue()
