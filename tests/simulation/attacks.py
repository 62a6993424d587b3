"""Who sends what nobody should: attackers on the way and beside it, and clients that know no better."""

from random import Random

from tests.simulation import octets
from tests.simulation.clients import Asker
from tests.simulation.federations import PORT
from tests.simulation.network import Datagram
from tests.simulation.octets import Attribute
from tests.simulation.proxies import Proxy


def attack(proxy: Proxy, askers: list[Asker], what: str) -> None:
    """Somebody does this to a proxy, once."""
    random = proxy.network.random(f"attack {what}")
    requests, answers = _overheard(proxy, is_answer=False), _overheard(proxy, is_answer=True)
    found: list[Datagram] = []
    match what:
        case "replayed_request" if requests:
            found = random.choices(requests, k=4)
        case "replayed_answer" if answers:
            found = random.choices(answers, k=4)
        case "altered_request" if requests:
            found = [_alter(random, each) for each in random.choices(requests, k=4)]
        case "altered_answer" if answers:
            found = [_alter(random, each) for each in random.choices(answers, k=4)]
        case "crossed_answer" if answers:
            found = [_cross(random, each, proxy) for each in random.choices(answers, k=8)]
        case "forged_answer":
            found = [_forge(random, proxy) for _ in range(20) if proxy.ports]
        case "stranger" | "borrowed_address":
            host = "192.0.2.250" if what == "stranger" else random.choice(askers).site.host
            found = [_ask_falsely(random, host, proxy) for _ in range(5)]
        case "status_flood" if proxy.number == 0:
            for _ in range(20):
                send_odd(askers[0], "status", 0)
        case _:
            pass
    for datagram in found:
        proxy.network.bring(datagram, random.random())


def _overheard(proxy: Proxy, *, is_answer: bool) -> list[Datagram]:
    return [
        datagram
        for (_, target), heard in sorted(proxy.network.heard.items())
        if target == proxy.host
        for datagram in heard
        if (datagram.target[1] >= 30_000) is is_answer
    ]


def _alter(random: Random, datagram: Datagram) -> Datagram:
    """A code turned round, an attribute added, one octet changed: always with right lengths."""
    octets_now = bytearray(datagram.octets)
    if len(octets_now) < 20:
        return datagram
    kind = random.randrange(3)
    if kind == 0:
        octets_now[0] = 2 if octets_now[0] != 2 else 3
    elif kind == 1:
        octets_now += octets.join([random.choice(((33, b"x" * 30), (6, bytes(4)), (25, b"forged")))])
        octets_now[2:4] = len(octets_now).to_bytes(2)
    else:
        octets_now[random.randrange(4, 20)] ^= 0x40
    return datagram._replace(octets=bytes(octets_now), is_genuine=False)


def _cross(random: Random, datagram: Datagram, proxy: Proxy) -> Datagram:
    """An answer to one request, sent as the answer to another."""
    target = (proxy.host, random.choice(sorted(proxy.ports))) if proxy.ports else datagram.target
    source = proxy.ports[target[1]].target if target[1] in proxy.ports else datagram.source
    octets_now = bytes((datagram.octets[0], random.randrange(8))) + datagram.octets[2:]
    return Datagram(source, target, octets_now, is_genuine=octets_now == datagram.octets and datagram.is_genuine)


def _forge(random: Random, proxy: Proxy) -> Datagram:
    """An acceptance from somebody who knows everything but the secret."""
    number = random.choice(sorted(proxy.ports))
    answer = octets.sign_answer(
        octets.ACCESS_ACCEPT, random.randrange(8), random.randbytes(16), [(25, b"forged")], b"a guess"
    )
    return Datagram(proxy.ports[number].target, (proxy.host, number), answer, is_genuine=False)


def _ask_falsely(random: Random, host: str, proxy: Proxy) -> Datagram:
    request = octets.sign_access_request(
        octets.ACCESS_REQUEST,
        random.randrange(256),
        random.randbytes(16),
        [(octets.USER_NAME, b"u@r0.realm.test"), *octets.split_eap(b"\x02\x01\x00\x05\x01")],
        b"not its secret, no",
    )
    return Datagram((host, 50_000), (proxy.host, PORT), request, is_genuine=False)


def send_odd(asker: Asker, what: str, realm: int) -> None:
    """The client sends this; none of it may reach a home server."""
    random = asker.network.random(f"odd {what}")
    library, secret = asker.registry.library(realm), asker.site.secret
    name = f"odd@{asker.registry.realms[realm]}".encode()
    named: Attribute = (octets.USER_NAME, name)
    eap = octets.split_eap(b"\x02\x07\x00\x09\x01abcd")
    code, authenticator = octets.ACCESS_REQUEST, random.randbytes(16)
    hidden: Attribute = (octets.USER_PASSWORD, octets.hide_password(b"secret", secret, authenticator))
    identifier = random.randrange(256)
    attributes: list[Attribute] = []
    match what:
        case "no_name":
            attributes = eap
        case "no_realm" | "two_at" | "unknown_realm" | "denied_realm":
            names = {
                "no_realm": b"odd",
                "two_at": b"a@b@" + name,
                "unknown_realm": b"odd@nowhere.test",
                "denied_realm": b"odd@wlan.mnc001.3gppnetwork.org",
            }
            attributes = [(octets.USER_NAME, names[what]), *eap]
        case "eap_lies":
            lie = random.choice(
                (b"\x02\x07\x00\x08\x01abcd", b"\x02\x07\xff\xff\x01", b"\x02\x07", b"\x00\x07\x00\x04")
            )
            attributes = [named, (octets.EAP_MESSAGE, lie)]
        case "no_credentials":
            attributes.append(named)
        case "many_states":
            attributes = [named, *eap, *((octets.PROXY_STATE, bytes((each,))) for each in range(17))]
        case "full":
            attributes = [named, *eap, *((octets.PROXY_STATE, bytes(250)) for _ in range(15))]
            room = 4096 - 20 - 18 - len(octets.join(attributes)) - 2
            attributes.append((octets.CALLED_STATION_ID, bytes(room - 1)))  # our own Proxy-State has no room
        case "pap_away":
            if asker.site.allows_pap and asker.site.library == library:
                return
            attributes = [named, hidden]
        case "two_names":
            attributes = [named, (octets.USER_NAME, b"other@" + name.partition(b"@")[2]), *eap]
        case "password_beside_eap":
            attributes = [named, hidden, *eap]
        case "accounting":
            request = octets.sign_accounting_request(
                identifier, [named, (octets.ACCT_STATUS_TYPE, (1).to_bytes(4)), (octets.ACCT_SESSION_ID, b"s")], secret
            )
            asker.send_odd(request, is_accounting=True)
            return
        case "coa":
            code = 43
            attributes.append(named)
        case "status":
            code = octets.STATUS_SERVER
        case "response_code":
            code = random.choice((2, 3, 5, 11, 0, 255))
            attributes.append(named)
        case _:  # no_seal
            body = octets.join([named, *eap])
            asker.send_odd(bytes((code, identifier)) + (20 + len(body)).to_bytes(2) + authenticator + body)
            return
    asker.send_odd(octets.sign_access_request(code, identifier, authenticator, attributes, secret))
