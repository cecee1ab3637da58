"""The pages are true: links lead somewhere, commands and settings are accepted, code runs, lists are complete."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from typer.main import get_command

from orchestrator import Run, changes, tables
from orchestrator.cli import app
from orchestrator.stage import load_stage
from orchestrator.sweep import Sweep, load_sweep
from search_spaces import load_space, shipped_spaces
from trainables import TrainConfig, metric_names
from trainables.compress import CompressedModel
from trainables.loop import LocalTrial, LoopTrial
from trainables.models.build import BUILDERS
from trainables.worker import TIMED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), *ROOT.glob("benchmarks/*.md")]
README = (ROOT / "README.md").read_text()
OURS = ("orchestrator", "trainables", "search_spaces", "benchmarks")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    prose = re.sub(r"```.*?```", "", text_of(name), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        page = (ROOT / name).parent / place if place else ROOT / name
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_listed():
    listed = set(re.findall(r"\(([\w-]+\.md)", text_of("docs/README.md")))
    assert listed == {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_accepted(name, tmp_path):
    for text in blocks(name, "yaml"):
        block, file = yaml.safe_load(text), tmp_path / "settings.yaml"
        if set(block) <= {"parameters", "constraints", "description"}:
            file.write_text(text)
            assert load_space(file).parameters
        elif set(block) <= set(Sweep.model_fields):
            space = {"parameters": {"batch_size": 64}}
            whole = {"name": "x", "space": space, "search": {"name": "grid"}, **block}
            file.write_text(yaml.safe_dump(whole))
            assert load_sweep(file)
        else:
            file.write_text(text)
            assert load_stage(file)


def commands() -> list[tuple[str, str]]:
    """Every line of a page that starts the command, without its comment."""
    found = []
    for name in NAMES:
        lines = re.findall(r"^(?: {4})?(?:\w+=\S+ )?(?:\S*/)?(halving .*)$", text_of(name), re.MULTILINE)
        found += [(name, line.split("  #")[0].strip()) for line in lines]
    return found


@pytest.mark.parametrize(("name", "line"), commands())
def test_commands_are_accepted(name, line):
    _, command, *arguments = shlex.split(line)
    if command != "--version":
        get_command(app).commands[command].make_context(command, arguments)


@pytest.mark.parametrize("name", NAMES)
def test_make_has_the_targets(name):
    targets = re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE)
    assert set(re.findall(r"^ {4}make ([a-z]+)|`make ([a-z]+)`", text_of(name), re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }


@pytest.mark.parametrize("name", NAMES)
def test_code_is_python_and_imports_what_there_is(name):
    for text in blocks(name, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
                module = import_module(node.module)
                assert [one.name for one in node.names if not hasattr(module, one.name)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "docs/optuna.md"])
def test_methods_are_there(name):
    for kind, of in (("run", Run), ("trial", LoopTrial)):
        methods = re.findall(rf"\b{kind}\.(\w+)\(", text_of(name))
        assert [method for method in methods if not hasattr(of, method)] == []


@pytest.mark.parametrize(
    ("name", "number", "config"),
    [
        ("README.md", 1, {"lr": 0.1}),
        ("docs/optuna.md", 0, {"lr": 0.1}),
        ("docs/training-loop.md", 0, {"lr": 0.1, "width": 8, "batch_size": 64}),
    ],
)
def test_loops_run(tmp_path, monkeypatch, name, number, config):
    (tmp_path / "my_loop.py").write_text(blocks(name, "python")[number])
    monkeypatch.chdir(tmp_path)
    trial = LocalTrial(epochs=3, folder=tmp_path / "trial", metric="loss")
    runpy.run_path("my_loop.py")["train"](config, trial)
    assert len(trial.reports) == 3


def test_the_defaults_of_training_are_those_of_the_code():
    shown = yaml.safe_load(blocks("docs/training.md", "yaml")[0])["train"]
    defaults = TrainConfig().model_dump()
    assert set(shown) | {"parallel"} == set(defaults)
    assert TrainConfig.of(shown).model_dump() == defaults
    for section, values in shown.items():
        if isinstance(values, dict) and values and section != "data":
            assert set(values) == set(defaults[section])


def test_arguments_of_the_shipped_models_are_those_of_the_code():
    reference, page = text_of("docs/reference.md"), text_of("docs/training.md")
    for name in BUILDERS:
        (row,) = re.findall(rf"^\| `{name}` \| (.*`width: .*) \|$", reference, re.MULTILINE)
        (line,) = re.findall(rf"^\| `{name}` \| .*$", page, re.MULTILINE)
        assert re.findall(r"`(\w+: [\d.]+)`", row) == re.findall(r"`(\w+: [\d.]+)`", line)


def test_the_reference_is_made_from_the_code():
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["page"]()
    assert text_of("docs/reference.md") == made, "make reference writes it anew"


def test_columns_are_all_explained():
    page = text_of("docs/tables.md")
    latencies = [f"latency_1_{figure}_ms" for figure in ("median", "p10", "p90")]
    columns = {*tables.BEFORE, *tables.AFTER, *metric_names(), *TIMED, *latencies}
    columns |= {field.name for field in fields(CompressedModel)}
    assert [name for name in sorted(columns) if f"`{name}`" not in page] == []


def test_methods_of_a_run_are_all_explained():
    page = text_of("docs/tables.md")
    methods = [name for name in vars(Run) if not name.startswith("_")]
    assert [name for name in methods if f"`{name}(" not in page] == []


def test_what_a_resumed_run_may_not_change_is_explained():
    (sentence,) = re.findall(r"worthless is refused: (.*?)\. ", text_of("docs/runs.md"), re.DOTALL)
    free = {f"train.{name}" for name in changes.FREE_OF_TRAIN}
    assert set(re.findall(r"`([\w.]+)`", sentence)) == {*changes.FIXED, *free}


def test_shipped_spaces_are_all_explained():
    assert [name for name in shipped_spaces() if f"| `{name}` |" not in text_of("docs/spaces.md")] == []


def figures(name: str) -> dict[str, float]:
    rows = json.loads(text_of(f"benchmarks/results/{name}.json"))["figures"]
    return {row["name"]: row["value"] for row in rows}


def test_figures_of_the_readme_are_those_of_the_benchmarks():
    trained, small = figures("2026-11-25-fashion_mnist"), figures("2026-11-26-compression")

    def mean(name: str) -> float:
        return fmean(small[f"seed {seed}: {name}"] for seed in range(3))

    shown = [
        f"{trained['test accuracy, mean']:.2%} of the test images",
        f"{trained['parameters']:.3f} million parameters",
        f"at most {trained['longest training, of the processor']:.0f} minutes",
        f"{mean('test accuracy, ours'):.2%}; in 8 bits {mean('test accuracy, ours in int8'):.2%}",
        f"""{mean("bytes of int8 to the parent's in float32"):.3f} of the bytes""",
        f"{small['int8 faster than parent in ONNX Runtime, batch 1, least']:.1f} times the speed",
    ]
    assert [figure for figure in shown if figure not in README] == []


def test_every_result_that_is_kept_is_linked():
    linked = set(re.findall(r"\(results/([^)]+)\)", text_of("benchmarks/README.md")))
    kept = {path.name for path in (ROOT / "benchmarks" / "results").iterdir()} - {"search_peers.jsonl"}
    assert linked == kept


@pytest.mark.parametrize(
    "package",
    sorted(
        {
            path.parent
            for top in ("orchestrator", "trainables", "search_spaces", "benchmarks")
            for path in (ROOT / top).rglob("__init__.py")
        }
    ),
    ids=str,
)
def test_every_package_says_its_job_in_a_line(package):
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert told
    first = told.splitlines()[0]
    assert first.endswith(".")
    assert len(first) <= 120


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_the_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = (
        "import torch\nclass MyNet(torch.nn.Sequential):\n"
        "    def __init__(self, input_shape, classes, hidden=32):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.LazyLinear(hidden), torch.nn.Linear(hidden, classes))\n"
    )
    (tmp_path / "my_net.py").write_text(net)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "example.py").write_text(blocks("README.md", "python")[0])
    scope = runpy.run_path("example.py", run_name="__main__")
    assert len(scope["result"].trials()) == 8
