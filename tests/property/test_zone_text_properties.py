"""Whatever a zone file looks like, an edit changes our record and nothing else: neither in its bytes nor in what octoDNS makes of it."""

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from octodns.provider.yaml import YamlProvider
from octodns.zone import Zone

from mtasts_deploy.dns import reading, zone_text
from mtasts_deploy.dns.zone_edit import TxtEdit, edit
from mtasts_deploy.facts import TxtSet, Unknown, ZoneFacts, ZoneName

ZONE = ZoneName("example.com.")
OURS = "_mta-sts.example.com"

words = st.sampled_from(["www", "mail", "a1", "a10", "a2", "zz", "", "*", "_dmarc", "b.c", "_smtp._tls", "Upper", "bücher", "1"])
comments = st.sampled_from(["", "", " # note", " # é 😀: {x}", "  #tight"])
own_lines = st.sampled_from(["", "", "# free\n", "\n", "  # deep\n", "\n# a\n\n"])
txt_values = st.sampled_from(
    ["v=STSv1\\; id=0\\;", "foreign", "v=spf1 -all", "has 'quote", 'has "quote"', "a # b", "a: b", "[x], {y}", "x" * 300]
)
raw_values = st.sampled_from(
    ["v=STSv1; id=1;", "v=STSv1; id=abc;", "foreign", "v=spf1 -all", "a: b", "it's", 'say "x"', "[a,b]", "123", "no"]
)


def single(text):
    return "'" + text.replace("'", "''") + "'"


def double(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def folded(text):
    return text if text.replace("=", "").replace("v", "").isalnum() else single(text)


quotings = st.sampled_from([single, double, folded])


@st.composite
def txt_record(draw, indent):
    """The lines of a TXT record in some style, without its key; the first line starts right after `key:`."""
    values = draw(st.lists(txt_values, min_size=1, max_size=3, unique=True))
    quoted = [draw(quotings)(value) for value in values]
    ttl = draw(st.sampled_from([None, "300", "'60'"]))
    if draw(st.booleans()):
        inside = [f"ttl: {ttl}"] if ttl else []
        inside.append("type: TXT")
        inside.append(f"value: {quoted[0]}" if len(quoted) == 1 else f"values: [{', '.join(quoted)}]")
        return f" {{{', '.join(inside)}}}{draw(comments)}\n"
    pad = " " * indent
    lines = [f"{pad}ttl: {ttl}{draw(comments)}"] if ttl else []
    if draw(st.booleans()):
        lines.append(f"{pad}octodns: {{cloudflare: {{comment: hi}}}}")
    lines.append(f"{pad}type: TXT{draw(comments)}")
    if len(quoted) == 1 and draw(st.booleans()):
        lines.append(f"{pad}value: {quoted[0]}{draw(comments)}")
    else:
        dash = draw(st.sampled_from(["", "  "]))
        lines.append(f"{pad}values:")
        lines += [f"{pad}{dash}- {value}{draw(comments)}" for value in quoted]
    if draw(st.booleans()):
        return draw(comments) + "\n" + "\n".join(lines) + "\n"
    items = [f"{pad}- type: A\n{pad}  value: 192.0.2.9\n"] if draw(st.booleans()) else []
    listed = "\n".join("  " + line for line in lines)
    items.append(pad + "- " + listed[indent + 2 :] + "\n")
    return draw(comments) + "\n" + "".join(items)


@st.composite
def zones(draw):
    """A zone file's text, with its line ends and byte order mark, that octoDNS can read."""
    parts = [draw(st.sampled_from(["", "---\n", "# head\n---\n", "---\n# head\n\n"]))]
    names = draw(st.lists(words, max_size=6, unique=True))
    if draw(st.booleans()):
        names.append("_mta-sts")
    names = sorted(names) if draw(st.booleans()) else draw(st.permutations(names))
    indent = draw(st.sampled_from([2, 4]))
    for name in names:
        parts.append(draw(own_lines))
        key = f"'{name}'" if name in ("", "*", "1") or draw(st.booleans()) else name
        parts.append(f"{key}:" + draw(txt_record(indent)))
    parts.append(draw(own_lines))
    parts.append(draw(st.sampled_from(["", "...\n"])) if names else "")
    text = "".join(parts)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


@st.composite
def edits(draw):
    values = tuple(draw(st.lists(raw_values, max_size=3, unique=True)))
    return TxtEdit(name=OURS, values=values, ttl=draw(st.sampled_from([3600, 300, 60])))


def by_octodns(text):
    """Everything octoDNS reads from the text, by name and type."""
    reading.prepare()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "example.com.yaml").write_bytes(text.encode())
        provider = YamlProvider("t", directory, enforce_order=False, escaped_semicolons=True)
        zone = Zone(ZONE, [])
        provider.populate(zone, target=True, lenient=True)
        return {(record.name, record._type): record.data for record in zone.records}


def read(text):
    facts = zone_text.read(text, ZONE, [OURS], provider="local", shown="zone.yaml")
    if isinstance(facts, Unknown):
        assert facts.reason.code == "MTS456"
        assert not by_octodns(text), "only a file without content is refused"
        return None
    assert isinstance(facts, ZoneFacts), facts
    return facts.at(OURS).txt


@settings(max_examples=150, deadline=None)
@given(zones(), edits())
def test_an_edit_changes_our_record_and_nothing_else(text, change):
    new = edit(text, ZONE, [change], shown="zone.yaml")

    before, after = by_octodns(text), by_octodns(new)
    ours = after.pop(("_mta-sts", "TXT"), None)
    had = before.pop(("_mta-sts", "TXT"), None)
    assert after == before
    assert (ours is None) == (not change.values)
    if ours is not None:
        values = ours.get("values", [ours.get("value")])
        assert Counter(str(value).replace("\\;", ";") for value in values) == Counter(change.values)
        assert ours["ttl"] == change.ttl
        assert had is None or had.get("octodns") == ours.get("octodns")


@settings(max_examples=150, deadline=None)
@given(zones(), edits())
def test_reading_after_an_edit_gives_the_values_and_editing_again_changes_nothing(text, change):
    new = edit(text, ZONE, [change], shown="zone.yaml")
    found = read(new)
    if change.values:
        assert found is not None
        assert Counter(found.values) == Counter(change.values)
        assert found.ttl == change.ttl
    else:
        assert found is None
    assert edit(new, ZONE, [change], shown="zone.yaml") == new


@settings(max_examples=150, deadline=None)
@given(zones(), edits())
def test_lines_outside_our_key_survive_byte_for_byte(text, change):
    new = edit(text, ZONE, [change], shown="zone.yaml")

    def outside(whole):
        kept, ours = [], False
        for line in whole.removeprefix("\ufeff").splitlines():
            if line[:1] not in (" ", "-", "", "#"):
                ours = line.startswith(("_mta-sts:", "'_mta-sts':"))
            if not ours or line.lstrip().startswith("#") or not line.strip():
                kept.append(line)
        return Counter(kept)

    lost = outside(text) - outside(new)
    assert all(line.strip() == "" or line.lstrip().startswith("#") for line in lost), lost
    if change.values or "_mta-sts" not in text:
        assert not [line for line in lost if line.strip()]
    if "\n" in text:
        assert new.count("\r\n") == (new.count("\n") if "\r\n" in text else 0)
    assert new.startswith("\ufeff") == text.startswith("\ufeff")


@settings(max_examples=150, deadline=None)
@given(zones())
def test_reading_agrees_with_octodns(text):
    ours = by_octodns(text).get(("_mta-sts", "TXT"))
    expected = None
    if ours is not None:
        values = ours.get("values", [ours.get("value")])
        expected = TxtSet(values=tuple(str(value).replace("\\;", ";") for value in values), ttl=ours["ttl"])
    assert read(text) == expected


ANCHORED = "base: &base {type: TXT, ttl: 5, value: base}\nlist: &list [a, b]\nword: &word {type: TXT, value: &v anchored}\n"


@given(
    st.lists(
        st.sampled_from(
            [
                "ttl: 9",
                "type: TXT",
                "value: own",
                "<<: *base",
                "<<: *word",
                "<<: [*word, *base]",
                "<<: {ttl: 7}",
                "value: *v",
                "values: *list",
            ]
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda entry: entry.partition(":")[0] if not entry.startswith("<<") else entry,
    )
)
@settings(deadline=None)
def test_aliases_and_merges_are_read_as_octodns_reads_them(entries):
    text = ANCHORED.replace("list: &list [a, b]", "list: {type: TXT, values: &list [a, b]}") + f"_mta-sts: {{{', '.join(entries)}}}\n"
    try:
        record = by_octodns(text).get(("_mta-sts", "TXT"))
    except Exception:
        record = {}
    assert record is not None
    if not (record.get("values") or record.get("value")):  # octoDNS fails on it, or reads a record without values
        assert isinstance(zone_text.read(text, ZONE, [OURS], provider="local", shown="zone.yaml"), Unknown)
        return
    values = record.get("values", [record.get("value")])
    assert read(text) == TxtSet(values=tuple(values), ttl=record["ttl"])
