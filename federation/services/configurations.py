"""Ready configuration for what libraries run: text to put in place, with the names and realms of one library in it.

Each program checks the name and, where it can, the policy of the federation's proxy: a neighbour's certificate comes
from the same authority and must not be able to ask for passwords or to answer in the federation's name. The private key
is the file that the administrator made the request with; no text here contains one. What is put in are realms, host
names and addresses that the registry has checked, so none can end the quotes that it stands in.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from federation.trust.profiles import POLICY_OPERATOR

RADSEC_PORT = 2083  # RFC 6614 §2.1
BIEBROAM_DATA = "/var/lib/biebroam"
_REFRESH = "Renew before two thirds of its life have passed: docs/trust.md, “Renewal”."


def _generate_secret() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose configuration it is, and where things stand there."""

    library: str
    realms: tuple[str, ...]
    server_name: str  # the federation's proxy's, in its certificate
    host: str  # of the federation's proxy
    port: int = RADSEC_PORT
    folder: str = "/etc/biebroam"  # of key.pem, chain.pem and anchors.pem
    listen: str = "*"
    listen_port: int = RADSEC_PORT
    access_port: int = 1812  # for the library's access points, over UDP
    home: tuple[str, int] = ("127.0.0.1", 18120)  # the library's own RADIUS server, behind radsecproxy
    secret: str = field(
        default_factory=_generate_secret, repr=False
    )  # between programs of this machine and its network


@dataclass(frozen=True, slots=True)
class Configuration:
    """What to put in place for one program, and what to do with it."""

    program: str
    files: Mapping[str, str]  # path → text
    steps: tuple[str, ...]


def build_configurations(place: Place) -> tuple[Configuration, ...]:
    """One for each program that a library may run."""
    return tuple(build(place) for build in _BUILDERS)


def build_freeradius(place: Place) -> Configuration:
    """FreeRADIUS 3: a virtual server that the federation asks, and a home server that asks the federation."""
    own = "\n".join(f"realm {realm} {{\n    nostrip\n}}" for realm in place.realms)
    text = f"""\
# {place.library}: RADIUS/TLS with the federation (RFC 6614).
clients biebroam {{
    client federation {{
        ipaddr = {place.host}
        proto = tls
        secret = radsec
        nas_type = other
        limit {{
            max_connections = 64
            lifetime = 0
            idle_timeout = 900
        }}
    }}
}}
listen {{
    type = auth
    proto = tcp
    ipaddr = {place.listen}
    port = {place.listen_port}
    virtual_server = biebroam
    clients = biebroam
    limit {{
        max_connections = 64
        lifetime = 0
        idle_timeout = 900
    }}
    tls {{
{_freeradius_tls(place)}
        require_client_cert = yes
    }}
}}
server biebroam {{
    authorize {{
        # Every library has a certificate of this authority; only the federation's own proxy may ask here.
        if ("%{{listen:TLS-Client-Cert-Subject-Alt-Name-Dns}}" != "{place.server_name}") {{
            reject
        }}
        eap {{
            ok = return
        }}
    }}
    authenticate {{
        eap
    }}
    post-auth {{
        Post-Auth-Type REJECT {{
            attr_filter.access_reject
        }}
    }}
}}
home_server federation {{
    type = auth
    ipaddr = {place.host}
    port = {place.port}
    proto = tcp
    secret = radsec
    status_check = status-server
    response_window = 10
    tls {{
{_freeradius_tls(place)}
    }}
}}
home_server_pool federation {{
    type = fail-over
    home_server = federation
}}
realm DEFAULT {{
    auth_pool = federation
    nostrip
}}
# Patrons of this library are checked here and never sent away.
{own}
"""
    return Configuration(
        "freeradius",
        {"/etc/freeradius/3.0/sites-available/biebroam": text},
        (
            f"Put key.pem, chain.pem and anchors.pem into {place.folder}, readable by the user freerad only.",
            "ln -s ../sites-available/biebroam /etc/freeradius/3.0/sites-enabled/",
            "In proxy.conf, take out any other `realm DEFAULT`.",
            "Check it with `freeradius -XC`, then restart FreeRADIUS.",
            _REFRESH,
        ),
    )


def _freeradius_tls(place: Place) -> str:
    return f"""\
        private_key_file = {place.folder}/key.pem
        certificate_file = {place.folder}/chain.pem
        ca_file = {place.folder}/anchors.pem
        cipher_list = "DEFAULT"
        ecdh_curve = ""
        tls_min_version = "1.2"
        tls_max_version = "1.3"
        fragment_size = 8192"""


def build_radsecproxy(place: Place) -> Configuration:
    """The proxy radsecproxy, between a library's UDP-only equipment and the federation."""
    name = re.escape(place.server_name).replace("/", r"\/")
    home, home_port = place.home
    own = "\n".join(f"realm {realm} {{\n    server home\n}}" for realm in place.realms)
    text = f"""\
# {place.library}: RADIUS/TLS with the federation (RFC 6614).
ListenTLS {place.listen}:{place.listen_port}
ListenUDP {place.listen}:{place.access_port}
LogLevel 3
LoopPrevention on

tls biebroam {{
    CACertificateFile {place.folder}/anchors.pem
    CertificateFile {place.folder}/chain.pem
    CertificateKeyFile {place.folder}/key.pem
    PolicyOID {POLICY_OPERATOR.dotted_string}
    TlsVersion TLS1_2:
}}

client federation {{
    host {place.host}
    type tls
    secret radsec
    tls biebroam
    certificateNameCheck off
    matchCertificateAttribute SubjectAltName:DNS:/^{name}$/
}}
client access-points {{
    host 0.0.0.0/0
    type udp
    secret {place.secret}
}}

server federation {{
    host {place.host}
    port {place.port}
    type tls
    secret radsec
    tls biebroam
    statusServer on
    certificateNameCheck off
    matchCertificateAttribute SubjectAltName:DNS:/^{name}$/
}}
server home {{
    host {home}
    port {home_port}
    type udp
    secret {place.secret}
}}

{own}
realm * {{
    server federation
}}
"""
    return Configuration(
        "radsecproxy",
        {"/etc/radsecproxy.conf": text},
        (
            f"Put key.pem, chain.pem and anchors.pem into {place.folder}, readable by radsecproxy's user only.",
            "Narrow `client access-points` to the network of your access points; its secret stands in the file.",
            "Set host, port and secret of `server home` to those of your RADIUS server.",
            "Check it with `radsecproxy -p -c /etc/radsecproxy.conf`, then restart it.",
            _REFRESH,
            "A renewed certificate takes a restart. Other roots alone take SIGHUP, which ends no connection.",
        ),
    )


def build_hostapd(place: Place) -> Configuration:
    """An access point with hostapd, which speaks UDP to a radsecproxy beside it."""
    text = f"""\
# {place.library}: add to hostapd.conf. hostapd speaks RADIUS/UDP to the radsecproxy on the same machine.
ieee8021x=1
eapol_version=2
own_ip_addr=127.0.0.1
nas_identifier={place.realms[0] if place.realms else place.library}
auth_server_addr=127.0.0.1
auth_server_port={place.access_port}
auth_server_shared_secret={place.secret}
"""
    return Configuration(
        "hostapd",
        {"/etc/hostapd/biebroam.conf": text},
        (
            "Run radsecproxy on the same machine, with the configuration for it that came with this one.",
            "Set interface. For Wi-Fi also set ssid, wpa=2, wpa_key_mgmt=WPA-EAP and rsn_pairwise=CCMP.",
            "For a cable set driver=wired instead.",
        ),
    )


def build_biebroam_home(place: Place) -> Configuration:
    """Biebroam's own home server at a library: a federation file with that library in it, and its settings."""
    realms = ", ".join(f'"{realm}"' for realm in place.realms)
    text = f"""\
[federation]
name = "{place.library}"
country = "NL"
eap_server_name = "{place.realms[0] if place.realms else place.library + ".example"}"

[[libraries]]
id = "{place.library}"
name = "{place.library}"
realms = [{realms}]

[[libraries.access_points]]  # the federation's proxy, which asks for your patrons
name = "federation"
kind = "proxy"
certificate = "{place.server_name}"

[libraries.identity]
kind = "local"
"""
    settings = f"""\
# {place.library}: the settings of its home server.
listen = "{place.listen}"
auth_port = {place.access_port}  # for the library's own access points, over UDP
radsec_port = {place.listen_port}  # for the federation's proxy, over TLS
radsec_folder = "{place.folder}"  # of key.pem, chain.pem and anchors.pem; renewed files are taken over as they come
"""
    return Configuration(
        "biebroam-home",
        {"federation.toml": text, f"{BIEBROAM_DATA}/biebroam.toml": settings},
        (
            f"Put key.pem, chain.pem and anchors.pem into {place.folder}, readable by Biebroam's user only.",
            f"export BIEBROAM_DATA={BIEBROAM_DATA}, then: biebroam init",
            f"Put biebroam.toml into {BIEBROAM_DATA}.",
            "Set country, names and identity in federation.toml, then: biebroam apply federation.toml",
            "biebroam home",
            _REFRESH,
        ),
    )


def build_steps(place: Place) -> Configuration:
    """Written steps for what takes no file: Microsoft's NPS, and controllers."""
    realms = ", ".join(place.realms) or "your realms (none are registered yet)"
    return Configuration(
        "nps-and-controllers",
        {},
        (
            "NPS speaks no RADIUS/TLS: run radsecproxy on a Linux machine beside it, configured as above.",
            "In the radsecproxy.conf, set host and port of `server home` to those of the NPS (port 1812).",
            "NPS, RADIUS clients: add the radsecproxy's address, with the secret of its `server home`.",
            f"NPS, remote RADIUS server group: the radsecproxy, port {place.access_port}, with the same secret.",
            f"NPS, connection request policy: names that do not end in one of {realms} go to that group.",
            "NPS: require Message-Authenticator on both (KB5040268).",
            f"A controller that speaks RADIUS/TLS itself: server {place.host}, port {place.port}, secret “radsec”.",
            "Import anchors.pem there as the trusted authority, and chain.pem with its key as its own certificate.",
            f"Have it expect the name {place.server_name} in the server's certificate.",
            f"Any other controller: RADIUS/UDP to the radsecproxy, port {place.access_port}.",
        ),
    )


_BUILDERS: tuple[Callable[[Place], Configuration], ...] = (
    build_biebroam_home,
    build_freeradius,
    build_radsecproxy,
    build_hostapd,
    build_steps,
)
