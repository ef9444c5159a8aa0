"""What each failure reason means in words, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from quota_exporter.quota import Reason


@dataclass(frozen=True, slots=True)
class Advice:
    """`meaning` completes "the gateway cannot be read:", `action` is a sentence that tells what to do."""

    meaning: str
    action: str


ADVICE = {
    Reason.NO_API_KEY: Advice(
        "no API key was found",
        "Set the variable, file or OpenCode entry listed under the sources that were checked.",
    ),
    Reason.NO_BASE_URL: Advice(
        "its base URL is not known",
        "Set base_url in the config, or provider.<id>.options.baseURL in OpenCode's global config.",
    ),
    Reason.DNS: Advice(
        "its host name cannot be resolved", "Check the host in base_url and the name server of this machine."
    ),
    Reason.CONNECT: Advice(
        "no connection came about, or it broke before the reply was whole",
        "Check that the gateway runs and that firewall and proxy_url let this machine reach it.",
    ),
    Reason.TLS: Advice(
        "the TLS handshake failed",
        "Check the gateway's certificate; for a private authority set tls.ca_file.",
    ),
    Reason.TIMEOUT: Advice(
        "it did not answer in time",
        "Check the gateway's load; raise its timeout, and scrape_timeout in Prometheus above it. Many keys of one"
        " origin want a higher max_concurrency or a min_interval.",
    ),
    Reason.REDIRECT: Advice(
        "it answered with a redirect, which is not followed with a key",
        "Set base_url or quota_path to the address that the redirect leads to.",
    ),
    Reason.UNAUTHORIZED: Advice(
        "it refused the API key",
        "Check that the key is current; some gateways also answer so when the quota is used up.",
    ),
    Reason.FORBIDDEN: Advice(
        "the API key may not read the quota",
        "Give the key the right to read it, or use another key for this gateway.",
    ),
    Reason.PAYMENT_REQUIRED: Advice("it asks for payment", "Top up the account behind this key."),
    Reason.KEY_EXPIRED: Advice("the API key has expired", "Create a new key and put it where the old one is."),
    Reason.KEY_BLOCKED: Advice("the API key is blocked", "Ask the gateway's operator why, or use another key."),
    Reason.NOT_FOUND: Advice(
        "it knows no quota at this address", "Check base_url, quota_path and mapping of the gateway."
    ),
    Reason.RATE_LIMITED: Advice(
        "it asks to be polled less often",
        "Nothing at once: polling resumes by itself. If it recurs, set min_interval.",
    ),
    Reason.HTTP_ERROR: Advice(
        "it answered with an HTTP error", "Check base_url, quota_path and mapping of the gateway."
    ),
    Reason.SERVER_ERROR: Advice(
        "it failed with a server error",
        "Check the gateway itself; the exporter asks again at the next scrape.",
    ),
    Reason.TOO_LARGE: Advice(
        "its reply is larger than a quota can be",
        "Check that quota_path names the quota and not a list or a page.",
    ),
    Reason.BAD_ENCODING: Advice(
        "its reply is not UTF-8 text, plain or gzip", "Check the gateway, and any proxy in front of it."
    ),
    Reason.NOT_JSON: Advice(
        "its reply is not JSON",
        "Check base_url and quota_path; a login page in front of the gateway looks so.",
    ),
    Reason.ERROR_REPLY: Advice(
        "it answered with an error message", "Read the message; check the key and the mapping of the gateway."
    ),
    Reason.UNEXPECTED_SHAPE: Advice(
        "its reply has not the shape that the mapping expects", "Check which mapping fits this gateway."
    ),
    Reason.INTERNAL: Advice("the exporter has a bug", "Report it with the line of the exporter's log."),
}
