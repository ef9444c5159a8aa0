"""Maps of a document checked by a model, with what is wrong told in words."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from quota_exporter.document import ConfigProblem, Document, KeyPath, dotted
from quota_exporter.values import Model, ProblemAtKeys

ModelT = TypeVar("ModelT", bound=Model)

_MESSAGES = {
    "missing": "is missing; add it",
    "string_type": "must be text; put the value in quotes",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "model_type": "must be a map of keys; write {{}} for an empty one",
    "dict_type": "must be a map of keys; write {{}} for an empty one",
    "list_type": "must be a list; write [] for an empty one",
    "tuple_type": "must be a list",
    "enum": "must be one of {expected}",
    "greater_than": "must be above {gt:g}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_EMPTY = "is empty; give it a value or remove it"
_NO_SPACE = "has no space after its colon; write one between the key and the value"
_GLUED = re.compile(r":(?!//)")  # in a key, and not in a URL


@dataclass(frozen=True, slots=True)
class Place:
    """A map in a document; `spelling` holds the model's keys that the document spells in another way."""

    document: Document
    key_path: KeyPath = ()
    spelling: Mapping[str, str] = field(default_factory=dict)

    def problem(self, message: str, *keys: str | int) -> ConfigProblem:
        """A problem of this map, or of what `keys` lead to in it."""
        spelled = tuple(self.spelling.get(str(key), key) if depth == 0 else key for depth, key in enumerate(keys))
        path = (*self.key_path, *spelled)
        return ConfigProblem(self.document.location(path), dotted(path), message)


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What pydantic says, for people: the keys that lead to the trouble, and the message.

    `lacks` are keys whose absence is the trouble, so that it is none when they were there and wrong. `meant` is
    the known key that an unknown one stands for.
    """

    keys: KeyPath
    message: str
    lacks: frozenset[KeyPath] = frozenset()
    meant: KeyPath = ()


def validate(model: type[ModelT], value: Any, place: Place, problems: list[ConfigProblem]) -> ModelT | None:
    """Build a model from what is right in `value`; what is wrong is added to `problems`.

    None when it is no map, or when a required key is missing or wrong.
    """
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    left_out: set[KeyPath] = set()
    while True:
        try:
            return model.model_validate(value, context={"folder": place.document.path.parent})
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        complaints = dict.fromkeys(_complaint(detail, model, value) for detail in details)
        problems += [
            place.problem(complaint.message, *complaint.keys)
            for complaint in complaints
            if complaint.keys not in left_out and not any(_is_within(path, complaint.lacks) for path in left_out)
        ]
        wrong = {_removable(value, complaint.keys) for complaint in complaints}
        if () in wrong:
            return None
        # again without them: pydantic checks rules about several keys only when each key on its own is right
        value = _without(value, wrong)
        if not required <= value.keys():
            return None
        left_out |= wrong | {complaint.meant for complaint in complaints if complaint.meant}
        left_out |= {path[:-1] for path in wrong if isinstance(path[-1], int)}  # how many it holds says nothing now


def _complaint(detail: Mapping[str, Any], model: type[Model], value: Any) -> _Complaint:
    kind, context = detail["type"], detail.get("ctx", {})
    keys = tuple(key for key in detail["loc"] if key != "[key]")
    if kind == "missing":
        return _Complaint(keys, _MESSAGES[kind])
    if kind == "extra_forbidden":
        return _unknown_key(keys, _model_at(model, keys[:-1]))
    if isinstance(problem := context.get("error"), ProblemAtKeys):
        lacks = frozenset((*keys, name) for name in problem.lacks)
        return _Complaint((*keys, *problem.keys), str(problem), lacks)
    existing, found = _reach(value, keys)
    if found is None:
        return _Complaint(existing, _NO_SPACE if existing and _GLUED.search(str(existing[-1])) else _EMPTY)
    return _Complaint(existing, _MESSAGES.get(kind, "has a wrong value").format_map(context))


def _is_within(path: KeyPath, places: Iterable[KeyPath]) -> bool:
    return any(path[: len(place)] == place for place in places)


def _removable(value: Any, keys: KeyPath) -> KeyPath:
    """The least that `value` can do without to be rid of what `keys` lead to.

    An item of a list that is a map or a list itself goes with its whole list, for the places of the others.
    """
    existing, _ = _reach(value, keys)
    for depth, key in enumerate(existing):
        if isinstance(key, int):
            _, item = _reach(value, existing[: depth + 1])
            return existing[:depth] if isinstance(item, dict | list) else existing[: depth + 1]
    return existing


def _without(value: Any, wrong: Iterable[KeyPath]) -> Any:
    """A copy of nested maps and lists that lacks what the paths `wrong` lead to."""
    inner: dict[str | int, set[KeyPath]] = defaultdict(set)
    for path in wrong:
        inner[path[0]].add(path[1:])
    if isinstance(value, dict):
        return {
            key: _without(item, inner[key]) if key in inner else item
            for key, item in value.items()
            if () not in inner.get(key, ())
        }
    return [item for index, item in enumerate(value) if index not in inner]


def _reach(value: Any, keys: KeyPath) -> tuple[KeyPath, Any]:
    """The part of `keys` that exists in nested maps and lists, and what it leads to."""
    for depth, key in enumerate(keys):
        items = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
        if key not in items:
            return keys[:depth], value
        value = items[key]
    return keys, value


def _unknown_key(keys: KeyPath, model: type[Model]) -> _Complaint:
    known = [*model.model_fields, *model.also_known]
    key = str(keys[-1])
    nearest = difflib.get_close_matches(key.partition(":")[0].lower(), known, n=1)
    meant = (*keys[:-1], *nearest) if nearest else ()
    if _GLUED.search(key):
        return _Complaint(keys, _NO_SPACE, meant=meant)
    if nearest:
        return _Complaint(keys, f"unknown key; did you mean `{nearest[0]}`?", meant=meant)
    return _Complaint(keys, f"unknown key; known here: {', '.join(sorted(known))}")


def _model_at(model: type[Model], location: tuple[str | int, ...]) -> type[Model]:
    """The model that a pydantic error location leads to, for naming its keys."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
