"""How to serve a policy with GitHub Pages, and what that cannot do."""

from __future__ import annotations

from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sites.site import Site


def github_pages(site: Site) -> str:
    """The note, in Markdown."""
    count = len(site.domains)
    needed = "one repository" if count == 1 else f"{count} repositories"
    return _HEAD.format(needed=needed) + "\n" + "\n".join(_repository(site, domain) for domain in site.domains)


_HEAD = """\
# MTA-STS policies on GitHub Pages

GitHub Pages serves one custom domain a repository, so these domains need {needed}. What you should know before:

- **One domain a repository.** From some five domains on, a bucket with CloudFront (`deploy host cloudfront`) or a web server is less work.
- **Old bytes for ten minutes.** Pages sends `Cache-Control: max-age=600` and nobody can purge its caches: wait ten minutes after each push,
  look at the served policy, and only then let the record move.
- **The certificate comes last.** GitHub asks for it when the name points to Pages; it may take an hour. Until then publish no record.
- **A 404 page with status 404.** Do not turn the site into a single-page application: senders must not get HTML under another name.
- **Files that begin with a dot** are only published where `.nojekyll` is there.
- **Limits** of 100 GB a month and 10 builds an hour are no concern for policies. There is no promise of availability: while the site is
  down, senders keep the policy that they hold, and new senders do without.
"""


def _repository(site: Site, domain: Domain) -> str:
    return f"""\
## {domain.display}

In a public repository of its own:

```sh
cp -R {site.made}/{domain.policy_host}/.well-known .
printf '%s\\n' {domain.policy_host} > CNAME
touch .nojekyll
git add .well-known CNAME .nojekyll
```

In the DNS: `{domain.policy_host}. CNAME OWNER.github.io.` In the repository's settings under Pages: the branch, the custom domain
`{domain.policy_host}`, and "Enforce HTTPS". Then `curl -i {domain.policy_url}` must answer 200 with `text/plain`.
"""
