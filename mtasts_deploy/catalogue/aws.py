"""The codes of hosts and state in S3, and of CloudFront: MTS774 to MTS799."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_SERVED: Final = "The old policy is still served, and its record still names it."
_AGAIN: Final = "then run the same command again; it looks at what is there and goes on."
_BEFORE: Final = "Nothing is published without being remembered first, so the run stops."

_HOST: Final = (
    Entry(
        code="MTS774",
        title="The server of the bucket refused a request",
        why="It answered with an error that has no page of its own here; the message has its words. " + _SERVED,
        fix="Look up the words of the server in its manual. If it is a passing failure, wait, " + _AGAIN,
    ),
    Entry(
        code="MTS775",
        title="The policy in the bucket is not the one that the plan was made for",
        why="Somebody else has changed it meanwhile. Nothing was written: the plan's id and its guards were about other bytes.",
        fix="Run the same command again; it plans on what is there. Let only one tool write these objects. On servers that ignore "
        "conditional writes a change within the moment between the look and the put is overwritten unseen.",
    ),
    Entry(
        code="MTS776",
        title="There is no such bucket",
        why="Nothing can be put there. A bucket of that name may exist in another account or at another endpoint.",
        fix="Make the bucket, or correct `bucket`, `region` or `endpoint_url` of the host, " + _AGAIN,
        bad="hosts: {cdn: {type: s3, bucket: polices.example.com}}",
        good="hosts: {cdn: {type: s3, bucket: policies.example.com}}",
    ),
    Entry(
        code="MTS777",
        title="Access to the bucket is denied",
        why="The credentials that boto3 found may not do this. S3 also denies the reading of an object that is not there to those who may "
        "not list the bucket. " + _SERVED,
        fix="Attach the policy that `deploy permissions` prints to the role or user, " + _AGAIN + " `aws sts get-caller-identity` shows "
        "whose credentials are found.",
    ),
    Entry(
        code="MTS778",
        title="The bucket is in another region",
        why="Requests are signed for one region, and S3 answers only to those that are signed for the bucket's own.",
        fix="Set `region` of the host to the bucket's (`aws s3api get-bucket-location --bucket NAME`), " + _AGAIN,
        bad="hosts: {cdn: {type: s3, bucket: policies.example.com, region: us-east-1}}",
        good="hosts: {cdn: {type: s3, bucket: policies.example.com, region: eu-central-1}}",
    ),
    Entry(
        code="MTS779",
        title="The clock of this machine is wrong",
        why="AWS refuses requests whose time is more than fifteen minutes off. The ledger needs the right time, too: it counts how long "
        "senders may hold a policy.",
        fix="Let the machine set its clock (NTP), " + _AGAIN,
    ),
    Entry(
        code="MTS780",
        title="The credentials are not valid",
        why="boto3 has found credentials that have expired, were revoked, or do not belong together. " + _SERVED,
        fix="Log in anew, or renew the keys where boto3 finds them (environment, profile, role), " + _AGAIN,
        good="aws sso login --profile mail",
    ),
    Entry(
        code="MTS781",
        title="boto3 finds no credentials",
        why="Credentials never stand in the declaration: boto3 looks for them in the environment, in profiles, and in the role of the "
        "machine or of the pipeline, and has found none that are complete.",
        fix="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or run where there is a role, " + _AGAIN,
        good="AWS_PROFILE=mail deploy plan",
    ),
    Entry(
        code="MTS782",
        title="The server of the bucket cannot be reached",
        why="There was no connection, or no answer in time. Whether a put was done is looked at by the next run; no record moves before.",
        fix="Check the network, the proxy (HTTPS_PROXY), and `endpoint_url` or `region` of the host, " + _AGAIN,
    ),
    Entry(
        code="MTS783",
        title="The server of the bucket is overloaded",
        why="It has asked to be left alone for a while, or failed on its side, several times in a row. " + _SERVED,
        fix="Wait a little, " + _AGAIN + " A lower `--parallelism` helps.",
    ),
    Entry(
        code="MTS784",
        title="The policy in the bucket is too long",
        why="Senders may stop reading after 64 kilobytes, so nobody knows which policy they see. Such an object is not ours, and is not "
        "replaced.",
        fix="Look at the object; remove it if nobody needs it, " + _AGAIN,
        ref="RFC 8461 §3.3",
    ),
    Entry(
        code="MTS785",
        title="There is no such CloudFront distribution",
        why="The policy is in the bucket, but the caches in front could not be told to forget the old one, so the record has not moved.",
        fix="Correct `cloudfront` of the host (the id, not the domain name), and look that the credentials are of its account, " + _AGAIN,
        bad="hosts: {cdn: {type: s3, bucket: policies.example.com, cloudfront: E2EXAMPEL}}",
    ),
    Entry(
        code="MTS786",
        title="CloudFront denies the invalidation",
        why="The policy is in the bucket, but the credentials may not tell the caches to forget the old one, so the record has not moved.",
        fix="Attach the policy that `deploy permissions` prints (cloudfront:CreateInvalidation, cloudfront:GetInvalidation), " + _AGAIN,
    ),
    Entry(
        code="MTS787",
        title="The invalidation failed, or is not completed",
        why="CloudFront was overloaded, not reachable, or slower than ten minutes. A sender that looked now could get the old policy under "
        "the new id, so the record has not moved.",
        fix="Wait a little, then run `deploy apply` again: the policy is there, it invalidates anew and goes on.",
    ),
    Entry(
        code="MTS788",
        title="Credentials in the declaration",
        why="The declaration is committed and shared. Keys that stand in it are in every clone and every log for ever; and boto3 would "
        "not need them: it finds credentials that last for an hour.",
        fix="Remove the key. If it is a real one, replace it at AWS: it was in a file.",
        bad="hosts: {cdn: {type: s3, bucket: policies.example.com, access_key_id: AKIA…}}",
        good="AWS_PROFILE=mail deploy apply",
    ),
    Entry(
        code="MTS789",
        title="The key of a host cannot be used",
        why="The key says where in the bucket a domain's policy is. Only {domain} and {policy_host} stand for something in it.",
        fix="Leave `key` out, or correct it.",
        bad='key: "{host}/mta-sts.txt"',
        good='key: "{policy_host}/.well-known/mta-sts.txt"',
    ),
)

_STATE: Final = (
    Entry(
        code="MTS790",
        title="The state is in a bucket of policies",
        why="A bucket of policies is read by the world, or by a distribution. The ledger tells who published what and when; and whoever "
        "may write policies could release the lock.",
        fix="Give the state a private bucket of its own.",
        bad="state: {type: s3, bucket: policies.example.com}",
        good="state: {type: s3, bucket: mtasts-state.example.com}",
    ),
    Entry(
        code="MTS791",
        title="The state must be declared",
        why="While everything is in directories, the state is in one too (.mtasts) and is committed with the rest. With a provider or a "
        "host out there, runs from several machines need one ledger and one lock, and only you know where.",
        fix="Declare a private bucket that holds no policies; or the directory, if every run sees the same one.",
        bad="hosts: {cdn: {type: s3, bucket: policies.example.com}}    (and no state)",
        good="state: {type: s3, bucket: mtasts-state.example.com, prefix: prod/}",
    ),
    Entry(
        code="MTS792",
        title="The server does not keep to conditional writes",
        why="The lock and the ledger are written with the condition that nobody else has written meanwhile. This server overwrites all the "
        "same, or knows no conditions, so two runs could both hold the lock. It can still hold policies.",
        fix="Use a bucket of AWS S3, or of another server that keeps to If-None-Match and If-Match; or a directory that all runs share.",
    ),
    Entry(
        code="MTS793",
        title="The state in the bucket was written by another run at the same time",
        why="Nothing was written, so that what the other run has remembered (which policies senders may hold) is not lost.",
        fix="Run the same command again: it reads anew. If it happens often, something writes the state without taking the lock.",
    ),
    Entry(
        code="MTS794",
        title="There is no bucket for the state",
        why="It is not made by itself: an empty bucket in the wrong account would be a ledger that has forgotten everything. " + _BEFORE,
        fix="Make it (private, encrypted, versioned), or correct `bucket`, `region` or `endpoint_url` under `state`, " + _AGAIN,
    ),
    Entry(
        code="MTS795",
        title="Access to the state is denied",
        why="The credentials that boto3 found may not do this; S3 also denies the reading of an object that is not there to those who may "
        "not list the bucket. " + _BEFORE,
        fix="Attach the policy that `deploy permissions` prints, " + _AGAIN,
    ),
    Entry(
        code="MTS796",
        title="There are no valid credentials for the state",
        why="boto3 finds none, or they have expired or were revoked. " + _BEFORE,
        fix="Set AWS_PROFILE, log in anew, or run where there is a role, " + _AGAIN,
        good="aws sso login --profile mail",
    ),
    Entry(
        code="MTS797",
        title="The server of the state cannot be reached, or is overloaded",
        why="There was no connection, no answer in time, or an error of the server's own, several times in a row. " + _BEFORE,
        fix="Check the network, the proxy, and `endpoint_url` or `region` under `state`, " + _AGAIN,
    ),
    Entry(
        code="MTS798",
        title="The region of the state, or the clock of this machine, is wrong",
        why="Requests are signed for one region and one time; the server refuses those that do not fit. " + _BEFORE,
        fix="Set `region` under `state` to the bucket's, or the clock (NTP), as the message says, " + _AGAIN,
    ),
    Entry(
        code="MTS799",
        title="The server of the state refused a request",
        why="It answered with an error that has no page of its own here; the message has its words. " + _BEFORE,
        fix="Look up the words of the server in its manual. If it is a passing failure, wait, " + _AGAIN,
    ),
)

ENTRIES: Final[tuple[Entry, ...]] = (*_HOST, *_STATE)
