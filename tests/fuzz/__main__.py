"""The search: `python -m tests.fuzz --help`, or `make fuzz`. It needs the dependency group `fuzz`.

Every target has a process of its own, as libFuzzer ends its process when it has found something. What breaks an
invariant is saved in the target's folder of the corpus, to be mended and kept; what only reaches new code is kept out
of the tree, in build/fuzz, until `--keep` takes over the smallest inputs that reach lines which no file of the corpus
does.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.fuzz.files import FOLDER, load_corpus

FOUND: Final = Path("build/fuzz")
NAMES: Final = (
    *("packets", "rewriting", "hiding", "kernel", "versions"),
    *("eap", "frames", "names", "documents", "certificates", "lookups"),
)
SLOWEST_SECONDS: Final = 10
MEMORY_MEGABYTES: Final = 2048
MAX_OCTETS: Final = 4200


def main() -> int:
    """Search one target after another; 1 when one of them found something."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all of: {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="take over what reaches new lines; nothing is searched")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # the process of one target
    arguments = parser.parse_args()
    targets: list[str] = arguments.targets or list(NAMES)
    unknown = [target for target in targets if target not in NAMES]
    if unknown:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(NAMES)}")
    if arguments.inside:
        _search(targets[0], arguments.seconds)
        return 0
    if arguments.keep:
        for target in targets:
            _keep(target)
        return 0
    broken = [target for target in targets if not _start(target, arguments.seconds)]
    for target in broken:
        print(f"{target}: an invariant broke; the input is in {FOLDER / target}", file=sys.stderr)
    return 1 if broken else 0


def _start(target: str, seconds: int) -> bool:
    print(f"{target}: {seconds} seconds", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(seconds), "--inside"]
    return subprocess.run(command, check=False).returncode == 0


def _search(target: str, seconds: int) -> None:
    atheris: Any = import_module("atheris")  # Any: it has no types, and is not there where nobody searches
    with atheris.instrument_imports(include=["radius", "federation"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - as it is instrumented while it is imported

    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [
            sys.argv[0],
            str(found),
            str(FOLDER / target),
            f"-max_total_time={seconds}",
            f"-timeout={SLOWEST_SECONDS}",
            f"-rss_limit_mb={MEMORY_MEGABYTES}",
            f"-max_len={MAX_OCTETS}",
            f"-artifact_prefix={FOLDER / target}{os.sep}",
            "-print_final_stats=1",
        ],
        TARGETS[target],
    )
    atheris.Fuzz()


def _keep(target: str) -> None:
    from tests.fuzz.selection import choose  # noqa: PLC0415 - it traces what is imported after it

    known = load_corpus(target)
    found = [path.read_bytes() for path in sorted((FOUND / target).glob("*"))]
    chosen = choose(target, list(known.values()), found)
    for octets in chosen:
        name = f"found-{hashlib.sha256(octets).hexdigest()[:12]}"
        (FOLDER / target / name).write_bytes(octets)
    print(f"{target}: {len(chosen)} of {len(found)} reach lines that {len(known)} files of the corpus do not")


if __name__ == "__main__":
    sys.exit(main())
