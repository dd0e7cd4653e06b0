"""The codes of a run, of the ledger's format and of plan files: MTS700 to MTS709, MTS760 to MTS779. The lock and the state: `storage`."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS701",
        title="The declaration asks for what a rollback has taken back",
        why="A rollback is for trouble. Without this guard the next scheduled apply would publish the same trouble again.",
        fix="Change the declaration to what you want now. If the same policy or record is right after all: `--allow MTS701=DOMAIN`.",
        good="deploy apply --allow MTS701=example.com",
    ),
    Entry(
        code="MTS703",
        title="A domain cannot be taken back",
        why="The policy from before is stricter than the one that is served, or does not name an MX host that may receive mail now, or "
        "is no policy at all. To publish it again could make senders refuse mail, so the domain stays as it is, in a valid state.",
        fix="Declare what you want for this domain now, and run `deploy apply`.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS704",
        title="The planned policy is not what the host serves",
        why="The file was put, but what is read back is something else. A record that moved now would tell senders to fetch that "
        "instead, and they would file it under the new id. So no record was moved.",
        fix="Find out who else writes to the policy host (a second deployment, a synchronisation), then run `deploy apply` again.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS705",
        title="A change was accepted, but a fresh read does not show it",
        why="The provider said yes, and the zone does not have the record. Senders see the old id and keep the old policy; the new "
        "policy is served, so whoever looks anew is right, too.",
        fix="Run `deploy apply` again. If it stays so, look at the zone with the provider's own tools.",
    ),
    Entry(
        code="MTS706",
        title="A domain was held back because another one failed",
        why="`--on-error stop` and `rollback` move no record unless every domain has come so far. The domain is in a valid state: its "
        "record still names a policy that senders can have.",
        fix="Mend the domain that failed, or run with `--on-error continue`.",
        good="deploy apply --on-error continue",
    ),
    Entry(
        code="MTS707",
        title="A change was accepted, and not every name server shows it yet",
        why="The provider has the record, and senders that ask the server that is named get the old one (or none). They keep the policy "
        "that they have, which is valid; the new policy is served to whoever looks. So nothing is undone. But until all servers agree the "
        "old id counts as visible, and steps that must wait for its end (new MX hosts, a retirement) wait.",
        fix="Run `deploy apply` again after a while: it asks the servers once more. If it stays so, look at the zone transfers to that "
        "server (NOTIFY, TSIG keys, the serial), and whether the NS records of the zone name the servers of this provider at all. A value "
        "that is shown with a backslash before the semicolon was spoilt by the provider: it turns MTA-STS off; report it there.",
        ref="RFC 8461 §8.1",
    ),
    Entry(
        code="MTS708",
        title="A name server could not be asked",
        why="After a push the servers of the zone are asked for the octets that they give to senders. One that does not answer, or does "
        "not serve the zone (a lame delegation), proves nothing, and no sender gets anything from it either: it is left out. Where none "
        "can be asked, the provider's own word has to do.",
        fix="Look at that server and at the NS records of the zone. If this machine may not send DNS queries to the Internet, allow it "
        "(UDP and TCP, port 53).",
    ),
    Entry(
        code="MTS709",
        title="A run stopped between two waves",
        why="More domains failed than `--max-failures` allows, so the rest was not begun. All of them are in a valid state.",
        fix="Mend what failed, then run the same command again: it goes on with the rest.",
        good="deploy apply --wave 1%,10%,100% --max-failures 2",
    ),
    Entry(
        code="MTS761",
        title="A file of the ledger cannot be read",
        why="The ledger knows what senders may still hold. Without it an id could be used again for other bytes, so nothing is done "
        "for the domains in this file. Others are not concerned. Mail goes on as before.",
        fix="Restore the file from version control or a backup. Without one: `deploy state rebuild` makes it anew from what is live.",
        good="git checkout .mtasts/ledger/3f.json",
    ),
    Entry(
        code="MTS762",
        title="A file of the ledger was written by a newer version",
        why="This version cannot know what is new in it, and writing it back would lose that.",
        fix="Use the version of mtasts-deploy that wrote it, or a newer one.",
    ),
    Entry(
        code="MTS771",
        title="A file is no plan",
        why="A saved plan is applied exactly as it was read by people, or not at all.",
        fix="Make a new one: `deploy plan --out plan.json`. Do not edit plan files.",
        bad="deploy plan > plan.json && deploy apply plan.json",
        good="deploy plan --out plan.json && deploy apply plan.json",
    ),
    Entry(
        code="MTS772",
        title="A plan file was written by a newer version",
        why="This version cannot know what its steps mean.",
        fix="Use one version of mtasts-deploy for plan and apply, or make the plan again with this one.",
    ),
    Entry(
        code="MTS773",
        title="The steps of a plan file are not those of its digest",
        why="The file was changed after it was made, by hand or on its way. What was approved is not what would be done, so nothing is "
        "done.",
        fix="Make a new one: `deploy plan --out plan.json`. Look at how the file travels between the two steps of your pipeline.",
    ),
    Entry(
        code="MTS764",
        title="A plan file is truncated",
        why="Its end is missing: it was copied half, or the disk was full. What is left of it is not what was approved.",
        fix="Copy it again, or make a new one: `deploy plan --out plan.json`.",
    ),
    Entry(
        code="MTS765",
        title="A plan was made from other settings",
        why="The declaration here is not the one that the plan was made from, so nobody has approved what the two would give together.",
        fix="Apply a plan with the same commit of the declaration that it was made from, or make a new one.",
        good="deploy plan --out plan.json && deploy apply plan.json",
    ),
    Entry(
        code="MTS766",
        title="A saved plan is stale",
        why="Something that the plan rests on has changed since it was made: a record, a policy, the MX records, the ledger. What was "
        "approved may no longer be right, so nothing of it was done, exit code 5.",
        fix="Make a new plan. `--on-stale skip` applies what is not stale, and still exits with 5.",
        good="deploy apply plan.json --on-stale skip",
    ),
    Entry(
        code="MTS767",
        title="The plan is not the expected one",
        why="`--expect` names the digest of the plan that was looked at. The one that would be carried out now has other steps, so nothing "
        "was done, exit code 5. The digest covers steps only: no times, paths or versions.",
        fix="Look at the new plan, and approve that one.",
        good="deploy apply --expect $(deploy plan --format json | jq -r .digest)",
    ),
    Entry(
        code="MTS768",
        title="A plan whose own run ended half-way no longer fits",
        why="A run of this plan was interrupted. As long as what is left is a part of what was approved, the same plan goes on; here "
        "something else is needed now: somebody else has changed what that run had done, or what it was going to do.",
        fix="Make a new plan; it holds what is left to do. What is published is valid meanwhile.",
        good="deploy plan --out plan.json && deploy apply plan.json",
    ),
    Entry(
        code="MTS769",
        title="A domain is in the wrong file of the ledger",
        why="Each domain has one file, by a hash of its name; an entry elsewhere is never read, so what it remembers would be forgotten.",
        fix="Restore the files from version control, or run `deploy state rebuild`.",
        good="deploy state check",
    ),
    Entry(
        code="MTS770",
        title="Something in the ledger's directory is not a part of it",
        why="A merge or an editor has left it. It is not read; if it was meant to be a file of the ledger, what is in it is forgotten.",
        fix="Look at it, then remove it.",
    ),
)
