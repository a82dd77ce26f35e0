"""Check JSON objects against the fields of a dataclass."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_CURE = "restore the file from a copy"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FieldError(ValueError):
    """A field is missing, unknown or wrong; the message names it."""


def parse_fields(
    record_type: type,
    content: Any,
    where: str,
    skip: tuple[str, ...] = (),
    names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Check a JSON object against a dataclass, and return the arguments for it, with tuples in place of lists.

    Fields with ``sha256`` in their name must be checksums, and the fields ``image``, ``label`` and ``source`` must be
    relative paths that do not leave their folder.

    Args:
        record_type: dataclass of strings, numbers, tuples of them, and optional ones.
        content: result of `json.loads`.
        where: prefix of field names in messages, for example ``"cases[3]."``.
        skip: fields that are checked elsewhere.
        names: fields of the dataclass by the names that they have in the object, where these differ.

    Raises:
        FieldError: If a field is missing, unknown or wrong.
    """
    if not isinstance(content, dict):
        raise FieldError(f"field {where.rstrip('.')!r} must be a JSON object; {_CURE}")
    outer = {field: name for name, field in names.items()}
    hints = {outer.get(name, name): hint for name, hint in _hints(record_type).items() if name not in skip}
    fields = dataclasses.fields(record_type)
    required = {outer.get(field.name, field.name) for field in fields if field.default is dataclasses.MISSING}
    for name in sorted((required & hints.keys()) - content.keys()):
        raise FieldError(f"field {where + name!r} is missing; {_CURE}")
    values = {}
    for name, value in content.items():
        if name not in hints:
            raise FieldError(f"field {where + name!r} is unknown; {_CURE}")
        if not _matches(value, hints[name]):
            raise FieldError(f"field {where + name!r} is {value!r}, must be {_describe(hints[name])}; {_CURE}")
        check = _CHECKS.get("sha256" if "sha256" in name else name)
        for text in () if value is None else value if isinstance(value, list) else [value]:
            if check and (reason := check(text)):
                raise FieldError(f"field {where + name!r} is {value!r}, {reason}; {_CURE}")
        values[names.get(name, name)] = _frozen(value)
    return values


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return get_type_hints(record_type)  # for each case of a manifest they would take a millisecond


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _matches(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_matches(value, argument) for argument in arguments)
    if origin is tuple:
        if not isinstance(value, list):
            return False
        if arguments[-1] is Ellipsis:
            return all(_matches(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_matches, value, arguments))
    if hint is float:
        # Python's JSON reader accepts NaN and Infinity, which the standard does not have.
        return type(value) is int or (type(value) is float and abs(value) < float("inf"))
    return type(value) is hint


def _describe(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _path_reason(text: str) -> str | None:
    if not text or text[0] in "/\\" or text[1:2] == ":":  # on any system
        return "must be a relative path"
    return "must not contain '..'" if ".." in text.replace("\\", "/").split("/") else None


def _checksum_reason(text: str) -> str | None:
    return None if _SHA256.fullmatch(text) else "must be 64 hexadecimal digits"


_CHECKS: dict[str, Callable[[str], str | None]] = {
    "image": _path_reason,
    "label": _path_reason,
    "source": _path_reason,
    "sha256": _checksum_reason,
}
