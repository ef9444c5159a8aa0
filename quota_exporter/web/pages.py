"""The HTML pages for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from quota_exporter.exporter import Generation
from quota_exporter.humanize import counted
from quota_exporter.web.effective_config import config_yaml
from quota_exporter.web.gateway_card import Report, State, gateway_card, gateway_state, least_ratio, moment
from quota_exporter.web.layout import page
from quota_exporter.web.markup import Html, element, table

_ORDER = {state: position for position, state in enumerate(State)}


def landing_page(*, version: str, gateways: int, metrics_path: str, lifecycle: bool) -> str:
    """Return the page at `/`: what this is, and where to go from here."""
    metrics = "." + quote(metrics_path)
    rows = [
        (_link("./quota_status"), "What is left on each gateway, which key is used, what is wrong and what to do."),
        (_link("./quota_status?format=json"), "The same for scripts."),
        (_link(metrics), "All metrics, for Prometheus. Add ?provider_id=<id> (repeatable) for some gateways."),
        (_link(f"{metrics}?collect[]=exporter"), "The exporter's own metrics only; collect[]=gateways for the others."),
        (
            element("code", "/probe?target=<provider_id>"),
            "The metrics of one gateway, for example /probe?target=campus, or of one key that it lists: campus:alice.",
        ),
        (element("code", "/probe?model=<provider_id>/<model>"), "The same, found by the name of a model."),
        (_link("./config"), "The config in force, without its secrets."),
        (_link("./-/healthy"), "Answers while the process serves."),
        (_link("./-/ready"), "Answers 200 while scrapes are welcome, 503 during shutdown."),
    ]
    if lifecycle:
        rows.append((element("code", "POST /-/reload"), "Reads the config again, as SIGHUP does."))
    watched = f"It watches {counted(gateways, 'gateway')}." if gateways else "No gateway is configured yet."
    return page(
        "Overview",
        element("p", f"quota-exporter {version}, a Prometheus exporter for the quotas of LLM gateways. {watched}"),
        table(("Path", "What it answers"), rows),
    )


def status_page(reports: Sequence[Report], *, now: float) -> str:
    """Return the page of all gateways, worst first, from what `gateway_reports` says; `now` is Unix time."""
    if not reports:
        return page("Status", element("p", "No gateway is configured. Add one to the config and reload it."))
    states = Counter(gateway_state(report) for report in reports)
    summary = ", ".join(f"{states[state]:,} {state}" for state in State if state in states)
    head = element(
        "p",
        f"{counted(len(reports), 'gateway')}: {summary}. The last reading of each, as of ",
        moment(now),
        "; also ",
        element("a", "as JSON", href="./quota_status?format=json"),
        ".",
    )
    return page("Status", head, *(gateway_card(report, now) for report in sorted(reports, key=_rank)))


def config_page(generation: Generation) -> str:
    """Return the page of the config in force, its secrets left out."""
    warnings = [element("p", str(warning), class_="note") for warning in generation.roster.warnings]
    return page(
        "Config",
        element(
            "p", "The config in force: defaults, gateway files and OpenCode's entries are merged in, secrets left out."
        ),
        *warnings,
        element("pre", config_yaml(generation), tabindex="0", aria_label="Config as YAML"),
    )


def _rank(report: Report) -> tuple[int, float]:
    """Where a gateway stands on the page: by its state, then by what is left of its tightest limit."""
    least = least_ratio(report)
    return _ORDER[gateway_state(report)], math.inf if least is None else least


def _link(href: str) -> Html:
    return element("a", element("code", href.removeprefix(".")), href=href)
