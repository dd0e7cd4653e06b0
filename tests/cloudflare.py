"""A stand-in for Cloudflare's API, as far as octodns-cloudflare uses it: what it sends, and how it meets errors.

It does not show how Cloudflare behaves.

`hook` is called with method and path before each request is carried out, and gives a status to answer with instead; `after` when it was.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Record = dict[str, Any]


class Cloudflare:
    """Zones with their records by id; `calls` are the requests that came."""

    def __init__(self, *zones: str) -> None:
        self.zones: dict[str, dict[str, Record]] = {zone: {} for zone in zones}
        self.calls: list[tuple[str, str]] = []
        self.hook: Callable[[str, str], int | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self._ids = itertools.count(1)
        self._turn = threading.Lock()

    def add(self, zone: str, name: str, kind: str, content: str, **more: Any) -> None:
        """A record, as others make it; its name is absolute."""
        id_ = f"r{next(self._ids)}"
        self.zones[zone][id_] = {"id": id_, "zone_id": zone, "name": name, "type": kind, "content": content, "ttl": 300, **more}

    def txt(self, name: str) -> tuple[str, ...]:
        """The TXT values at a name, without the quotation marks that Cloudflare keeps."""
        records = [record for zone in self.zones.values() for record in zone.values()]
        return tuple(record["content"].strip('"') for record in records if (record["name"], record["type"]) == (name, "TXT"))

    def others(self) -> list[Record]:
        """Every record but the TXT records at our names."""
        records = [record for zone in self.zones.values() for record in zone.values()]
        return [record for record in records if record["type"] != "TXT" or not record["name"].startswith(("_mta-sts.", "_smtp._tls."))]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """Carry one request out."""
        with self._turn:
            self.calls.append((method, path))
            status = self.hook(method, path)
            if status is not None:
                return status, {"success": False, "errors": [{"code": 1, "message": f"injected {status}"}], "result": None}
            found = self._carried_out(method, path.strip("/").split("/"), body)
            self.after(method, path)
        if not isinstance(found, list):
            return 200, {"success": True, "result": found}
        page, size = int(query.get("page", ["1"])[0]), int(query.get("per_page", ["50"])[0])
        part = found[(page - 1) * size : page * size]
        return 200, {"success": True, "result": part, "result_info": {"count": len(part), "per_page": size}}

    def _carried_out(self, method: str, path: list[str], body: Any) -> Any:
        match method, path:
            case "GET", ["zones"]:
                return [{"id": zone, "name": zone, "plan": {"legacy_id": "free"}, "name_servers": []} for zone in self.zones]
            case "GET", ["zones", zone, "dns_records"]:
                return list(self.zones[zone].values())
            case "PUT", ["zones", zone, "dns_records"]:  # only for tests: the zone is this from now on
                self.zones[zone] = {record["id"]: record for record in body}
                return {}
            case "POST", ["zones", zone, "dns_records"]:
                self.add(zone, **{"kind": body.pop("type"), **body})
                return {}
            case "PUT", ["zones", zone, "dns_records", id_]:
                self.zones[zone][id_].update(body)
                return {}
            case "DELETE", ["zones", zone, "dns_records", id_]:
                del self.zones[zone][id_]
                return {}
            case "POST", ["zones"]:
                self.zones[body["name"]] = {}
                return {"id": body["name"], "name": body["name"]}
        raise AssertionError((method, path))


@contextmanager
def serving(api: Cloudflare) -> Iterator[dict[str, Any]]:
    """Serve it on loopback; the block of a declaration that leads there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, data = api.answer(self.command, url.path, parse_qs(url.query), body)
            text = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield {
            "class": "octodns_cloudflare.CloudflareProvider",
            "token": "env/MTASTS_TEST_CLOUDFLARE",
            "api_url": f"http://127.0.0.1:{server.server_address[1]}",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    """Serve the zones that the arguments name, until stdin is closed; the address is on stdout."""
    with serving(Cloudflare(*sys.argv[1:])) as block:
        print(block["api_url"], flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
