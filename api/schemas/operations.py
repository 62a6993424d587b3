"""How the service itself is doing."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.schemas.common import Schema


class Liveness(Schema):
    """The process answers."""

    status: Literal["live"] = "live"


class Check(Schema):
    """One thing that has to be so for the service to do its work."""

    name: str
    passes: bool
    detail: str = ""


class Readiness(Schema):
    """Whether the service can do its work, and what keeps it from it."""

    status: Literal["ready", "not-ready"]
    checks: list[Check]


class WorkerView(Schema):
    """What one worker last said about itself."""

    role: str
    number: int
    pid: int
    revision: Annotated[int, Field(description="Of the snapshot that it works with; 0: none, or its role needs none")]
    reported_at: datetime
    is_fresh: Annotated[bool, Field(description="It reported within the last seconds")]
    refused: Annotated[list[str], Field(description="Why it keeps its snapshot instead of a newer one")]


class SnapshotView(Schema):
    """The revision of the registry, and the one that each worker runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "revision": 42,
                    "workers": [
                        {
                            "role": "proxy",
                            "number": 0,
                            "pid": 4711,
                            "revision": 42,
                            "reported_at": "2026-11-24T04:05:06Z",
                            "is_fresh": True,
                            "refused": [],
                        }
                    ],
                }
            ]
        }
    )

    revision: int
    workers: list[WorkerView]
