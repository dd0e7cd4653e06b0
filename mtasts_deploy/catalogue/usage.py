"""The codes of usage and environment: MTS900 to MTS999."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_NOTHING: Final = "Nothing was done."

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="MTS901",
        title="The command line cannot be understood",
        why=_NOTHING + ' The exit code is 1, never 2: a pipeline would read 2 as "there are changes".',
        fix="`deploy --help` lists the commands, `deploy COMMAND --help` their options.",
        bad="deploy aply",
        good="deploy apply",
    ),
    Entry(
        code="MTS903",
        title="No declared domain has this name",
        why=_NOTHING + " A name that matches nothing is more often a slip than a wish to do nothing.",
        fix="`deploy status` lists the declared domains. In globs `*` and `?` stand for any characters; quote them for the shell.",
        bad="deploy plan --domain exmaple.com",
        good="deploy plan --domain 'example.*'",
    ),
    Entry(
        code="MTS904",
        title="`--allow` needs a code and a domain",
        why=_NOTHING + " A guard is lifted for one domain at a time, so that it stays in force for all others.",
        fix="Write the code, `=` and the domain; repeat the option for more.",
        bad="deploy apply --allow MTS401",
        good="deploy apply --allow MTS401=example.com",
    ),
    Entry(
        code="MTS905",
        title="This code cannot be lifted",
        why="What it guards against would lose mail or touch what is not ours, whoever wants it. " + _NOTHING,
        fix="Do what the page of that code says.",
    ),
    Entry(
        code="MTS906",
        title="Nobody is there who could approve",
        why="`apply` and `rollback` ask before they change anything, and without a terminal no answer can come. " + _NOTHING,
        fix="In a pipeline, save a plan, have it looked at, and apply that plan; or approve beforehand with `--auto-approve`.",
        bad="deploy apply < /dev/null",
        good="deploy plan --out plan.json && deploy apply plan.json",
    ),
    Entry(
        code="MTS907",
        title="A file that the command needs cannot be read",
        why=_NOTHING,
        fix="Check the name and the permissions of the file.",
    ),
    Entry(
        code="MTS908",
        title="A file that the command should write cannot be written",
        why="The file is as it was, or not there; it is never half written.",
        fix="Name a file in a directory that exists and where you may write, on a disk with space.",
    ),
    Entry(
        code="MTS909",
        title="stdout cannot be written",
        why="The result did not arrive where stdout goes, so it may be cut short there. An apply goes on to its end all the same: what "
        "it does must not depend on a log file.",
        fix="Free space where stdout goes. After an apply, `deploy plan` tells what is left to do.",
    ),
    Entry(
        code="MTS910",
        title="An option would change a saved plan",
        why="A saved plan is applied as people have read it, or not at all. " + _NOTHING,
        fix="Give `--domain`, `--exclude` and `--allow` to `deploy plan --out FILE`, and apply that file without them. The variables "
        "MTASTS_DOMAIN and MTASTS_EXCLUDE count as the options.",
        bad="deploy apply plan.json --domain example.com",
        good="deploy plan --domain example.com --out plan.json && deploy apply plan.json",
    ),
    Entry(
        code="MTS911",
        title="A time on the command line cannot be read",
        why=_NOTHING,
        fix="Seconds, or a number with s, m or h.",
        bad="deploy apply --lock-timeout 5min",
        good="deploy apply --lock-timeout 5m",
    ),
    Entry(
        code="MTS912",
        title="There is no such code",
        why="Codes are `MTS` and three digits, and keep their meaning for ever.",
        fix="`deploy explain` lists all codes.",
    ),
    Entry(
        code="MTS913",
        title="There is a declaration already",
        why="`deploy init` never overwrites: a declaration that was lost would leave its domains without anybody who looks after them.",
        fix="Edit the file that is there, or name another one with `--config`.",
    ),
    Entry(
        code="MTS914",
        title="`deploy init` does not know the mail domain",
        why="Nobody is there to ask, or no answer came. " + _NOTHING,
        fix="Name it with `--domain`.",
        good="deploy init --domain example.com --tlsrpt mailto:tls-reports@example.net",
    ),
    Entry(
        code="MTS915",
        title="The result has no such form",
        why="markdown, github, gitlab, gitlab-codequality and sarif are forms of plans, runs and findings; prometheus is one of `verify` "
        "and `drift`.",
        fix="Use `--format human` or `--format json`; look whether MTASTS_FORMAT is set.",
        bad="deploy history example.com --format sarif",
        good="deploy history example.com --format json",
    ),
    Entry(
        code="MTS916",
        title="The git revision of `--since` cannot be read",
        why="The plan is limited to what differs from it, so nothing was planned.",
        fix="Name a commit, branch or tag that this clone has. Pipelines often clone without history: fetch it, or check out with "
        "`fetch-depth: 0`.",
        bad="deploy plan --since origin/main    (in a shallow clone)",
        good="git fetch origin main && deploy plan --since origin/main",
    ),
    Entry(
        code="MTS917",
        title="The declaration of that git revision cannot be used",
        why="What has changed since cannot be told, so nothing was planned. Only the declaration's directory is read there.",
        fix="Compare with a revision whose declaration was valid, or plan without `--since`.",
    ),
    Entry(
        code="MTS918",
        title="A file of evidence cannot be read",
        why="Evidence is what `deploy verify --out` has written. Without it the checks of this machine alone count.",
        fix="Make it anew: `deploy verify --out evidence.json`, with the same version of the tool.",
    ),
    Entry(
        code="MTS920",
        title="`--resolver` is no IP address with a port",
        why="A name would need a resolver itself.",
        fix="Write the address of a resolver; the port is 53 if none is given.",
        good="deploy apply --resolver 127.0.0.1:5300",
    ),
    Entry(
        code="MTS921",
        title="The file of `--ca-file` cannot be used",
        why="It has the root certificates that are trusted, in PEM form. Nothing was done.",
        fix="Name a file that is there and has certificates in it.",
        good="deploy apply --ca-file roots.pem",
    ),
    Entry(
        code="MTS922",
        title="`--connect-to` is not HOST:PORT:ADDR:PORT",
        why="It says to which address to connect in place of HOST, as curl's option of that name does.",
        fix="Write a name (or an address that DNS gives), a port, an address and a port. IPv6 addresses stand in brackets.",
        good="deploy apply --connect-to mta-sts.example.com:443:127.0.0.1:8443",
    ),
    Entry(
        code="MTS923",
        title="This machine has no root certificates",
        why="Nobody can tell a right certificate from a wrong one without them. SSL_CERT_FILE and SSL_CERT_DIR do not count here: senders "
        "do not know the CAs of your house.",
        fix="Install the roots (Debian: `ca-certificates`), or name a file of them with `--ca-file`.",
        good="deploy apply --ca-file /etc/ssl/certs/ca-certificates.crt",
    ),
    Entry(
        code="MTS930",
        title="It is not clear what the web server is to serve",
        why=_NOTHING + " The set-up is made for the domains of one host of the declaration.",
        fix="Name the host with `--host`: a bucket for cloudfront, a directory for nginx, caddy and github-pages.",
        bad="deploy host nginx    (two hosts are directories that domains use)",
        good="deploy host nginx --host web > /etc/nginx/conf.d/mta-sts.conf",
    ),
    Entry(
        code="MTS931",
        title="Credentials are missing",
        why="`deploy doctor` looks for the names that the declaration takes from the environment, and for AWS credentials where there are "
        "buckets. Without them nothing can be looked at, and nothing is changed.",
        fix="Set the variable where `deploy` runs; in a pipeline, in the environment of the steps that plan and apply.",
    ),
    Entry(
        code="MTS932",
        title="The state does not keep to conditions",
        why="The lock is an object that only one run can make. A store that overwrites it all the same lets two runs go on at once.",
        fix="Keep the state where conditional writes are kept to: AWS S3, or a server that says so.",
    ),
    Entry(
        code="MTS933",
        title="The clock of this machine is wrong",
        why="When a host may be added or a policy removed is a date. A clock that is more than 5 minutes off makes such dates too early.",
        fix="Synchronise the clock (NTP). If the web server's is wrong, mend that one.",
    ),
    Entry(
        code="MTS934",
        title="Port 25 cannot be reached from here",
        why="Only `deploy verify` connects to MX hosts, to see the certificates that senders see. Plans and runs do without.",
        fix="Run `deploy verify` on a machine whose network lets port 25 out, or use `--no-smtp`.",
    ),
    Entry(
        code="MTS935",
        title="`--shard` cannot be read",
        why=_NOTHING,
        fix="Write K/N: the K-th of N parts, N at most 64. All parts together are all declared domains.",
        bad="deploy apply --auto-approve --shard 0/8",
        good="deploy apply --auto-approve --shard 1/8",
    ),
    Entry(
        code="MTS936",
        title="Reports cannot be joined",
        why="They are not of one kind, one of them is damaged, or a domain is in two of them, so that nobody knows which one is right.",
        fix="Give what each shard wrote with `--json-into`, each once.",
        good="deploy merge-reports shard-1.json shard-2.json --format markdown",
    ),
    Entry(
        code="MTS940",
        title="Something live cannot be declared just as it is",
        why="`deploy import` declares what comes nearest, and the first plan shows the difference. Mail does not depend on it.",
        fix="Look at that domain in `deploy plan`, and declare what you want.",
        bad="max_age: 0",
        good="max_age: 1w",
    ),
    Entry(
        code="MTS941",
        title="`deploy import` was given no domain",
        why="Which domains are live somewhere cannot be guessed. " + _NOTHING,
        fix="Name them, or a file that has one a line.",
        bad="deploy import",
        good="deploy import --from-file domains.txt",
    ),
    Entry(
        code="MTS942",
        title="The file cannot take more domains",
        why="Lines can only be added where `domains:` has its own lines, one block below the other; all else in the file must stay as it "
        "is. " + _NOTHING,
        fix="Write them to a file of their own with `--out` and include that; or write `domains:` in block style first.",
        bad="domains: {example.com: {mode: testing}}",
        good="domains:\n  example.com: {mode: testing}",
    ),
    Entry(
        code="MTS943",
        title="The imported domains are not part of the declaration",
        why="They stand in a file that nothing includes. The ledger was not told what senders may have stored of them.",
        fix="Add the file under `include:` of the main file, and import the domains once more: then the ledger is told.",
        good="include: [domains/imported.yaml]",
    ),
    Entry(
        code="MTS944",
        title="The policy host of an imported domain is an alias",
        why="Behind it may be a server of yours or a service that publishes policies for you. In the second case an id of ours would be "
        "published for a policy that others change.",
        fix="Declare `sts: elsewhere` if others put the policy there. Else name that server or CDN under `hosts:`.",
        ref="RFC 8461 §8.2",
    ),
    Entry(
        code="MTS945",
        title="The domain is declared already",
        why="`deploy import` never changes what is declared. What is live was noted in the ledger.",
        fix="To have it described anew, take its lines out and import it again. `deploy drift` compares them with what is live.",
    ),
    Entry(
        code="MTS946",
        title="The domain was not imported",
        why="Nothing is live there, or senders cannot read what is: a record or a policy that they refuse means nothing that could be "
        "declared. The findings before this one say what it is.",
        fix="Mend what was found and import the domain again, or declare it by hand as you want it.",
        good="deploy verify example.com",
    ),
    Entry(
        code="MTS999",
        title="A bug in mtasts-deploy",
        why="The program met something that its authors did not think of. What is published stays valid at every moment of a run, and "
        "the next `deploy apply` goes on from there.",
        fix="Repeat the command with `-vv` and report what it prints. It may hold names of your domains, but no secrets.",
    ),
    Entry(
        code="MTS928",
        title="Waves or failures are no numbers or shares",
        why=_NOTHING,
        fix="Name up to how many domains each wave goes, in numbers or in shares, each further than the one before.",
        bad="deploy apply --wave 100%,10%",
        good="deploy apply --wave 1%,10%,100% --max-failures 2",
    ),
    Entry(
        code="MTS929",
        title="What `--expect` names is no digest of a plan",
        why=_NOTHING,
        fix="Use the `digest` of `deploy plan --format json`, or of a saved plan: 64 hexadecimal digits.",
        bad="deploy apply --expect 3f0c9a1b",
        good="deploy apply --expect $(deploy plan --format json | jq -r .digest)",
    ),
)
