"""Every file of the corpus, and seeded mutations of all of them, through every target."""

import random
import time

import pytest

from radius.wire.rewrite import build_filter
from tests.fuzz.files import load_corpus
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.rewriting import check_untouched

CORPUS = {target: load_corpus(target) for target in TARGETS}
# How many mutations of the corpus a run of the tests looks at: about a second for each target.
MUTATIONS = {
    "packets": 8000,
    "rewriting": 10_000,
    "hiding": 20_000,
    "eap": 300,
    "frames": 10_000,
    "versions": 4000,
    "names": 30_000,
    "documents": 1500,
    "certificates": 500,
    "lookups": 400,
    "kernel": 1500,
}
SLOWEST_SECONDS = 2.0  # of one input; a hang would be caught by the time limit of the test alone, after minutes


@pytest.mark.parametrize(
    ("target", "name"), [(target, name) for target, files in CORPUS.items() for name in files], ids=str
)
def test_every_file_of_the_corpus_keeps_the_invariants(target: str, name: str) -> None:
    """What was once found, or is worth to begin with, is tried in every run."""
    TARGETS[target](CORPUS[target][name])


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_the_corpus_keep_the_invariants(target: str) -> None:
    """The same mutations in every run, of which none raises or takes long."""
    dice, others = random.Random(2865), list(CORPUS[target].values())
    for number in range(MUTATIONS[target]):
        octets = mutate(others[number % len(others)], others, dice)
        began = time.perf_counter()
        try:
            TARGETS[target](octets)
        except Exception as error:
            raise AssertionError(f"save bytes.fromhex({octets.hex()!r}) in tests/fuzz/corpus/{target}") from error
        assert time.perf_counter() - began < SLOWEST_SECONDS, octets.hex()


@pytest.mark.parametrize("target", TARGETS)
def test_any_start_of_a_file_keeps_the_invariants(target: str) -> None:
    """Files cut at up to 40 places each, and nothing at all."""
    for octets in list(CORPUS[target].values())[:: 6 if target == "eap" else 1]:
        for end in range(0, len(octets), len(octets) // 40 + 1):
            TARGETS[target](octets[:end])


def test_the_corpus_is_small() -> None:
    """It is read by people, and replayed in seconds."""
    files = [octets for each in CORPUS.values() for octets in each.values()]
    assert len(files) < 250
    assert max(map(len, files)) <= 4200


def test_every_target_has_seeds() -> None:
    """A search from nothing finds nothing behind a checksum or a length."""
    assert SEEDS.keys() == TARGETS.keys()


class TestTargetsNotice:
    """An invariant that can not fail is none."""

    @pytest.mark.parametrize(
        "got",
        [
            [(1, b"other"), (25, b"b")],
            [(25, b"b"), (1, b"a")],
            [(1, b"a")],
            [(1, b"a"), (25, b"b"), (11, b"made up")],
        ],
    )
    def test_attribute_that_changed_is_noticed(self, got: list[tuple[int, bytes]]) -> None:
        """Changed, moved, lost or made up."""
        had = [(1, b"a"), (25, b"b")]
        check_untouched(had, had, build_filter(), edited=(2,))
        with pytest.raises(AssertionError):
            check_untouched(had, got, build_filter(), edited=(2,))
