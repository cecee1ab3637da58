from math import isfinite

from benchmarks.fashion_mnist import RECIPE, Outcome, figures, trained
from orchestrator.sweep import load_sweep


def test_the_recipe_trains_as_it_stands_on_other_data_once(tmp_path):
    config = load_sweep(RECIPE).train_config({"data.name": "digits", "epochs": 5, "schedule.warmup": 1, "ema": 0.8})
    outcome = trained(config, tmp_path)
    assert outcome.epochs == 5
    assert outcome.parameters < 500_000
    assert outcome.test_accuracy > 0.5
    assert trained(config, tmp_path) == outcome  # its seconds, too: that of the folder


def test_figures_say_what_is_wanted():
    good, slow = (Outcome(0.945, 9000, seconds, 22, 175_000, 20_000_000) for seconds in (1800, 4000))
    assert all(figure.holds is not False and isfinite(figure.value) for figure in figures({0: good, 1: good}))
    missed = [figure.name for figure in figures({0: good, 1: slow}) if figure.holds is False]
    assert missed == ["longest training, of the processor"]
