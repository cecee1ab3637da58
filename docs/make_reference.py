"""Write docs/reference.md from the code: `make reference`. A test compares the two."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from orchestrator.cli import app
from orchestrator.exit_codes import EXIT_CODES
from orchestrator.sections import AshaConfig, FaultConfig, LimitConfig, SearchConfig, WorkerConfig
from orchestrator.stage import RESERVED as STUDENT_NAMES
from orchestrator.stage import StageConfig
from orchestrator.sweep import Sweep
from search_spaces import expression, shipped_spaces
from search_spaces.loader import LISTS, RANGES
from trainables.compress import StudentConfig
from trainables.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    ScheduleConfig,
    StoppingConfig,
    TrainConfig,
)
from trainables.loop import LoopConfig
from trainables.models.build import BUILDERS

PAGE = Path(__file__).with_name("reference.md")
SECTIONS: dict[str, type[BaseModel]] = {
    "sweep": Sweep,
    "search": SearchConfig,
    "asha": AshaConfig,
    "workers": WorkerConfig,
    "limits": LimitConfig,
    "faults": FaultConfig,
    "train": TrainConfig,
    "train.data": DataConfig,
    "train.augment": AugmentConfig,
    "train.model": ModelConfig,
    "train.optimizer": OptimizerConfig,
    "train.schedule": ScheduleConfig,
    "train.stopping": StoppingConfig,
    "train.parallel": ParallelConfig,
    "train with a loop of your own": LoopConfig,
    "compress": StageConfig,
    "compress.student": StudentConfig,
}
WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", dict: "mapping", type(None): "null"}
INTRODUCTION = """# Reference

Made from the code by `make reference`. Units and meanings are those of the code's own documentation.

- [The sweep file](#the-sweep-file)
- [Spaces](#spaces)
- [Names that are taken](#names-that-are-taken)
- [Commands](#commands)
- [Exit codes](#exit-codes)

## The sweep file

A key that is left out has its default. An unknown key is an error. `null` switches off what it stands for.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *map(_section, SECTIONS), _builders(), _spaces(), _names(), _commands(), _exit_codes()]
    return "\n".join(parts)


def _section(name: str) -> str:
    model = SECTIONS[name]
    told = _attributes(model)
    rows = [
        f"| `{key}` | {_type(field)} | {_default(field)} | {_meaning(name, key, told)} |"
        for key, field in model.model_fields.items()
    ]
    title = "Top level" if name == "sweep" else name if " " in name else f"`{name}`"
    first = inspect.getdoc(model).split("\n\n")[0].replace("\n", " ")  # type: ignore[union-attr]
    return f"### {title}\n\n{first}\n\n| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """The meaning of each field, from the Attributes of the class and of those that it extends."""
    told: dict[str, str] = {}
    for one in reversed(model.__mro__):
        _, _, text = (inspect.cleandoc(one.__doc__ or "")).partition("Attributes:\n")
        for names, meaning in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", text, re.MULTILINE):
            told |= dict.fromkeys(re.split(r", ", names), re.sub(r"\s+", " ", meaning))
    return told


def _meaning(section: str, key: str, told: dict[str, str]) -> str:
    inner = key if section == "sweep" else f"{section}.{key}"
    if key in told:
        return re.sub(r"\bNone\b", "`null`", told[key]).replace("|", "\\|") + (
            f" See [below](#{_anchor(inner)})." if inner in SECTIONS else ""
        )
    if inner in SECTIONS or key in SECTIONS:
        return f"See [below](#{_anchor(inner if inner in SECTIONS else key)})."
    raise SystemExit(f"{section}.{key}: must stand under Attributes in the docstring of {SECTIONS[section].__name__}")


def _anchor(name: str) -> str:
    return name.replace(".", "").replace(" ", "-")


def _type(field: FieldInfo) -> str:
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, rules: list[Any]) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(parts[0], [*rules, *parts[1:]])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe(part, rules) for part in parts))
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (list, tuple):
        return f"list of {_describe(parts[0], [])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    word = WORDS.get(origin or annotation, getattr(annotation, "__name__", str(annotation)).lower())
    return word + (_range(rules) if word in ("integer", "number") else "")


def _range(rules: list[Any]) -> str:
    """In words, of the bounds among the rules; the bounds inside a pydantic Field count as well."""
    flat = [inner for rule in rules for inner in (rule.metadata if isinstance(rule, FieldInfo) else [rule])]
    found = {name: getattr(rule, name) for rule in flat for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}
    low = f" from {found['ge']:g}" if "ge" in found else f" above {found['gt']:g}" if "gt" in found else ""
    if "le" in found and found["le"] < 10**9:
        return f"{low} to {found['le']:g}"
    return f"{low} to below {found['lt']:g}" if "lt" in found and found["lt"] < 2**32 else low


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    written = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    return f"`{written or (list(value) if isinstance(value, tuple) else value)}`"


def _builders() -> str:
    """The arguments of the shipped networks."""
    rows = [
        f"| `{name}` | {', '.join(f'`{one.name}: {one.default}`' for one in list(signature.parameters.values())[2:])} |"
        for name, signature in ((name, inspect.signature(builder)) for name, builder in BUILDERS.items())
    ]
    title = "### Arguments of the shipped networks\n\nThey stand beside `name` under `train.model`; see [training]"
    return "\n".join([f"{title}(training.md#models).\n", "| name | arguments and defaults |\n|---|---|", *rows, ""])


def _spaces() -> str:
    rows = [
        f"| `{{{form}: {_form(form)}}}` | `{kind.__name__}` | {_first(kind)} |"
        for form, kind in {**LISTS, **RANGES}.items()
    ]
    return "\n".join(
        [
            "## Spaces\n",
            "See [spaces](spaces.md). A value without a form is a constant; `when: {parameter: value or list}` beside "
            "a form switches the parameter off for other values.\n",
            "| in YAML | in Python | values |\n|---|---|---|",
            *rows,
            f"\nShipped spaces: {', '.join(f'`{name}`' for name in shipped_spaces())}.\n",
            "Expressions of constraints hold parameters, numbers, text, `true`, `false`, `null` and lists, with:\n",
            "| operators | of |\n|---|---|",
            f"| {_symbols(expression._BINARY, _binary)} | numbers; an exponent of at most {expression.LARGEST_POWER} |",
            f"| {_symbols(expression._COMPARISONS, _comparison)} | numbers; `==` and `!=` any values; `in` a list |",
            "| `and` `or` `not` | what is true or false |",
            f"| {' '.join(f'`{name}()`' for name in expression._CALLS)} | numbers |",
            "",
        ]
    )


def _symbols(operators: Any, node: Callable[[Any], ast.expr]) -> str:
    """The symbols of ast's operators, as Python writes them."""
    return " ".join(f"`{ast.unparse(node(operator)).strip('ab ')}`" for operator in operators)


def _binary(operator: Any) -> ast.expr:
    return ast.BinOp(ast.Name("a"), operator(), ast.Name("b"))


def _comparison(operator: Any) -> ast.expr:
    return ast.Compare(ast.Name("a"), [operator()], [ast.Name("b")])


def _form(form: str) -> str:
    return "[low, high]" if form in RANGES else "value" if form == "constant" else "[a, b, c]"


def _first(kind: type) -> str:
    return inspect.getdoc(kind).splitlines()[0]  # type: ignore[union-attr]


def _names() -> str:
    students = " and ".join(f"`{name}`" for name in STUDENT_NAMES)
    return f"""## Names that are taken

- A space of students: {students} are no names of parameters.
- A space with a loop of your own: `epochs` and `seed` set those of the trial.
- Metrics of your own: any name. One that is also a column of the tables stands there as `metric.NAME`.
"""


def _commands() -> str:
    group: Any = get_command(app)
    lines = ["## Commands\n", "`halving --version` prints the version; `halving COMMAND --help` has examples.\n"]
    for name, command in group.commands.items():
        lines += [f"### `halving {' '.join([name, *_arguments(command)])}`\n", _paragraph(command.help)]
        lines += ["| option | default | meaning |\n|---|---|---|", *_options(command), ""]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(text)) + "\n"


def _arguments(command: Any) -> Iterator[str]:
    for param in command.params:
        if param.param_type_name == "argument":
            yield param.metavar if param.required else f"[{param.metavar}]"


def _options(command: Any) -> Iterator[str]:
    for param in command.params:
        if param.param_type_name == "argument":
            yield f"| {param.metavar} | {'' if param.required else f'`{param.default}`'} | {param.help} |"
        else:
            names = " ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
            value = "" if param.is_flag else f" {param.metavar}"
            default = param.default if not isinstance(param.default, bool | None) else ""
            yield f"| {names}{value} | {f'`{default}`' if default != '' else ''} | {param.help} |"


def _exit_codes() -> str:
    rows = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["## Exit codes\n", "| code | meaning |\n|---|---|", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
