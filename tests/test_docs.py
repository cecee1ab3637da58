"""The README is true: its code runs, its links lead somewhere, its tree names what is there."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

from orchestrator.stage import load_stage
from orchestrator.sweep import load_sweep, make_sweep
from search_spaces import load_space

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_sweep_is_sound():
    assert make_sweep(yaml.safe_load(blocks("yaml")[0])).name == "digits"


def test_the_space_is_sound(tmp_path):
    (tmp_path / "space.yaml").write_text(blocks("yaml")[1])
    assert len(load_space(tmp_path / "space.yaml")) == 5


def test_the_search_with_constraints_is_sound(tmp_path):
    (tmp_path / "sweep.yaml").write_text("name: x\n" + blocks("yaml")[2])
    sweep = load_sweep(tmp_path / "sweep.yaml")
    assert sweep.space.constraints
    assert sweep.search.repeats == 3


def test_the_plan_for_small_models_is_sound(tmp_path):
    (tmp_path / "tiny.yaml").write_text(blocks("yaml")[3])
    stage = load_stage(tmp_path / "tiny.yaml")
    assert (stage.name, stage.search.trials) == ("tiny", 16)


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_reference_is_made_from_the_code():
    made = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["page"]()
    assert (ROOT / "docs" / "reference.md").read_text() == made, "make reference writes it anew"


@pytest.mark.parametrize("package", ["orchestrator", "trainables", "search_spaces"])
def test_the_tree_names_every_module(package):
    tree = README.split("## Where things are")[1]
    modules = [path.name for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    assert [name for name in modules if name not in tree] == []


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
    (tmp_path / "example.py").write_text(blocks("python")[0])
    scope = runpy.run_path("example.py", run_name="__main__")
    assert len(scope["result"].trials()) == 8
