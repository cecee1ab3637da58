"""Runs models with nothing but numpy and ONNX Runtime: `python -I standalone.py FOLDER`, a program of its own.

The folder holds inputs.npy, the names of .onnx files in models.txt, a line each, and in path.txt where the two packages
are. 0.npy, 1.npy … are the outputs, or 0.txt the error of the first, and so on.
"""

import os
import sys
from pathlib import Path

ALLOWED = {"numpy", "onnxruntime"}


class Blocker:
    """Refuses every module that is neither Python's own nor allowed, as if it were not installed."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(folder: Path) -> None:
    """Writes the outputs of each model."""
    sys.meta_path.insert(0, Blocker())
    sys.path += (folder / "path.txt").read_text(encoding="utf-8").splitlines()
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import numpy as np
    import onnxruntime as ort

    inputs = np.load(folder / "inputs.npy")
    for number, path in enumerate((folder / "models.txt").read_text(encoding="utf-8").splitlines()):
        try:
            session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
            outputs = session.run(None, {session.get_inputs()[0].name: inputs})[0]
        except Exception as error:  # whatever it is, it is the answer
            (folder / f"{number}.txt").write_text(str(error), encoding="utf-8")
        else:
            np.save(folder / f"{number}.npy", outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
