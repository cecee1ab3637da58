"""The command as a person meets it: exit codes, one clear message, nothing half made."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator import run
from orchestrator.cli import app
from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.searchers.random import RandomSearcher
from orchestrator.simulation.waiting import Waiting
from orchestrator.trial_log import TrialLog, log_place
from tests.orchestrator.folders import make_folder

GOOD = {
    "name": "bad",
    "space": {"parameters": {"optimizer.lr": {"log_uniform": [1e-3, 0.1]}}},
    "search": {"name": "random", "trials": 2},
    "train": {"model": {"name": "mlp"}, "epochs": 2},
}


# At port 9 nobody listens.
NOBODY = "s3://bucket?endpoint_override=127.0.0.1:9&scheme=http&region=x"


def halving(*arguments, folder: Path):
    """Runs the command in a folder; without RAY_ADDRESS it would start a Ray of its own."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


def test_what_is_left_out_of_the_data_is_told(tmp_path):
    for label in ("dark", "light"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(5):
            Image.new("L", (8, 8), 40 * index).save(tmp_path / "photos" / label / f"{index}.png")
    broken = tmp_path / "photos" / "dark" / "broken.png"
    broken.write_bytes(b"no image")
    train = {"data": {"name": "images", "path": "photos"}, "model": {"name": "mlp"}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**GOOD, "metric": "val_r2", "train": train}))
    result = halving("run", "sweep.yaml", folder=tmp_path)
    assert result.returncode == 2
    told, error = result.stderr.splitlines()
    assert told == f"halving: 1 of 11 images cannot be read and are left out: {broken} (no image of a known format)"
    assert error.startswith("halving: metric: must be one that classification has")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serach": 1}, "serach: unknown key; did you mean 'search'"),
        (
            {"train": {"data": {"name": "digit"}}},
            "data.name must be one of digits, fashion_mnist, idx, images, npz, table, but got",
        ),
        ({"storage": "/proc/runs"}, "storage: /proc/runs/bad must be writable"),
        ({"storage": "s4://bucket"}, "s4://bucket: must be a path or a URI that pyarrow.fs knows"),
        (
            {"storage": NOBODY},
            "storage: s3://bucket/bad?endpoint_override=127.0.0.1:9&scheme=http&region=x: When",
        ),
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_code_2(tmp_path, change, message):
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**GOOD, **change}))
    result = halving("run", "sweep.yaml", folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [("run", "none.yaml"), ("show", "none"), ("shwo", "x")])
def test_what_is_not_there_is_named(tmp_path, arguments):
    result = halving(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert arguments[-1] in result.stderr or arguments[0] in result.stderr


def test_init_writes_a_sweep_once(tmp_path):
    assert halving("init", "mine.yaml", folder=tmp_path).returncode == 0
    written = (tmp_path / "mine.yaml").read_text()
    again = halving("init", "mine.yaml", folder=tmp_path)
    assert (again.returncode, (tmp_path / "mine.yaml").read_text()) == (2, written)


def test_the_version_is_that_of_the_package(tmp_path):
    assert halving("--version", folder=tmp_path).stdout == f"halving {metadata.version('halving')}\n"


def test_show_of_several_runs_names_what_to_do(tmp_path):
    shown = halving("show", "runs/a", "runs/b c", folder=tmp_path)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.splitlines() == [
        "halving: show: takes one run, but got 2; show them one after the other: "
        "halving show runs/a && halving show 'runs/b c'"
    ]


COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]


@pytest.mark.parametrize("width", [60, 80])
def test_help_fits_the_terminal_and_cuts_no_name(width):
    overview = CliRunner().invoke(app, ["--help"], terminal_width=width).stdout
    assert re.findall(r"^  ([a-z]+)  ", overview, re.MULTILINE) == COMMANDS
    for command in COMMANDS:
        shown = CliRunner().invoke(app, [command, "--help"], terminal_width=width).stdout
        assert max(map(len, (overview + shown).splitlines())) <= width
        assert not re.search(r"[<>│╭…\x1b]|\w\.\.\. ", shown.replace("MODEL...", "").replace("INPUT...", ""))
        assert set(re.findall(r"--[a-z-]+", shown)) >= options_of(command)


def options_of(command):
    parameters = get_command(app).commands[command].params
    return {name for one in parameters for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_the_command_takes(tmp_path, command):
    text = CliRunner().invoke(app, [command, "--help"], terminal_width=60).stdout
    examples = text.split("Example:\n")[1].strip().splitlines()
    assert examples[0].strip().startswith(f"halving {command} ")
    for example in examples:
        _, name, *arguments = shlex.split(example)
        get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_show_tells_the_best_the_savings_and_the_failures(tiny, tmp_path):
    sweep = tiny(
        space={"parameters": {"model.hidden": {"grid": [7, 16]}}},
        search={"name": "grid"},
        train={"model": {"name": "tests.orchestrator.own_models:Touchy"}, "epochs": 1},
    )
    shown = halving("show", run(sweep, quiet=True).folder, folder=tmp_path).stdout
    assert "best of 2 trials by val_accuracy" in shown
    assert "1 failed (0001): Diverged: the loss is not finite in epoch 1" in shown
    assert "2 trials, 0 models" in shown


CURVES = "".join(f"{lr},{epoch},{1 / epoch + lr},{60 * lr}\n" for lr in (0.1, 0.2, 0.4, 0.8) for epoch in range(1, 10))


def simulated(folder, monkeypatch, *options):
    """Runs the command in this process, on four curves in a table."""
    monkeypatch.chdir(folder)
    (folder / "curves.csv").write_text("config.lr,epoch,val_loss,seconds\n" + CURVES)
    return CliRunner().invoke(app, ["simulate", "curves.csv", *map(str, options)])


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_simulate_compares_searches_on_a_table(tmp_path, monkeypatch, form):
    options = ("--search", "random,grid", "--seeds", 2, "--workers", 2, "--out", f"regret.{form}")
    done = simulated(tmp_path, monkeypatch, *options)
    assert done.exit_code == 0, done.output
    assert "regret in val_loss over simulated time" in done.stdout
    assert "4 curves; best val_loss 0.2111" in done.stdout
    table = getattr(pd, f"read_{form}")(tmp_path / f"regret.{form}")
    assert list(table) == ["method", "seed", "seconds", "val_loss", "regret", "relative_regret"]
    last = table.groupby(["method", "seed"]).last()
    assert (len(last), last["regret"].max()) == (4, 0)


def test_ctrl_c_in_simulate_keeps_the_searches_that_were_finished(tmp_path, monkeypatch):
    class Interrupting(RandomSearcher):
        def suggest(self, done, pending):
            signal.raise_signal(signal.SIGINT)

    def make(name, space, seed, *, rungs):
        return (RandomSearcher if seed < 2 else Interrupting)(space, seed)

    monkeypatch.setattr("orchestrator.simulation.simulator.make_searcher", make)
    stopped = simulated(tmp_path, monkeypatch, "--search", "random,grid", "--seeds", 5, "--out", "regret.csv")
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == "halving: stopped after 4 of 10 searches; the figures above are of these"
    assert "regret in val_loss over simulated time" in stopped.stdout
    assert len(pd.read_csv(tmp_path / "regret.csv").groupby(["method", "seed"])) == 4


def test_the_time_that_a_simulation_needs_is_told(monkeypatch, capsys):
    now = iter(range(0, 600, 30))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    with Waiting(2, 10, quiet=False) as waiting:
        for _ in range(4):
            waiting.trial()
        waiting.search()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == "simulated 0 of 2 searches, about 19:00 left"
    assert last.startswith("simulated 1 of 2 searches, about ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--search", "rand"), "--search: must be of bayes, grid, random, but got 'rand'; did you mean 'random'?"),
        (("--out", "regret.txt"), "--out: must end in .parquet, .csv or .json, but got 'regret.txt'"),
        (("--out", "none/regret.csv"), "--out: must be in a folder that exists"),
        (("--grace-period", 20), "asha.grace_period: must be at most 9, the epochs of the longest curve, but got 20"),
        (("--metric", "val_los"), "metric: must be one of val_loss, but got 'val_los'; did you mean 'val_loss'?"),
        (("--space", "none.yaml"), "none.yaml"),
    ],
)
def test_simulate_says_what_is_wrong(tmp_path, monkeypatch, options, message):
    done = simulated(tmp_path, monkeypatch, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_texts_in_other_letters_are_shown_in_any_encoding(tiny):
    folder = written_by_hand(tiny)
    for encoding in ("ascii", "latin-1", "utf-8"):
        command = [sys.executable, "-m", "orchestrator"]
        environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        for arguments in (["show", folder], ["logs", folder, "1"]):
            done = subprocess.run([*command, *map(str, arguments)], env=environment, capture_output=True)
            assert done.stderr == b""
            assert done.returncode == 0
            assert ("KeyError: 'ключ'".encode(encoding, "replace") in done.stdout) == (arguments[0] == "show")
            assert "größer".encode(encoding, "replace") in done.stdout


def written_by_hand(tiny):
    """The folder of a run with one trial that has failed."""
    sweep = tiny()
    make_folder(sweep)
    record = Record(sweep.metric, sweep.sign, Journal(sweep.folder / "journal"))
    record.begin_session(1)
    record.end(record.propose({"optimizer.lr": 0.1, "model.width": 8}).id, "failed", "KeyError: 'ключ'")
    TrialLog(log_place(sweep.folder, "0001")).append("größer\n")
    return sweep.folder


@pytest.mark.parametrize(
    ("trial", "out", "error"),
    [
        ("0001", "größer\n", ""),
        ("1", "größer\n", ""),
        ("2", "", "halving: trial: must be one of the 1 trials of {}, such as 0001, but got '2'\n"),
        ("x/y", "", "halving: trial: must be one of the 1 trials of {}, such as 0001, but got 'x/y'\n"),
    ],
)
def test_the_log_of_a_trial_is_shown(tiny, trial, out, error):
    folder = written_by_hand(tiny)
    result = CliRunner().invoke(app, ["logs", str(folder), trial])
    assert (result.stdout, result.stderr) == (out, error.format(folder))
    assert result.exit_code == (2 if error else 0)


def test_a_trial_that_printed_nothing_is_said_to(tiny):
    folder = written_by_hand(tiny)
    (folder / "logs" / "0001.log").unlink()
    result = CliRunner().invoke(app, ["logs", str(folder), "0001"])
    assert (result.stdout, result.exit_code) == ("", 0)
    assert result.stderr == "halving: trial 0001 has printed nothing\n"
