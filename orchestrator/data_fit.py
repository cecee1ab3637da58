"""Whether what a sweep asks for fits its data: what can be said once they are read, before anything is started."""

from __future__ import annotations

from orchestrator.errors import SweepError
from orchestrator.sweep import Sweep, place_of
from trainables import Dataset, SettingError, check_fit, load_data

_NOT_OF = {"regression": "val_accuracy", "classification": "val_r2"}


def check_data(sweep: Sweep) -> None:
    """Reads the data, and looks at what the space can ask for. Raises SweepError or DataError."""
    data = load_data(sweep.train_config(next(sweep.space.corners())).data)
    _check_task(sweep, data)
    for config in sweep.space.corners():
        try:
            check_fit(sweep.train_config(config), data)
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
