"""`host` and `permissions`: what has to be there around this tool before it can publish."""

from __future__ import annotations

from typing import Annotated, Literal, assert_never

import typer

from mtasts_deploy.cli.session import Session, command

Kind = Literal["cloudfront", "nginx", "caddy", "github-pages"]


@command(data=False)
def host(
    session: Session,
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="cloudfront, nginx, caddy or github-pages.")],
    name: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="The host of the declaration; by default the one that domains use.")
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", metavar="DIR", help="Where the web server has the files; by default /srv/mta-sts.")
    ] = None,
) -> int:
    """Print a ready set-up that serves the policies of the declared domains.

    A CloudFormation template, a site of nginx or Caddy, or what to do for GitHub Pages. Changes nothing.
    """
    from mtasts_deploy.declaration.model import HostSpec, S3HostSpec
    from mtasts_deploy.sites.site import site

    declaration = session.declaration()
    match kind:
        case "cloudfront":
            from mtasts_deploy.sites import cloudfront

            wanted = site(declaration, S3HostSpec, name)
            session.out.write(cloudfront.cloudfront(wanted))
            for note in cloudfront.notes(wanted):
                session.messages.say(note)
        case "nginx":
            from mtasts_deploy.sites.nginx import nginx

            session.out.write(nginx(site(declaration, HostSpec, name, root)))
        case "caddy":
            from mtasts_deploy.sites.caddy import caddy

            session.out.write(caddy(site(declaration, HostSpec, name, root)))
        case "github-pages":
            from mtasts_deploy.sites.github_pages import github_pages

            session.out.write(github_pages(site(declaration, HostSpec, name, root)))
        case _:
            assert_never(kind)
    return 0


@command()
def permissions(session: Session) -> int:
    """Print the least that credentials must allow, for plan and for apply apart.

    An IAM policy for what is at AWS, the scopes of tokens in words for other providers. Reads only the declaration.
    """
    from mtasts_deploy.permissions import needed

    session.output.permissions(needed(session.declaration()))
    return 0
