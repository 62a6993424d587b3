"""The example packets of RFC 2865 §7 and RFC 5997 §6, octet for octet."""

from dataclasses import dataclass

SECRET = b"xyzzy5461"  # of all these examples


@dataclass(frozen=True)
class Exchange:
    """A request and the answer that the RFC gives to it."""

    name: str
    request: bytes
    response: bytes
    password: bytes | None = None


RFC_2865_TELNET = Exchange(
    "RFC 2865 §7.1",
    bytes.fromhex(
        "01000038 0f403f94 73978057 bd83d5cb 98f4227a 01066e65 6d6f0212 0dbe708d 93d413ce 3196e43f 782a0aee"
        "0406c0a8 01100506 00000003"
    ),
    bytes.fromhex("02000026 86fe220e 7624ba2a 1005f6bf 9b55e0b2 06060000 00010f06 00000000 0e06c0a8 0103"),
    b"arctangent",
)
RFC_2865_CHAP = Exchange(
    "RFC 2865 §7.2",
    bytes.fromhex(
        "01010047 2aee86f0 8d0d5596 9ca5978e 0d3367a2 0108666c 6f707379 031316e9 7557c316 185895f2 93ff6344"
        "07727504 06c0a801 10050600 00001406 06000000 02070600 000001"
    ),
    bytes.fromhex(
        "02010038 15efbc7d ab26cfa3 dc34d9c0 3c8601a4 06060000 00020706 00000001 0806ffff fffe0a06 00000002"
        "0d060000 00010c06 000005dc"
    ),
)
RFC_2865_CHALLENGE = Exchange(
    "RFC 2865 §7.3, first",
    bytes.fromhex(
        "01020039 f3a47a1f 6a6d7671 0b947ab9 3041a039 01076d6f 70737902 12336575 73778289 b570885e 15084825"
        "c50406c0 a8011005 06000000 07"
    ),
    bytes.fromhex(
        "0b02004e 36f3c876 4ae8c711 57403c0c 71ff9c45 12304368 616c6c65 6e676520 33323736 39343330 2e202045"
        "6e746572 20726573 706f6e73 65206174 2070726f 6d70742e 180a3332 37363934 3330"
    ),
    b"challenge",
)
RFC_2865_RESPONSE = Exchange(
    "RFC 2865 §7.3, second",
    bytes.fromhex(
        "01030043 b122556d 428a13d0 d6253807 c457ecf0 01076d6f 70737902 12692c1f 205fc081 b919b951 95f561a5"
        "810406c0 a8011005 06000000 07180a33 32373639 343330"
    ),
    bytes.fromhex("03030014 a42f4fca 45916c4e 09c8340f 9e746aa0"),
    b"99101462",
)
RFC_5997_AUTHENTICATION = Exchange(
    "RFC 5997 §6.1",
    bytes.fromhex("0cda0026 8a54f468 6fb394c5 2866e302 185d0623 50125a66 5e2e1e84 11f3e243 822097c8 4fa3"),
    bytes.fromhex("02da0014 ef0d552a 4bf2d693 ec2b6fe8 b5411d66"),
)
RFC_5997_ACCOUNTING = Exchange(
    "RFC 5997 §6.2",
    bytes.fromhex("0cb30026 925f6b66 dd5fed57 1fcb1db7 ad388260 5012e8d6 eabda910 875cd91f dade2636 7858"),
    bytes.fromhex("05b30014 0f6f9214 5f107e2f 504e860a 4860669c"),
)
EXCHANGES = (
    RFC_2865_TELNET,
    RFC_2865_CHAP,
    RFC_2865_CHALLENGE,
    RFC_2865_RESPONSE,
    RFC_5997_AUTHENTICATION,
    RFC_5997_ACCOUNTING,
)
PACKETS = tuple(octets for exchange in EXCHANGES for octets in (exchange.request, exchange.response))
