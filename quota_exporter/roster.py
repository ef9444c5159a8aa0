"""Which gateways are watched: the config's own and OpenCode's, cross-checked."""

from __future__ import annotations

import difflib
import ssl
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from quota_exporter import urls
from quota_exporter.config import Config, Entry, read_entry
from quota_exporter.credentials import ExplicitKey, env_name
from quota_exporter.document import ConfigProblem, Location
from quota_exporter.endpoints import request_urls
from quota_exporter.files import MAX_SECRET_BYTES, FileProblem, FileReader
from quota_exporter.mapping_choice import MappingChoice, quoted
from quota_exporter.mapping_language import ReplyMapping
from quota_exporter.opencode import OpenCode
from quota_exporter.quota import KeySource
from quota_exporter.settings import RESERVED_ID, GatewaySettings, Tls
from quota_exporter.tls import TlsError, ssl_context
from quota_exporter.validation import Place

_OPENCODE_KEYS = ("providerId", "baseURL", "quotaPath", "label", "mapping")


@dataclass(frozen=True, slots=True)
class Plan:
    """One gateway to watch: its final settings, and what they lead to.

    `settings.base_url` is the one in force, None when no source has it. `urls` are where the mapping's requests go,
    `{name}` standing for a value of an earlier reply; there are none where a base URL is needed and not known. `notes`
    are remarks for people.
    """

    settings: GatewaySettings
    mapping: ReplyMapping
    urls: tuple[str, ...]
    ssl_context: ssl.SSLContext
    location: Location
    notes: tuple[str, ...] = ()

    @property
    def url(self) -> str | None:
        """Where the quota is read: the first request's address."""
        return self.urls[0] if self.urls else None

    @property
    def origins(self) -> tuple[str, ...]:
        """Each `scheme://host:port` that the key goes to, the first request's first."""
        return tuple(dict.fromkeys(map(urls.origin_of, self.urls)))

    @property
    def min_interval(self) -> float:
        """Seconds for which a reading is reused: the operator's word, else the mapping's."""
        own = self.settings.min_interval
        return self.mapping.min_interval if own is None else own

    @property
    def explicit_key(self) -> ExplicitKey | None:
        """The key source that the entry itself names."""
        settings = self.settings
        if settings.api_key is not None:
            return ExplicitKey(KeySource.CONFIG, settings.api_key)
        if settings.api_key_file is not None:
            return ExplicitKey(KeySource.FILE, SecretStr(str(settings.api_key_file)))
        if settings.api_key_env is not None:
            return ExplicitKey(KeySource.ENV, SecretStr(settings.api_key_env))
        return None


@dataclass(frozen=True, slots=True)
class Roster:
    """The gateways of one config generation.

    `disabled` are the ids that `enabled_providers` leaves out. `errors` forbid the use of this roster,
    `warnings` are shown.
    """

    plans: tuple[Plan, ...]
    disabled: frozenset[str]
    errors: tuple[ConfigProblem, ...]
    warnings: tuple[ConfigProblem, ...]


def build_roster(config: Config, opencode: OpenCode | None, *, environ: Mapping[str, str], files: FileReader) -> Roster:
    """Combine the config with OpenCode's list and run all checks that need more than one entry."""
    draft = _Draft(config, opencode, environ, files)
    draft.add_own_entries()
    draft.add_opencode_entries()
    enabled = draft.choose_enabled()
    draft.check_env_names(enabled)
    return Roster(
        plans=tuple(enabled),
        disabled=frozenset(draft.plans) - {plan.settings.provider_id for plan in enabled},
        errors=_in_order((*config.problems, *draft.errors)),
        warnings=_in_order((*config.warnings, *draft.warnings)),
    )


def _in_order(problems: Iterable[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """Each problem once (many gateways may inherit the same), file by file and line by line."""
    unique = dict.fromkeys(problems)
    files = {path: order for order, path in enumerate(dict.fromkeys(problem.location.path for problem in unique))}
    return tuple(sorted(unique, key=lambda problem: (files[problem.location.path], problem.location.line or 0)))


def _used_already(earlier: Entry) -> str:
    return f"{earlier.settings.provider_id} is used already, at {earlier.location}; ids must be unique"


def _baseurl_of(entry: Entry) -> str:
    return f"OpenCode's provider.{entry.settings.provider_id}.options.baseURL"


class _Draft:
    """A roster in the making."""

    def __init__(
        self, config: Config, opencode: OpenCode | None, environ: Mapping[str, str], files: FileReader
    ) -> None:
        self._config = config
        self._opencode = opencode
        self._environ = environ
        self._files = files
        self._contexts: dict[Tls, ssl.SSLContext | TlsError] = {}
        self._opencode_is_whole = True
        self._mappings = MappingChoice(config)
        self.plans: dict[str, Plan] = {}
        self._entries: dict[str, Entry] = {}
        self.errors: list[ConfigProblem] = []
        self.warnings: list[ConfigProblem] = []

    def add_own_entries(self) -> None:
        for entry in self._config.entries:
            plan = self._plan(entry, self.errors)  # also of entries that end here: to tell all that is wrong
            if not entry.is_named:
                continue
            earlier = self._entries.get(entry.settings.provider_id)
            if earlier is None:
                self._add(entry, plan)
            else:
                self.errors.append(entry.problem(_used_already(earlier), "provider_id"))

    def add_opencode_entries(self) -> None:
        if self._opencode is None:
            return
        problems: list[ConfigProblem] = []
        listed: dict[str, Entry] = {}
        for raw, document, key_path in self._opencode.entries():
            known = {key: value for key, value in raw.items() if key in _OPENCODE_KEYS and value is not None}
            found: list[ConfigProblem] = []
            entry = read_entry(known, document, key_path, self._config.defaults, found)
            problems += found
            if entry is None or found:
                continue
            earlier = listed.setdefault(entry.settings.provider_id, entry)
            if earlier is entry:
                self._add_opencode_entry(entry, problems)
            else:
                problems.append(entry.problem(_used_already(earlier), "provider_id"))
        problems += self._opencode.problems()
        self._opencode_is_whole = not problems
        self.warnings += problems

    def choose_enabled(self) -> list[Plan]:
        wanted = self._config.options.enabled_providers
        if wanted is None or self._config.document is None:
            return list(self.plans.values())
        place = Place(self._config.document)
        for index, provider_id in enumerate(wanted):
            if provider_id not in self._entries and provider_id != RESERVED_ID:
                nearest = difflib.get_close_matches(provider_id, self._entries, n=1)
                hint = f"did you mean `{nearest[0]}`?" if nearest else "add it to `gateways`, or remove it here"
                message = f"no gateway has the id{quoted(provider_id)}; {hint}"
                # an invalid file of OpenCode, which may list it, must not stop the exporter
                problems = self.errors if self._opencode_is_whole else self.warnings
                problems.append(place.problem(message, "enabled_providers", index))
        chosen = self.plans.keys() if RESERVED_ID in wanted else set(wanted)
        return [plan for provider_id, plan in self.plans.items() if provider_id in chosen]

    def check_env_names(self, plans: list[Plan]) -> None:
        users = defaultdict(list)
        for plan in plans:
            if plan.explicit_key is None:
                users[env_name(plan.settings.provider_id)].append(plan)
        for variable, sharing in users.items():
            if len(sharing) > 1 and self._environ.get(variable, "").strip():
                for plan in sharing:
                    others = ", ".join(other.settings.provider_id for other in sharing if other is not plan)
                    entry = self._entries[plan.settings.provider_id]
                    message = f"takes its key from {variable}, as does {others}; give each its own api_key_env"
                    self.errors.append(entry.problem(message, "provider_id"))

    def _add_opencode_entry(self, entry: Entry, problems: list[ConfigProblem]) -> None:
        provider_id = entry.settings.provider_id
        earlier = self._entries.get(provider_id)
        if earlier is None:
            self._add(entry, self._plan(entry, problems))
        elif provider_id in self.plans:
            own = self.plans[provider_id]
            note = f"is also listed in {entry.location}; {earlier.location.path} decides"
            self.plans[provider_id] = replace(own, notes=(*own.notes, note))

    def _add(self, entry: Entry, plan: Plan | None) -> None:
        self._entries[entry.settings.provider_id] = entry
        if plan is not None:
            self.plans[entry.settings.provider_id] = plan

    def _plan(self, entry: Entry, problems: list[ConfigProblem]) -> Plan | None:
        mapping = self._mappings.of(entry, problems)
        context = self._ssl_context(entry, problems)
        self._warn_of_unreadable_secrets(entry)
        base_url = self._base_url(entry)
        settings = entry.settings.model_copy(update={"base_url": base_url})
        if mapping is not None and mapping.timeout is not None and "timeout" not in settings.model_fields_set:
            settings = settings.model_copy(update={"timeout": mapping.timeout})
        if mapping is None:
            self._check_urls(entry, () if base_url is None else (base_url,), problems)
            return None
        try:
            addresses = request_urls(mapping, base_url=base_url, quota_path=settings.quota_path)
        except ValueError as error:
            problems.append(entry.problem(str(error), "quota_path"))
            return None
        if not self._check_urls(entry, addresses, problems) or context is None:
            return None
        return Plan(settings, mapping, addresses, context, entry.location)

    @staticmethod
    def _check_urls(entry: Entry, addresses: tuple[str, ...], problems: list[ConfigProblem]) -> bool:
        """Whether the key may be sent there."""
        if entry.settings.allow_http or not any(map(urls.is_plain_http_to_public, addresses)):
            return True
        message = "would send the key unencrypted to a public host; use https:// or set allow_http: true"
        if entry.settings.base_url is None:
            message = f"{_baseurl_of(entry)} {message}"
        problems.append(entry.problem(message, "base_url"))
        return False

    def _base_url(self, entry: Entry) -> str | None:
        if entry.settings.base_url is not None or self._opencode is None:
            return entry.settings.base_url
        inherited = self._opencode.base_url(entry.settings.provider_id)
        try:
            return None if inherited is None else urls.base_url(inherited)
        except ValueError as error:
            self.warnings.append(entry.problem(f"{_baseurl_of(entry)} {error}", "base_url"))
            return None

    def _ssl_context(self, entry: Entry, problems: list[ConfigProblem]) -> ssl.SSLContext | None:
        tls = entry.settings.tls
        if tls.insecure_skip_verify:
            message = "certificates are not checked; anyone on the way can read the key"
            self.warnings.append(entry.problem(message, "tls", "insecure_skip_verify"))
        if tls not in self._contexts:
            try:
                self._contexts[tls] = ssl_context(tls)
            except TlsError as error:
                self._contexts[tls] = error
        context = self._contexts[tls]
        if isinstance(context, TlsError):
            problems += [entry.problem(str(problem), "tls", *problem.keys) for problem in context.problems]
            return None
        return context

    def _warn_of_unreadable_secrets(self, entry: Entry) -> None:
        secrets: list[tuple[Path | None, tuple[str, ...]]] = [(entry.settings.api_key_file, ("api_key_file",))]
        secrets += [(value.file, ("headers", name)) for name, value in entry.settings.headers.items()]
        for path, keys in secrets:
            if path is None:
                continue
            try:
                if not self._files.read_text(path, max_bytes=MAX_SECRET_BYTES).strip():
                    self.warnings.append(entry.problem("the file is blank; put the secret into it", *keys))
            except FileProblem as problem:
                self.warnings.append(entry.problem(f"the file {problem}; the gateway shows no_api_key", *keys))
