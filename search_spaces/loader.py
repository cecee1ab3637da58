"""Search spaces from YAML or plain dictionaries. Every error names the place, the rule and the value."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from search_spaces.domains import (
    Choice,
    Constant,
    Domain,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Uniform,
    When,
)
from search_spaces.errors import SpaceError, shorten
from search_spaces.space import Space
from search_spaces.yaml_file import read_yaml

RANGES: dict[str, type[Int | LogInt | Uniform | LogUniform]] = {c.form: c for c in (Int, LogInt, Uniform, LogUniform)}
LISTS: dict[str, type[Choice | Grid | Constant]] = {c.form: c for c in (Choice, Grid, Constant)}
FORMS = (*LISTS, *RANGES)
KEYS = ("parameters", "constraints", "description")


def load_space(source: str | Path | Mapping[str, Any]) -> Space:
    """The space of a shipped name such as "image_classifier", of a YAML file or of a mapping in that form.

    Raises SpaceError for a name that is neither shipped nor a file, and for whatever breaks a rule in it.
    """
    path = None if isinstance(source, Mapping) else _find(source)
    try:
        return _space(read_yaml(path) if path else source)
    except SpaceError as error:
        raise (error.in_file(path.name) if path else error.within("space")) from None


def shipped_spaces() -> tuple[str, ...]:
    """The names of the spaces that come with the package."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


def _find(source: object) -> Path:
    rule = "must be a shipped space's name, a YAML file or a mapping of `parameters`"
    if not isinstance(source, str | Path):
        raise SpaceError.at("space", rule, source)
    if isinstance(source, str) and source in shipped_spaces():
        return Path(__file__).with_name(f"{source}.yaml")
    with suppress(OSError, ValueError):  # no name that a file could have
        if Path(source).is_file():
            return Path(source)
    raise SpaceError.at("space", rule, str(source), among=shipped_spaces())


def _space(form: Any) -> Space:
    if not isinstance(form, Mapping):
        raise SpaceError.at("", "must map `parameters` to the parameters", form)
    for key in form:
        if key not in KEYS:
            raise SpaceError.at("", "must hold only `parameters`, `constraints` and `description`", key, among=KEYS)
    parameters = form.get("parameters")
    if not isinstance(parameters, Mapping):
        raise SpaceError.at("parameters", "must map names to domains", parameters)
    made = {name: _parameter(spec, f"parameters.{name}") for name, spec in parameters.items()}
    return Space(made, form.get("constraints", ()))


def _parameter(spec: Any, where: str) -> Any:
    if not isinstance(spec, Mapping):
        return spec  # a constant, unless the space refuses it
    forms = [key for key in spec if key != "when"]
    if len(forms) != 1:
        raise SpaceError.at(where, f"must name one domain of {', '.join(FORMS)}", forms)
    domain = _domain(forms[0], spec[forms[0]], where)
    if "when" not in spec:
        return domain
    try:
        return When(domain, spec["when"])
    except SpaceError as error:
        raise error.within(f"{where}.when") from None


def _domain(form: str, arguments: Any, where: str) -> Domain:
    if form not in FORMS:
        raise SpaceError.at(where, f"must name one domain of {', '.join(FORMS)}", form, among=FORMS)
    try:
        if form in LISTS:
            return LISTS[form](arguments)
        if not isinstance(arguments, list | tuple) or len(arguments) != 2:
            raise SpaceError(f"must be [low, high], but got {shorten(arguments)}")
        return RANGES[form](*arguments)
    except SpaceError as error:
        raise error.within(f"{where}.{form}") from None
