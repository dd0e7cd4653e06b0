"""The codes of the lock, the state and the directory host: MTS710 to MTS759."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_WHOLE: Final = "Mail is not affected: every file is whole, the old one or the new one, and records move only after their policy is served."
_AGAIN: Final = "then run the same command again; it looks at what is there and goes on."

_LOCK: Final = (
    Entry(
        code="MTS710",
        title="Another run holds the lock",
        why="Two runs at once on a zone could publish an id whose policy the other one has just replaced, so the second one does not "
        "start. Runs on other zones need not wait, unless their zones share one of the 64 buckets by which zones are locked.",
        fix=(
            "Wait for the other run, or let this one wait with `--lock-timeout`. A dead run on the same machine is "
            "noticed, and every lock runs "
            "out by itself after two minutes. Remove it by hand only if it is certain that its run is dead."
        ),
        bad="deploy unlock 3f0c9a1b7e22    (while that run goes on)",
        good="deploy apply --lock-timeout 5m",
    ),
    Entry(
        code="MTS711",
        title="The lock of a dead run was taken over",
        why="Its process is gone, or it has not renewed its lock for two minutes. It can no longer write: it would have "
        "to prove the lock first.",
        fix="Nothing. What the dead run has left open is finished by this one. If it was not dead, set the clocks of both machines right.",
    ),
    Entry(
        code="MTS712",
        title="The lock is not a lock object",
        why="Something else has written to it or damaged it, so nobody knows whether a run is going on; an unreadable "
        "lock never counts as free.",
        fix="If it is certain that no run is going on, remove the object that the message names, " + _AGAIN,
        bad="echo busy > .mtasts/lock.json",
        good="rm .mtasts/lock.json    (no run is going on)",
    ),
    Entry(
        code="MTS713",
        title="Waiting for the lock",
        why="Another run holds it; this one begins as soon as it is free, and gives up at the time named.",
        fix="Nothing. Interrupting now leaves nothing behind.",
    ),
    Entry(
        code="MTS714",
        title="This run no longer holds the lock",
        why="It stood still for so long that another run took over, somebody removed the lock, or the state answered too slowly. "
        "It has stopped before its next write, so that two runs never write at once.",
        fix="When no other run is going on, run `deploy apply` again: it goes on from what is there. Then find out why the run stood still "
        "(a suspended machine, a clock that jumped, a slow state).",
    ),
    Entry(
        code="MTS715",
        title="The lock could not be given back",
        why="The run is done, but the state could not be written at its end. The next run waits until the lock runs out.",
        fix="Wait for at most two minutes, or remove the lock with the command that the message names.",
    ),
    Entry(
        code="MTS716",
        title="The lock was written by a newer version",
        why="This version cannot know what that lock means, so it does not touch it.",
        fix="Upgrade mtasts-deploy here to the version that the other runs use.",
    ),
    Entry(
        code="MTS717",
        title="The lock has another id",
        why="The run that you want to unlock is over, and another one holds the lock now: removing its lock would let "
        "two runs write at once.",
        fix="Look whether that run is alive. Only if it is certainly dead, repeat the command with the id that the message names.",
        bad="deploy unlock 000000000000",
        good="deploy unlock 3f0c9a1b7e22    (the id that the message names)",
    ),
    Entry(
        code="MTS718",
        title="Nothing is locked",
        why="The run that held the lock has given it back.",
        fix="Nothing: the next `deploy apply` takes the lock by itself.",
    ),
    Entry(
        code="MTS719",
        title="The lock was removed by hand",
        why="If its run is alive after all, it stops before its next write, at the latest after ten seconds of writing.",
        fix="Nothing; what the removed run has left open is finished by the next `deploy apply`.",
    ),
)

_STATE: Final = (
    Entry(
        code="MTS720",
        title="No key of the state",
        why="Names of objects in the state are a closed set of characters, so that none of them can lead out of the state directory.",
        fix="This is a mistake in mtasts-deploy: please report it.",
        bad="../zones/example.com.yaml",
        good="ledger/3f.json",
    ),
    Entry(
        code="MTS721",
        title="The state was written by another run at the same time",
        why="Nothing was written, so that what the other run has remembered (which policies senders may hold) is not lost.",
        fix="Run the same command again: it reads anew. If it happens often, something writes the state without taking the lock.",
    ),
    Entry(
        code="MTS722",
        title="No space for the state",
        why="The disk or a quota is full. " + _WHOLE + " Nothing is published without being remembered first.",
        fix="Free some space or raise the quota, " + _AGAIN,
    ),
    Entry(
        code="MTS723",
        title="The state may not be read or written",
        why="The file system is mounted read-only, or this user has no permission. Nothing is published without being remembered first.",
        fix="Run as a user who may write the state directory, or mount its file system writable, " + _AGAIN,
    ),
    Entry(
        code="MTS724",
        title="Something else is where the state should be",
        why="A directory stands where a file should be, or the other way round; it is not touched, since somebody may need it.",
        fix="Look at what is there and move it away, " + _AGAIN,
    ),
    Entry(
        code="MTS725",
        title="A symbolic link in the state",
        why="Links below the state directory are not followed: what they point to can change, or lie where others write.",
        fix="Replace the link by what it points to. The state directory itself may be a link.",
        bad="ln -s /mnt/shared/ledger .mtasts/ledger",
        good="ln -s /mnt/shared/mtasts .mtasts",
    ),
    Entry(
        code="MTS726",
        title="The state is locked by a process that hangs",
        why="A single write takes milliseconds and holds the file lock only for that time; another process has held it for half a minute.",
        fix="Find the process that has `lock.flock` in the state directory open (`fuser`), end it, " + _AGAIN,
    ),
    Entry(
        code="MTS727",
        title="The directory that should hold the state is missing",
        why="Only the state directory itself is made, never what should hold it: a disk that is not mounted must not "
        "become an empty state, "
        "which has forgotten what senders hold.",
        fix="Make the directory, mount it, or correct `path` under `state`, " + _AGAIN,
        bad="state: {type: directory, path: /mnt/not-mounted/mtasts}",
        good="state: {type: directory, path: /mnt/mail/mtasts}",
    ),
    Entry(
        code="MTS728",
        title="The disk of the state failed",
        why="The system reports an error of the disk or of the network file system. " + _WHOLE,
        fix="Look at the system's log and at the disk before anything else is written to it, " + _AGAIN,
    ),
    Entry(
        code="MTS729",
        title="This system cannot lock the state",
        why="Writing needs the file locks of Linux or macOS; without them two runs could overwrite what the other has remembered.",
        fix="Run commands that write on Linux or macOS; the others work here.",
    ),
    Entry(
        code="MTS730",
        title="The disk has not confirmed a write of the state",
        why="The object is whole, but whether it is the old or the new one, or will be after a power failure, is unknown. The run stops.",
        fix="Look at the system's log for errors of this disk, " + _AGAIN,
    ),
    Entry(
        code="MTS731",
        title="The run log cannot be written",
        why="Mail is not affected, and the run goes on: the log is an audit trail that nothing else needs. The rest of "
        "the run is not in it.",
        fix="Give the state directory space and permissions; the next run writes its log again.",
    ),
)

_HOST: Final = (
    Entry(
        code="MTS740",
        title="The disk of the policy files failed",
        why="The system reports an error of the disk or of the network file system. " + _WHOLE,
        fix="Look at the system's log and at the disk before anything else is written to it, " + _AGAIN,
    ),
    Entry(
        code="MTS741",
        title="The policy file is not the one that the plan was made for",
        why="Somebody else has changed it meanwhile. Nothing was written: the plan's id and its guards were about other bytes.",
        fix="Run the same command again; it plans on what is there. Let only one tool write these files.",
    ),
    Entry(
        code="MTS742",
        title="No space for the policy file",
        why="The disk or a quota is full. The old policy is still served, and its record still names it.",
        fix="Free some space or raise the quota, " + _AGAIN,
    ),
    Entry(
        code="MTS743",
        title="The policy file may not be read or written",
        why="The file system is mounted read-only, or this user has no permission. The old policy is still served.",
        fix="Run as a user who may write the directory of the host, or mount its file system writable, " + _AGAIN,
    ),
    Entry(
        code="MTS744",
        title="Something else is where the policy file should be",
        why="A directory stands where a file should be, or the other way round; it is not touched, since somebody may need it.",
        fix="Look at what is there and move it away, " + _AGAIN,
    ),
    Entry(
        code="MTS745",
        title="A symbolic link among the policy files",
        why="Links below the directory of the host are not followed: a put through one would change a file somewhere "
        "else, perhaps the policy "
        "of another domain.",
        fix="Replace the link by what it points to. The directory of the host itself may be a link.",
        bad="ln -s mta-sts.example.com policies/mta-sts.example.net",
        good="ln -s /srv/www/mta-sts policies",
    ),
    Entry(
        code="MTS746",
        title="The policy files are locked by a process that hangs",
        why="A single put takes milliseconds and holds the file lock only for that time; another process has held it for half a minute.",
        fix="Find the process that has the directory of the host open (`fuser`), end it, " + _AGAIN,
    ),
    Entry(
        code="MTS747",
        title="The directory that should hold the policy files is missing",
        why="Only the directory of the host itself is made, never what should hold it: files on a disk that is not "
        "mounted are served to nobody.",
        fix="Make the directory, mount it, or correct `path` of the host, " + _AGAIN,
        bad="hosts: {web: {type: directory, path: /srv/not-mounted/mta-sts}}",
        good="hosts: {web: {type: directory, path: /srv/mta-sts}}",
    ),
    Entry(
        code="MTS748",
        title="The policy file is too long",
        why="Senders may stop reading after 64 kilobytes, so nobody knows which policy they see. Such a file is not "
        "ours, and is not replaced.",
        fix="Look at the file; move it away if nobody needs it, " + _AGAIN,
        ref="RFC 8461 §3.3",
    ),
    Entry(
        code="MTS749",
        title="This system cannot lock the policy files",
        why="Writing needs the file locks of Linux or macOS; without them two runs could overwrite each other's policies.",
        fix="Run commands that write on Linux or macOS; the others work here.",
    ),
    Entry(
        code="MTS750",
        title="No name for a directory",
        why="The name of the policy host would lead out of the directory of the host, so nothing is read or written there.",
        fix="This is a mistake in mtasts-deploy: please report it.",
    ),
    Entry(
        code="MTS751",
        title="The disk has not confirmed the policy file",
        why="The file is whole, but whether it is the old or the new one, or will be after a power failure, is unknown. "
        "The record does not move.",
        fix="Look at the system's log for errors of this disk, " + _AGAIN,
    ),
)

ENTRIES: Final[tuple[Entry, ...]] = (*_LOCK, *_STATE, *_HOST)
