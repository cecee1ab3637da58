"""The networks that are compressed: trained by fashion_mnist.py, before or now."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fashion_mnist import kept_at, trained
from trainables import TrainConfig, build_model, load_checkpoint, load_data
from trainables.compress import Parent


def parent(config: TrainConfig, folder: Path) -> Parent:
    """The network of `config` that is kept in the folder, or else a new one, which is kept then."""
    trained(config, folder)
    model = build_model(config.model, load_data(config.data))
    model.load_state_dict(load_checkpoint(kept_at(config, folder))["model"])
    return Parent(model.eval(), config)
