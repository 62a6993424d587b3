"""A whole login over RADIUS, as an access point relays it: requests, retransmission, and every answer verified."""

import asyncio
import os
import socket
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Final

from radius.eap.packet import EapCode, EapType
from radius.eap.tunnel import MSK_OCTETS
from radius.errors import DropReason
from radius.supplicant.device import METHODS, Device
from radius.supplicant.failure import DeviceError, FailedStep, Outcome
from radius.supplicant.tunnel import ServerSeen
from radius.transport.udp import connect_udp
from radius.wire.attributes import concatenate, find, find_vendor
from radius.wire.authenticators import KeyedSecret, decide_response_authenticity, sign_request
from radius.wire.codes import AttributeType, Code, ErrorCause, MicrosoftAttribute, VendorId
from radius.wire.hiding import reveal_salted
from radius.wire.packet import MAX_PACKET_OCTETS, Packet, build_attribute, build_fragments, parse_packet

MAX_ROUNDS: Final = 60
_FRAMED_USER: Final = (2).to_bytes(4)  # Service-Type, RFC 2865 §5.6
_FRAMED_MTU: Final = (1400).to_bytes(4)
_WIRELESS: Final = (19).to_bytes(4)  # NAS-Port-Type Wireless - IEEE 802.11, RFC 2865 §5.41


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Who logs in, where, and what the device trusts."""

    host: str
    port: int
    secret: bytes = field(repr=False)
    user: str
    password: str = field(repr=False)
    ca_pem: bytes = field(repr=False)
    server_name: str
    method: str = "ttls-pap"
    outer_identity: str = ""  # empty: anonymous@ the realm of the user
    calling_station_id: str = "02-00-5E-10-00-01"
    called_station_id: str = "02-00-5E-20-00-01:biebroam"
    nas_identifier: str = "biebroam-probe"
    retransmit_seconds: float = 3.0
    tries: int = 3
    source: str | None = None  # the access point's own address; None: as the kernel chooses


@dataclass(frozen=True, slots=True)
class LoginStep:
    """One round, or what was done within the device."""

    text: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How a login went."""

    outcome: Outcome
    reason: str  # for a person; empty when it was accepted
    steps: tuple[LoginStep, ...]
    seconds: float
    keys_match: bool  # the access point has the keys that the device has
    server: ServerSeen | None  # None: the tunnel was never built
    error_cause: int | None = None  # of an Access-Reject (RFC 5176 §3.6)
    failed_step: FailedStep | None = None  # None: it was accepted, with keys that match

    @property
    def is_accepted(self) -> bool:
        """Whether the patron is on the Wi-Fi: accepted, and with keys that match."""
        return self.outcome is Outcome.ACCEPTED and self.keys_match

    @property
    def summary(self) -> str:
        """One line for a person."""
        took = f"{self.seconds * 1000:.0f} ms"
        if self.is_accepted and self.server is not None:
            return f"accepted in {took}: keys match, {self.server.tls_version}, server {', '.join(self.server.names)}"
        return f"{self.outcome} after {took}, at {self.failed_step}: {self.reason}"

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {**asdict(self), "is_accepted": self.is_accepted}


class _NoAnswer(Exception):  # noqa: N818 - never leaves this module
    """The server said nothing in time."""


async def log_in(request: LoginRequest) -> LoginResult:
    """Log in once. What goes wrong on the way is in the result.

    Raises:
        ValueError: the method is none that this device speaks.
        OSError: there is no way to the server.
    """
    if request.method not in METHODS:
        raise ValueError(f"this device speaks {', '.join(METHODS)}, not {request.method}")
    udp = connect_udp(request.host, request.port, source=request.source)
    try:
        return await _Login(request, udp).run()
    finally:
        udp.close()


class _Login:
    def __init__(self, request: LoginRequest, udp: socket.socket) -> None:
        realm = request.user.rpartition("@")[2]
        self._outer = request.outer_identity or f"anonymous@{realm}"
        self._request = request
        self._socket = udp
        self._keyed = KeyedSecret(request.secret)
        self._steps: list[LoginStep] = []
        self._started = monotonic()
        self._state = b""
        self._identifier = os.urandom(1)[0]
        self._device: Device | None = None

    async def run(self) -> LoginResult:
        request = self._request
        try:
            self._device = Device(
                outer_identity=self._outer,
                user=request.user,
                password=request.password,
                ca_pem=request.ca_pem,
                server_name=request.server_name,
                method=request.method,
            )
            # The access point asks the device for its identity itself and begins with the answer (RFC 3579 §2.1).
            eap = self._device.answer(bytes((EapCode.REQUEST, 0, 0, 5, EapType.IDENTITY)))
            text = f"identity {self._outer}"
            for _ in range(MAX_ROUNDS):
                packet, authenticator = await self._ask(eap, text)
                if packet.code == Code.ACCESS_ACCEPT:
                    return self._accepted(packet, authenticator)
                if packet.code == Code.ACCESS_REJECT:
                    return self._rejected(packet)
                self._state = find(packet, AttributeType.STATE) or b""
                eap = self._device.answer(concatenate(packet, AttributeType.EAP_MESSAGE))
                text = self._describe_round()
        except DeviceError as error:
            return self._end(Outcome.ABORTED, str(error), failed_step=error.step)
        except _NoAnswer:
            text = f"no answer from {request.host}:{request.port}"
            return self._end(Outcome.TIMEOUT, text, failed_step=FailedStep.REACH)
        return self._end(Outcome.ABORTED, f"no end after {MAX_ROUNDS} rounds", failed_step=FailedStep.PROTOCOL)

    def _describe_round(self) -> str:
        device = self._device
        if device is None or device.server is None:
            return "TLS handshake"
        return "inside the tunnel"

    async def _ask(self, eap: bytes, text: str) -> tuple[Packet, bytes]:
        """One request and its verified answer; sent again, octet for octet, as an access point does."""
        authenticator = os.urandom(16)
        self._identifier = (self._identifier + 1) % 256
        octets = sign_request(Code.ACCESS_REQUEST, self._identifier, authenticator, self._attributes(eap), self._keyed)
        loop = asyncio.get_running_loop()
        began = monotonic()
        for _ in range(self._request.tries):
            try:
                await loop.sock_sendall(self._socket, octets)
                async with asyncio.timeout(self._request.retransmit_seconds):
                    packet = await self._receive(authenticator)
            except TimeoutError:
                continue
            except ConnectionRefusedError:  # nobody listens there yet
                await asyncio.sleep(self._request.retransmit_seconds / 10)
                continue
            self._steps.append(LoginStep(f"{text}: {_name_of(packet.code)}", monotonic() - began))
            return packet, authenticator
        self._steps.append(LoginStep(f"{text}: no answer", monotonic() - began))
        raise _NoAnswer

    async def _receive(self, authenticator: bytes) -> Packet:
        """The first datagram that is an authentic answer; others are as if they had not come."""
        loop = asyncio.get_running_loop()
        while True:
            packet = parse_packet(await loop.sock_recv(self._socket, MAX_PACKET_OCTETS))
            if isinstance(packet, DropReason) or packet.identifier != self._identifier:
                continue
            if packet.code not in (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE):
                continue
            reason = decide_response_authenticity(
                packet, self._keyed, authenticator, requires_message_authenticator=True
            )
            if reason is None:
                return packet

    def _attributes(self, eap: bytes) -> bytes:
        request = self._request
        attributes = (
            build_attribute(AttributeType.USER_NAME, self._outer.encode())
            + build_attribute(AttributeType.NAS_IDENTIFIER, request.nas_identifier.encode())
            + build_attribute(AttributeType.CALLED_STATION_ID, request.called_station_id.encode())
            + build_attribute(AttributeType.CALLING_STATION_ID, request.calling_station_id.encode())
            + build_attribute(AttributeType.SERVICE_TYPE, _FRAMED_USER)
            + build_attribute(AttributeType.NAS_PORT_TYPE, _WIRELESS)
            + build_attribute(AttributeType.FRAMED_MTU, _FRAMED_MTU)
            + build_fragments(AttributeType.EAP_MESSAGE, eap)
        )
        return attributes + (build_attribute(AttributeType.STATE, self._state) if self._state else b"")

    def _accepted(self, packet: Packet, authenticator: bytes) -> LoginResult:
        """Compare the keys that came over RADIUS with those that the device made (RFC 2548 §2.4)."""
        msk = self._device.msk if self._device else b""
        receive = self._key(packet, MicrosoftAttribute.MPPE_RECV_KEY, authenticator)
        send = self._key(packet, MicrosoftAttribute.MPPE_SEND_KEY, authenticator)
        if not msk:
            text = "accepted before the server proved itself inside the tunnel"
            return self._end(Outcome.ACCEPTED, text, failed_step=FailedStep.SERVER_PROOF)
        if len(msk) != MSK_OCTETS or (receive, send) != (msk[:32], msk[32:]):
            return self._end(Outcome.ACCEPTED, "the keys do not match", failed_step=FailedStep.KEYS)
        return self._end(Outcome.ACCEPTED, "", keys_match=True)

    def _key(self, packet: Packet, vendor_type: int, authenticator: bytes) -> bytes | None:
        hidden = find_vendor(packet, VendorId.MICROSOFT, vendor_type)
        return None if hidden is None else reveal_salted(hidden, self._keyed, authenticator)

    def _rejected(self, packet: Packet) -> LoginResult:
        value = find(packet, AttributeType.ERROR_CAUSE)
        cause = int.from_bytes(value) if value else None
        reason = "Access-Reject"
        if cause is not None:
            name = ErrorCause(cause).name if cause in frozenset(ErrorCause) else str(cause)
            reason += f", Error-Cause {name.replace('_', ' ').lower()}"
        return self._end(Outcome.REJECTED, reason, error_cause=cause, failed_step=self._find_refuser(cause))

    def _find_refuser(self, cause: int | None) -> FailedStep:
        """At which step the Access-Reject came; only proxies say an Error-Cause."""
        device = self._device
        if device is not None and device.server is not None:
            return FailedStep.CREDENTIALS
        if device is not None and device.has_begun:
            return FailedStep.TLS
        return FailedStep.METHOD if cause is None and self._state else FailedStep.ROUTE

    def _end(
        self,
        outcome: Outcome,
        reason: str,
        *,
        keys_match: bool = False,
        error_cause: int | None = None,
        failed_step: FailedStep | None = None,
    ) -> LoginResult:
        return LoginResult(
            outcome,
            reason,
            tuple(self._steps),
            monotonic() - self._started,
            keys_match,
            self._device.server if self._device else None,
            error_cause,
            failed_step,
        )


def _name_of(code: int) -> str:
    return "-".join(word.capitalize() for word in Code(code).name.split("_"))
