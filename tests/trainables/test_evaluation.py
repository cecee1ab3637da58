import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainables import Dataset, Split, evaluate

VALUES = Split(torch.rand(700, 3), torch.randn(700, 1) * 4 + 20)


class Guess(nn.Module):
    """The same value for every row."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor([[value]]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(inputs), 1)


def test_of_classes_it_is_the_mean_over_the_split_and_leaves_the_mode(digits: Dataset) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)).train()
    result = evaluate(model, digits.train)
    assert model.training
    with torch.no_grad():
        logits = model.eval()(digits.train.inputs)
    assert result.loss == pytest.approx(float(nn.functional.cross_entropy(logits, digits.train.targets)), rel=1e-5)
    right = (logits.argmax(1) == digits.train.targets).float().mean()
    assert result.accuracy == pytest.approx(float(right), rel=1e-6)
    assert result.r2 is None


def test_guessing_the_mean_explains_nothing() -> None:
    mean, std = float(VALUES.targets.mean()), float(VALUES.targets.std(correction=0))
    result = evaluate(Guess(mean), VALUES, unit=std)
    assert result.loss == pytest.approx(1, abs=1e-5)
    assert result.r2 == pytest.approx(0, abs=1e-5)
    assert result.accuracy is None


def test_of_values_it_is_what_scikit_learn_says() -> None:
    from sklearn.metrics import mean_squared_error, r2_score

    model = nn.Sequential(nn.Linear(3, 1))
    result = evaluate(model, VALUES, unit=2.0)
    guesses = model(VALUES.inputs).detach()
    assert result.loss == pytest.approx(mean_squared_error(VALUES.targets, guesses) / 4, rel=1e-5)
    assert result.r2 == pytest.approx(r2_score(VALUES.targets, guesses), rel=1e-5)


def test_values_that_do_not_vary_are_not_explained() -> None:
    assert evaluate(Guess(1.0), Split(torch.rand(4, 3), torch.full((4, 1), 2.0))).r2 == 0.0


@given(
    offset=st.sampled_from([0.0, 1e3, -1e6, 1e7]), spread=st.sampled_from([0.5, 1.0, 30.0]), rows=st.integers(2, 700)
)
def test_far_from_zero_it_is_what_scikit_learn_says_too(offset: float, spread: float, rows: int) -> None:
    from sklearn.metrics import r2_score

    generator = torch.Generator().manual_seed(rows)
    values = (torch.randn(rows, 1, generator=generator, dtype=torch.float64) * spread + offset).float()
    guess = float(values.double().mean()) + spread / 3
    result = evaluate(Guess(guess), Split(torch.rand(rows, 3), values))
    guesses = torch.full_like(values, guess)
    if values.unique().numel() > 1:
        assert result.r2 == pytest.approx(r2_score(values.double(), guesses.double()), rel=1e-6, abs=1e-9)
