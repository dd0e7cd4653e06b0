"""Address records of policy hosts in zone files: read, changed in place, and nothing else changed with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtasts_deploy.dns.local import LocalTarget
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import Address, AddressChange, AddressSet, Unknown, ZoneName

ZONE = ZoneName("example.com.")
NAME = "mta-sts.example.com"
HEAD = "# a zone\n? ''\n: - type: MX\n    value: {preference: 10, exchange: mx.example.com.}\n"
TAIL = "www:   # the web\n  type: A\n  value: 192.0.2.80\n"

CNAME = Address(cname="policies.example.net")
OTHER = Address(cname="other.example.net")
V4 = Address(a=("192.0.2.1",))
TWO = Address(a=("192.0.2.1", "192.0.2.2"))
BOTH = Address(a=("192.0.2.1",), aaaa=("2001:db8::1",))

BEFORE = {
    "nothing": ("", None),
    "cname": ("mta-sts:\n  type: CNAME\n  value: policies.example.net.\n", CNAME),
    "cname in flow": ("mta-sts: {type: CNAME, value: policies.example.net.}\n", CNAME),
    "one address": ("mta-sts:\n  type: A\n  value: 192.0.2.1\n", V4),
    "a list of addresses": ("mta-sts:\n  type: A\n  values:\n  - 192.0.2.1\n  - 192.0.2.2\n", TWO),
    "both": ("mta-sts:\n- type: A\n  value: 192.0.2.1\n- type: AAAA\n  value: 2001:DB8:0::1\n", BOTH),
    "both in flow": ("mta-sts: [{type: A, value: 192.0.2.1}, {type: AAAA, value: '2001:db8::1'}]\n", BOTH),
}


def target(directory: Path, text: str) -> LocalTarget:
    (directory / "example.com.yaml").write_text(HEAD + text + TAIL)
    return LocalTarget("local", directory, shown="zones")


def address(one: LocalTarget) -> AddressSet | None:
    found = one.read(ZONE, [NAME])
    assert not isinstance(found, Unknown), found
    return found.at(NAME).address


@pytest.mark.parametrize("after", [CNAME, OTHER, V4, TWO, BOTH], ids=str)
@pytest.mark.parametrize("before", BEFORE)
def test_an_address_becomes_another_and_every_other_byte_survives(before: str, after: Address, tmp_path: Path):
    text, held = BEFORE[before]
    local = target(tmp_path, text)
    found = address(local)
    assert (found.address if found else None) == held
    if held == after:
        return
    local.write(ZONE, [AddressChange(name=NAME, before=found, after=after, ttl=600)])
    assert address(local) == AddressSet(address=after, ttl=600)
    now = (tmp_path / "example.com.yaml").read_text()
    assert now.startswith(HEAD)
    assert now.endswith(TAIL)


@pytest.mark.parametrize(
    "beside", ["- type: CAA\n  value: {flags: 0, tag: issue, value: ca.example}\n", "- type: TXT\n  value: hello\n"], ids=["CAA", "TXT"]
)
def test_other_types_at_the_name_stay_and_stand_against_a_cname(beside: str, tmp_path: Path):
    local = target(tmp_path, f"mta-sts:\n- type: A\n  value: 192.0.2.1\n{beside}")
    found = address(local)
    text = (tmp_path / "example.com.yaml").read_text()
    with pytest.raises(Refused) as refused:
        local.write(ZONE, [AddressChange(name=NAME, before=found, after=CNAME, ttl=600)])
    assert refused.value.diagnostics[0].code == "MTS487"
    assert (tmp_path / "example.com.yaml").read_text() == text
    local.write(ZONE, [AddressChange(name=NAME, before=found, after=BOTH, ttl=600)])
    assert address(local) == AddressSet(address=BOTH, ttl=600)
    assert beside in (tmp_path / "example.com.yaml").read_text()


def test_an_address_that_is_no_longer_the_planned_one_is_not_replaced(tmp_path: Path):
    local = target(tmp_path, BEFORE["one address"][0])
    with pytest.raises(Refused) as refused:
        local.write(ZONE, [AddressChange(name=NAME, before=None, after=CNAME, ttl=600)])
    assert refused.value.diagnostics[0].code == "MTS702"


def test_an_address_that_comes_from_an_alias_is_refused(tmp_path: Path):
    local = target(tmp_path, "a: &shared\n  type: A\n  value: 192.0.2.1\nmta-sts: *shared\n")
    found = address(local)
    assert found is not None
    with pytest.raises(Refused) as refused:
        local.write(ZONE, [AddressChange(name=NAME, before=found, after=TWO, ttl=600)])
    assert refused.value.diagnostics[0].code == "MTS455"
