"""A site of nginx that serves the policies of a directory host: text/plain, no redirect, 404 for all else (RFC 8461 §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sites.site import Site, portions

_NAMES: Final = 100  # what Let's Encrypt puts into one certificate
_CHALLENGES: Final = "/var/lib/mta-sts-acme"


def nginx(site: Site) -> str:
    """The file, for /etc/nginx/conf.d/ or sites-enabled/."""
    groups = portions(site.domains, _NAMES)
    certificates = ["mta-sts" if number == 1 else f"mta-sts-{number}" for number in range(1, len(groups) + 1)]
    parts = [_head(site, groups, certificates), _plain(groups)]
    parts += [_secure(site, group, certificate) for group, certificate in zip(groups, certificates, strict=True)]
    return "\n".join(parts)


def _head(site: Site, groups: Sequence[Sequence[Domain]], certificates: Sequence[str]) -> str:
    copied = f"# Copy what `deploy apply` writes into {site.made}/ to {site.root}/.\n" if site.made != site.root else ""
    commands = "".join(
        f"#   certbot certonly --webroot -w {_CHALLENGES} --cert-name {certificate} \\\n"
        f"#     {' '.join(f'-d {domain.policy_host}' for domain in group)}\n"
        for group, certificate in zip(groups, certificates, strict=True)
    )
    return f"""\
# MTA-STS policies, by `deploy host nginx`.
{copied}# Certificates: enable the part for port 80 first, point the names below to this machine, then run
{commands}# and have nginx reload at each renewal (--deploy-hook "nginx -s reload"). A certificate that has run out makes senders that
# enforce a policy keep the one that they hold, and others do without.
# nginx may ask for a larger `server_names_hash_bucket_size` where names are long.
"""


def _plain(groups: Sequence[Sequence[Domain]]) -> str:
    names = _listed([domain for group in groups for domain in group])
    return f"""\
server {{
    listen 80;
    listen [::]:80;
    server_name {names};
    location /.well-known/acme-challenge/ {{ root {_CHALLENGES}; }}
    location / {{ return 404; }}
}}
"""


def _secure(site: Site, group: Sequence[Domain], certificate: str) -> str:
    return f"""\
server {{
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name {_listed(group)};
    ssl_certificate /etc/letsencrypt/live/{certificate}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{certificate}/privkey.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    server_tokens off;

    # A name that is not listed has no directory below the root, so it gets 404 even where this server is the default one.
    location = /.well-known/mta-sts.txt {{
        root {site.root}/$host;
        types {{ }}
        default_type text/plain;
        add_header Cache-Control "max-age=60";
        gzip off;
    }}
    location / {{ return 404; }}
}}
"""


def _listed(domains: Sequence[Domain]) -> str:
    return "\n        ".join(domain.policy_host for domain in domains)
