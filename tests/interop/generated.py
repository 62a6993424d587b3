"""Programs started with the configuration that a library is given, changed in paths and ports only."""

import re
import shutil
import subprocess
from pathlib import Path

from federation.services.configurations import Configuration, Place, build_freeradius, build_radsecproxy
from tests.support.certificates import ServerCertificate
from tests.support.processes import Program, free_port, require_program


def run_radsecproxy(folder: Path) -> Program:
    program = require_program("radsecproxy", "radsecproxy")
    checked = subprocess.run([program, "-p", "-c", folder / "radsecproxy.conf"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()
    process = Program([program, "-f", "-c", folder / "radsecproxy.conf", "-i", folder / "pid"], folder / "output.log")
    return process.wait_ready(lambda: "listening for tls" in process.output)


def put(folder: Path, configuration: Configuration) -> Path:
    """The one file of a configuration, as it came, under its own name."""
    ((name, text),) = configuration.files.items()
    folder.mkdir(exist_ok=True)
    path = folder / Path(name).name
    path.write_text(text)
    return path


def start_freeradius(
    folder: Path,
    eap: ServerCertificate,
    place: Place,
    *changes: tuple[str, str],
    users: dict[str, str],
    secret: str,
) -> Program:
    """Debian's FreeRADIUS, configured as the package left it but for paths and ports, with the generated site.

    `secret` is that of its access points on this machine; `users` are its patrons, with their passwords; `changes`
    are made in the generated site.
    """
    program = require_program("freeradius", "freeradius")
    raddb = folder / "raddb"
    shutil.copytree("/etc/freeradius/3.0", raddb, symlinks=True)
    (folder / "run" / "freeradius").mkdir(parents=True)
    edit(
        raddb / "radiusd.conf",
        (r"localstatedir = /var\b", f"localstatedir = {folder}"),
        (r"run_dir = .*", f"run_dir = {folder}/run/freeradius"),
        (r"raddbdir = .*", f"raddbdir = {raddb}"),
        (r"logdir = .*", f"logdir = {folder}"),
        (r"(?m)^\s*(user|group) = freerad.*$", ""),
    )
    edit(
        raddb / "mods-available" / "eap",
        (r"private_key_file = .*", f"private_key_file = {eap.key}"),
        (r"certificate_file = .*", f"certificate_file = {eap.certificate}"),
        (r"ca_file = .*", f"ca_file = {eap.ca}"),
    )
    site = raddb / "sites-available" / "default"
    text = re.sub(r"ipaddr = \*", "ipaddr = 127.0.0.1", site.read_text())
    first = iter((place.access_port,))
    text = re.sub(r"(?m)^\tport = 0", lambda _: f"\tport = {next(first, 0) or free_port()}", text)
    site.write_text(text)
    edit(raddb / "sites-available" / "inner-tunnel", (r"port = 18120", f"port = {free_port()}"))
    edit(raddb / "clients.conf", (r"secret = testing123", f"secret = {secret}"))
    known = raddb / "mods-config" / "files" / "authorize"
    lines = "".join(f'{name} Cleartext-Password := "{password}"\n' for name, password in users.items())
    known.write_text(lines + known.read_text())
    edit(put(raddb / "sites-available", build_freeradius(place)), *changes)
    (raddb / "sites-enabled" / "biebroam").symlink_to("../sites-available/biebroam")
    checked = subprocess.run([program, "-XC", "-d", raddb], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout[-3000:]
    log = folder / "radius.log"
    process = Program([program, "-f", "-d", raddb, "-l", log], folder / "output.log")
    return process.wait_ready(lambda: log.exists() and "Ready to process requests" in log.read_text(errors="replace"))


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement.replace("\\", r"\\"), text)
        assert count, f"{path.name} has no {pattern}"
    path.write_text(text)


def start_library(folder: Path, place: Place, *changes: tuple[str, str]) -> Program:
    path = put(folder, build_radsecproxy(place))
    edit(path, *changes)
    assert path.name == "radsecproxy.conf"
    return run_radsecproxy(folder)
