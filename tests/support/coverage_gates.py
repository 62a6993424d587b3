"""Fail when a part that must be covered completely is not: run after pytest, on the data that it left.

The parts named here decide what happens to a packet. Every branch of them has a test among their own ones, which are
what runs under coverage in `make test`; what all tests reach in all of the code is shown by `make coverage`.
"""

import sys
from io import StringIO

from coverage import Coverage

# Each gate: a name, the files, and the branch coverage that they must reach, in percent.
GATES: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("wire", ("radius/wire/*",), 100.0),
    ("exchange", ("radius/exchange/*",), 100.0),
    ("discovery", ("radius/discovery/*",), 100.0),
    ("names, routing and policy", ("federation/names.py", "federation/routing.py", "federation/policy.py"), 100.0),
)


def main() -> int:
    """Print the gates with what they reached; 1 when one is missed, else 0."""
    coverage = Coverage()
    coverage.load()
    missed = 0
    for name, files, wanted in GATES:
        report = StringIO()
        reached = coverage.report(include=list(files), show_missing=True, skip_covered=True, file=report)
        verdict = "ok" if reached >= wanted else "MISSED"
        print(f"coverage of {name}: {reached:.2f} % of {wanted:.0f} %: {verdict}")
        if reached < wanted:
            missed += 1
            print(report.getvalue())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
