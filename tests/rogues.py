"""Servers that misbehave on purpose, where no real one can be made to: `python rogues.py KIND ADDRESS PORT …`, until killed.

SMTP: each kind is what such a host does on port 25. `silent` never takes a connection from its queue, as a dropped packet looks.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

KINDS = ("stripped", "garbage", "closing", "endless", "lines", "dripping", "silent", "deaf")


def serve(kind: str, connection: socket.socket) -> None:
    """One connection."""
    with connection:
        connection.settimeout(30)
        try:
            _behave(kind, connection)
        except OSError:
            return


def _behave(kind: str, connection: socket.socket) -> None:
    match kind:
        case "stripped":
            connection.sendall(b"220 mx ESMTP\r\n")
            connection.recv(1000)
            connection.sendall(b"250-mx\r\n250-XXXXXXXA\r\n250 8BITMIME\r\n")
            connection.recv(1000)
        case "garbage":
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            connection.recv(1000)
        case "endless":  # one line without an end
            while True:
                connection.sendall(b"220-" + b"x" * 60000)
        case "lines":  # lines without an end
            while True:
                connection.sendall(b"220-more\r\n" * 5000)
        case "dripping":
            while True:
                connection.sendall(b"2")
                time.sleep(0.5)
        case "deaf":  # takes the connection and says nothing
            time.sleep(60)
        case _:
            return


def listen(kind: str, address: str, port: int) -> None:
    """Wait for connections; `silent` lets its queue fill up."""
    server = socket.create_server((address, port), backlog=0 if kind == "silent" else 50)
    if kind == "silent":
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((address, port))
        time.sleep(3600)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(kind, connection), daemon=True).start()


def main() -> None:
    """Listen wherever the arguments say."""
    words = sys.argv[1:]
    for kind, address, port in zip(words[::3], words[1::3], words[2::3], strict=True):
        threading.Thread(target=listen, args=(kind, address, int(port)), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
