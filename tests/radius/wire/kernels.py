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
from types import ModuleType
from typing import cast

from radius.tls import records
from radius.transport import udp
from radius.wire import native
from radius.wire.calls import calls
from radius.wire.native import Kernel

SOURCES = Path(native.__file__).parents[1]
COMPILER = shutil.which("cc") or shutil.which("gcc")
HAS_COMPILER = COMPILER is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
# `make sanitized` sets it, and starts Python with the sanitizers' library before all others.
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
FLAGS = SANITIZERS if os.environ.get("BIEBROAM_SANITIZE") else ("-O2",)


def compile_extension(room: str, name: str) -> ModuleType:
    """Compile a C file of `radius` into a temporary folder and import it from there."""
    assert COMPILER is not None
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        library = Path(folder, f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}")
        source = SOURCES / room / f"{name}.c"
        warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror")
        include = f"-I{sysconfig.get_path('include')}"
        subprocess.run([COMPILER, *FLAGS, *warnings, "-fPIC", "-shared", include, "-o", library, source], check=True)
        full_name = f"radius.{room.replace('/', '.')}.{name}"
        spec = spec_from_file_location(full_name, library, loader=ExtensionFileLoader(full_name, str(library)))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


@cache
def load_kernel() -> Kernel:
    """The kernel, compiled once."""
    return cast("Kernel", compile_extension("wire", "_kernel"))  # an extension module has no types


@cache
def load_batch() -> udp.Batch:
    """The same for the reader of many datagrams."""
    return cast("udp.Batch", compile_extension("transport", "_batch"))


@cache
def load_records() -> records.Native:
    """The same for the records of TLS connections; it uses the OpenSSL that pyOpenSSL uses."""
    module = cast("records.Native", compile_extension("tls", "_records"))
    assert records.bind_native(module)
    return module


@contextmanager
def chosen(kernel: Kernel | None) -> Generator[None]:
    """`radius.wire` works with this kernel, or without any."""
    before = calls.kernel
    calls.choose(kernel)
    try:
        yield
    finally:
        calls.choose(before)
