"""How well peers sign what they send."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.snapshot import Transport
from federation.statistics.posture import IfRequired, PeerKind, PeerPosture


class PostureView(Schema):
    """Where Message-Authenticator stood in what a peer sent, since this node's workers started (CVE-2024-3596)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "client",
                    "peer": "leesstad/hal",
                    "transport": "udp",
                    "is_required": False,
                    "first": 0,
                    "later": 812,
                    "missing": 3,
                    "if_required": "drops",
                }
            ]
        }
    )

    kind: PeerKind
    peer: Annotated[str, Field(description="The library and the name of the access point or home server")]
    transport: Annotated[
        Transport, Field(description="Over `tls` it is never required; RADIUS/1.1 has none, and counts as `first`")
    ]
    is_required: bool
    first: Annotated[int, Field(description="Packets in which it was the first attribute, as it should be")]
    later: Annotated[int, Field(description="Packets in which it stood elsewhere")]
    missing: Annotated[int, Field(description="Packets without it; they are dropped where it is required")]
    if_required: Annotated[
        IfRequired,
        Field(description="What would change if it were required: `drops` means that `missing` would be lost"),
    ]

    @classmethod
    def show(cls, posture: PeerPosture) -> Self:
        """The posture as JSON has it."""
        return cls(
            kind=posture.kind,
            peer=posture.key,
            transport=Transport.TLS if posture.is_tls else Transport.UDP,
            is_required=posture.is_required,
            first=posture.first,
            later=posture.later,
            missing=posture.missing,
            if_required=posture.if_required,
        )
