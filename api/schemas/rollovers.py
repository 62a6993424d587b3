"""Roll-overs of a root."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from api.schemas.common import Schema
from federation.services.rollover_gates import Obstacle
from federation.services.rollovers import Rollover
from federation.services.trials import TrialRecord
from federation.trust.profiles import Purpose
from federation.trust.rollover import RolloverEvent, RolloverState, Standing


class NewRollover(Schema):
    """A roll-over to be planned."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"purpose": "peers"}]})

    purpose: Annotated[Purpose, Field(description="Whose root: that of the peers, or of EAP")]


class Step(Schema):
    """A step to be taken. It is named, so that a request that is sent twice does not take two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"step": "publish"}]})

    step: RolloverEvent
    force: Annotated[bool, Field(description="Take it although somebody is named who would break; audited")] = False


class Confirmation(Schema):
    """A library's word that all that is its own knows the new root."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"library": "boekenburg"}]})

    library: Annotated[str, Field(min_length=1, max_length=63)]


class ConfirmationView(Confirmation):
    """Such a word, as it was given."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    purpose: Purpose
    confirmed_at: datetime


class RootView(Schema):
    """A root, old or new."""

    generation: int
    standing: Standing
    fingerprint: Annotated[str, Field(description="SHA-256 of the certificate, hexadecimal")]
    subject: str
    not_after: datetime
    is_key_here: Annotated[bool, Field(description="Whether its private key is in this registry")]


class BlockerView(Schema):
    """One who would break by the next step."""

    obstacle: Obstacle
    subject: str
    library: str | None
    detail: str


class TrialView(Schema):
    """What one peer made of the new chain."""

    peer: str
    verdict: Annotated[Literal["accepted", "refused", "unknown"], Field(description="unknown: it could not be asked")]
    detail: str
    tried_at: datetime

    @classmethod
    def show(cls, trial: TrialRecord) -> Self:
        """The trial as JSON has it."""
        return cls.model_validate(trial)


class TrialList(Schema):
    """What each RADIUS/TLS home server made of the new chain."""

    items: Sequence[TrialView]


class ProgressView(Schema):
    """How far one library is."""

    library: str
    old_certificates: Annotated[int, Field(description="In force, from the old authority")]
    new_certificates: int
    is_delivered: Annotated[bool, Field(description="Its certificates came with the new root, and are its own")]
    confirmed_at: datetime | None
    peers: Annotated[int, Field(description="RADIUS/TLS peers that are registered")]
    presenting: Annotated[Sequence[str], Field(description="Peers last seen with a chain below the new root")]
    accepting: Annotated[Sequence[str], Field(description="Peers last seen accepting our chain below the new root")]


class RolloverView(Schema):
    """A roll-over, and who would break by its next step."""

    purpose: Purpose
    state: RolloverState
    old: RootView
    new: RootView
    started_at: datetime
    changed_at: datetime
    published_at: datetime | None
    switched_at: datetime | None
    next_step: RolloverEvent | None
    possible_steps: Sequence[RolloverEvent]
    blockers: Annotated[Sequence[BlockerView], Field(description="Of the next step")]
    libraries: Sequence[ProgressView]

    @classmethod
    def show(cls, rollover: Rollover) -> Self:
        """The roll-over as JSON has it."""
        return cls.model_validate(rollover)
