"""A home server in a process of its own, which can be killed: `python -m tests.support.home_process PORT SECRET`.

It imports what it needs and no more, so that it is back a tenth of a second after it was started.
"""

import sys
import threading

from tests.support.traffic import SimulatedHome


def main() -> None:
    """It answers until the process is ended."""
    port, secret = sys.argv[1:]
    with SimulatedHome(port=int(port), secret=secret):
        print("answers", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
