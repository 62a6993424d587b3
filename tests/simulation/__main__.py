"""Many runs, or one again: `python -m tests.simulation --help`, or `make simulation RUNS=10000`."""

import argparse
import sys
from time import monotonic

from tests.simulation.runs import play_seed


def main() -> int:
    """Play seeds one after another; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="begin here (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1000, help="so many (default: %(default)s)")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many (default: %(default)s)")
    arguments = parser.parse_args()
    first: int = arguments.first if arguments.seed is None else arguments.seed
    runs: int = arguments.runs if arguments.seed is None else 1
    began, failed = monotonic(), 0
    for seed in range(first, first + runs):
        failure = play_seed(seed)
        if failure is not None:
            print(failure, file=sys.stderr)
            failed += 1
            if failed >= arguments.failures:
                break
    print(f"seeds {first} to {first + runs - 1}: {failed} failed, {monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
