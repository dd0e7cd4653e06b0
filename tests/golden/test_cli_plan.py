"""What `plan`, `show` and `validate` say."""

from __future__ import annotations

import json

from tests.transcripts import Transcript


def test_a_first_plan_and_a_plan_of_changes(cli: Transcript) -> None:
    cli.show("plan")
    cli.show("apply", "--auto-approve")
    cli.show("plan")
    cli.show("plan", "-v")
    cli.compare("first")


def test_a_plan_shows_what_is_added_changed_and_kept(applied: Transcript) -> None:
    applied.show("plan")
    applied.show("plan", "--detailed-exitcode", "--quiet")
    applied.show("plan", "--domain", "new.*", "--domain", "kept.example", "-q")
    applied.show("plan", "--exclude", "changed.example", "--detailed-exitcode", "-q")
    applied.show("plan", "--domain", "absent.example")
    applied.compare("plan")


def test_a_saved_plan_is_shown_without_looking_at_the_world(applied: Transcript) -> None:
    applied.show("plan", "-q", "--domain", "new.example", "--out", "plan.json")
    applied.write("mta-sts.yaml", "this is no declaration")
    applied.show("show", "plan.json")
    applied.show("show", "plan.json", "--format", "json")
    applied.edit("plan.json", "mx1.new.example", "mx9.new.example")
    applied.show("show", "plan.json")
    applied.write("plan.json", "{}")
    applied.show("show", "plan.json")
    applied.write("plan.json", '{"format_version": 99}')
    applied.show("show", "plan.json")
    applied.show("show", "absent.json")
    applied.compare("show")


def test_a_plan_as_json_is_the_plan_file(applied: Transcript) -> None:
    printed = applied.deploy("plan", "--format", "json", "--out", "plan.json", "--json-into", "into.json")
    saved = json.loads((applied.directory / "plan.json").read_text())
    assert json.loads(printed.out) == saved
    assert json.loads((applied.directory / "into.json").read_text()) == saved
    assert saved["format_version"] == 1
    assert saved["partial"] is False
    assert json.loads(applied.deploy("plan", "--format", "json", "--domain", "new.example").out)["partial"] is True


def test_json_beside_text(applied: Transcript) -> None:
    assert applied.deploy("plan", "--json-into", "into.json").out.startswith("changed.example ")
    assert json.loads((applied.directory / "into.json").read_text())["summary"]["add"] == 3


def test_a_guard_blocks_one_domain(applied: Transcript) -> None:
    applied.edit("zones/new.example.yaml", "mta-sts:", "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:")
    applied.show("plan", "-q")
    applied.show("plan", "-q", "--detailed-exitcode", "--format", "json", "--domain", "new.example")
    applied.show("apply", "--auto-approve")
    applied.compare("blocked")


def test_a_guard_is_lifted_for_one_domain(applied: Transcript) -> None:
    applied.edit("mta-sts.yaml", "new.example:", "new.example: {mode: enforce, max_age: 26w, mx: [mx1.new.example]}")
    applied.show("plan", "-q", "--domain", "new.example")
    applied.show("plan", "-q", "--domain", "new.example", "--allow", "MTS411=new.example")
    applied.show("plan", "-q", "--domain", "new.example", *(f"--allow=MTS{code}=new.example" for code in (401, 405, 411)))
    applied.show("plan", "--allow", "MTS401")
    applied.show("plan", "--allow", "MTS402=new.example")
    applied.compare("lifted")


def test_a_wait_is_shown_with_its_end(cli: Transcript) -> None:
    cli.edit("mta-sts.yaml", "  changed.example:\n", "  changed.example: {mode: enforce}\n")
    cli.show("plan", "--domain", "changed.example", "-q")
    cli.show("apply", "--auto-approve", "--domain", "changed.example", "-q")
    cli.show("plan", "--domain", "changed.example", "-q")
    cli.show("status", "changed.example")
    cli.note("an hour later")
    cli.clock.pass_(hours=1)
    cli.show("plan", "--domain", "changed.example", "-q")
    cli.compare("wait")


def test_what_cannot_be_observed_is_named(applied: Transcript) -> None:
    applied.write("zones/kept.example.yaml", "_mta-sts: {type: TXT\n")
    applied.show("plan", "-q")
    applied.show("status", "kept.example")
    applied.show("validate")
    applied.compare("unobservable")


def test_a_live_domain_that_is_no_longer_declared_is_left_alone(applied: Transcript) -> None:
    applied.edit("mta-sts.yaml", "  kept.example: {max_age: 1d}\n", "")
    applied.show("plan", "-q")
    applied.show("status")
    applied.compare("stray")


def test_what_others_write_cannot_steer_a_terminal(applied: Transcript) -> None:
    applied.edit("zones/kept.example.yaml", "_mta-sts:\n", "_mta-sts:\n  # theirs\n")
    applied.edit("zones/kept.example.yaml", "  value: v=STSv1", '  values:\n  - "\\e]0;title\\a\\u202e"\n  - v=STSv1')
    done = applied.deploy("plan", "--domain", "kept.example")
    assert "MTS417" in done.out
    assert all(character == "\n" or character.isprintable() for character in done.out + done.err)


def test_validate(applied: Transcript) -> None:
    applied.show("validate")
    applied.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, mod: enforce, ttl: nought}")
    applied.show("validate")
    applied.show("validate", "--format", "json")
    applied.show("plan")
    applied.compare("validate")


def test_no_declaration_at_all(cli: Transcript) -> None:
    (cli.directory / "mta-sts.yaml").unlink()
    cli.show("plan")
    cli.show("plan", "--format", "json")
    cli.show("plan", "--config", "other.yaml")
    cli.compare("no-declaration")


def test_the_address_of_a_policy_host_is_adopted_changed_and_waited_for(applied: Transcript) -> None:
    one = ("--domain", "kept.example")
    applied.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, address: {a: [192.0.2.9]}}")
    applied.show("plan", "-q", *one)
    applied.edit("mta-sts.yaml", "192.0.2.9", "192.0.2.1")
    applied.show("plan", *one)
    applied.show("apply", "--auto-approve", *one)
    applied.edit("mta-sts.yaml", "max_age: 1d, address: {a: [192.0.2.1]}", "max_age: 2d, address: {cname: policies.example.net}")
    for _ in range(2):
        applied.show("plan", *one)
        applied.show("apply", "--auto-approve", *one)
    applied.show("plan", *one)
    applied.note("the TTL of the old address has passed")
    applied.clock.pass_(hours=2)
    applied.show("apply", "--auto-approve", *one)
    applied.show("plan", *one)
    applied.compare("address")
