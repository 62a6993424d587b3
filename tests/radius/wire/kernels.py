"""The native kernel, compiled for the tests, and what stands beside it with and without it."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

from radius.wire import native
from radius.wire.native import Kernel

SOURCE = Path(native.__file__).with_name("_kernel.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
HAS_COMPILER = COMPILER is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
# `make sanitized` sets it, and starts Python with the sanitizers' library before all others.
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
FLAGS = SANITIZERS if os.environ.get("BIEBROAM_SANITIZE") else ("-O2",)


@cache
def load_kernel() -> Kernel:
    """Compile the kernel's source into a temporary folder and import it from there."""
    assert COMPILER is not None
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        library = Path(folder, f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}")
        warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror")
        include = f"-I{sysconfig.get_path('include')}"
        subprocess.run([COMPILER, *FLAGS, *warnings, "-fPIC", "-shared", include, "-o", library, SOURCE], check=True)
        name = "radius.wire._kernel"
        spec = spec_from_file_location(name, library, loader=ExtensionFileLoader(name, str(library)))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return cast("Kernel", module)  # an extension module has no types


@contextmanager
def chosen(kernel: Kernel | None) -> Generator[None]:
    """`radius.wire` works with this kernel, or without any."""
    before = native.kernel
    native.kernel = kernel
    try:
        yield
    finally:
        native.kernel = before
