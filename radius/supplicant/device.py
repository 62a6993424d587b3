"""A device, without I/O: what it answers to each EAP-Request, by the method that it was set to."""

from collections.abc import Callable
from typing import Final

from radius.eap.fragments import FragmentError, Fragments
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap, parse_eap
from radius.supplicant.failure import DeviceError, FailedStep
from radius.supplicant.methods import Credentials, Method, PeapMsChapV2, TtlsMsChapV2, TtlsPap
from radius.supplicant.tunnel import DeviceTunnel, ServerSeen

FRAGMENT_OCTETS: Final = 1024
METHODS: Final[dict[str, tuple[EapType, Callable[[DeviceTunnel, Credentials], Method]]]] = {
    "ttls-pap": (EapType.TTLS, TtlsPap),
    "ttls-mschapv2": (EapType.TTLS, TtlsMsChapV2),
    "peap-mschapv2": (EapType.PEAP, PeapMsChapV2),
}


class Device:
    """One login of a device."""

    def __init__(
        self,
        *,
        outer_identity: str,
        user: str,
        password: str,
        ca_pem: bytes,
        server_name: str,
        method: str = "ttls-pap",
    ) -> None:
        """Take part as `user`, by one of METHODS.

        Raises:
            ValueError: the method is none that it speaks.
            DeviceError: the anchors are no certificates.
        """
        if method not in METHODS:
            raise ValueError(f"this device speaks {', '.join(METHODS)}, not {method}")
        self._outer = outer_identity.encode("utf-8", "surrogateescape")
        self._type, make = METHODS[method]
        credentials = Credentials(user.encode("utf-8", "surrogateescape"), password)
        self._method = make(DeviceTunnel(ca_pem, server_name), credentials)
        self._fragments = Fragments(FRAGMENT_OCTETS)
        self.has_begun = False  # the server has offered the method

    @property
    def server(self) -> ServerSeen | None:
        """The server, once it is the one expected."""
        return self._method.tunnel.server

    @property
    def msk(self) -> bytes:
        """The keys of the radio link; empty while the device would not take a success."""
        return self._method.msk

    def answer(self, request: bytes) -> bytes:
        """Return the EAP-Response to an EAP-Request.

        Raises:
            DeviceError: the server is not the one expected, or breaks the protocol.
        """
        packet = parse_eap(request)
        if packet is None or packet.code != EapCode.REQUEST:
            raise DeviceError(FailedStep.PROTOCOL, "the server sent no EAP request")
        match packet.kind:
            case EapType.IDENTITY:
                return self._respond(packet, self._outer)
            case EapType.NOTIFICATION:
                return self._respond(packet, b"")
            case self._type:
                self.has_begun = True
                return self._respond(packet, self._take(packet.data))
            case _ if self.has_begun:
                raise DeviceError(FailedStep.PROTOCOL, "the server changed the method in the middle")
            case _:
                return build_eap(EapCode.RESPONSE, packet.identifier, EapType.NAK, bytes((self._type,)))

    def _take(self, data: bytes) -> bytes:
        try:
            message = self._fragments.receive(data)
        except FragmentError as error:
            raise DeviceError(FailedStep.PROTOCOL, f"the server sent {error}") from None
        if message is None:
            return self._fragments.next_piece()
        return self._fragments.send(self._method.advance(message))

    def _respond(self, packet: EapPacket, data: bytes) -> bytes:
        return build_eap(EapCode.RESPONSE, packet.identifier, packet.kind, data)
