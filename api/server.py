"""The HTTP server under the application: on a socket that is bound already, with a life cycle of its owner's."""

import asyncio
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

GRACE_SECONDS = 3  # for answers that are being written when the service ends
STEP_SECONDS = 0.01
KEEP_ALIVE_SECONDS = 30


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to whoever runs the process."""
        yield


class ApiServer:
    """Serves one application on one listening socket."""

    revision = 0  # it reads the registry itself
    refused: Sequence[str] = ()

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self._listener = listener
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # the application has a line for each change, in the audit
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # a forged X-Forwarded-For must not make anybody local
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                limit_concurrency=512,
            )
        )
        self._task: asyncio.Task[None] | None = None

    def counters(self) -> Mapping[str, object]:
        """How many connections are open."""
        return {"connections": len(self._server.server_state.connections)}

    async def start(self) -> None:
        """It answers.

        Raises:
            RuntimeError: it could not begin.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="api")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the API server ended before it began")
            await asyncio.sleep(STEP_SECONDS)  # uvicorn has no event for it

    async def drain(self) -> None:
        """It takes no new connection, has finished the answers that it was writing, and has ended."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
