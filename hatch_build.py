"""Builds the native parts of the packet path into the wheel, where that is asked for.

Off by default: HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install . It needs a C compiler and Python's headers.
"""

import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("radius/wire/_kernel.c", "radius/transport/_batch.c", "radius/tls/_records.c")
FLAGS = ("-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wall", "-Wextra", "-fPIC", "-shared")


class KernelHook(BuildHookInterface):
    """Compiles each source beside the modules that use it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the extension modules into the wheel, which fits this Python and this machine from then on."""
        del version
        compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
        include = f"-I{sysconfig.get_path('include')}"
        for source in SOURCES:
            library = f"{source.removesuffix('.c')}{sysconfig.get_config_var('EXT_SUFFIX')}"
            built = Path(self.directory, "native", library)
            built.parent.mkdir(parents=True, exist_ok=True)
            command = [*compiler, *FLAGS, include, "-o", built, Path(self.root, source)]
            subprocess.run(command, check=True)  # noqa: S603 - our own command
            build_data["force_include"][str(built)] = library
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
