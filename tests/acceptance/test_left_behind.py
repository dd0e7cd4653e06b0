"""The private networks of these tests end with all that runs in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import mailworld
from tests.mailworld import REQUIRES, NameServers, Postfix

pytestmark = [pytest.mark.acceptance, *REQUIRES]


def running(part: str) -> list[str]:
    """The command lines of this machine that have this text in them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        found += [text] if part in text else []
    return found


def test_nothing_is_left_behind():
    with mailworld.network() as (network, made):
        servers = NameServers(network)
        servers.zone("test", "@ NS ns1\nns1 A 127.0.0.10\n")
        servers.start()
        certificate = made.issue("mx.test")
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        mailworld.start_nginx(network, f"server {{ listen {mailworld.WEB}:443 ssl; server_name mta-sts.test; {tls} }}")
        services = [f"127.0.0.3:25 inet n - n - - smtpd -o smtpd_tls_chain_files={certificate}"]
        Postfix(network, "mx", services, ["myhostname = mx.test"]).start(("127.0.0.3", 25))
        place = str(network.directory)
        while_it_ran = running(place)
    assert {program for program in ("named", "unbound", "nginx") if any(program in line for line in while_it_ran)} == {
        "named",
        "unbound",
        "nginx",
    }
    assert running(place) == []
    assert not Path(place).exists()
