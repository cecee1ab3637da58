from math import isfinite

from benchmarks.fashion_mnist import RECIPE, Outcome, figures, train
from orchestrator.sweep import load_sweep
from trainables import load_data


def test_the_recipe_trains_as_it_stands_on_other_data():
    config = load_sweep(RECIPE).train_config({"data.name": "digits", "epochs": 5, "schedule.warmup": 1, "ema": 0.8})
    outcome = train(config, load_data(config.data))
    assert outcome.epochs == 5
    assert outcome.parameters < 500_000
    assert outcome.test_accuracy > 0.5


def test_figures_say_what_is_wanted():
    good, slow = Outcome(0.945, 1800, 22, 175_000, 20_000_000), Outcome(0.945, 4000, 22, 175_000, 20_000_000)
    assert all(figure.holds is not False and isfinite(figure.value) for figure in figures([good, good]))
    assert [figure.name for figure in figures([good, slow]) if figure.holds is False] == ["longest training"]
