"""A site of Caddy that serves the policies of a directory host: text/plain, no redirect, 404 for all else (RFC 8461 §3.3)."""

from __future__ import annotations

from mtasts_deploy.sites.site import Site


def caddy(site: Site) -> str:
    """The Caddyfile. Caddy gets and renews the certificates by itself."""
    copied = f"# Copy what `deploy apply` writes into {site.made}/ to {site.root}/.\n" if site.made != site.root else ""
    names = ",\n".join(domain.policy_host for domain in site.domains)
    return f"""\
# MTA-STS policies, by `deploy host caddy`.
{copied}# Point these names to this machine; Caddy gets and renews their certificates by itself. In a Caddyfile that has other sites, put
# the first block into its options, and leave the last one out if there is a site for `:443`.
{{
	auto_https disable_redirects
}}

{names} {{
	@policy path /.well-known/mta-sts.txt
	handle @policy {{
		root * {site.root}/{{host}}
		header Content-Type text/plain
		header Cache-Control max-age=60
		file_server
	}}
	handle {{
		respond 404
	}}
}}

# Without it, Caddy answers names that it does not know with an empty page and 200.
:443 {{
	respond 404
}}
"""
