"""Whether what a sweep asks for fits its data: what can be said once they are read, before anything is started."""

from __future__ import annotations

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, place_of
from trainables import DataConfig, Dataset, SettingError, check_fit, load_data

_NOT_OF = {"regression": "val_accuracy", "classification": "val_r2"}


def check_data(sweep: Sweep) -> None:
    """Reads all data that the space can ask for, and looks at whether the rest fits. Raises SweepError or DataError."""
    known: dict[DataConfig, Dataset] = {}
    for config in sweep.space.corners():
        train = sweep.train_config(config)
        if train.data not in known:
            known[train.data] = load_data(train.data)
            _check_task(sweep, known[train.data])
        try:
            check_fit(train, known[train.data])
        except SettingError as error:
            where = place_of(config, error.key).removesuffix(error.key)
            raise SweepError(f"{where}{error}") from None


def _check_task(sweep: Sweep, data: Dataset) -> None:
    """Whether the data have what the sweep measures and makes."""
    if sweep.metric == _NOT_OF[data.task]:
        others = "val_loss or val_r2" if data.task == "regression" else "val_accuracy or val_loss"
        raise SweepError(f"metric: must be one that {data.task} has, such as {others}, but got {sweep.metric!r}")
    if sweep.compress and data.task == "regression":
        raise SweepError("compress: must be null for regression, since candidates are compared by their accuracy")
