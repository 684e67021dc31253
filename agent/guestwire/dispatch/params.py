"""Arguments against a handler's signature, with the QEMU guest agent's words for what is wrong.

The annotations are the schema: int, float, bool, str, list[X], dict[str, object], TypedDict for a
struct, Literal for an enum, Optional for what may be left out, and
Annotated[Union[...], "Name"] for what QEMU calls an alternate, Annotated[int, "uint64"]. A hyphen
on the wire is an underscore in Python.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import FunctionType
from typing import Annotated, Any, Callable, NamedTuple, Union, cast

from ..errors import InvalidArgument

Check = Callable[[str, object], None]
INT64 = range(-(1 << 63), 1 << 63)
UINT64 = range(1 << 64)


class Parameter(NamedTuple):
    """One argument: its name on the wire, its name in Python, and how it is checked."""

    name: str
    keyword: str
    check: Check
    required: bool


class Binder:
    """Knows one handler's parameters; made at the first call of its command."""

    def __init__(self, handler: Callable[..., object]) -> None:
        self.parameters = tuple(_parameters(handler))
        self._names = frozenset(parameter.name for parameter in self.parameters)

    def bind(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Keyword arguments for the handler.

        Raises InvalidArgument for what is missing or of the wrong type, in the order of the
        parameters, and then for what is unexpected, as QEMU does.
        """
        bound = {}
        for parameter in self.parameters:
            if parameter.name in arguments:
                value = arguments[parameter.name]
                parameter.check(parameter.name, value)
                bound[parameter.keyword] = value
            elif parameter.required:
                raise _missing(parameter.name)
        if len(bound) != len(arguments):
            _refuse_unexpected("", arguments, self._names)
        return bound


def _parameters(handler: Callable[..., object]) -> typing.Iterator[Parameter]:
    function = cast(FunctionType, handler)
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    optional = set(names[len(names) - len(function.__defaults__ or ()) :])
    if code.co_argcount == 1:
        return
    hints = typing.get_type_hints(handler, include_extras=True)
    for name in names:
        wire = name.rstrip("_").replace("_", "-")  # `from_` is a keyword's way out
        yield Parameter(wire, name, _checker(hints[name]), name not in optional)


def _checker(hint: Any) -> Check:
    """The check for an annotation. A hint nobody knows is a defect of the handler."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hasattr(hint, "__required_keys__"):
        return _struct_checker(hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        takes_numbers = int in typing.get_args(inner[0])
        return _alternate_checker(_checker(inner[0]), inner[1], takes_numbers)
    if origin is Union:
        return _union_checker([_checker(one) for one in inner if one is not type(None)])
    if origin is typing.Literal:
        return _enum_checker(inner)
    if origin in (list, dict):
        return _list_checker(_checker(inner[0])) if origin is list else _check_object
    raise TypeError(f"cannot check arguments against {hint!r}")


def _wrong(name: str, expected: str) -> InvalidArgument:
    return InvalidArgument(f"Invalid parameter type for '{name}', expected: {expected}")


def _missing(name: str) -> InvalidArgument:
    return InvalidArgument(f"Parameter '{name}' is missing")


def _refuse_unexpected(
    where: str, value: Mapping[str, object], known: typing.Container[str]
) -> None:
    for key in value:
        if key not in known:
            raise InvalidArgument(f"Parameter '{where}{key}' is unexpected")


def _check_int(name: str, value: object) -> None:
    if type(value) is not int or value not in INT64:
        raise _wrong(name, "integer")


def _check_uint64(name: str, value: object) -> None:
    if type(value) is not int or value not in UINT64:
        raise InvalidArgument(f"Parameter '{name}' expects uint64")


def _check_number(name: str, value: object) -> None:
    if type(value) not in (int, float):
        raise _wrong(name, "number")


def _check_bool(name: str, value: object) -> None:
    if type(value) is not bool:
        raise _wrong(name, "boolean")


def _check_str(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong(name, "string")


def _check_object(name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise _wrong(name, "object")


def _check_nothing(name: str, value: object) -> None:
    pass


_SCALARS: dict[object, Check] = {
    int: _check_int,
    Annotated[int, "uint64"]: _check_uint64,
    float: _check_number,
    bool: _check_bool,
    str: _check_str,
    dict: _check_object,
    object: _check_nothing,
}


def _list_checker(check_item: Check) -> Check:
    def check(name: str, value: object) -> None:
        if not isinstance(value, list):
            raise _wrong(name, "array")
        for index, item in enumerate(value):
            check_item(f"{name}[{index}]", item)

    return check


def _enum_checker(values: tuple[object, ...]) -> Check:
    def check(name: str, value: object) -> None:
        _check_str(name, value)
        if value not in values:
            raise InvalidArgument(f"Parameter '{name}' does not accept value '{value}'")

    return check


def _struct_checker(hint: Any) -> Check:
    hints = typing.get_type_hints(hint, include_extras=True)
    fields = {name: _checker(one) for name, one in hints.items()}
    required = [name for name in fields if name in hint.__required_keys__]

    def check(name: str, value: object) -> None:
        if not isinstance(value, dict):
            raise _wrong(name, "object")
        for field, check_field in fields.items():
            if field in value:
                check_field(f"{name}.{field}", value[field])
            elif field in required:
                raise _missing(f"{name}.{field}")
        _refuse_unexpected(f"{name}.", value, fields)

    return check


def _union_checker(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(name: str, value: object) -> None:
        last: InvalidArgument | None = None
        for one in checks:
            try:
                return one(name, value)
            except InvalidArgument as error:
                # Of the right type but not of the enum's values: that is what to say.
                if last is None or "does not accept" in str(error):
                    last = error
        raise last or _wrong(name, "something else")

    return check


def _alternate_checker(check_any: Check, alternate: str, takes_numbers: bool) -> Check:
    def check(name: str, value: object) -> None:
        if takes_numbers and type(value) in (int, float):
            return _check_int(name, value)  # QEMU takes any number for an attempt at this one
        try:
            check_any(name, value)
        except InvalidArgument as error:
            raise error if "does not accept" in str(error) else _wrong(name, alternate) from None

    return check
