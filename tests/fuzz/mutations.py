"""Mutations that keep an input's form more often than not: one attribute of a packet, one octet, one length."""

import random
from typing import Final

MAX_OCTETS: Final = 6000
_ODD_OCTETS: Final = (0, 1, 2, 3, 4, 6, 16, 17, 18, 19, 26, 33, 34, 64, 69, 79, 80, 126, 127, 128, 253, 254, 255)
_STARTS: Final = (20, 1, 8, 3)  # where the attributes begin: of a packet, and behind the choices of `rewriting`


def mutate(octets: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """The input with one to three changes, and, if it was a packet, mostly with a Length that fits."""
    changed = octets
    for _ in range(dice.randint(1, 3)):
        start = next((start for start in _STARTS if _split(changed[start:])), None)
        if start is None or dice.random() < 0.4:
            changed = _change_octets(bytearray(changed), others, dice)
        else:
            changed = changed[:start] + _change_attributes(_split(changed[start:]), dice)
    changed = changed[:MAX_OCTETS]
    if len(changed) >= 20 and octets[2:4] == len(octets).to_bytes(2) and dice.random() < 0.9:
        changed = changed[:2] + len(changed).to_bytes(2) + changed[4:]
    return changed


def _split(octets: bytes) -> list[bytes]:
    """The attributes that fill the octets exactly; none if there are no such attributes."""
    found: list[bytes] = []
    at = 0
    while at < len(octets):
        end = at + octets[at + 1] if at + 1 < len(octets) else 0
        if end < at + 2 or end > len(octets):
            return []
        found.append(octets[at:end])
        at = end
    return found


def _change_attributes(attributes: list[bytes], dice: random.Random) -> bytes:
    at = dice.randrange(len(attributes))
    chosen = attributes[at]
    match dice.randrange(7):
        case 0:
            del attributes[at]
        case 1:
            attributes.insert(dice.randrange(len(attributes) + 1), chosen)
        case 2:
            attributes.append(attributes.pop(at))
        case 3:
            attributes[at] = bytes((dice.choice(_ODD_OCTETS),)) + chosen[1:]
        case 4:
            attributes += [chosen] * dice.choice((1, 16, 200))
        case 5 if len(chosen) > 6:  # inside a value, its length left alone
            inside = dice.randrange(6, len(chosen))
            attributes[at] = chosen[:inside] + bytes((dice.choice(_ODD_OCTETS),)) + chosen[inside + 1 :]
        case _:
            value = (chosen[2:] + dice.randbytes(20))[: dice.randrange(len(chosen) + 20)][:253]
            attributes[at] = bytes((chosen[0], len(value) + 2)) + value
    return b"".join(attributes)


def _change_octets(octets: bytearray, others: list[bytes], dice: random.Random) -> bytes:
    at = dice.randrange(len(octets) + 1)
    size = dice.choice((1, 2, 4, 16, 40, 253))
    match dice.randrange(8):
        case 0 if at < len(octets):
            octets[at] ^= 1 << dice.randrange(8)
        case 1 if at < len(octets):
            octets[at] = dice.choice(_ODD_OCTETS)
        case 2:
            del octets[at : at + size]
        case 3:
            octets[at:at] = dice.randbytes(size)
        case 4:
            octets[at:at] = octets[at : at + size] * dice.choice((1, 1, 2, 20))
        case 5 if others:
            other = dice.choice(others)
            start = dice.randrange(len(other) + 1)
            octets[at:at] = other[start : start + size]
        case 6:
            del octets[at:]
        case _:
            start = dice.randrange(len(octets) + 1)
            octets[at : at + size] = octets[start : start + size]
    return bytes(octets)
