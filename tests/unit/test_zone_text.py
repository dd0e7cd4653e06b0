"""Zone files as text: what is read from them, and, byte for byte, what an edit does to them."""

import re

import pytest

from mtasts_deploy.dns import zone_text
from mtasts_deploy.dns.zone_edit import TxtEdit, edit
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import MxSet, TxtSet, Unknown, ZoneFacts, ZoneName

ZONE = ZoneName("example.com.")
STS = "_mta-sts.example.com"
TLS = "_smtp._tls.example.com"
NEW = "v=STSv1; id=1;"


def facts(text, *names, zone=ZONE, **options):
    found = zone_text.read(text, zone, names or (STS,), provider="local", shown="zones/example.com.yaml", **options)
    assert isinstance(found, ZoneFacts), found
    return found


def unknown(text, *names):
    found = zone_text.read(text, ZONE, names or (STS,), provider="local", shown="z.yaml")
    assert isinstance(found, Unknown), found
    return found.reason


def put(text, *values, name=STS, ttl=3600, zone=ZONE, **options):
    return edit(text, zone, [TxtEdit(name=name, values=values, ttl=ttl)], shown="z.yaml", **options)


class TestRead:
    def test_txt_values_are_raw_and_sorted_and_the_ttl_has_a_default(self):
        text = "_mta-sts:\n  type: TXT\n  values: ['v=STSv1\\; id=1\\;', \"foreign\"]\n"
        assert facts(text).at(STS).txt == TxtSet(values=("foreign", NEW), ttl=3600)
        assert facts(text, default_ttl=60).at(STS).txt.ttl == 60

    def test_semicolons_are_kept_where_the_provider_does_not_escape_them(self):
        assert facts("_mta-sts: {type: TXT, value: v=STSv1; id=1;}", escaped_semicolons=False).at(STS).txt.values == (NEW,)

    def test_chunks_are_joined_as_octodns_does(self):
        assert facts("""_mta-sts: {type: TXT, value: '"v=STSv1\\; " "id=1\\;"'}""").at(STS).txt.values == (NEW,)

    def test_mx_hosts_are_lower_case_without_root_dot(self):
        text = (
            "'':\n- type: MX\n  ttl: 60\n  values:\n  - {preference: 10, exchange: MX2.Example.com.}\n"
            "  - {priority: 20, value: mx1.example.com.}\n"
        )
        assert facts(text, "example.com").at("example.com").mx == MxSet(hosts=("mx1.example.com", "mx2.example.com"), ttl=60)

    def test_a_null_mx_is_a_dot(self):
        text = "sub: {type: MX, value: {preference: 0, exchange: .}}"
        assert facts(text, "sub.example.com").at("sub.example.com").mx == MxSet(hosts=(".",), ttl=3600)

    def test_a_cname_and_other_types_are_named(self):
        text = "_mta-sts: {type: CNAME, value: Other.example.}\n'': [{type: A, value: 1.2.3.4}, {type: CAA, value: {}}]\n"
        found = facts(text, STS, "example.com")
        assert (found.at(STS).cname, found.at(STS).others) == ("other.example", ("CNAME",))
        assert found.at("example.com").others == ("A", "CAA")

    def test_keys_may_be_upper_case_or_unicode(self):
        assert facts("_MTA-STS: {type: TXT, value: a}").at(STS).txt.values == ("a",)
        name = "_mta-sts.xn--bcher-kva.example.com"
        assert facts("_mta-sts.bücher: {type: TXT, value: a}", name).at(name).txt.values == ("a",)

    def test_a_key_that_yaml_takes_for_a_number_is_the_name_that_octodns_makes_of_it(self):
        assert facts("010: {type: MX, value: {preference: 1, exchange: a.}}", "8.example.com", "010.example.com").names.keys() == {
            "8.example.com"
        }
        assert facts("no: {type: TXT, value: a}", "no.example.com", "false.example.com").names.keys() == {"false.example.com"}

    def test_cuts_are_ns_below_the_apex_and_dname_at_or_above(self):
        text = "'': {type: NS, values: [a.]}\nsub: {type: NS, values: [a.]}\nd: {type: DNAME, value: b.}\nother: {type: NS, values: [a.]}\n"
        found = facts(text, "_mta-sts.sub.example.com", "x.d.example.com", STS)
        assert found.cuts == {"sub.example.com": "NS", "d.example.com": "DNAME"}

    def test_a_name_outside_the_zone_is_the_callers_mistake(self):
        with pytest.raises(ValueError, match="does not lie in the zone"):
            zone_text.read("", ZONE, ["_mta-sts.example.net"], provider="local", shown="z.yaml")

    @pytest.mark.parametrize("text", ["{}\n", "--- {}\n...\n"])
    def test_an_empty_mapping_is_an_empty_zone(self, text):
        assert facts(text).names == {}

    @pytest.mark.parametrize("text", ["", "---\n", "# only\n", "~\n"])
    def test_an_empty_file_is_taken_for_a_failed_write(self, text):
        found = zone_text.read(text, ZONE, [STS], provider="local", shown="z.yaml")
        assert isinstance(found, Unknown)
        assert found.reason.code == "MTS456"

    @pytest.mark.parametrize(("text", "after"), [("{key}", "{{}}\n"), ("---\n# c\n{key}", "---\n# c\n{{}}\n")])
    def test_a_zone_that_loses_its_last_record_stays_a_zone(self, text, after):
        before = text.format(key="_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n")
        name = "_mta-sts.example.com"
        emptied = edit(before, ZONE, [TxtEdit(name=name, values=(), ttl=3600)], shown="z.yaml")
        assert emptied == after.format()
        again = edit(emptied, ZONE, [TxtEdit(name=name, values=("v=STSv1; id=1;",), ttl=3600)], shown="z.yaml")
        assert facts(again).at(name).txt is not None


class TestAliases:
    @pytest.mark.parametrize(
        ("text", "line", "column", "what"),
        [
            ("x: &x {type: TXT, value: a}\n_mta-sts: *x\n", 2, 11, "the alias *x"),
            ("x: &x a\n_mta-sts: {type: TXT, value: *x}\n", 2, 30, "the alias *x"),
            ("x: &x a\n_mta-sts: {type: TXT, values: [*x]}\n", 2, 32, "the alias *x"),
            ("x: &x {type: TXT}\n_mta-sts: {<<: *x, value: a}\n", 2, 12, "a merge key"),
            ("x: &x {_mta-sts: {type: TXT, value: a}}\n<<: *x\n", 2, 1, "a merge key"),
            ("_mta-sts: &x {type: TXT, value: a}\nz: *x\n", 1, 11, "the anchor &x"),
            ("_mta-sts: {type: TXT, value: &x a}\nz: {type: TXT, value: *x}\n", 1, 30, "the anchor &x"),
        ],
    )
    def test_the_values_are_known_and_editing_is_refused(self, text, line, column, what):
        found = facts(text).at(STS)
        assert found.txt.values == ("a",)
        assert found.refusal is not None
        assert (found.refusal.code, found.refusal.where.line, found.refusal.where.column) == ("MTS455", line, column)
        assert what in found.refusal.message
        with pytest.raises(Refused) as raised:
            put(text, NEW)
        assert raised.value.diagnostics[0].code == "MTS455"

    def test_aliases_elsewhere_do_not_disturb(self):
        text = "x: &x {type: A, value: 1.1.1.1}\ny: *x\n_mta-sts: &unused {type: TXT, value: a}\n"
        assert facts(text).at(STS).refusal is None
        assert put(text, "b") == text.replace("value: a", "value: b")

    def test_metadata_from_an_alias_stays(self):
        text = "x: {type: A, value: 1.1.1.1, octodns: &m {a: 1}}\n_mta-sts: {type: TXT, value: a, octodns: *m}\n"
        assert put(text, "b") == text.replace("value: a", "value: b")

    def test_merges_follow_octodns_which_lets_the_last_entry_win(self):
        text = "x: &x {ttl: 5}\n_mta-sts: {ttl: 9, <<: *x, type: TXT, value: a}\n"
        assert facts(text).at(STS).txt.ttl == 5

    def test_mx_through_a_merge_is_read(self):
        text = "x: &x {type: MX, values: [&m {preference: 1, exchange: a.}]}\n'': {<<: *x, ttl: 7}\ns: {type: MX, values: [*m]}\n"
        found = facts(text, "example.com", "s.example.com")
        assert found.at("example.com").mx == MxSet(hosts=("a",), ttl=7)
        assert found.at("s.example.com").mx == MxSet(hosts=("a",), ttl=3600)

    def test_an_include_for_another_name_does_not_disturb(self):
        assert facts("q: !include f.yaml\n_mta-sts: {type: TXT, value: a}\n").at(STS).txt.values == ("a",)


EDITS = {
    "only the value": (
        "_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=0\\; # why\n  # own\n# next\n",
        "v=STSv1\\; id=0\\;",
        "v=STSv1\\; id=1\\;",
    ),
    "single quotes": ("_mta-sts: {type: TXT, value: 'v=STSv1\\; id=0\\;'}\n", "id=0", "id=1"),
    "double quotes": ('_mta-sts:\n  type: TXT\n  value: "v=STSv1\\\\; id=0\\\\;"\n', "id=0", "id=1"),
    "crlf": ("_mta-sts:\r\n  type: TXT\r\n  value: v=STSv1\\; id=0\\;\r\nz: {type: A, value: 1.1.1.1}\r\n", "id=0", "id=1"),
    "byte order mark": ("\ufeff_mta-sts: {type: TXT, value: v=STSv1\\; id=0\\;}\n", "id=0", "id=1"),
    "no final newline": ("_mta-sts: {type: TXT, value: v=STSv1\\; id=0\\;}", "id=0", "id=1"),
    "non-ASCII before": ("# ü 😀\nbücher: {type: TXT, value: 'ä'} # é\n_mta-sts: {type: TXT, value: v=STSv1\\; id=0\\;}\n", "id=0", "id=1"),
    "line separator in a comment": ("# a\u2028# b\u0085# c\n_mta-sts: {type: TXT, value: v=STSv1\\; id=0\\;}\n", "id=0", "id=1"),
    "a list of types": ("_mta-sts:\n- type: A\n  value: 1.1.1.1\n- type: TXT\n  value: v=STSv1\\; id=0\\;\n", "id=0", "id=1"),
    "metadata": ("_mta-sts:\n  octodns: {cloudflare: {comment: x}}\n  type: TXT\n  value: v=STSv1\\; id=0\\;\n", "id=0", "id=1"),
    "upper case key": ("_MTA-STS: {type: TXT, value: v=STSv1\\; id=0\\;}\n", "id=0", "id=1"),
    "quoted key": ('"_mta-sts" : {type: TXT, value: v=STSv1\\; id=0\\;}\n', "id=0", "id=1"),
    "explicit key": ("? _mta-sts\n: type: TXT\n  value: v=STSv1\\; id=0\\;\n", "id=0", "id=1"),
    "document end": ("---\n_mta-sts: {type: TXT, value: v=STSv1\\; id=0\\;}\n...\n# after\n", "id=0", "id=1"),
    "block scalar": (
        "_mta-sts:\n  type: TXT\n  value: >- # why\n    v=STSv1\\;\n    id=0\\;\n\nz: {type: A, value: 1.1.1.1}\n",
        ">- # why\n    v=STSv1\\;\n    id=0\\;",
        "v=STSv1\\; id=1\\; # why",
    ),
    "two lines in quotes": ("_mta-sts:\n  type: TXT\n  value: 'v=STSv1\\;\n    id=0\\;'\n", "v=STSv1\\;\n    id=0", "v=STSv1\\; id=1"),
}


@pytest.mark.parametrize(("text", "old", "new"), EDITS.values(), ids=EDITS.keys())
def test_only_the_value_changes(text, old, new):
    assert put(text, NEW) == text.replace(old, new)


def test_values_of_others_stay_where_they_are_and_several_of_ours_become_one():
    text = (
        "_mta-sts:\n  type: TXT\n  values:\n  - 'v=STSv1\\; id=8\\;' # a\n  - foreign # b\n  # c\n"
        "  - v=STSv1\\; id=9\\; # d\n  # e\nz: {type: A, value: 1.1.1.1}\n"
    )
    assert put(text, NEW, "foreign") == (
        "_mta-sts:\n  type: TXT\n  values:\n  - 'v=STSv1\\; id=1\\;' # a\n  - foreign # b\n  # c\n  # e\nz: {type: A, value: 1.1.1.1}\n"
    )


def test_a_value_beside_anothers_makes_a_list():
    assert put("_mta-sts:\n  type: TXT\n  value: foreign # b\n", "foreign", NEW) == (
        "_mta-sts:\n  type: TXT\n  values:\n    - foreign # b\n    - v=STSv1\\; id=1\\;\n"
    )
    assert (
        put("_mta-sts: {type: TXT, value: 'foreign'} # b\n", "foreign", NEW)
        == "_mta-sts: {type: TXT, values: ['foreign', 'v=STSv1\\; id=1\\;']} # b\n"
    )


def test_a_value_is_appended_to_a_list():
    assert put("_mta-sts:\n  type: TXT\n  values:\n  - f # b\nz:\n  type: A\n", "f", NEW) == (
        "_mta-sts:\n  type: TXT\n  values:\n  - f # b\n  - v=STSv1\\; id=1\\;\nz:\n  type: A\n"
    )
    assert put("_mta-sts: {type: TXT, values: [f, ]}\n", "f", NEW) == "_mta-sts: {type: TXT, values: [f, v=STSv1\\; id=1\\;, ]}\n"


def test_quotes_come_where_the_plain_value_would_say_something_else():
    assert (
        put("_mta-sts: {type: TXT, value: a}\n", "v=STSv1; id=1; x=[a, b]")
        == "_mta-sts: {type: TXT, value: 'v=STSv1\\; id=1\\; x=[a, b]'}\n"
    )
    assert put("_mta-sts: {type: TXT, value: a}\n", "1234") == "_mta-sts: {type: TXT, value: '1234'}\n"
    assert put("_mta-sts:\n  type: TXT\n  value: a\n", "it's: x") == "_mta-sts:\n  type: TXT\n  value: 'it''s: x'\n"


def test_unescaped_semicolons():
    assert (
        put("_mta-sts: {type: TXT, value: v=STSv1; id=0;}\n", NEW, escaped_semicolons=False)
        == "_mta-sts: {type: TXT, value: v=STSv1; id=1;}\n"
    )


class TestTtl:
    def test_only_the_number_changes(self):
        text = "_mta-sts:\n  ttl: 60 # short\n  type: TXT\n  value: a\n"
        assert put(text, "a", ttl=300) == text.replace("60", "300")
        assert put(text.replace("60", "'60'"), "a", ttl=300) == text.replace("60", "'300'")

    def test_a_line_is_inserted_in_sorted_place_only_where_it_differs_from_the_default(self):
        text = "_mta-sts:\n  octodns: {}\n  type: TXT\n  value: a\n"
        assert put(text, "a", ttl=3600) == text
        assert put(text, "a", ttl=60) == text.replace("  type", "  ttl: 60\n  type")
        assert put("_mta-sts: {value: a, type: TXT}\n", "a", ttl=60) == "_mta-sts: {value: a, ttl: 60, type: TXT}\n"
        assert put("_mta-sts:\r\n- type: TXT\r\n  value: a\r\n", "a", ttl=60) == "_mta-sts:\r\n- ttl: 60\r\n  type: TXT\r\n  value: a\r\n"


class TestRemove:
    def test_a_key_goes_with_its_lines_but_not_with_the_comments_after_it(self):
        text = (
            "a: {type: A, value: 1.1.1.1}\n_mta-sts: # x\n  type: TXT\n  # inside\n  value: a # y\n  # own\n# next\n"
            "b: {type: A, value: 1.1.1.1}\n"
        )
        assert put(text) == "a: {type: A, value: 1.1.1.1}\n  # own\n# next\nb: {type: A, value: 1.1.1.1}\n"

    def test_one_of_several_records_goes(self):
        text = "_mta-sts:\n  - type: A\n    value: 1.1.1.1\n  - type: TXT\n    value: a\n  - type: AAAA\n    value: ::1\n"
        assert put(text) == "_mta-sts:\n  - type: A\n    value: 1.1.1.1\n  - type: AAAA\n    value: ::1\n"

    def test_the_last_key_goes_and_the_final_newline_is_as_it_was(self):
        assert put("a: {type: A, value: 1.1.1.1}\n_mta-sts: {type: TXT, value: a}") == "a: {type: A, value: 1.1.1.1}"
        assert put("---\n# c\n_mta-sts: {type: TXT, value: a}\n") == "---\n# c\n{}\n"
        assert put("_mta-sts: {type: TXT, value: a}\n...\n") == "{}\n...\n"

    @pytest.mark.parametrize(
        ("text", "after"),
        [
            ("{_mta-sts: {type: TXT, value: a}}\n", "{}\n"),
            ("{_mta-sts: {type: TXT, value: a}, b: {type: A, value: 1.1.1.1}}\n", "{b: {type: A, value: 1.1.1.1}}\n"),
            ("{a: {type: A, value: 1.1.1.1}, _mta-sts: {type: TXT, value: a}}\n", "{a: {type: A, value: 1.1.1.1}}\n"),
            ("_mta-sts: [{type: A, value: 1.1.1.1}, {type: TXT, value: a}]\n", "_mta-sts: [{type: A, value: 1.1.1.1}]\n"),
        ],
    )
    def test_flow_style(self, text, after):
        assert put(text) == after

    def test_removing_what_is_not_there_changes_nothing(self):
        assert put("a: {type: A, value: 1.1.1.1}\n") == "a: {type: A, value: 1.1.1.1}\n"


A = "{type: A, value: 1.1.1.1}"


class TestNewKey:
    @pytest.mark.parametrize(
        ("text", "after"),
        [
            ("", "_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n"),
            ("# c\n", "# c\n_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n"),
            ("---", "---\n_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;"),
            ("---\r\n...\r\n", "---\r\n_mta-sts:\r\n  type: TXT\r\n  value: v=STSv1\\; id=1\\;\r\n...\r\n"),
            ("--- {} # x\n", "---\n_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\; # x\n"),
            ("\ufeff{}\n", "\ufeff_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n"),
            (f"{{www: {A}}}\n", f"{{_mta-sts: {{type: TXT, value: v=STSv1\\; id=1\\;}}, www: {A}}}\n"),
            (f"{{'': {A}}}\n", f"{{'': {A}, _mta-sts: {{type: TXT, value: v=STSv1\\; id=1\\;}}}}\n"),
        ],
    )
    def test_a_file_without_records_or_in_flow_style(self, text, after):
        assert put(text, NEW) == after

    def test_it_goes_to_its_sorted_place_with_the_indentation_of_the_file(self):
        text = f"---\n# head\n'':\n    type: A\n    values:\n    - 1.1.1.1\n    # own\n# of www\nwww: {A}\n"
        assert put(text, NEW, ttl=60) == text.replace(
            "# of www\n", "_mta-sts:\n    ttl: 60\n    type: TXT\n    value: v=STSv1\\; id=1\\;\n# of www\n"
        )

    def test_it_goes_to_the_end_where_the_keys_are_not_sorted(self):
        text = f"www: {A}\n'': {A}\n# end\n"
        assert put(text, NEW) == text.replace("# end", "_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n# end")

    def test_blank_lines_between_records_are_kept_up(self):
        text = f"'': {A}\n\na: {A}\n\nb: {A}\n"
        assert put(text, NEW) == text.replace("\n\na:", "\n\n_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n\na:")

    def test_natural_order(self):
        text = f"a2: {A}\na10: {A}\n"
        assert put(text, "x", name="a3.example.com") == f"a2: {A}\na3:\n  type: TXT\n  value: x\na10: {A}\n"
        plain = f"a10: {A}\na2: {A}\n"
        assert put(plain, "x", name="a11.example.com") == f"a10: {A}\na11:\n  type: TXT\n  value: x\na2: {A}\n"

    def test_beside_other_records_of_the_name(self):
        assert put(f"_mta-sts: {A} # x\n", NEW) == f"_mta-sts: [{A}, {{type: TXT, value: v=STSv1\\; id=1\\;}}] # x\n"
        assert put("_mta-sts:\n  # x\n  type: A\n  value: 1.1.1.1 # y\n\nz: 1\n", NEW) == (
            "_mta-sts:\n  # x\n  - type: A\n    value: 1.1.1.1 # y\n  - type: TXT\n    value: v=STSv1\\; id=1\\;\n\nz: 1\n"
        )
        assert (
            put("_mta-sts:\n- type: A\n  value: 1.1.1.1\n", NEW)
            == "_mta-sts:\n- type: A\n  value: 1.1.1.1\n- type: TXT\n  value: v=STSv1\\; id=1\\;\n"
        )

    def test_a_unicode_zone_file_gets_a_unicode_key(self):
        name = "_mta-sts.xn--bcher-kva.example.com"
        assert put(f"bücher: {A}\n", "x", name=name) == f"_mta-sts.bücher:\n  type: TXT\n  value: x\nbücher: {A}\n"
        assert "_mta-sts.xn--bcher-kva:" in put(f"a: {A}\n", "x", name=name)

    def test_two_at_once_and_one_that_goes(self):
        text = f"_mta-sts: {{type: TXT, value: a}}\nwww: {A}"
        edits = [
            TxtEdit(name=STS, values=(), ttl=3600),
            TxtEdit(name=TLS, values=("v=TLSRPTv1; rua=mailto:a@b",), ttl=3600),
            TxtEdit(name="_a.example.com", values=("x",), ttl=3600),
        ]
        assert edit(text, ZONE, edits, shown="z.yaml") == (
            f"_a:\n  type: TXT\n  value: x\n_smtp._tls:\n  type: TXT\n  value: v=TLSRPTv1\\; rua=mailto:a@b\nwww: {A}"
        )


def test_a_layout_that_cannot_be_edited_is_refused():
    with pytest.raises(Refused) as raised:
        put("? _mta-sts\n: type: TXT\n  value: a\n")
    assert raised.value.diagnostics[0].code == "MTS465"


def test_an_unreadable_text_is_refused_with_its_place():
    with pytest.raises(Refused, match="not YAML") as raised:
        put("a: [\n", NEW)
    assert re.search(r"z.yaml:2:1", str(raised.value.diagnostics[0].where))
    assert unknown("a: [\n").code == "MTS451"


def test_ten_thousand_keys_are_edited_in_one_pass():
    text = "".join(f"_mta-sts.d{i:05}:\n  type: TXT\n  value: v=STSv1\\; id=0\\;\n" for i in range(2000))
    edits = [TxtEdit(name=f"_mta-sts.d{i:05}.example.com", values=(NEW,), ttl=3600) for i in range(2000)]
    assert edit(text, ZONE, edits, shown="z.yaml") == text.replace("id=0", "id=1")


def test_two_values_become_one_beside_a_new_key():
    before = (
        "'':\n  - type: MX\n    value: {exchange: mx.example.com., preference: 10}\n"
        "_mta-sts:\n  type: TXT\n  values:\n    - v=STSv1\\; id=abc\\;\n    - v=STSv1\\; id=def\\;\n"
    )
    edits = [
        TxtEdit(name="_mta-sts.example.com", values=("v=STSv1; id=1;",), ttl=3600),
        TxtEdit(name="_smtp._tls.example.com", values=("v=TLSRPTv1; rua=mailto:a@example.org",), ttl=3600),
    ]
    after = edit(before, ZONE, edits, shown="z.yaml")
    found = zone_text.read(after, ZONE, ["_mta-sts.example.com", "_smtp._tls.example.com"], provider="local", shown="z.yaml")
    assert isinstance(found, ZoneFacts)
    assert {name: facts.txt.values for name, facts in found.names.items() if facts.txt} == {
        "_mta-sts.example.com": ("v=STSv1; id=1;",),
        "_smtp._tls.example.com": ("v=TLSRPTv1; rua=mailto:a@example.org",),
    }


def test_a_crlf_zone_gets_no_blank_lines():
    before = "a: {type: A, value: 192.0.2.1}\r\nz: {type: A, value: 192.0.2.2}\r\n"
    edits = [TxtEdit(name="_mta-sts.example.com", values=("v=STSv1; id=1;",), ttl=3600)]
    assert "\r\n\r\n" not in edit(before, ZONE, edits, shown="z.yaml")


def test_a_zone_that_loses_its_last_record_keeps_its_line_ends():
    text = "---\r\n_mta-sts: {type: TXT, value: 'v=STSv1\\; id=0\\;'}"
    new = edit(text, ZoneName("example.com."), [TxtEdit(name="_mta-sts.example.com", values=(), ttl=3600)], shown="zone.yaml")
    assert new == "---\r\n{}\r\n"
