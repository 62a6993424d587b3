"""Realms in a real zone: as they should be, and as somebody may make them."""

from ipaddress import ip_network

TAG = '"x-biebroam:radius.tls"'


def realm(name: str, target: str = "fed", *, ttl: int = 300) -> str:
    return f'{name} {ttl} NAPTR 100 10 "s" {TAG} "" _radsec._tcp.{target}\n'


def server(name: str, *addresses: str, ttl: int = 300, host: str = "", port: int = 2083) -> str:
    """An SRV record and a host with these addresses."""
    host = host or f"radius.{name}"
    text = f"_radsec._tcp.{name} {ttl} SRV 10 5 {port} {host}\n"
    return text + "".join(f"{host} {ttl} {'AAAA' if ':' in each else 'A'} {each}\n" for each in addresses)


ZONE = "".join(
    (
        realm("greatlib"),
        server("fed", "9.9.9.9", "2620:fe::9", ttl=120),
        realm("itself", "itself"),
        server("itself", "127.0.0.2"),
        realm("local", "local"),
        server("local", "127.0.0.3", "::1", port=8080),
        realm("asker", "asker"),
        server("asker", "9.9.9.77"),
        realm("loopback", "loopback"),
        server("loopback", "127.1.2.3"),
        realm("private", "private"),
        server("private", "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "fd00::1", "::ffff:127.0.0.1"),
        realm("mixed", "mixed"),
        server("mixed", "192.168.1.1", "9.9.9.10"),
        realm("nosrv", "nowhere"),
        realm("closed", "closed"),
        "_radsec._tcp.closed SRV 0 0 0 .\n",
        realm("shell", "shell"),
        "_radsec._tcp.shell SRV 0 0 2083 radius\\;reboot.fed\n_radsec._tcp.shell SRV 1 0 2083 \\$\\(id\\).fed\n",
        f'shell2 NAPTR 100 10 "s" {TAG} "" a\\`id\\`b.fed\n',
        f'expression NAPTR 100 10 "s" {TAG} "!.*!_radsec._tcp.fed.example!" .\n',
        "cname1 CNAME cname2\ncname2 CNAME cname1\n",
        "alias CNAME greatlib\n",
        realm("zero", "zero", ttl=0),
        server("zero", "9.9.9.11", ttl=0),
        realm("forever", "forever", ttl=2**31 - 1),
        server("forever", "9.9.9.12", ttl=2**31 - 1),
        realm("crowd", "crowd"),
        server("crowd", *(f"9.9.{n // 250}.{n % 250 + 1}" for n in range(1000))),
        "".join(f'hundred NAPTR {n} 10 "s" {TAG} "" _radsec._tcp.n{n}\n' for n in range(65)),
        "".join(
            f'other{n} A 9.9.9.9\nbig NAPTR {n} 10 "s" "x-other:radius.tls" "" _radsec._tcp.n{n}\n' for n in range(25)
        ),
        realm("big"),
        f'flaga NAPTR 100 10 "a" {TAG} "" radius.fed\n',
        f'step NAPTR 100 10 "" {TAG} "" greatlib\n',
        "silent TXT nothing\n",
        'eduroam NAPTR 100 10 "s" "x-eduroam:radius.tls" "" _radsec._tcp.fed\n',
    )
)
LAB = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
