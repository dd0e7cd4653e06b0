"""Domains are put into a declaration's text, and every other byte of it stays."""

from __future__ import annotations

import pytest
import yaml

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.declaration.writing import NoPlace, Written, appended, fragment
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode

NEW = [
    Written(
        domain=Domain.parse("new.example"),
        mode=Mode.ENFORCE,
        max_age=604_800,
        mx=(MxPattern.parse("*.example.net"), MxPattern.parse("mx.example")),
        tlsrpt=("mailto:a@b.example", "https://b.example/?q=1"),
        ttl=300,
    ),
    Written(domain=Domain.parse("bücher.example"), sts=Sts.ELSEWHERE, said="the record is at _mta-sts.b.example"),
    Written(domain=Domain.parse("9.example"), sts=Sts.TLSRPT_ONLY, tlsrpt=("mailto:a@b.example",), max_age=86_401),
]
LINES = """\
  new.example:
    mode: enforce
    max_age: 1w
    mx: ["*.example.net", mx.example]
    tlsrpt: ["mailto:a@b.example", "https://b.example/?q=1"]
    ttl: 300
  bücher.example:    # the record is at _mta-sts.b.example
    sts: elsewhere
  9.example:
    sts: false
    max_age: 86401
    tlsrpt: "mailto:a@b.example"
"""


def indented(lines: str, spaces: int) -> str:
    return "".join(" " * spaces + line for line in lines.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("head", "more", "tail"),
    [
        pytest.param("version: 1\n", "\ndomains:\n" + LINES, "", id="no domains yet"),
        pytest.param("version: 1\ndomains:\n", LINES, "", id="an empty key"),
        pytest.param(
            "domains:\n  a.example:   # ours\n  # b.example: soon\n", LINES, "\n# the rest\nversion: 1\n", id="comments of domains stay"
        ),
        pytest.param(
            "domains:\n  a.example:\n    mode: testing  # why\n    # mx: zone\n",
            LINES,
            "# next\nversion: 1",
            id="a comment inside a domain",
        ),
        pytest.param(
            "version: 1\ndomains:\n    a.example: {mx: [a.example,\n       b.example]}\n", indented(LINES, 2), "", id="four spaces"
        ),
        pytest.param("domains:\n  a.example:\n  b.example: {}\n", LINES, "...\n", id="a document end"),
        pytest.param('domains:\n  a.example: {tlsrpt: "mailto:a@b\\\n    .example"}\n', LINES, "version: 1\n", id="a folded text"),
        pytest.param("\ufeff# begins\ndomains:\n  a.example:\n", LINES, "", id="a byte order mark"),
    ],
)
def test_the_lines_come_after_the_last_domain(head: str, more: str, tail: str):
    assert appended((head + tail).encode(), NEW).decode() == head + more + tail


def test_line_ends_are_those_of_the_file():
    before = "version: 1\r\ndomains:\r\n  a.example:\r\n"
    assert appended(before.encode(), NEW).decode() == before + LINES.replace("\n", "\r\n")


def test_a_last_line_without_an_end_gets_one():
    assert appended(b"domains:\n  a.example: {}", NEW).decode() == "domains:\n  a.example: {}\n" + LINES


def test_an_empty_flow_mapping_gives_way():
    assert appended(b"domains: {}  # none\nversion: 1\n", NEW).decode() == "domains:  # none\n" + LINES + "version: 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "domains: {a.example: {}}\n",
        "domains: &d\n  a.example: {}\nprofiles: *d\n",
        "defaults: &d\n  mode: testing\ndomains: *d\n",
        "- a\n",
        "domains: [\n",
        "domains:\n  new.example: {}\n",
        "",
    ],
)
def test_where_lines_cannot_go_nothing_is_made(text: str):
    with pytest.raises(NoPlace):
        appended(text.encode(), NEW)


def test_what_is_printed_is_yaml_that_says_the_same():
    found = yaml.safe_load(fragment(NEW))["domains"]
    assert found["new.example"]["mx"] == ["*.example.net", "mx.example"]
    assert list(found) == ["new.example", "bücher.example", "9.example"]
