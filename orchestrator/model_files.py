"""Files of models in a run's folder: the card is written last, and the others are checked against it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from trainables.compress import ArtefactError, check_file, read_card
from trainables.storage import Place, download_tree, join, list_files, local_path, write_bytes

_CARD = "card.json"


def upload_models(folder: Path, place: Place) -> None:
    """Copies the folders of models to a place, each file whole or not at all, and their cards last."""
    for name in sorted(list_files(folder), key=lambda name: (Path(name).name == _CARD, name)):
        write_bytes(join(place, name), (folder / name).read_bytes())


def fault_of_model(folder: Place) -> str:
    """The first file of the model in a folder that is missing or damaged, as one line; empty if there is none."""
    local = local_path(folder)
    if local is not None:
        return _fault(local)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch)
        download_tree(folder, copy)
        return _fault(copy).replace(scratch, str(folder))


def _fault(folder: Path) -> str:
    try:
        card = read_card(folder)
        for name in card["files"]:
            check_file(folder / name, card)
    except ArtefactError as error:
        return str(error)
    return ""
