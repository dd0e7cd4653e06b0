"""A small TCP proxy on loopback: it adds latency to what passes, each way half of it, and changes nothing.

What arrives is sent on when its time has come, so latency adds to every exchange but does not narrow the pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class _Proxy:
    def __init__(self, port: int, seconds: float) -> None:
        self.behind, self.seconds = port, seconds
        self.port = 0
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self.stopping: asyncio.Event

    async def serve(self) -> None:
        """Until `stopping`; then every connection is closed."""
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.stopping.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await asyncio.sleep(self.seconds)  # the handshake
            there, back = await asyncio.open_connection("127.0.0.1", self.behind)
            writers.append(back)
            async with asyncio.TaskGroup() as group:
                for source, sink in ((reader, back), (there, writer)):
                    due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
                    group.create_task(self._receive(source, due))
                    group.create_task(self._send(sink, due))
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass
        finally:
            for one in writers:
                one.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await one.wait_closed()

    async def _receive(self, source: asyncio.StreamReader, due: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = await source.read(65536)
            except OSError:
                data = b""
            due.put_nowait((self.loop.time() + self.seconds / 2, data))

    async def _send(self, sink: asyncio.StreamWriter, due: asyncio.Queue[tuple[float, bytes]]) -> None:
        while True:
            when, data = await due.get()
            await asyncio.sleep(max(0.0, when - self.loop.time()))
            if not data:
                break
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


@contextlib.contextmanager
def latency(port: int, seconds: float) -> Iterator[int]:
    """The port of a proxy to that port on loopback; a round trip takes `seconds` more than without it."""
    proxy = _Proxy(port, seconds)
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve()))
    thread.start()
    proxy.ready.wait(10)
    try:
        yield proxy.port
    finally:
        proxy.loop.call_soon_threadsafe(proxy.stopping.set)
        thread.join()
