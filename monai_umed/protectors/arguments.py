"""Find the arguments of a constructor that passes some on to its parents."""

from __future__ import annotations

from inspect import Parameter, signature


def constructor_arguments(cls: type) -> list[str]:
    """Return the names of a class's arguments, its own first, then its parents' that it takes as ``**keywords``."""
    names: dict[str, None] = {}
    for parent in cls.__mro__:
        parameters = signature(parent).parameters.values()
        anonymous = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        names |= {parameter.name: None for parameter in parameters if parameter.kind not in anonymous}
        if all(parameter.kind != Parameter.VAR_KEYWORD for parameter in parameters):
            break
    return list(names)
