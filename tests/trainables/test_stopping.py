from math import nan

import pytest

from trainables import EarlyStopping, Evaluation, StoppingConfig


def feed(stopping: EarlyStopping, *values: float) -> list[bool]:
    return [stopping.update(Evaluation(value)) for value in values]


def test_waits_as_long_as_its_patience() -> None:
    stopping = EarlyStopping(StoppingConfig(patience=2))
    assert feed(stopping, 3.0, 2.0, 2.5) == [True, True, False]
    assert not stopping.stop
    assert feed(stopping, 2.0) == [False]
    assert stopping.stop


def test_an_improvement_starts_the_count_again() -> None:
    stopping = EarlyStopping(StoppingConfig(patience=2))
    feed(stopping, 3.0, 3.5, 2.9, 3.5)
    assert not stopping.stop


def test_a_small_gain_is_the_best_but_does_not_start_the_count_again() -> None:
    stopping = EarlyStopping(StoppingConfig(patience=2, min_delta=0.5))
    assert feed(stopping, 3.0, 2.9, 2.8) == [True, True, True]
    assert stopping.best == 2.8
    assert stopping.stop


def test_small_gains_add_up_to_one_over_min_delta() -> None:
    stopping = EarlyStopping(StoppingConfig(patience=2, min_delta=0.5))
    feed(stopping, 3.0, 2.7, 2.4, 2.4)
    assert not stopping.stop


def test_without_patience_it_never_stops_but_knows_the_best() -> None:
    stopping = EarlyStopping(StoppingConfig())
    feed(stopping, 1.0, *[2.0] * 100, nan)
    assert not stopping.stop
    assert stopping.best == 1.0


def test_state_goes_on_where_it_was() -> None:
    first, second = (EarlyStopping(StoppingConfig(patience=3, min_delta=0.5)) for _ in range(2))
    feed(first, 1.0, 0.9)
    second.load_state_dict(first.state_dict())
    assert feed(second, 0.95, 0.6) == [False, True]
    assert second.stop


@pytest.mark.parametrize(("metric", "field"), [("val_accuracy", "accuracy"), ("val_r2", "r2")])
def test_what_should_rise_is_watched_likewise(metric, field: str) -> None:
    stopping = EarlyStopping(StoppingConfig(metric=metric, patience=2, min_delta=0.1))
    seen = [stopping.update(Evaluation(1.0, **{field: value})) for value in (0.5, 0.7, 0.6, 0.75)]
    assert seen == [True, True, False, True]
    assert stopping.stop
