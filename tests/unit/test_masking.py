"""What libraries log of requests and answers, without what looks like a credential."""

from __future__ import annotations

import pytest

from mtasts_deploy.masking import scrubbed


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x-amz-security-token:abc/+==\nhost:s3", "x-amz-security-token:***\nhost:s3"),
        ("{'Authorization': b'AWS4-HMAC-SHA256 Credential=K, Signature=ab', 'Host': b's3'}", "{'Authorization': b'***', 'Host': b's3'}"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("sent Bearer abc", "sent Bearer ***"),
        (
            '{"SecretAccessKey" : "abc", "Token" : "def"}',
            '{"SecretAccessKey" : "***", "Token" : "***"}',
        ),
        ("<SessionToken>abc</SessionToken><Expiration>", "<SessionToken>***</SessionToken><Expiration>"),
        ("Signature:\nabcdef", "Signature:\n***"),
        ("'X-API-Key': 'abc', 'x-auth-token': 'def'", "'X-API-Key': '***', 'x-auth-token': '***'"),
        ("ContinuationToken=abc the token is new", "ContinuationToken=abc the token is new"),
    ],
)
def test_values_of_credentials_are_masked_and_nothing_else(text: str, left: str):
    assert scrubbed(text) == left
