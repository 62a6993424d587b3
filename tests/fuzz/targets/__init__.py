"""The targets by their names, which are those of their folders in the corpus."""

from collections.abc import Callable
from typing import Final

from tests.fuzz.targets import (
    certificates,
    documents,
    eap,
    frames,
    hiding,
    kernel,
    lookups,
    names,
    packets,
    rewriting,
    versions,
)

TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "packets": packets.exercise,
    "rewriting": rewriting.exercise,
    "hiding": hiding.exercise,
    "eap": eap.exercise,
    "frames": frames.exercise,
    "versions": versions.exercise,
    "names": names.exercise,
    "documents": documents.exercise,
    "certificates": certificates.exercise,
    "lookups": lookups.exercise,
    "kernel": kernel.exercise,
}
