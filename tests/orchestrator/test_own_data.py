"""Sweeps over data that users bring, on a real Ray."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes

from orchestrator import SweepError, run
from trainables.data import DataWarning

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def sweep_of(tiny, data, **changes):
    """Two short trials."""
    train = {"data": data, "model": {"name": "mlp", "depth": 1}, "augment": {"shift": 0}, "epochs": 6, "batch_size": 16}
    space = {"parameters": {"model.width": {"grid": [16, 32]}}}
    return tiny(**{"space": space, "search": {"name": "grid"}, "asha": None, "train": train, **changes})


def draw(folder, count=20):
    """Two classes of noisy images in different sizes, and a file that is none."""
    rng = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 180)):
        (folder / label).mkdir(parents=True)
        for index in range(count):
            pixels = rng.normal(level, 20, (12 + index % 3, 14, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.{'jpg' if index % 2 else 'png'}")
    broken = folder / "dark" / "broken.jpg"
    broken.write_bytes((folder / "dark" / "1.jpg").read_bytes()[:200])
    return broken


def test_a_folder_of_images_from_search_to_compressed_model(tiny, tmp_path):
    broken = draw(tmp_path / "photos")
    data = {"name": "images", "path": str(tmp_path / "photos"), "size": 8}
    compress = {"best": 1, "keep_macs": [0.5], "epochs": 1}
    with pytest.warns(DataWarning, match=str(broken)):
        result = run(sweep_of(tiny, data, compress=compress), quiet=True)
    assert list(result.trials()["status"]) == ["completed"] * 2
    assert result.best(1)["val_accuracy"].item() > 0.9
    assert set(result.models()["status"]) == {"ok"}


def test_a_damaged_image_under_strict_ends_before_a_trial_starts(tiny, tmp_path):
    broken = draw(tmp_path / "photos")
    data = {"name": "images", "path": str(tmp_path / "photos"), "size": 8, "strict": True}
    sweep = sweep_of(tiny, data)
    with pytest.raises(ValueError, match=f"{broken} cannot be read as an image"):
        run(sweep, quiet=True)
    assert not sweep.folder.exists()


def test_a_numpy_archive_on_two_workers(tiny, tmp_path):
    labels = np.arange(80) % 2
    inputs = np.random.default_rng(0).normal(size=(80, 5)) + 3 * labels[:, None]
    np.savez(tmp_path / "data.npz", x=inputs, y=labels)
    data = {"name": "npz", "path": str(tmp_path / "data.npz")}
    result = run(sweep_of(tiny, data, workers={"count": 2}), quiet=True)
    assert result.best(1)["val_accuracy"].item() > 0.9


@pytest.mark.parametrize(
    ("table", "file", "metric", "good"),
    [(load_breast_cancer, "table.parquet", "val_accuracy", 0.9), (load_diabetes, "table.csv", "val_r2", 0.2)],
)
def test_tables_of_scikit_learn(tiny, tmp_path, table, file, metric, good):
    frame = table(as_frame=True).frame
    if file.endswith(".csv"):
        frame.to_csv(tmp_path / file, index=False)
    else:
        frame.to_parquet(tmp_path / file)
    data = {"name": "table", "path": str(tmp_path / file), "target": "target"}
    result = run(sweep_of(tiny, data, metric=metric), quiet=True)
    assert list(result.trials()["status"]) == ["completed"] * 2
    assert result.best(1)[metric].item() > good


def test_a_model_for_images_on_a_table_ends_before_a_trial_starts(tiny, tmp_path):
    load_breast_cancer(as_frame=True).frame.to_csv(tmp_path / "table.csv", index=False)
    data = {"name": "table", "path": str(tmp_path / "table.csv"), "target": "target"}
    sweep = sweep_of(
        tiny, data, train={"data": data, "model": {"name": "resnet"}, "augment": {"shift": 0}, "epochs": 4}
    )
    with pytest.raises(SweepError, match=r"train\.model\.name: 'resnet' is for images, but the data has 30 features"):
        run(sweep, quiet=True)
    assert not sweep.folder.exists()
