"""The post-stage on a cluster: students as trials, their controls, proven files, and what goes wrong with them."""

import shutil

import pandas as pd
import pytest

from orchestrator import SearchConfig, StageConfig, SweepError, compress, compress_run, open_run, resume, run
from orchestrator.compression import FRONT
from orchestrator.journal import Journal
from orchestrator.model_files import fault_of_model
from orchestrator.new_run import write_sweep
from orchestrator.record import Record
from orchestrator.sweep import make_sweep
from search_spaces import Space
from trainables import ModelConfig, TrainConfig, Trainer, evaluate, load_data
from trainables.storage import children

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture(scope="module")
def searched(ray_session, tmp_path_factory):
    """A run without a post-stage, for others to begin with a copy of."""
    sweep = {
        "name": "searched",
        "storage": str(tmp_path_factory.mktemp("runs")),
        "space": {"parameters": {"model.width": {"grid": [16, 24]}}},
        "search": {"name": "grid"},
        "asha": None,
        "train": {"model": {"name": "mlp"}, "optimizer": {"lr": 0.1}, "epochs": 4},
    }
    return run(make_sweep(sweep), quiet=True)


@pytest.fixture
def again(searched, tmp_path):
    """A copy of that run."""
    shutil.copytree(searched.folder, tmp_path / "searched")
    return open_run(tmp_path / "searched")


PLAN = {
    "name": "tiny",
    "best": 2,
    "space": {
        "parameters": {
            "keep_macs": {"uniform": [0.2, 0.7]},
            "importance": {"choice": ["magnitude", "taylor"]},
            "loss": {"choice": ["kl", "cross_entropy"]},
            "teachers": {"choice": [0, 2]},
        }
    },
    "search": {"name": "bayes", "trials": 6},
    "asha": {"grace_period": 1, "reduction_factor": 2},
    "epochs": 2,
    "lr": 0.1,
    "int8": False,
    "max_accuracy_drop": 50.0,
}


def test_a_search_for_students_ends_with_models_beside_controls_a_front_and_a_pick(again):
    result = compress_run(again.folder, StageConfig.model_validate(PLAN), quiet=True)
    models = result.models().set_index("id")
    students = result.students("tiny").to_dict("records")
    plain = [student for student in students if student["config.control"] is not True]
    assert len(plain) == 6
    assert {student["status"] for student in plain} <= {"completed", "stopped"}
    made = [student for student in plain if student["status"] == "completed"]
    for student in made:
        row = models.loc[f"{student['config.parent']}-tiny-{student['trial']}"]
        assert (row["status"], row["loss"], row["macs"]) == ("ok", student["config.loss"], student["macs"])
        assert (
            student["share"] <= student["config.keep_macs"]
            or student["config.parent"] != result.best()["trial"].iloc[0]
        )
        assert (row["loss"] == "cross_entropy") == pd.isna(row["control_test"])
    assert len(models) == len(made) + 2
    controls = [student for student in students if student["config.control"] is True]
    assert sorted(student["status"] for student in controls) == ["completed"] * len(controls)
    assert len(controls) == sum(student["config.loss"] == "kl" for student in made)
    assert set(result.front()["id"]) <= set(models.index)
    assert FRONT in children(result.folder)


def test_a_stage_that_is_done_is_not_done_again_and_its_name_is_taken(again):
    plan = {"name": "half", "best": 1, "keep_macs": [0.5], "epochs": 1, "int8": False}
    first = compress_run(again.folder, StageConfig.model_validate(plan), quiet=True).models()
    written = {path: (again.folder / path).stat().st_mtime for path in first["path"]}
    more = StageConfig.model_validate({**plan, "keep_macs": [0.5, 0.4], "max_latency_ms": 5.0})
    second = compress_run(again.folder, more, quiet=True)
    assert len(second.models()) == len(first) + 1
    assert {path: (again.folder / path).stat().st_mtime for path in first["path"]} == written
    assert list(second.students("half")["trial"]) == ["0001", "0002", "0003", "0004"]
    with pytest.raises(
        SweepError, match=r"compress\.student\.lr: must stay 0.02 for students of the name 'half', but got 0.2"
    ):
        compress_run(again.folder, StageConfig.model_validate({**plan, "lr": 0.2}), quiet=True)
    assert "half" not in (again.folder / "sweep.yaml").read_text()
    with pytest.raises(SweepError, match="half: holds students of a run"):
        resume(again.folder / "students" / "half", quiet=True)


def test_a_student_that_cannot_be_made_is_rejected_and_the_others_are_made(again):
    plan = {"best": 1, "keep_macs": [0.001, 0.5], "epochs": 1, "int8": False}
    models = compress_run(again.folder, StageConfig.model_validate(plan), quiet=True).models().set_index("student")
    assert models.loc["student-0001", "status"] == "rejected"
    assert "cannot keep 0.001 of the operations: the least possible is" in models.loc["student-0001", "reason"]
    assert models.loc["student-0002", "status"] == "ok"


def test_a_damaged_parent_costs_its_own_models_only(again):
    best, second = again.best(2)["trial"]
    for path in (again.folder / "checkpoints" / second).glob("*.pt"):
        path.write_bytes(path.read_bytes()[:-100])
    plan = StageConfig.model_validate({"best": 2, "keep_macs": [0.5], "epochs": 1, "int8": False})
    models = compress_run(again.folder, plan, quiet=True).models()
    assert set(models.loc[models["parent"] == best, "status"]) == {"ok"}
    broken = models[models["parent"] == second]
    assert set(broken["status"]) == {"rejected"}
    assert all("is not a whole checkpoint" in reason for reason in broken["reason"])


def test_files_of_models_that_are_gone_or_damaged_are_made_again(again):
    plan = {"name": "half", "best": 2, "keep_macs": [], "epochs": 1, "int8": False}
    first = compress_run(again.folder, StageConfig.model_validate(plan), quiet=True).models()
    places = [again.folder / path for path in first["path"]]
    shutil.rmtree(places[0].parent)
    whole = places[1].read_bytes()
    places[1].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = compress_run(again.folder, StageConfig.model_validate(plan), quiet=True)
    assert [fault_of_model(place.parent) for place in places] == ["", ""]
    assert list(result.models()["status"]) == ["ok", "ok"]
    told = [note for note in result.record().notes if "made again" in note]
    assert len(told) == 2


def test_damaged_files_of_models_cost_their_own_model_only(again):
    plan = {"name": "half", "best": 2, "keep_macs": [], "epochs": 1, "int8": False}
    first = compress_run(again.folder, StageConfig.model_validate(plan), quiet=True).models().set_index("parent")
    best, other = again.best(2)["trial"]
    (again.folder / first.loc[other, "path"]).write_bytes(b"damaged")
    more = {"name": "more", "best": 1, "keep_macs": [0.5], "epochs": 1, "int8": False, "max_latency_ms": 1000.0}
    result = compress_run(again.folder, StageConfig.model_validate(more), quiet=True)
    models = result.models().set_index("id")
    damaged = models[models["parent"] == other].iloc[0]
    assert damaged["status"] == "rejected"
    assert "model.onnx cannot be loaded" in damaged["reason"]
    student = models[(models["parent"] == best) & (models["student"] != "")].iloc[0]
    assert student["status"] == "ok"
    assert student["latency_1_median_ms"] > 0
    assert list(result.stages()) == ["more"]
    assert result.pick() is None
    assert result.pick("more").meets
    with pytest.raises(SweepError, match=r"must be a post-stage of .*, one of more, got 'mroe'"):
        result.pick("mroe")


def test_trials_that_are_not_over_are_no_parents(tiny):
    sweep = tiny()
    write_sweep(sweep, sweep.folder)
    journal = Journal(sweep.folder / "journal")
    record = Record(sweep.metric, sweep.sign, journal)
    record.begin_session(1)
    trial = record.propose({"optimizer.lr": 0.1, "model.width": 8}).id
    report = {"epoch": 1, "metrics": {"val_accuracy": 0.5}, "seconds": 1.0}
    record.report(trial, {**report, "timing": {}, "node": "", "finished": False})
    journal.close()
    with pytest.raises(SweepError, match=r"must have a trial with a result .* halving resume goes on with those"):
        compress_run(sweep.folder, quiet=True)


def test_parents_without_a_checkpoint_are_an_error(again):
    shutil.rmtree(again.folder / "checkpoints" / again.best(2)["trial"].iloc[1])
    with pytest.raises(SweepError, match=r"compress\.best: may be up to 1, since of trial .* there is no checkpoint"):
        compress_run(again.folder, StageConfig(best=2), quiet=True)


def test_a_run_without_a_result_cannot_be_compressed(tiny):
    sweep = tiny(train={"model": {"name": "mlp"}, "optimizer": {"lr": 1e30}, "epochs": 4}, faults={"retries": 0})
    sweep = sweep.model_copy(update={"space": Space({"model.width": 8}), "search": SearchConfig(name="grid")})
    folder = run(sweep, quiet=True).folder
    with pytest.raises(SweepError, match="must have a trial with a result to compress, but it has none"):
        compress_run(folder, quiet=True)


def test_values_are_compressed_in_a_sweep(tiny, tmp_path):
    rows = [f"{row % 7},{row % 5},{row % 7 - 0.5 * (row % 5)}" for row in range(300)]
    (tmp_path / "table.csv").write_text("\n".join(["x,y,value", *rows]))
    data = {"name": "table", "path": str(tmp_path / "table.csv"), "target": "value"}
    train = {"data": data, "model": {"name": "mlp", "width": 16}, "optimizer": {"lr": 0.1}, "epochs": 10}
    stage = {"best": 1, "keep_macs": [0.5], "epochs": 3, "max_latency_ms": 100.0}
    space = {"parameters": {"batch_size": 32}}
    sweep = tiny(train=train, space=space, search={"name": "grid"}, asha=None, metric="val_r2", compress=stage)
    result = run(sweep, quiet=True)
    models = result.models()
    assert list(models["status"]) == ["ok"] * 4
    assert (models["val_r2"] > 0.5).all()
    assert result.pick().meets


@pytest.mark.parametrize("space", [None, {"parameters": {"keep_macs": {"grid": [0.4, 0.6]}}}])
def test_a_model_that_never_saw_a_sweep_becomes_a_run(tmp_path, space):
    train = TrainConfig.of({"model": {"name": "mlp", "width": 16}, "epochs": 3, "seed": 5})
    trainer = Trainer(train, load_data(train.data))
    list(trainer.epochs())
    sizes = {"keep_macs": [0.5]} if space is None else {"space": space, "search": {"name": "grid"}}
    stage = StageConfig.model_validate({"best": 1, "epochs": 1, "int8": False, **sizes})
    result = compress(trainer.model, train, stage, name="mine", storage=str(tmp_path), quiet=True)
    models = result.models()
    assert list(models["status"]) == ["ok"] * (2 if space is None else 3)
    accuracy = evaluate(trainer.model, load_data(train.data).validation).accuracy
    assert models.set_index("kind")["val_accuracy"]["dense"] == pytest.approx(accuracy)
    assert result.best()["val_accuracy"].iloc[0] == pytest.approx(accuracy)
    other = Trainer(train.model_copy(update={"model": ModelConfig(name="mlp", width=24)}), load_data(train.data))
    with pytest.raises(SweepError, match=r"model: must have the parameters that train\.model, mlp, builds"):
        compress(other.model, train, stage, name="other", storage=str(tmp_path), quiet=True)
    more = StageConfig.model_validate({"best": 2, "teachers": 2})
    with pytest.raises(
        SweepError, match=r"compress\.teachers: must be at most the trials that there are, 1, but got 2"
    ):
        compress(trainer.model, train, more, name="other", storage=str(tmp_path), quiet=True)
    assert not (tmp_path / "other").exists()
