"""`import`: what is live becomes lines, and what cannot be read is named. No network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy import adapters
from mtasts_deploy.apply.report import Outcome as End
from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.deployment import Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.ledger.events import Look, digits_of, saw
from mtasts_deploy.ledger.model import UNSEEN
from mtasts_deploy.output.standing import IdState, standing
from mtasts_deploy.plan.model import Action, Barrier, PutPolicy, PutRecords, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Mode, parse_policy, policy_id
from mtasts_deploy.sender.names import Outcome, Reply
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.importing import LeftOut, Live, described
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.run import verify
from tests.deployments import EXAMPLE, Sandbox
from tests.net import DOMAIN, ENFORCE, NOW, STS, TESTING, Net
from tests.transcripts import Transcript
from tests.worlds import Failure

FOREIGN = b"version: STSv1\nmax_age: 604800\nmode: enforce\nmx: mx1.example.com\nmx: mx2.example.com\n"
TXT = ("_mta-sts.example.com", "TXT")
RUA = ("_smtp._tls.example.com", "TXT")


def eyes(net: Net) -> Eyes:
    return Eyes(lookups=net, fetcher=net, prober=None, looking=Looking(), clock=lambda: NOW)


def seen(net: Net) -> Live | LeftOut:
    return described(verify([DOMAIN], eyes(net)).domains[0])


def serving(*bodies: bytes) -> tuple[Fetched, ...]:
    return tuple(Fetched(address=f"192.0.2.{number}", status=200, body=body) for number, body in enumerate(bodies, 80))


def codes(findings: Sequence[Diagnostic]) -> set[str]:
    return {finding.code for finding in findings}


def test_a_policy_and_its_record_become_settings():
    found = seen(Net())
    assert isinstance(found, Live)
    assert (found.sts, found.mode, found.max_age, found.tlsrpt) == (Sts.PUBLISH, Mode.ENFORCE, 604_800, ("mailto:tls@reports.example",))
    assert [str(one) for one in found.mx or ()] == ["mx1.example.com", "mx2.example.com"]
    assert (found.id, found.bodies) == ((STS.decode().partition("id=")[2].rstrip(";"), 3600), (ENFORCE,))
    assert found.ttl is None, "a resolver counts TTLs down"


def test_a_ttl_is_that_of_the_zones_own_servers():
    found = seen(Net(own={"ns1": [STS]}))
    assert isinstance(found, Live)
    assert found.ttl == 3600


@pytest.mark.parametrize(
    ("net", "code"),
    [
        pytest.param(Net().with_dns({TXT: [STS, STS]}), "MTS301", id="two records"),
        pytest.param(Net().with_dns({TXT: Outcome.FAILED}), "MTS552", id="SERVFAIL"),
        pytest.param(Net().with_dns({TXT: [b"v=STSv1; id=a-b"]}), "MTS310", id="a bad id"),
        pytest.param(Net(fetched=(Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS521", message="404")),)), "MTS521", id="404"),
        pytest.param(Net(fetched=serving(ENFORCE, TESTING)), "MTS535", id="two policies"),
        pytest.param(Net(fetched=serving(ENFORCE, b"<html>")), "MTS223", id="a page at one address"),
        pytest.param(Net(fetched=serving(ENFORCE.replace(b"mx1.", "mü.".encode()))), "MTS219", id="an mx that is no A-label"),
        pytest.param(Net().with_dns({RUA: Outcome.TIMEOUT}), "MTS553", id="no answer about TLSRPT"),
        pytest.param(
            Net().with_dns({TXT: None, RUA: [b"v=TLSRPTv1; rua=mailto:a@b.example", b"v=TLSRPTv1; rua=mailto:a@b.example"]}),
            "MTS301",
            id="two TLSRPT records and nothing else",
        ),
    ],
)
def test_what_senders_cannot_read_is_left_out_with_its_reason(net: Net, code: str):
    found = seen(net)
    assert isinstance(found, LeftOut)
    assert not found.nothing
    assert code in codes(found.findings)


def test_two_addresses_with_one_meaning_are_one_policy():
    found = seen(Net(fetched=serving(ENFORCE, FOREIGN)))
    assert isinstance(found, Live)
    assert found.bodies == (ENFORCE, FOREIGN)


def test_where_nothing_is_live_nothing_is_declared():
    found = seen(Net().with_dns({TXT: [b"v=spf1 -all"], RUA: None}))
    assert isinstance(found, LeftOut)
    assert found.nothing


def test_reports_alone_are_declared_alone():
    found = seen(Net().with_dns({TXT: None}))
    assert isinstance(found, Live)
    assert (found.sts, found.mode, found.mx, found.tlsrpt) == (Sts.TLSRPT_ONLY, None, None, ("mailto:tls@reports.example",))


def test_a_broken_record_for_reports_is_left_as_it_is():
    found = seen(Net().with_dns({RUA: [b"v=TLSRPTv1"]}))
    assert isinstance(found, Live)
    assert found.tlsrpt is None
    assert "MTS320" in codes(found.findings)


def test_a_record_that_is_an_alias_is_published_elsewhere():
    texts = Reply(name=TXT[0], kind="TXT", server="r", outcome=Outcome.FOUND, texts=(STS,), ttl=60, canonical="_mta-sts.example.net")
    found = seen(Net().with_dns({TXT: texts}))
    assert isinstance(found, Live)
    assert (found.sts, found.alias, found.mode, found.id) == (Sts.ELSEWHERE, "_mta-sts.example.net", None, None)


def test_a_max_age_of_0_is_the_one_thing_that_no_declaration_can_say():
    found = seen(Net(fetched=serving(ENFORCE.replace(b"604800", b"0"))))
    assert isinstance(found, Live)
    assert found.max_age == 1
    assert "MTS940" in codes(found.findings)


# --- what the ledger was told, in plans and runs


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A domain that another server serves, after its import."""
    sandbox = Sandbox(tmp_path)
    sandbox.target.set_txt("_mta-sts.example.com", "v=STSv1; id=20250101")
    sandbox.declare("domains:\n  example.com: {mode: enforce, max_age: 1w, mx: [mx1.example.com, mx2.example.com]}\n")
    return sandbox


def test_a_policy_on_another_server_is_the_same_policy_and_stays_enforced(sandbox: Sandbox):
    plan = sandbox.one()
    assert plan.lines[0].action is Action.ADD, "without an import nobody knows it"
    adopt(sandbox)
    plan = sandbox.one()
    assert (plan.verdict, plan.repair) == (Verdict.CHANGED, True)
    assert (plan.lines[0].action, plan.lines[0].text) == (Action.CHANGE, "same policy, our form")
    assert [type(step) for step in plan.steps] == [PutPolicy, Barrier, PutRecords]
    assert "Another server serves the policy now." in plan.notes[0]
    assert not plan.findings
    assert sandbox.apply().exit_code == 0
    assert "mode: enforce" in sandbox.served()
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_what_an_import_has_noted_can_be_rolled_back_to(sandbox: Sandbox):
    adopt(sandbox)
    sandbox.apply()
    assert sandbox.rollback("example.com").exit_code == 0
    assert sandbox.served() == FOREIGN.decode()


def test_a_narrower_policy_than_the_one_elsewhere_shows_as_that(sandbox: Sandbox):
    adopt(sandbox)
    sandbox.declare("domains:\n  example.com: {mode: testing, max_age: 1d, mx: [mx1.example.com, mx2.example.com]}\n")
    assert sandbox.one().lines[0].text == "mode enforce → testing · max_age 1w → 1d"


def test_our_own_lost_file_is_not_taken_for_one_elsewhere(sandbox: Sandbox):
    sandbox.host.files[EXAMPLE] = FOREIGN
    sandbox.apply()
    del sandbox.host.files[EXAMPLE]
    plan = sandbox.one()
    assert (plan.lines[0].action, plan.lines[0].text.partition(" · ")[0]) == (Action.ADD, "mode enforce")


def adopt(sandbox: Sandbox) -> None:
    sandbox.deployment.adopt({EXAMPLE: Look(ids=(("20250101", 3600),), bodies=(FOREIGN,))}, Options(command="deploy import"))


@dataclass
class Web:
    """The policy host, on which others put what they like until it leads to the host of the sandbox."""

    sandbox: Sandbox
    body: bytes | None

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        return serving(self.body or self.sandbox.host.files[domain])

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        return self.fetch(domain, known=True)


def imported(sandbox: Sandbox, body: bytes) -> Web:
    """The domain behind HTTPS, imported, with this served now."""
    web = Web(sandbox, body)
    sandbox.fetcher = web
    sandbox.declare(sandbox.text.replace("mode: enforce", "confirm: https, mode: enforce"))
    adopt(sandbox)
    return web


def test_no_id_moves_before_the_policy_host_serves_our_file(sandbox: Sandbox):
    web = imported(sandbox, FOREIGN)
    assert sandbox.apply().exit_code in (1, 6)
    assert sandbox.live_id() == "20250101"
    web.body = None
    assert sandbox.one().lines[0].action is Action.KEEP
    assert sandbox.apply().exit_code == 0
    assert sandbox.live_id() == str(policy_id(sandbox.host.files[EXAMPLE]))


def test_what_others_have_changed_since_the_import_stops_the_domain(sandbox: Sandbox):
    imported(sandbox, TESTING)
    result = sandbox.apply()
    assert (result.exit_code, result.outcomes[EXAMPLE]) == (5, End.STALE)
    assert EXAMPLE not in sandbox.host.files
    assert "mode testing" in sandbox.one().lines[0].text, "who does not know what senders hold goes on in testing"


def test_bytes_that_mean_different_things_are_no_policy_to_go_by(sandbox: Sandbox):
    entry = saw(UNSEEN, Look(ids=(("20250101", 3600),), bodies=(FOREIGN, TESTING)), sandbox.clock())
    assert len(entry.elsewhere(["20250101"])) == 2
    sandbox.deployment.adopt({EXAMPLE: Look(ids=(("20250101", 3600),), bodies=(FOREIGN, TESTING))}, Options(command="deploy import"))
    assert sandbox.one().lines[0].action is Action.ADD


# --- the command


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Net], Transcript]:
    def made(net: Net) -> Transcript:
        monkeypatch.setattr(adapters, "eyes", lambda *_, **__: eyes(net))
        return Transcript(tmp_path, monkeypatch)

    return made


def test_without_a_declaration_one_is_made_and_the_ledger_is_told(live: Callable[[Net], Transcript]):
    here = live(Net())
    done = here.deploy("import", "example.com")
    assert (done.code, done.out) == (0, ""), done.err
    assert "Import: 1 written to mta-sts.yaml." in done.err
    assert (here.directory / "mta-sts.yaml").read_text().partition("defaults: {dns: route53, host: web}\n\n")[2] == (
        "domains:\n  example.com:\n    mode: enforce\n    max_age: 1w\n"
        '    mx: [mx1.example.com, mx2.example.com]\n    tlsrpt: "mailto:tls@reports.example"\n'
    )
    here.write("zones/example.com.yaml", "---\n'':\n  type: MX\n  values: [{preference: 10, exchange: mx1.example.com.}]\n")
    assert here.deploy("validate").code == 0
    (shard,) = (here.directory / ".mtasts" / "ledger").iterdir()
    entry = json.loads(shard.read_text())["domains"]["example.com"]
    assert entry["ids"]


def test_what_defaults_say_otherwise_is_said_for_the_domain(live: Callable[[Net], Transcript]):
    here = live(Net(own={"ns1": [STS]}))
    here.write("mta-sts.yaml", "version: 1\ndefaults: {sts: elsewhere, ttl: 600, mode: testing}\ndomains:\n")
    assert here.deploy("import", "example.com").code == 0
    text = (here.directory / "mta-sts.yaml").read_text()
    assert text.endswith(
        "  example.com:\n    sts: true\n    mode: enforce\n    max_age: 1w\n    mx: [mx1.example.com, mx2.example.com]\n"
        '    tlsrpt: "mailto:tls@reports.example"\n    ttl: 3600\n'
    )


def test_reports_that_defaults_ask_for_are_told_of(live: Callable[[Net], Transcript]):
    here = live(Net().with_dns({RUA: None}))
    here.write("mta-sts.yaml", 'version: 1\ndefaults: {tlsrpt: "mailto:a@b.example"}\ndomains:\n')
    done = here.deploy("import", "example.com")
    assert (done.code, "MTS940" in done.err) == (0, True)


def test_to_stdout_nothing_is_written(live: Callable[[Net], Transcript]):
    here = live(Net())
    done = here.deploy("import", "example.com", "--out", "-")
    assert done.out.startswith("domains:\n  example.com:\n    mode: enforce\n")
    assert list(here.directory.iterdir()) == []


def test_what_is_declared_stays_as_it_is(live: Callable[[Net], Transcript]):
    here = live(Net())
    here.write("mta-sts.yaml", text := "version: 1\ndomains:\n  example.com: {mode: none}  # ours\n")
    done = here.deploy("import", "example.com")
    assert (done.code, "MTS945" in done.err) == (0, True)
    assert (here.directory / "mta-sts.yaml").read_text() == text


def test_a_domain_that_cannot_be_read_is_named_and_the_others_are_written(live: Callable[[Net], Transcript]):
    here = live(Net().with_dns({("_mta-sts.example.org", "TXT"): [STS, STS]}))
    here.write("names.txt", "# ours\nexample.org # two\n\nreports.example\n")
    done = here.deploy("import", "example.com", "--from-file", "names.txt")
    assert done.code == 1
    assert "MTS301" in done.err
    assert "MTS946: example.org is not written" in done.err
    assert "reports.example is not written: nothing" in done.err
    assert "MTS570: _smtp._tls.reports.example" not in done.err, "what is not there need not be told of"
    assert "Import: 1 written to mta-sts.yaml, 2 left out." in done.err
    assert "example.org" not in (here.directory / "mta-sts.yaml").read_text()


def test_a_file_for_another_team_is_made_and_included(live: Callable[[Net], Transcript]):
    here = live(Net())
    here.write("mta-sts.yaml", text := "version: 1\ninclude: [domains/*.yaml]\n")
    (here.directory / "domains").mkdir()
    assert here.deploy("import", "example.com", "--out", "domains/team.yaml").code == 0
    assert (here.directory / "mta-sts.yaml").read_text() == text
    assert "example.com" in here.deploy("validate", "--format", "json").out or here.deploy("validate").code == 0
    assert (here.directory / ".mtasts" / "ledger").exists()


def test_a_file_that_nothing_includes_is_told_of(live: Callable[[Net], Transcript]):
    here = live(Net())
    here.write("mta-sts.yaml", "version: 1\ndomains:\n")
    done = here.deploy("import", "example.com", "--out", "other.yaml")
    assert (done.code, "MTS943" in done.err) == (0, True)
    assert not (here.directory / ".mtasts" / "ledger").exists()


@pytest.mark.parametrize(
    "text", ["version: 1\ndomains: {a.example: {}}\n", "version: 1\ndomains: &d\n  a.example: {}\ninclude: []\nprofiles: *d\n"]
)
def test_a_file_that_cannot_take_lines_stays(live: Callable[[Net], Transcript], text: str):
    here = live(Net())
    here.write("mta-sts.yaml", text)
    done = here.deploy("import", "example.com")
    assert done.code == 1
    assert (here.directory / "mta-sts.yaml").read_text() == text


def test_a_wrong_declaration_is_not_added_to(live: Callable[[Net], Transcript]):
    here = live(Net())
    here.write("mta-sts.yaml", text := "version: 1\nmode: testing\n")
    assert here.deploy("import", "example.com").code == 1
    assert (here.directory / "mta-sts.yaml").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "MTS941"),
        (("--from-file", "nowhere.txt"), "MTS907"),
        (("exa mple.com",), "MTS20"),
        (("--config", "no.yaml", "example.com"), "MTS100"),
    ],
)
def test_wrong_usage_writes_nothing(live: Callable[[Net], Transcript], arguments: tuple[str, ...], code: str):
    here = live(Net())
    done = here.deploy("import", *arguments)
    assert (done.code, code in done.err) == (1, True), done.err
    assert list(here.directory.iterdir()) == []


def test_a_policy_host_that_is_an_alias_is_spoken_of(live: Callable[[Net], Transcript]):
    alias = Reply(name="mta-sts.example.com", kind="A", server="r", outcome=Outcome.FOUND, values=("192.0.2.80",), canonical="cdn.example")
    here = live(Net().with_dns({("mta-sts.example.com", "A"): alias}))
    done = here.deploy("import", "example.com", "--out", "-")
    assert "MTS944: mta-sts.example.com is a CNAME to cdn.example" in done.err
    assert replace(alias, canonical="").aliased is False


def test_the_zones_of_a_provider_are_looked_at_where_something_is_live(live: Callable[[Net], Transcript]):
    here = live(Net())
    here.write("mta-sts.yaml", "version: 1\nproviders:\n  files: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: z}\n")
    for zone in ("example.com", "example.net", "2.0.192.in-addr.arpa"):
        here.write(f"z/{zone}.yaml", "---\n'':\n  type: MX\n  values: [{preference: 10, exchange: mx1.example.com.}]\n")
    done = here.deploy("import", "--provider", "files")
    assert done.code == 0, done.err
    assert "Import: 1 written to mta-sts.yaml, 1 zones without anything live." in done.err
    assert (here.directory / "mta-sts.yaml").read_text().endswith("    dns: files\n")
    assert here.deploy("validate").code == 0
    assert here.deploy("import", "--provider", "nobody").code == 1


def test_a_name_that_does_not_exist_is_no_success(live: Callable[[Net], Transcript]):
    done = live(Net()).deploy("import", "exmaple.com")
    assert (done.code, "MTS638" in done.err) == (1, True)


def test_status_knows_what_was_imported(sandbox: Sandbox):
    adopt(sandbox)
    survey, book = sandbox.deployment.survey()
    settings = sandbox.deployment.declaration.domains[EXAMPLE]
    found = standing(settings, survey.plan.domains[0], survey.seen[EXAMPLE], book.get(EXAMPLE), sandbox.clock())
    assert (found.live, found.id_state, found.uncovered) == (Mode.ENFORCE, IdState.FOREIGN, ())


@pytest.mark.parametrize("first", range(1, 30, 2))
def test_an_adoption_may_be_killed_at_any_point(sandbox: Sandbox, first: int):
    """Killed once while others serve and once when our host does: what senders get always means the same, under an id that names it."""
    web = imported(sandbox, FOREIGN)
    wrong: list[str] = []

    def look(what: str) -> None:
        body = web.body or sandbox.host.files[EXAMPLE]
        if parse_policy(body).mode is not Mode.ENFORCE or (
            sandbox.live_id() != "20250101" and not sandbox.live_id().startswith(digits_of(body))
        ):
            wrong.append(f"{what}: {sandbox.live_id()} and {body!r}")

    def killed_at(number: int) -> None:
        left = count(1)

        def hook(what: str) -> None:
            look(what)
            if next(left) == number:
                raise Failure(what)

        with contextlib.suppress(Failure), sandbox.failing(hook):
            sandbox.apply()
        sandbox.state.objects.pop("lock.json", None)
        sandbox.clock.pass_(minutes=1)

    killed_at(first)
    killed_at(99)
    assert sandbox.live_id() == "20250101"
    web.body = None  # the policy host leads to our host now
    killed_at(first)
    with sandbox.failing(look):
        assert sandbox.apply().exit_code == 0
    assert wrong == []
    assert sandbox.live_id().startswith(digits_of(sandbox.host.files[EXAMPLE]))
    assert sandbox.one().verdict is Verdict.UNCHANGED
