"""What a run that has begun may change, and which key a refusal names."""

import pytest

from orchestrator import SweepError
from orchestrator.changes import changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"batch_size": 8}}, "train.batch_size: must stay None when a run is resumed, but got 8"),
        (
            {"train": {"model": {"name": "cnn"}}},
            "train.model.name: must stay 'mlp' when a run is resumed, but got 'cnn'",
        ),
        (
            {"metric": "val_loss", "mode": "min"},
            "metric: must stay 'val_accuracy' when a run is resumed, but got 'val_loss'",
        ),
        ({"seed": 3}, "seed: must stay 0 when a run is resumed, but got 3"),
    ],
)
def test_the_whole_message_names_the_key_and_both_values(tiny, changes, message):
    sweep = tiny(train={"model": {"name": "mlp", "width": 12345}, "augment": {"rotate": 5.0}, "epochs": 4})
    with pytest.raises(SweepError) as refused:
        changed(sweep, changes)
    assert str(refused.value) == message


def test_epochs_and_workers_may_change(tiny):
    after = changed(tiny(), {"train": {"epochs": 9, "parallel": {"micro_batches": 2}}, "limits": {"minutes": 1.0}})
    assert (after.epochs, after.limits.minutes) == (9, 1.0)


def test_a_metric_that_is_like_no_other_is_refused_in_a_whole_sentence(tiny):
    with pytest.raises(SweepError) as refused:
        tiny(metric="zzzz")
    assert str(refused.value).endswith("but got 'zzzz'")
