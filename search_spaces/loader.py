"""Search spaces from YAML or plain dictionaries. Every error names the place, the rule and the value."""

import re
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from search_spaces.domains import (
    Choice,
    Constant,
    Domain,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Scalar,
    Uniform,
    When,
)
from search_spaces.errors import SpaceError
from search_spaces.space import Parameter, Space

RANGES: dict[str, type[Int | LogInt | Uniform | LogUniform]] = {c.form: c for c in (Int, LogInt, Uniform, LogUniform)}
LISTS: dict[str, type[Choice | Grid | Constant]] = {c.form: c for c in (Choice, Grid, Constant)}
FORMS = (*LISTS, *RANGES)


def load_space(source: str | Path | Mapping[str, Any]) -> Space:
    """The space of a shipped name such as "image_classifier", of a YAML file or of a mapping in that form.

    Raises SpaceError for a name that is neither shipped nor a file, and for whatever breaks a rule in it.
    """
    if isinstance(source, Mapping):
        return _space(source)
    path = _find(source)
    try:
        return _space(read_yaml(path))
    except SpaceError as error:
        raise error.within(path.name) from None


def shipped_spaces() -> tuple[str, ...]:
    """The names of the spaces that come with the package."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.yaml")))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; 1e-3 is a number and a repeated key an error. Raises SpaceError."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpaceError(f"must be a readable YAML file, but got: {' '.join(str(error).split())}") from None


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader without two surprises: 1e-3 as text, and silently dropped repeats of a key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, times in keys.items():
            if times > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} comes twice", node.start_mark)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),  # YAML 1.2; PyYAML wants 1.0e-3
    list("-+.0123456789"),
)


def _find(source: str | Path) -> Path:
    if isinstance(source, str) and source in shipped_spaces():
        return Path(__file__).with_name(f"{source}.yaml")
    path = Path(source)
    if not path.is_file():
        raise SpaceError.at("space", "must be a shipped space or a YAML file", str(source), among=shipped_spaces())
    return path


def _space(form: Any) -> Space:
    if not isinstance(form, Mapping):
        raise SpaceError.at("space", "must map `parameters` to the parameters", form)
    for key in form:
        if key not in ("parameters", "description"):
            raise SpaceError.at("space", "must hold only `parameters` and `description`", key, among=["parameters"])
    parameters = form.get("parameters")
    if not isinstance(parameters, Mapping):
        raise SpaceError.at("parameters", "must map names to domains", parameters)
    return Space({name: _parameter(spec, f"parameters.{name}") for name, spec in parameters.items()})


def _parameter(spec: Any, where: str) -> Parameter | Scalar:
    if not isinstance(spec, Mapping):
        return cast(Scalar, spec)  # the space refuses what is no scalar
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
            raise SpaceError(f"must be [low, high], but got {arguments!r}")
        return RANGES[form](*arguments)
    except SpaceError as error:
        raise error.within(f"{where}.{form}") from None
