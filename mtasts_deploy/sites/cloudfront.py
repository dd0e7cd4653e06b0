"""A CloudFormation template: a private bucket and one CloudFront distribution that serves the policies of all domains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from mtasts_deploy.sites.site import Site

ALIASES: Final = 100
"""How many names a distribution takes before AWS is asked for more; a certificate takes 10."""
CERTIFICATE_NAMES: Final = 10

_QUOTA: Final = "These are {count} names; a {what} takes {limit} until AWS has raised that quota of the account."
_FUNCTION: Final = """\
// The policy of a domain is the object that belongs to the name in the Host header; nothing else is there.
function handler(event) {{
    var request = event.request;
    var host = request.headers.host ? request.headers.host.value.toLowerCase().split(':')[0] : '';
    if (request.uri !== '/.well-known/mta-sts.txt' || !host.startsWith('mta-sts.')) {{
        return {{statusCode: 404, statusDescription: 'Not Found'}};
    }}
    request.uri = {key};
    request.querystring = {{}};
    return request;
}}
"""


def cloudfront(site: Site) -> str:
    """The template, as JSON. For us-east-1: CloudFront takes certificates from there only."""
    hosts = [domain.policy_host for domain in site.domains]
    template: Mapping[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "MTA-STS policies, by `deploy host cloudfront`: a private bucket, one distribution for all domains. In us-east-1.",
        "Parameters": _parameters(site),
        "Conditions": {"MakesCertificate": {"Fn::Equals": [{"Ref": "CertificateArn"}, ""]}},
        "Resources": {
            "Bucket": _bucket(),
            "BucketPolicy": _bucket_policy(),
            "Access": _access(),
            "Function": _function(site),
            "Cache": _cache(),
            "Certificate": _certificate(hosts),
            "Distribution": _distribution(hosts),
        },
        "Outputs": _outputs(),
    }
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def notes(site: Site) -> list[str]:
    """What to know and do besides, for people."""
    count = len(site.domains)
    found = [
        "Make the stack in us-east-1 (aws cloudformation deploy --region us-east-1 --stack-name mta-sts --template-file FILE). It waits "
        "until the DNS records that prove each name to ACM are there: the ACM console shows them.",
        "Then point each policy host to the output DistributionName (CNAME), and put the output DistributionId into the declaration "
        "(`cloudfront:` of the host). `deploy permissions` prints what this tool itself needs.",
    ]
    if count > CERTIFICATE_NAMES:
        found.append(_QUOTA.format(count=count, what="certificate", limit=CERTIFICATE_NAMES))
    if count > ALIASES:
        found.append(_QUOTA.format(count=count, what="distribution", limit=ALIASES))
    return found


def _parameters(site: Site) -> Mapping[str, Any]:
    default = {"Default": site.bucket} if site.bucket else {}
    return {
        "BucketName": {
            "Type": "String",
            "Description": "The bucket of the policies: `bucket` of the host in mta-sts.yaml.",
            "AllowedPattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            **default,
        },
        "CertificateArn": {
            "Type": "String",
            "Description": "A certificate in us-east-1 for all names, if there is one; empty to have one made.",
            "Default": "",
        },
    }


def _bucket() -> Mapping[str, Any]:
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": {"Ref": "BucketName"},
            "VersioningConfiguration": {"Status": "Enabled"},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}],
            },
            "LifecycleConfiguration": {
                "Rules": [{"Id": "old-versions", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 400}}]
            },
        },
    }


def _bucket_policy() -> Mapping[str, Any]:
    distribution = {"Fn::Sub": "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"}
    bucket, objects = ({"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::${{Bucket}}{tail}"} for tail in ("", "/*"))
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "DistributionReads",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudfront.amazonaws.com"},
                        "Action": "s3:GetObject",
                        "Resource": objects,
                        "Condition": {"StringEquals": {"AWS:SourceArn": distribution}},
                    },
                    {
                        "Sid": "OnlyEncryptedConnections",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [bucket, objects],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                ],
            },
        },
    }


def _access() -> Mapping[str, Any]:
    config = {
        "Name": {"Fn::Sub": "${AWS::StackName}-access"},
        "OriginAccessControlOriginType": "s3",
        "SigningBehavior": "always",
        "SigningProtocol": "sigv4",
    }
    return {"Type": "AWS::CloudFront::OriginAccessControl", "Properties": {"OriginAccessControlConfig": config}}


def _function(site: Site) -> Mapping[str, Any]:
    return {
        "Type": "AWS::CloudFront::Function",
        "Properties": {
            "Name": {"Fn::Sub": "${AWS::StackName}-key"},
            "AutoPublish": True,
            "FunctionConfig": {"Comment": "Host header to key", "Runtime": "cloudfront-js-2.0"},
            "FunctionCode": function(site),
        },
    }


def function(site: Site) -> str:
    """The code at the edge, which gives the key of the host's template to the name in the Host header."""
    key = json.dumps("/" + site.prefix + site.key)
    key = key.replace("{policy_host}", '" + host + "').replace("{domain}", '" + host.slice(8) + "')
    return _FUNCTION.format(key=key.removesuffix(' + ""'))


def _cache() -> Mapping[str, Any]:
    nothing = {
        "CookiesConfig": {"CookieBehavior": "none"},
        "HeadersConfig": {"HeaderBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
        "EnableAcceptEncodingBrotli": False,
        "EnableAcceptEncodingGzip": False,
    }
    config = {
        "Name": {"Fn::Sub": "${AWS::StackName}-short"},
        "MinTTL": 0,
        "DefaultTTL": 60,
        "MaxTTL": 300,
        "ParametersInCacheKeyAndForwardedToOrigin": nothing,
    }
    return {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": config}}


def _certificate(hosts: list[str]) -> Mapping[str, Any]:
    others = {"SubjectAlternativeNames": hosts[1:]} if len(hosts) > 1 else {}
    return {
        "Type": "AWS::CertificateManager::Certificate",
        "Condition": "MakesCertificate",
        "Properties": {"DomainName": hosts[0], **others, "ValidationMethod": "DNS"},
    }


def _distribution(hosts: list[str]) -> Mapping[str, Any]:
    code = {"Fn::GetAtt": ["Function", "FunctionMetadata.FunctionARN"]}
    behaviour = {
        "TargetOriginId": "bucket",
        "ViewerProtocolPolicy": "https-only",
        "AllowedMethods": ["GET", "HEAD"],
        "CachedMethods": ["GET", "HEAD"],
        "Compress": False,
        "CachePolicyId": {"Ref": "Cache"},
        "FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": code}],
    }
    origin = {
        "Id": "bucket",
        "DomainName": {"Fn::GetAtt": ["Bucket", "RegionalDomainName"]},
        "OriginAccessControlId": {"Ref": "Access"},
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    certificate = {"Fn::If": ["MakesCertificate", {"Ref": "Certificate"}, {"Ref": "CertificateArn"}]}
    return {
        "Type": "AWS::CloudFront::Distribution",
        "Properties": {
            "DistributionConfig": {
                "Comment": "MTA-STS policies",
                "Enabled": True,
                "HttpVersion": "http2and3",
                "IPV6Enabled": True,
                "PriceClass": "PriceClass_All",
                "Aliases": hosts,
                "Origins": [origin],
                "DefaultCacheBehavior": behaviour,
                "CustomErrorResponses": [{"ErrorCode": code, "ErrorCachingMinTTL": 1} for code in (403, 404)],
                "ViewerCertificate": {
                    "AcmCertificateArn": certificate,
                    "MinimumProtocolVersion": "TLSv1.2_2021",
                    "SslSupportMethod": "sni-only",
                },
            }
        },
    }


def _outputs() -> Mapping[str, Any]:
    return {
        "DistributionId": {"Description": "`cloudfront` of the host in mta-sts.yaml.", "Value": {"Ref": "Distribution"}},
        "DistributionName": {
            "Description": "Where the CNAME of each policy host points to.",
            "Value": {"Fn::GetAtt": ["Distribution", "DomainName"]},
        },
    }
