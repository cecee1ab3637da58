"""YAML files as people mean them: no surprises, and errors that say in words what is wrong where."""

import re
from collections.abc import Hashable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import SpaceError, shorten
from search_spaces.values import WHOLE, equal_pair, in_words

_TUPLE = "!tuple"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, a tree of mappings, lists and scalars of which every part is sound.

    As in YAML 1.2, 1e-3 is a number and 2020-01-31 is text; `!!timestamp 2020-01-31` is a date, and `!tuple [1, 2]` a
    tuple. A repeated key is an error, and so is a part that holds itself.

    Raises:
        SpaceError: the file cannot be read, or is not such a tree; the message has line and column.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # a SafeLoader
    except OSError as error:
        raise SpaceError(f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise SpaceError(f"cannot be read: must be text in UTF-8, but byte {error.start} is not") from None
    except yaml.YAMLError as error:
        raise SpaceError(f"must be valid YAML, but {_in_words(error)}") from None
    except RecursionError:
        raise SpaceError("must be valid YAML, but its brackets are nested too deeply") from None
    except ValueError as error:  # a NUL in the path
        raise SpaceError(f"cannot be read: {error}") from None


def _in_words(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        text = ", ".join(filter(None, (error.context, error.problem)))
        return f"line {mark.line + 1}, column {mark.column + 1}: {text}"
    if isinstance(error, yaml.reader.ReaderError):
        character = error.character if isinstance(error.character, str | bytes) else chr(error.character)
        return f"character {error.position + 1}, {character!r}, is not allowed in it"
    return " ".join(str(error).split())


def to_yaml(values: Any) -> str:
    """Text from which `read_yaml` makes equal values, keys in the order given."""
    try:
        return yaml.dump(values, Dumper=_StrictDumper, sort_keys=False, allow_unicode=True)
    except yaml.representer.RepresenterError as error:
        raise SpaceError(f"cannot be written as YAML: {shorten(error.args[-1])}") from None


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader without surprises: what is no sound value is a YAMLError with its place."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node in self.recursive_objects:
            raise _problem("a part must not hold itself", node)
        try:
            value = super().construct_object(node, deep=True)
        except (ValueError, LookupError, AttributeError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            raise _problem(f"{shorten(node.value, 40)} cannot be read as a value of type {kind}", node) from None
        if isinstance(value, int) and value not in WHOLE:
            raise _problem("a whole number must fit into 64 bits", node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        if pair := equal_pair(map(self.construct_object, scalars)):
            first, second = map(in_words, pair)
            why = f"key {first} comes twice" if first == second else f"keys {first} and {second} are equal"
            raise _problem(f"the {why}", node)
        return super().construct_mapping(node, deep)

    def construct_date(self, node: yaml.ScalarNode) -> date:
        text = str(self.construct_scalar(node))
        for kind in (date, datetime):
            with suppress(ValueError):
                return kind.fromisoformat(text)
        made: date = self.construct_yaml_timestamp(node)  # in the other forms of YAML
        return made

    def construct_tuple(self, node: yaml.SequenceNode) -> tuple[Any, ...]:
        return tuple(self.construct_sequence(node, deep=True))


def _problem(text: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


class _StrictDumper(yaml.SafeDumper):
    """Quotes the text that a loader would take for a number or a date, and marks tuples and dates."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.Node:
        # Of line ends other than \n, plain and single-quoted text would make spaces.
        style = "'" if self.timestamps.match(text) else None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def represent_moment(self, moment: date) -> yaml.Node:
        return self.represent_scalar(_TIMESTAMP, moment.isoformat())

    def represent_tuple(self, values: tuple[Any, ...]) -> yaml.Node:
        return self.represent_sequence(_TUPLE, values)

    timestamps = yaml.SafeLoader.timestamp_regexp


_StrictLoader.add_constructor(_TIMESTAMP, _StrictLoader.construct_date)
_StrictLoader.add_constructor(_TUPLE, _StrictLoader.construct_tuple)
_StrictDumper.add_representer(str, _StrictDumper.represent_text)
_StrictDumper.add_representer(tuple, _StrictDumper.represent_tuple)
for _kind in (date, datetime):
    _StrictDumper.add_representer(_kind, _StrictDumper.represent_moment)
for _strict in (_StrictLoader, _StrictDumper):
    _strict.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _strict.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),  # YAML 1.2; PyYAML wants 1.0e-3
        list("-+.0123456789"),
    )
