"""What people are told of an id that stands for no gateway."""

from __future__ import annotations

import difflib
import shlex

from quota_exporter.children import split_id
from quota_exporter.exporter import Generation
from quota_exporter.reply_text import clean_text

_MOST_NAMED = 20


def unknown_id(generation: Generation, provider_id: str, *, typed: bool) -> str:
    """Say why an id stands for no gateway and for no key that one lists, and what to do.

    One that a person has `typed` just now is repeated, unless it may be a key that went astray, with the nearest there
    is: among thousands of ids that takes a while. Otherwise the first ids are named.
    """
    parent, _ = split_id(provider_id)
    if parent in generation.roster.disabled:
        return f"{parent} is disabled by enabled_providers; add it there"
    shown = clean_text(provider_id, ()) if typed else None
    named = "this id" if shown is None else f"the id {shown!r}"
    if parent not in generation.plans:
        ids, remedy = list(generation.plans), "`quota-exporter check` lists all"
        why = f"no gateway of {named} is configured"
    elif generation.fleet.answers_for(provider_id):
        ids = [name for name in generation.fleet.ids() if split_id(name)[0] == parent and name != parent]
        why, remedy = f"{parent} lists no key of {named}", f"`quota-exporter poll {parent}` lists its keys"
    else:
        return f"{parent} lists no keys: its mapping {generation.plans[parent].mapping.name} has no `children`"
    if not typed:
        return f"{why}; known: {_first(ids)}"
    nearest = difflib.get_close_matches(provider_id, ids, n=1)
    return f"{why}; {f'did you mean {shlex.quote(nearest[0])}?' if nearest else remedy}"


def _first(ids: list[str]) -> str:
    more = [f"and {len(ids) - _MOST_NAMED} more"] if len(ids) > _MOST_NAMED else []
    return ", ".join([*ids[:_MOST_NAMED], *more]) or "none"
