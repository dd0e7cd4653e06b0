"""The program `deploy`, also called `mtasts-deploy`."""

from __future__ import annotations

import gc
import sys

from mtasts_deploy import __version__


def main() -> int:
    """Run the command line; the exit code (DESIGN section 10). `--version` answers without importing the rest."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"mtasts-deploy {__version__}\n")
        return 0
    # A run is short and makes millions of small objects that are no garbage; looking for cycles every 700 of them would cost a tenth of it.
    gc.set_threshold(200_000)
    try:
        from mtasts_deploy.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
