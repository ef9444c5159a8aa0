"""One gateway's report as a card of the status page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from quota_exporter.humanize import amount, counted, duration, figure, percent, relative, utc_time
from quota_exporter.quota import Problem
from quota_exporter.web.markup import Html, element, fragment, table

Report = Mapping[str, Any]


class State(StrEnum):
    """How a gateway is, the worst first; its buckets count only when it can be read."""

    FAILING = "failing"
    OVERSPENT = "overspent"
    USED_UP = "used up"
    LEFT = "with quota left"
    UNREAD = "not polled yet"
    UNLIMITED = "unlimited"
    NO_BUCKETS = "without a bucket of its own"


# Where the colour of a bar changes; alerts have the thresholds of the config.
_LOW, _VERY_LOW = 0.2, 0.05

_PROBLEMS = {
    Problem.UNRESOLVED: "not found in the reply",
    Problem.NOT_A_NUMBER: "not a number",
    Problem.DUPLICATE: "same kind and name as an earlier bucket",
    Problem.TOO_MANY: "more than allowed; see max_buckets and max_children",
    Problem.BAD_TIME: "not a time",
    Problem.BAD_CURRENCY: "not a currency code",
}


def gateway_card(report: Report, now: float) -> Html:
    """Return what `gateway_reports` says of one gateway; `now` is Unix time."""
    provider_id, label, reading = report["provider_id"], report["label"], report["reading"]
    state, least = gateway_state(report), least_ratio(report)
    words = f"{percent(least)} left" if state is State.LEFT and least is not None else state
    if state is State.NO_BUCKETS and report["quota"]["children"] is not None:
        words = f"lists {counted(report['quota']['children'], 'key')}"
    age = "" if reading is None else f"polled {relative(-reading['age_seconds'])}"
    parent = report["parent"]
    header = element(
        "header",
        element("h2", element("a", label or provider_id, href=f"#{_anchor(provider_id)}")),
        element("code", provider_id) if label != provider_id else "",
        element("span", words, class_="state"),
        element("span", "key of ", element("a", parent, href=f"#{_anchor(parent)}"), class_="muted") if parent else "",
        element("span", f"owner {report['owner']}", class_="muted") if report["owner"] else "",
        element("small", age),
    )
    parts: list[str] = [header]
    if reading is not None:
        parts += [_failure(report, now), _quota(report, now), _dropped(reading["dropped"])]
    parts += [element("p", f"{provider_id} {note}", class_="note") for note in report["notes"]]
    parts.append(_details(report, now))
    return element("article", *parts, id=_anchor(provider_id), class_=f"gateway {_tone(state, least)}")


def _anchor(provider_id: str) -> str:
    """Return an id for HTML and links: aliases of keys hold what neither allows, and `~` is in no gateway's id."""
    return re.sub(r"[^A-Za-z0-9._-]", lambda match: f"~{ord(match[0]):x}.", provider_id)


def _failure(report: Report, now: float) -> str:
    reading, last_success = report["reading"], report["last_success"]
    if reading["ok"]:
        return ""
    last: list[str] = ["No quota has been read yet."]
    if last_success is not None:
        last = [f"The last quota was read {relative(last_success - now)} (", moment(last_success), ")."]
    return element(
        "div",
        element(
            "p",
            element("strong", f"This gateway cannot be read: {reading['meaning']}"),
            " (",
            element("code", reading["reason"]),
            ").",
        ),
        element("p", _sentence(reading["detail"])),
        element("p", element("strong", "What to do: "), reading["action"]),
        element("p", *last, class_="muted"),
        class_="alert",
    )


def _quota(report: Report, now: float) -> str:
    quota = report["quota"]
    if quota is None or not quota["buckets"]:
        return ""
    rows = [
        (
            fragment(bucket["kind"], " ", element("span", bucket["name"], class_="muted")),
            _left(report["provider_id"], bucket),
            _refill(bucket, now),
        )
        for bucket in quota["buckets"]
    ]
    is_stale = not report["reading"]["ok"]
    return table(("Bucket", "Last known to be left" if is_stale else "Left", "Refills"), rows, class_="buckets")


def _left(provider_id: str, bucket: Report) -> Html:
    unit = bucket["currency"] or bucket["kind"]
    limit, used, remaining, ratio = (bucket[key] for key in ("limit", "used", "remaining", "remaining_ratio"))
    bar = ""
    words: list[str] = []
    if bucket["limited"] is False:
        words.append(State.UNLIMITED)
    if remaining is not None:
        words.append(
            f"{amount(remaining, unit)} left"
            if limit is None
            else f"{figure(remaining, unit)} of {amount(limit, unit)} left"
        )
        if remaining <= 0:
            words.append(State.OVERSPENT if remaining < 0 else State.USED_UP)
    elif limit is not None:
        words.append(f"{amount(limit, unit)} limit")
    if used is not None and (limit is None or remaining is None):
        words.append(f"{amount(used, unit)} used")
    if ratio is not None:
        words.insert(0, percent(ratio))
        bar = element(
            "meter",
            percent(ratio),
            value=f"{min(max(ratio, 0.0), 1.0):.6f}",
            low=str(_VERY_LOW),
            high=str(_LOW),
            optimum="1",
            aria_label=f"left of {provider_id}, {bucket['kind']} {bucket['name']}",
        )
    return fragment(bar, ", ".join(words) or "not said")


def _refill(bucket: Report, now: float) -> Html:
    resets_at, window = bucket["resets_at"], bucket["window_seconds"]
    parts = []
    if resets_at is not None:
        due = relative(resets_at - now)
        parts += [due if resets_at >= now else f"was due {due}", element("small", moment(resets_at))]
    if window is not None:
        parts.append(element("small", f"every {duration(window)}"))
    return fragment(*parts) if parts else element("span", "not said", class_="muted")


def _dropped(dropped: Sequence[Report]) -> str:
    if not dropped:
        return ""
    items = [
        element(
            "li",
            element("code", drop["where"]),
            f": {_PROBLEMS[drop['problem']]}",
            "" if drop["count"] == 1 else f" ({counted(drop['count'], 'value')})",
        )
        for drop in dropped
    ]
    total = counted(sum(drop["count"] for drop in dropped), "value")
    return element("div", f"{total} of the reply dropped:", element("ul", *items), class_="note")


def _details(report: Report, now: float) -> Html:
    reading, quota = report["reading"], report["quota"]
    source, base_url = str(report["key_source"]), report["base_url"] or "not known"
    rows: list[tuple[str, str]] = [
        ("Base URL", element("code", base_url)),
        ("Quota read from", _addresses(report["urls"])),
        ("The key goes to", _addresses(report["origins"])),
        ("Mapping", report["mapping"]),
        ("Configured at", element("code", report["configured_at"])),
        ("Key source", source),
    ]
    if report["min_interval_seconds"] > 0:
        rows.append(("Readings reused for", duration(report["min_interval_seconds"])))
    if reading is not None:
        status = "no HTTP reply" if reading["http_status"] is None else f"HTTP {reading['http_status']}"
        rows.append(
            ("Last poll", fragment(moment(reading["at"]), f", took {duration(reading['duration_seconds'])}, {status}"))
        )
    if quota is not None and quota["children"] is not None:
        rows.append(("Keys that it lists", f"{quota['children']:,}"))
    if quota is not None and quota["key_name"] is not None:
        rows.append(("Name of the key", quota["key_name"]))
    if quota is not None and quota["expires_at"] is not None:
        expires_at = quota["expires_at"]
        rows.append(("Key expires", fragment(f"{relative(expires_at - now)} (", moment(expires_at), ")")))
    checked = [(check["source"], element("code", check["where"]), check["outcome"]) for check in report["checked"]]
    return element(
        "details",
        element("summary", f"key from {source}, mapping {report['mapping']}, {base_url}"),
        element("dl", *(fragment(element("dt", name), element("dd", value)) for name, value in rows)),
        table(("Source", "Where", "Outcome"), checked, caption="Checked for the API key, in this order"),
        open=reading is not None and not reading["ok"],
    )


def _addresses(addresses: Sequence[str]) -> Html:
    return fragment(*(element("div", element("code", address)) for address in addresses or ("not known",)))


def gateway_state(report: Report) -> State:
    """Return how the gateway of this report is."""
    if report["reading"] is None:
        return State.UNREAD
    if not report["reading"]["ok"]:
        return State.FAILING
    buckets = report["quota"]["buckets"]
    if not buckets:
        return State.NO_BUCKETS
    least = min((bucket["remaining"] for bucket in buckets if bucket["remaining"] is not None), default=math.inf)
    if least <= 0:
        return State.OVERSPENT if least < 0 else State.USED_UP
    if all(bucket["limited"] is False for bucket in buckets):
        return State.UNLIMITED
    return State.LEFT


def least_ratio(report: Report) -> float | None:
    """Return the lowest remaining ratio of all buckets, None when no bucket has one."""
    buckets = () if report["quota"] is None else report["quota"]["buckets"]
    return min((bucket["remaining_ratio"] for bucket in buckets if bucket["remaining_ratio"] is not None), default=None)


def _tone(state: State, least: float | None) -> str:
    if state in (State.FAILING, State.OVERSPENT, State.USED_UP):
        return "bad"
    if state is State.UNREAD:
        return "unread"
    if least is None or least > _LOW:
        return "good"
    return "low" if least >= _VERY_LOW else "bad"


def moment(at: float) -> Html:
    """Return a Unix time for people and programs."""
    text = utc_time(at)
    return element("time", text, datetime=text.removesuffix(" UTC").replace(" ", "T") + "Z")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
