"""What the other commands say."""

from __future__ import annotations

import json
import os

import pytest

from mtasts_deploy import __version__
from tests.transcripts import Transcript, asked


def test_status_and_history(applied: Transcript) -> None:
    applied.show("status")
    applied.deploy("apply", "--auto-approve")
    applied.clock.pass_(minutes=30)
    applied.show("status")
    applied.show("status", "changed.example", "--format", "json")
    applied.show("status", "absent.example")
    applied.show("history", "changed.example")
    applied.show("history", "changed.example", "--format", "json")
    applied.show("history", "absent.example")
    applied.show("history", "not a domain")
    applied.compare("status")


def test_status_fits_a_narrow_terminal(applied: Transcript, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtasts_deploy.output.channel import Channel

    applied.write(
        "zones/a-rather-long-name-for-a-mail-domain.example.yaml", "'':\n  type: MX\n  value: {exchange: mx.example., preference: 1}\n"
    )
    applied.edit("mta-sts.yaml", "  kept.example", "  a-rather-long-name-for-a-mail-domain.example:\n  kept.example")
    applied.deploy("apply", "--auto-approve")
    monkeypatch.setattr(Channel, "width", 80)
    done = applied.show("status")
    assert all(len(line) <= 80 for line in done.out.splitlines())
    applied.compare("status-80")


def test_render(applied: Transcript) -> None:
    for form in ("files", "zone", "octodns", "json"):
        applied.show("render", "--domain", "kept.example", "--domain", "new.example", "--format", form)
    applied.show("render", "--output", "by-hand", "--exclude", "parked.example")
    applied.compare("render")
    policy = applied.directory / "by-hand/mta-sts.kept.example/.well-known/mta-sts.txt"
    assert policy.read_bytes() == (applied.directory / "policies/mta-sts.kept.example/.well-known/mta-sts.txt").read_bytes()
    assert (applied.directory / "by-hand/records.zone").read_text().count("STSv1") == 3


def test_render_needs_no_zone_and_names_what_is_blocked(applied: Transcript) -> None:
    (applied.directory / "zones/kept.example.yaml").unlink()
    applied.edit("zones/new.example.yaml", "mta-sts:", "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:")
    applied.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, mx: [mx1.kept.example, mx2.kept.example]}")
    applied.show("render", "--format", "zone")
    applied.compare("render-blocked")


def test_long_records_are_split(applied: Transcript) -> None:
    many = ", ".join(f'"mailto:tls-reports-{number}@reports.example"' for number in range(12))
    applied.edit("mta-sts.yaml", "{sts: false}", f"{{sts: false, tlsrpt: [{many}]}}")
    done = applied.deploy("render", "--format", "zone", "--domain", "parked.example")
    strings = done.out.split("TXT ")[1].strip().strip('"').split('" "')
    assert [len(text) for text in strings][:-1] == [255]
    assert "".join(strings).startswith("v=TLSRPTv1; rua=mailto:tls-reports-0@reports.example,mailto:")


def test_explain(cli: Transcript) -> None:
    cli.show("explain", "MTS401")
    cli.show("explain", "mts401", "--format", "json")
    cli.show("explain", "402")
    cli.show("explain", "MTS4000")
    cli.show("explain", "nonsense")
    cli.compare("explain")
    listed = cli.deploy("explain")
    assert "MTS401  An MX host is in no mx pattern of the policy\n" in listed.out
    assert len(json.loads(cli.deploy("explain", "--format", "json").out)["codes"]) == len(listed.out.splitlines())


def test_schema_is_json_schema_of_draft_07(cli: Transcript) -> None:
    document = json.loads(cli.deploy("schema").out)
    assert document["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_init(cli: Transcript) -> None:
    cli.show("init", "--domain", "mine.example")
    (cli.directory / "mta-sts.yaml").unlink()
    cli.show("init")
    cli.write(".gitignore", "*.bak")
    cli.show("init", "--domain", "mine.example", "--tlsrpt", "tls@reports.example", "--mx", "zone", "--mx", "mx3.mine.example")
    for name in ("mta-sts.yaml", ".gitignore"):
        cli.text += f"==> {name} <==\n{(cli.directory / name).read_text()}\n"
    cli.write("zones/mine.example.yaml", "'':\n  type: MX\n  value: {exchange: mx1.mine.example., preference: 10}\n")
    cli.show("validate")
    cli.show("init", "--domain", "mine.example", "--config", "other/mta-sts.yaml", "--mx", "*")
    cli.show("init", "--domain", "mine.example", "--config", "other/mta-sts.yaml", "--tlsrpt", "phone:1234")
    assert not (cli.directory / "other").exists()
    cli.compare("init")


def test_init_writes_pipelines(cli: Transcript) -> None:
    cli.show("init", "--github", "--gitlab")
    cli.note("again")
    cli.show("init", "--github")
    cli.edit(
        "mta-sts.yaml",
        "version: 1",
        "version: 1\nproviders: {aws: {class: octodns_route53.Route53Provider}}\nstate: {type: directory, path: state}",
    )
    cli.show("init", "--timer")
    cli.show("init", "--domain", "mine.example", "--config", "new/mta-sts.yaml", "--github", "-q")
    cli.compare("init-pipelines")
    workflow = (cli.directory / ".github/workflows/mta-sts-plan.yml").read_text()
    assert f"pip install --quiet 'mtasts-deploy=={__version__}'" in workflow
    assert os.access(cli.directory / "mta-sts-apply", os.X_OK)
    (cli.directory / "mta-sts.gitlab-ci.yml").unlink()
    cli.deploy("init", "--gitlab")
    assert f"'mtasts-deploy[route53]=={__version__}'" in (cli.directory / "mta-sts.gitlab-ci.yml").read_text()
    assert (cli.directory / "new/.github/workflows/mta-sts-apply.yml").exists()


def test_init_asks(cli: Transcript) -> None:
    (cli.directory / "mta-sts.yaml").unlink()
    with asked(cli, "no domain", "kept.example", "", "tls@reports.example"):
        cli.show("init")
    cli.text += (cli.directory / "mta-sts.yaml").read_text()
    cli.show("plan", "-q")
    (cli.directory / "mta-sts.yaml").unlink()
    with asked(cli, "kept.example"):
        cli.show("init")
    cli.compare("init-asks")


def test_wrong_usage_is_exit_code_1(cli: Transcript) -> None:
    cli.show("aply")
    cli.show("plan", "--bogus")
    cli.show("plan", "--format", "yaml")
    cli.show("explain", "MTS401", "MTS402")
    cli.show("show")
    cli.show("apply", "--parallelism", "0", "--auto-approve")
    cli.show("apply", "--lock-timeout", "soon", "--auto-approve")
    cli.show("apply", "--on-error", "panic", "--auto-approve")
    cli.show("render", "--format", "zone", "--output", "mta-sts.yaml")
    cli.show("plan", "--out", "absent/plan.json", "-q")
    cli.compare("usage")


def test_a_bug_is_called_one_and_shows_no_traceback(cli: Transcript, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtasts_deploy.deployment import Deployment

    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(Deployment, "plan", broken)
    cli.show("plan")
    cli.compare("bug")
    assert "Traceback" in cli.deploy("plan", "-vv").err


def test_colour_never_carries_meaning(applied: Transcript, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    plain = applied.deploy("plan").out
    coloured = applied.deploy("plan", "--color").out
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain != coloured
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert applied.deploy("plan").out == coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert applied.deploy("plan").out == plain
    assert applied.deploy("plan", "--color").out == coloured
    assert applied.deploy("plan", "--no-color").out == plain


@pytest.mark.parametrize("variable", ["CI", "MTASTS_IN_AUTOMATION"])
def test_a_pipeline_gets_no_advice(applied: Transcript, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert "not saved" in applied.deploy("plan").err
    monkeypatch.setenv(variable, "true")
    assert applied.deploy("plan").err == ""


def test_options_have_variables_but_not_those_that_approve_or_lift(applied: Transcript, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTASTS_FORMAT", "json")
    monkeypatch.setenv("MTASTS_DOMAIN", "new.example")
    assert json.loads(applied.deploy("plan").out)["partial"] is True
    monkeypatch.setenv("MTASTS_AUTO_APPROVE", "1")
    assert applied.deploy("apply").code == 1
    texts = applied.deploy("apply", "--help").out
    assert "MTASTS_AUTO_APPROVE" not in texts
    assert "MTASTS_ALLOW" not in texts


def test_doctor(applied: Transcript) -> None:
    applied.show("doctor")
    applied.show("doctor", "--format", "json")
    applied.show("doctor", "--format", "github")
    applied.compare("doctor")
    assert not list((applied.directory / ".mtasts").glob("doctor*"))
