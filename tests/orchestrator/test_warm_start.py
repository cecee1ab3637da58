"""What a search learns from earlier runs, also when its space is another."""

import math

import pandas as pd
import pytest

from orchestrator.errors import SweepError
from orchestrator.journal import Journal
from orchestrator.record import Record
from orchestrator.searchers.fidelity import losses_at
from orchestrator.tables import write_tables
from orchestrator.warm_start import earlier_observations
from tests.orchestrator.folders import make_folder


@pytest.fixture
def earlier(tiny):
    """The folder of a run with three trials, one of which failed, that fixed the optimiser and varied lr and width."""
    sweep = tiny(name="earlier", train={"model": {"name": "mlp"}, "optimizer": {"name": "adam"}, "epochs": 4})
    make_folder(sweep)
    journal = Journal(sweep.folder / "journal")
    record = Record(sweep.metric, sweep.sign, journal)
    record.begin_session(1)
    for lr, width, values in [(0.01, 8, (0.5, 0.8)), (0.2, 16, (0.9, 0.7)), (0.3, 16, ())]:
        trial = record.propose({"optimizer.lr": lr, "model.width": width}).id
        record.start(trial)
        for number, value in enumerate(values, 1):
            report = {"epoch": number, "metrics": {"val_accuracy": value, "val_loss": 1 - value}, "seconds": 1.5}
            record.report(trial, {**report, "timing": {}, "node": "here", "finished": False})
        record.end(trial, "completed" if values else "failed")
    write_tables(record, sweep.folder)
    journal.close()
    return sweep.folder


def space(**parameters):
    return {"space": {"parameters": {name.replace("__", "."): domain for name, domain in parameters.items()}}}


LR = {"log_uniform": [1e-3, 0.3]}


def places(folder):
    return [str(folder), str(folder / "trials.parquet")]


@pytest.mark.parametrize("place", [0, 1])
def test_curves_losses_and_failures_are_those_of_the_run(tiny, earlier, place):
    told = []
    seen = earlier_observations([places(earlier)[place]], tiny(metric="val_loss", mode="min"), told.append)
    assert [shown.config for shown in seen] == [
        {"optimizer.lr": 0.01, "model.width": 8},
        {"optimizer.lr": 0.2, "model.width": 16},
        {"optimizer.lr": 0.3, "model.width": 16},
    ]
    assert all(type(shown.config["model.width"]) is int and shown.prior for shown in seen)
    assert seen[0].curve == pytest.approx((0.5, 0.2))
    assert [shown.loss for shown in seen] == pytest.approx([0.2, 0.1, math.nan], nan_ok=True)
    assert [(shown.budget, shown.cost) for shown in seen] == [(2, 3.0), (2, 3.0), (0, 0.0)]
    assert told == [f"learned from 3 of 3 configurations of {places(earlier)[place]}"]


@pytest.mark.parametrize("place", [0, 1])
def test_dropped_parameters_are_dropped_and_what_does_not_fit_is_left_out(tiny, earlier, place):
    told = []
    sweep = tiny(**space(optimizer__lr={"log_uniform": [1e-3, 0.25]}))
    seen = earlier_observations([places(earlier)[place]], sweep, told.append)
    assert [shown.config for shown in seen] == [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.2}]
    assert "learned from 2 of 3" in told[0]


def test_what_a_run_fixed_is_known_to_a_space_that_varies_it(tiny, earlier):
    sweep = tiny(
        **space(
            optimizer__name={"choice": ["sgd", "adam"]},
            optimizer__lr=LR,
            optimizer__momentum={"uniform": [0, 0.9], "when": {"optimizer.name": "sgd"}},
        )
    )
    seen = earlier_observations([str(earlier)], sweep)
    assert seen[0].config == {"optimizer.name": "adam", "optimizer.lr": 0.01}
    with pytest.raises(SweepError, match=r"none of 3 does: optimizer\.name: must be set, but got no value"):
        earlier_observations([str(earlier / "trials.parquet")], sweep)


def test_constraints_hold_for_what_is_learned(tiny, earlier):
    sweep = tiny(space={"parameters": {"optimizer.lr": LR}, "constraints": ["optimizer.lr < 0.1"]})
    assert [shown.config["optimizer.lr"] for shown in earlier_observations([str(earlier)], sweep)] == [0.01]


def test_columns_that_parquet_changed_are_read_as_what_they_were(tiny, tmp_path):
    table = pd.DataFrame(
        {
            "val_accuracy": [0.5, 0.6, None],
            "config.model.depth": [2.0, 1.0, 2.0],
            "config.model.dropout": [0.1, math.nan, 0.2],
            "config.model.width": ["8", "None", "16"],
        }
    )
    table.to_parquet(tmp_path / "some.parquet")
    sweep = tiny(
        **space(
            model__depth={"int": [1, 3]},
            model__dropout={"uniform": [0, 0.5], "when": {"model.depth": 2}},
            model__width={"choice": [8, 16]},
        )
    )
    seen = earlier_observations([str(tmp_path / "some.parquet")], sweep)
    assert [shown.config for shown in seen] == [
        {"model.depth": 2, "model.dropout": 0.1, "model.width": 8},
        {"model.depth": 2, "model.dropout": 0.2, "model.width": 16},
    ]
    assert [shown.failed for shown in seen] == [False, True]


def test_what_cannot_be_learned_from_is_an_error_with_its_place(tiny, earlier, tmp_path):
    pd.DataFrame({"val_acuracy": [1.0], "config.optimizer.lr": [0.1]}).to_parquet(tmp_path / "typo.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    for place, message in {
        "typo.parquet": "must have the columns val_accuracy and config.*, but got val_acuracy, config.opt",
        "torn.parquet": "",
        "absent": "must be the folder of a run or a table of trials in Parquet, but there is none",
    }.items():
        with pytest.raises(SweepError) as told:
            earlier_observations([str(tmp_path / place)], tiny())
        assert str(told.value).startswith(f"search.warm_start: {tmp_path / place}: {message}")
    with pytest.raises(
        SweepError, match=r"earlier: must hold trials that fit .* none of 3 does: optimizer\.lr: must be"
    ):
        earlier_observations([str(earlier)], tiny(**space(optimizer__lr={"uniform": [0.4, 0.5]})))


def test_what_was_learned_is_in_the_journal(tiny, earlier):
    seen = earlier_observations([str(earlier)], tiny())
    record, events = Record("val_accuracy", -1.0), []
    record.listen(events.append)
    record.learn("there", seen)
    replayed = Record("val_accuracy", -1.0)
    replayed.replay(events)
    assert list(map(str, replayed.observations())) == list(map(str, seen))
    assert list(replayed.prior) == ["there"]


def repeated(**more):
    """Two configurations with three and two rows, and one that failed in one of two."""
    rows = {
        "val_accuracy": [0.5, 0.6, 0.7, 0.2, 0.4, 0.8, None],
        "config.optimizer.lr": [0.1] * 3 + [0.2] * 2 + [0.3] * 2,
    }
    return pd.DataFrame({**rows, "status": ["completed"] * 6 + ["failed"], **more})


def test_rows_of_one_configuration_are_repeats_and_count_by_their_mean(tiny, tmp_path):
    repeated(epochs=[4, 4, 4, 4, 4, 4, 1]).to_parquet(tmp_path / "some.parquet")
    told = []
    sweep = tiny(**space(optimizer__lr=LR))
    seen = earlier_observations([str(tmp_path / "some.parquet")], sweep, told.append)
    assert [(shown.config["optimizer.lr"], shown.repeats, shown.budget) for shown in seen] == [
        (0.1, 3, 4), (0.2, 2, 4), (0.3, 1, 4),
    ]  # fmt: skip
    assert [shown.loss for shown in seen] == pytest.approx([-0.6, -0.3, -0.8])
    assert seen[0].variance == pytest.approx(0.01 / 3)
    assert told == [f"learned from 3 of 3 configurations of {tmp_path / 'some.parquet'}"]


def test_repeats_of_a_table_with_curves_have_a_mean_curve(tiny, tmp_path):
    repeated(trial=[f"000{n}" for n in range(1, 8)]).to_parquet(tmp_path / "trials.parquet")
    curves = pd.DataFrame({"trial": ["0001", "0001", "0002", "0002", "0003", "0003"], "epoch": [1, 2] * 3})
    curves.assign(val_accuracy=[0.1, 0.5, 0.2, 0.6, 0.3, 0.7]).to_parquet(tmp_path / "epochs.parquet")
    first = earlier_observations([str(tmp_path / "trials.parquet")], tiny(**space(optimizer__lr=LR)))[0]
    assert first.curve == pytest.approx((-0.2, -0.6))
    assert first.budget == 2


@pytest.mark.parametrize("place", [0, 1])
def test_what_was_whole_in_the_earlier_run_is_no_final_loss_here(tiny, earlier, place):
    """Its two epochs may be fewer than a trial has now: they say what two epochs come to."""
    seen = earlier_observations([places(earlier)[place]], tiny())
    assert [shown.complete for shown in seen] == [False, False, False]
    rungs = (1, 2, 4)
    assert [losses_at(shown, rungs)[2] for shown in seen[:2]] == pytest.approx([math.nan, math.nan], nan_ok=True)
    assert losses_at(seen[0], rungs)[:2] == pytest.approx([-0.5, -0.8])
