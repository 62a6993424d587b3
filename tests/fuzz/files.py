"""The corpus: a folder of small files for each target, in the tree, replayed for ever."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpus"


def load_corpus(target: str) -> dict[str, bytes]:
    """The files of a target by their names, in order."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / target).iterdir()) if path.is_file()}
