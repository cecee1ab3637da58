"""What benchmarks/parallel.py makes of its trainings."""

from benchmarks.parallel import Outcome, difference, figures

ALONE = Outcome(losses=[[2.0, 1.0], [1.0, 0.5]], speeds=[10.0, 100.0, 120.0], parameters=[30])
STAGES = Outcome(losses=[[2.0, 1.0], [1.0, 0.4999]], speeds=[10.0, 165.0, 165.0], parameters=[10, 20])


def test_losses_are_compared_epoch_by_epoch():
    assert abs(difference(ALONE, STAGES) - 1e-4) < 1e-9
    assert difference(ALONE, ALONE) == 0


def test_figures_are_beside_one_worker():
    told = {figure.name: figure for figure in figures({"one worker": ALONE, "two stages, gpipe": STAGES})}
    assert told["one worker: speed"].value == 110
    assert told["two stages, gpipe: speed-up"].value == 1.5
    assert told["two stages, gpipe: largest difference of a loss"].holds is False
    assert told["two stages, gpipe: parameters of rank 1"].value == 20
    assert told["two stages, gpipe: both ranks' of the model's"].holds
