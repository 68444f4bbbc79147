"""Connections: HTTP by uvicorn, and an end for clients that do not go on."""

import asyncio
import socket
import struct

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


def connection_of(seconds: float) -> type[H11Protocol]:
    """Make the protocol of connections: HTTP, for so many seconds without a request, or with an answer not taken.

    uvicorn waits for ever for a client that begins a request and never ends its head, sends on after its answer, or
    does not read it.
    """

    class Connection(_Connection):
        pass

    Connection.seconds = seconds
    return Connection


class _Connection(H11Protocol):
    seconds: float
    idle: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in filter(None, (self.idle, self.unread)):
            timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread = self.loop.call_later(self.seconds, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.unread is not None:
            self.unread.cancel()

    def wait(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        self.idle = self.loop.call_later(self.seconds, self.end_idle, self.cycle)

    def end_idle(self, cycle: RequestResponseCycle | None) -> None:
        if self.cycle is not cycle:
            return
        if self.transport.get_write_buffer_size():  # to close would be to wait for who does not read
            self.drop()
        else:
            self.transport.close()

    def drop(self) -> None:
        """End the connection at once, with all that was not read, also of what the kernel has taken."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
