"""Plain-text help of the command: as wide as the terminal, the same with every version of typer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose help lists arguments and options by their metavars, and its epilog's lines as examples."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        arguments = [_argument_name(param) for param in self.get_params(ctx) if param.param_type_name == "argument"]
        formatter.write_usage(ctx.command_path, " ".join([*arguments, "[OPTIONS]"]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples unwrapped, so that they can be pasted."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write(
                "".join(f"{line}\n" for line in ("Example:", *map("  {}".format, self.epilog.splitlines())))
            )


class Group(TyperGroup):
    """The list of commands, each with the first sentence of its help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)
        with formatter.section("Commands"):
            commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
            formatter.write_dl([(name, (command.help or "").split("\n\n")[0]) for name, command in commands if command])


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    shown = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        rows = [_row(param) for param in shown if param.param_type_name == kind]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _row(param: Any) -> tuple[str, str]:
    """What is typed, and the help with the default value."""
    text = param.help or ""
    default = param.default
    if isinstance(default, (int, float, str, Path)) and not isinstance(default, bool):
        text += f" [default: {default}]"
    if param.param_type_name == "argument":
        return _argument_name(param), text
    names = ", ".join(sorted(param.opts, key=lambda name: not name.startswith("--")))
    if param.is_flag:
        return " / ".join([names, *param.secondary_opts]), text
    return f"{names} {param.metavar}", text


def _argument_name(param: Any) -> str:
    return param.metavar if param.required else f"[{param.metavar}]"
