"""The program `deploy`, also called `mtasts-deploy`."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

from mtasts_deploy import __version__


def _open_streams() -> None:
    """Put the null device where a standard stream is closed (`deploy apply >&-`): a zone file must never become descriptor 1 or 2."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def main() -> int:
    """Run the command line; the exit code (DESIGN section 10). `--version` answers without importing the rest."""
    _open_streams()
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        with contextlib.suppress(OSError):
            sys.stdout.write(f"mtasts-deploy {__version__}\n")
            sys.stdout.flush()
            return 0
    # A run is short and makes millions of small objects that are no garbage; looking for cycles every 700 of them would cost a tenth of it.
    gc.set_threshold(300_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for plugins of the environment takes 10 ms at each start
    try:
        from mtasts_deploy.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()  # the end of the process frees all there is; Python would look through it for cycles once more


if __name__ == "__main__":
    sys.exit(main())
