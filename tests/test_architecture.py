"""Who may import whom: the house rules of docs/architecture.md, held against the code."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("radius", "federation", "api", "config")
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)

FEDERATION_CORE = frozenset(
    f"federation.{name}"
    for name in ("names", "model", "routing", "policy", "snapshot", "shards", "events", "reasons", "errors")
)
FEDERATION_OUTER = frozenset(f"federation.{name}" for name in ("store", "services", "trust", "identity", "statistics"))

# Room → the rooms of ours that it may import, beside itself. The most specific room of a module counts.
ROOMS: dict[str, frozenset[str]] = {
    "radius.errors": frozenset(),
    "radius.supervisor": frozenset(),
    "radius.wire": frozenset({"radius.errors"}),
    "radius.codec": frozenset({"radius.errors", "radius.wire"}),
    "radius.exchange": frozenset({"radius.errors", "radius.wire"}),
    "radius.discovery": frozenset({"radius.errors"}),
    "radius.transport": frozenset({"radius.errors", "radius.wire", "radius.exchange", "radius.discovery"}),
    "radius.tls": frozenset({"radius.errors", "radius.wire"}),
    "radius.transport.tls": frozenset(
        {"radius.errors", "radius.wire", "radius.exchange", "radius.tls", "radius.transport"}
    ),
    "radius.eap": frozenset({"radius.errors", "radius.wire", "radius.tls"}),
    **{
        f"radius.{role}": frozenset(
            {
                "radius.errors",
                "radius.wire",
                "radius.codec",
                "radius.exchange",
                "radius.discovery",
                "radius.transport",
                "radius.transport.tls",
                "radius.eap",
                *FEDERATION_CORE,
            }
        )
        for role in ("proxy", "home", "supplicant")
    },
    **dict.fromkeys(FEDERATION_CORE, FEDERATION_CORE),
    **dict.fromkeys(FEDERATION_OUTER, FEDERATION_CORE | FEDERATION_OUTER),
    "config": frozenset(),
    "api": frozenset(
        {"federation.services", "federation.statistics", "federation.trust", "radius.supplicant", *FEDERATION_CORE}
    ),
}

# Room → the packages of others that it may import; rooms that are not named may import any.
FOREIGN: dict[str, frozenset[str]] = {
    "radius.errors": frozenset(),
    "radius.supervisor": frozenset(),
    "radius.wire": frozenset(),
    "radius.codec": frozenset({"pyrad"}),
    "radius.exchange": frozenset(),
    "radius.discovery": frozenset(),
    "radius.transport": frozenset({"dns", "uvloop"}),
    "radius.tls": frozenset({"OpenSSL"}),
    "radius.transport.tls": frozenset({"OpenSSL", "cryptography", "uvloop"}),
    "radius.proxy": frozenset({"uvloop"}),
    "radius.home": frozenset({"uvloop"}),
    "radius.supplicant": frozenset({"OpenSSL", "cryptography"}),
    "radius.eap": frozenset({"OpenSSL", "cryptography", "Crypto"}),
    **dict.fromkeys(FEDERATION_CORE, frozenset[str]()),
    "config": frozenset({"pydantic", "pydantic_settings", "structlog"}),
}

# These decide and never wait: what the world is like is handed to them.
PURE = (
    "radius.wire",
    "radius.exchange",
    "radius.discovery",
    "radius.proxy.accounting",
    "radius.proxy.dynamic_authorization",
    "radius.proxy.pipeline",
    "radius.eap.machine",
    *sorted(FEDERATION_CORE),
)
# What the engine imports and no usual packet passes: it may be interpreted, where there is a compiler.
SELDOM = frozenset(
    {
        "radius.proxy.accounting",
        "radius.proxy.dynamic_authorization",
        "radius.proxy.learning",
        "radius.proxy.ports",  # protocols alone
    }
)
IMPURE_MODULES = frozenset({"asyncio", "socket", "time", "random", "logging"})


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every absolute name that the module imports, at any depth of the code, types included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the room's name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str, rooms: frozenset[str] = frozenset(ROOMS)) -> str | None:
    parts = module.split(".")
    return next((room for n in range(len(parts), 0, -1) if (room := ".".join(parts[:n])) in rooms), None)


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_module_imports_only_rooms_below_it(path: Path) -> None:
    """A module imports its own room and the rooms that the table allows it, and nothing else of ours."""
    module = module_name(path)
    room = room_of(module)
    if room is None:
        assert path.name == "__init__.py", f"{module} stands in no room of the table"
        return
    for name in imports(path):
        if name.split(".")[0] not in (*PACKAGES, "biebroam", "tests"):
            continue
        target = room_of(name)
        if target is None:
            assert name in PACKAGES, f"{module} imports {name}, which is in no room"
            continue
        assert target == room or target in ROOMS[room], f"{module} (in {room}) imports {name} (in {target})"


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_module_imports_only_allowed_libraries(path: Path) -> None:
    """The inner rooms stand on the standard library; the others name the libraries they stand on."""
    module = module_name(path)
    room = room_of(module)
    if room is None or room not in FOREIGN:
        return
    for name in imports(path):
        top = name.split(".")[0]
        if top not in PACKAGES:
            assert top in STANDARD_LIBRARY or top in FOREIGN[room], f"{module} imports {top}"


@pytest.mark.parametrize(
    "path", [p for p in modules() if any(module_name(p).startswith(pure) for pure in PURE)], ids=module_name
)
def test_pure_module_imports_no_clock_socket_or_log(path: Path) -> None:
    """What decides gets time, randomness and octets handed in, so that a test can hand in its own."""
    impure = {name.split(".")[0] for name in imports(path)} & IMPURE_MODULES
    assert not impure, f"{module_name(path)} imports {sorted(impure)}"


def test_what_packets_pass_is_compiled() -> None:
    """One module that is forgotten in the list makes every request a tenth dearer."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    compiled = [ROOT / name for name in build["targets"]["wheel"]["hooks"]["mypyc"]["include"]]
    paths = {module_name(path): path for path in modules()}
    waiting, passed = ["radius.proxy.engine", "radius.transport.backlog", "radius.transport.flows"], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in passed and name in paths:
            passed.add(name)
            waiting += imports(paths[name])
    rooms = ("radius.wire", "radius.exchange", "radius.transport", "radius.proxy")
    interpreted = {
        name
        for name in passed
        if name.startswith(rooms) and not any(paths[name].is_relative_to(each) for each in compiled)
    }
    assert "radius.proxy.forwarding" in passed
    assert interpreted == {*SELDOM, "radius.transport"}  # the last is the room's own __init__


def test_pyrad_has_one_importer() -> None:
    """Only radius.codec knows pyrad; what is received is never read by it."""
    importers = {module_name(p) for p in modules() if any(name.split(".")[0] == "pyrad" for name in imports(p))}
    assert all(module.startswith("radius.codec") for module in importers)


def test_modules_keep_to_the_cap() -> None:
    """A module of more than 500 lines, or a test of more than 800, holds more than one idea."""
    ours = [*modules(), ROOT / "biebroam.py", ROOT / "biebroam_roles.py"]
    too_long = [str(p.relative_to(ROOT)) for p in ours if len(p.read_text().splitlines()) > 500]
    too_long += [
        str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("*.py") if len(p.read_text().splitlines()) > 800
    ]
    assert not too_long


def test_every_package_folder_says_what_it_is() -> None:
    """Each folder of code has an __init__.py with a docstring."""
    folders = {path.parent for path in modules()}
    for folder in folders:
        init = folder / "__init__.py"
        assert init.exists(), f"{folder.relative_to(ROOT)} has no __init__.py"
        assert ast.get_docstring(ast.parse(init.read_text())), f"{init.relative_to(ROOT)} has no docstring"
