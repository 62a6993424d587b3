"""A real FreeRADIUS with a configuration of its own: as a library's home server, or as a library's proxy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import ServerCertificate
from tests.support.processes import Program, require_program

LIBRARY_FOLDER = "/usr/lib/freeradius"


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a FreeRADIUS proxy sends the realms it does not know."""

    host: str
    port: int
    secret: str


def start_freeradius_home(
    folder: Path, *, port: int, secret: str, users: Mapping[str, str], server: ServerCertificate, tls: str = "1.3"
) -> Program:
    """A home server that ends EAP-TTLS and PEAP for `users` (full name → password)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users").write_text(
        "".join(f'{name} Cleartext-Password := "{password}"\n' for name, password in users.items())
    )
    modules = f"""
files {{
  filename = {folder}/users
}}
pap {{
}}
mschap {{
}}
eap {{
  default_eap_type = ttls
  timer_expire = 60
  max_sessions = 1000
  tls-config tls-common {{
    private_key_file = {server.key}
    certificate_file = {server.certificate}
    ca_file = {server.ca}
    cipher_list = "DEFAULT"
    tls_min_version = "1.2"
    tls_max_version = "{tls}"
    ecdh_curve = ""
    fragment_size = 1024
  }}
  ttls {{
    tls = tls-common
    default_eap_type = mschapv2
    virtual_server = inner
  }}
  mschapv2 {{
  }}
  peap {{
    tls = tls-common
    default_eap_type = mschapv2
    virtual_server = inner
  }}
}}
"""
    sites = f"""
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    eap {{
      ok = return
    }}
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    eap
  }}
}}
server inner {{
  authorize {{
    mschap
    eap {{
      ok = return
    }}
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
    Auth-Type MS-CHAP {{
      mschap
    }}
    eap
  }}
}}
"""
    return _start(folder, secret=secret, modules=modules, sites=sites, proxy="")


def start_freeradius_proxy(
    folder: Path, *, port: int, secret: str, next_hop: NextHop, realms: Sequence[str] = ("DEFAULT",), home: str = ""
) -> Program:
    """A proxy that forwards `realms`, user names untouched, to the next hop."""
    folder.mkdir(parents=True, exist_ok=True)
    proxy = f"""
proxy server {{
  default_fallback = no
}}
home_server next {{
  type = auth
  ipaddr = {next_hop.host}
  port = {next_hop.port}
  secret = {next_hop.secret}
  response_window = 10
  status_check = none
}}
home_server_pool next {{
  type = fail-over
  home_server = next
}}
""" + "".join(f"realm {realm} {{\n  auth_pool = next\n  nostrip\n}}\n" for realm in realms)
    modules = 'realm suffix {\n  format = suffix\n  delimiter = "@"\n}\n'
    sites = f"""
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    suffix
  }}
  authenticate {{
  }}
  pre-proxy {{
  }}
  post-proxy {{
  }}
}}
{home}"""
    return _start(folder, secret=secret, modules=modules, sites=sites, proxy=proxy)


def start_freeradius_accounting(folder: Path, *, host: str, port: int, secret: str) -> Program:
    """A home server that takes accounting and writes each report to the file `detail`."""
    sites = f"""
server default {{
  listen {{
    type = acct
    ipaddr = {host}
    port = {port}
  }}
  preacct {{
  }}
  accounting {{
    detail
  }}
}}
"""
    return _start(folder, secret=secret, modules=_detail(folder), sites=sites, proxy="")


def start_freeradius_changes(folder: Path, *, host: str, port: int, secret: str) -> Program:
    """What takes CoA and Disconnect, writes each to the file `detail`, and knows no session `unknown`."""
    sites = f"""
server default {{
  listen {{
    type = coa
    ipaddr = {host}
    port = {port}
  }}
  recv-coa {{
    detail
    if (&Acct-Session-Id == "unknown") {{
      update reply {{
        Error-Cause := Session-Context-Not-Found
      }}
      reject
    }}
    else {{
      ok
    }}
  }}
  send-coa {{
  }}
}}
"""
    modules = f"{_detail(folder)}always ok {{\n  rcode = ok\n}}\nalways reject {{\n  rcode = reject\n}}\n"
    return _start(folder, secret=secret, modules=modules, sites=sites, proxy="")


def _detail(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"detail {{\n  filename = {folder}/detail\n}}\n"


def _start(folder: Path, *, secret: str, modules: str, sites: str, proxy: str) -> Program:
    program = require_program("freeradius", "freeradius")
    (folder / "radiusd.conf").write_text(f"""
prefix = /usr
name = test
libdir = {LIBRARY_FOLDER}
logdir = {folder}
raddbdir = {folder}
confdir = {folder}
run_dir = {folder}
db_dir = {folder}
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
log {{
  destination = files
  file = {folder}/radius.log
  auth = no
}}
security {{
  max_attributes = 200
  reject_delay = 1
  status_server = yes
}}
proxy_requests = {"yes" if proxy else "no"}
{proxy}
client test {{
  ipaddr = 127.0.0.0/8
  secret = {secret}
  require_message_authenticator = no
}}
thread pool {{
  start_servers = 5
  max_servers = 32
  min_spare_servers = 3
  max_spare_servers = 10
  max_requests_per_server = 0
}}
modules {{
{modules}
}}
{sites}
""")
    log = folder / "radius.log"
    process = Program([program, "-f", "-d", folder, "-l", log], folder / "output.log")
    return process.wait_ready(lambda: log.exists() and "Ready to process requests" in log.read_text(errors="replace"))
