"""Maps of a document checked by a model, with what is wrong told in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from quota_exporter.document import ConfigProblem, Document, KeyPath, dotted
from quota_exporter.values import MisplacedError, Model

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
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


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
        # a key may be a URL with a password, where a user name and not a URL was expected
        shown = takewhile(lambda key: "@" not in str(key), path)
        return ConfigProblem(self.document.location(path), dotted(tuple(shown)), message)


def validate(model: type[ModelT], value: Any, place: Place, problems: list[ConfigProblem]) -> ModelT | None:
    """Build a model from what is right in `value`; what is wrong is added to `problems`.

    None when it is no map, or when a required key is missing or wrong.
    """
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    while True:
        try:
            return model.model_validate(value, context={"folder": place.document.path.parent})
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        wrong = [_complaint(detail, model, value) for detail in details]
        problems += [place.problem(message, *keys) for keys, message in wrong]
        bad = {keys[0] for keys, _ in wrong if keys}
        if not isinstance(value, dict) or bad.isdisjoint(value) or not required <= value.keys() - bad:
            return None
        # again without them: pydantic checks rules about several keys only when each key on its own is right
        value = {key: item for key, item in value.items() if key not in bad}


def _complaint(detail: Mapping[str, Any], model: type[Model], value: Any) -> tuple[KeyPath, str]:
    """What pydantic says of `value`, for people: the keys that lead to the trouble, and the message."""
    kind, context = detail["type"], detail.get("ctx", {})
    keys = tuple(key for key in detail["loc"] if key != "[key]")
    if kind == "missing":
        return keys, _MESSAGES[kind]
    if kind == "extra_forbidden":
        return keys, _unknown_key(str(keys[-1]), _model_at(model, keys[:-1]))
    if isinstance(context.get("error"), MisplacedError):
        return (*keys, *context["error"].keys), str(context["error"])
    existing, found = _reach(value, keys)
    if found is None:
        return existing, "is empty; give it a value or remove it"
    return existing, _MESSAGES.get(kind, "has a wrong value").format_map(context)


def _reach(value: Any, keys: KeyPath) -> tuple[KeyPath, Any]:
    """The part of `keys` that exists in nested maps and lists, and what it leads to."""
    for depth, key in enumerate(keys):
        items = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
        if key not in items:
            return keys[:depth], value
        value = items[key]
    return keys, value


def _unknown_key(key: str, model: type[Model]) -> str:
    known = [*model.model_fields, *model.also_known]
    nearest = difflib.get_close_matches(key.lower(), known, n=1)
    if nearest:
        return f"unknown key; did you mean `{nearest[0]}`?"
    return f"unknown key; known here: {', '.join(sorted(known))}"


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
