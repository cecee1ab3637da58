import pytest
import torch
from torch import Tensor

from trainables import Dataset, Group, SettingError, TrainConfig
from trainables.batches import Batches

CHANGES = {"augment": {"rotate": 10, "crop": 1, "erase": 0.5}}
MIXED = {"augment": {"shift": 0.1, "mixup": 0.4, "cutmix": 1.0}}


def epoch(data: Dataset, config: dict, rank: int = 0, size: int = 1) -> list[list[tuple[Tensor, Tensor]]]:
    """The parts of each step."""
    batches = Batches(data, TrainConfig.of({"batch_size": 48, **config}), Group(rank, size, torch.device("cpu")))
    return [list(batch.parts) for batch in batches.epoch(torch.Generator().manual_seed(3))]


def whole(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([inputs for inputs, _ in parts]), torch.cat([targets for _, targets in parts])


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("config", [CHANGES, MIXED])
def test_workers_share_what_one_would_have(digits: Dataset, config: dict, workers: int) -> None:
    """1,079 rows leave 23 to the last step: three workers have unequal parts of it."""
    alone = epoch(digits, config)
    shared = zip(*[epoch(digits, config, rank, workers) for rank in range(workers)], strict=True)
    for one, ranks in zip(alone, shared, strict=True):
        for mine, theirs in zip(whole(one), whole([part for parts in ranks for part in parts]), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("config", [CHANGES, MIXED])
def test_parts_make_up_the_whole(digits: Dataset, config: dict) -> None:
    for one, several in zip(epoch(digits, config), epoch(digits, {**config, "accumulate": 5}), strict=True):
        assert [len(targets) for _, targets in several] in ([9, 10, 9, 10, 10], [4, 5, 4, 5, 5])
        for mine, theirs in zip(whole(one), whole(several), strict=True):
            assert torch.equal(mine, theirs)


def test_no_part_has_a_single_row(digits: Dataset) -> None:
    """A rest of 23 in up to 40 parts on two workers: two rows each, or three."""
    for rank in (0, 1):
        for parts in epoch(digits, {"accumulate": 40}, rank, 2):
            assert all(len(targets) >= 2 for _, targets in parts)


def test_every_row_comes_once_and_the_last_step_is_short(digits: Dataset) -> None:
    steps = epoch(digits, {})
    rows = torch.cat([whole(parts)[0] for parts in steps]).flatten(1)
    assert torch.equal(rows.unique(dim=0), digits.train.inputs.flatten(1).unique(dim=0))
    assert [len(whole(parts)[1]) for parts in steps] == [48] * 22 + [23]
    assert not torch.equal(rows, digits.train.inputs.flatten(1))


def test_a_row_is_mixed_with_the_next_one_of_its_step(digits: Dataset) -> None:
    """Where the share is known, the next row's class has the rest; the last row's next one is the first."""
    plain, mixed = epoch(digits, {}), epoch(digits, {"augment": {"mixup": 1.0}})
    (_, labels), (_, shares) = whole(plain[0]), whole(mixed[0])
    for i, label in enumerate(labels):
        other = labels[(i + 1) % len(labels)]
        assert float(shares[i, label] + (shares[i, other] if label != other else 0)) == pytest.approx(1)


@pytest.mark.parametrize(("size", "workers"), [(2, 2), (7, 4)])
def test_a_batch_smaller_than_its_workers_need_is_refused(digits: Dataset, size: int, workers: int) -> None:
    message = rf"^batch_size: must be 2 for each worker at least, .*, but got {size} for {workers} workers$"
    with pytest.raises(SettingError, match=message):
        epoch(digits, {"batch_size": size}, 0, workers)
