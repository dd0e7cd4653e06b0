"""Can this machine reach anything at all over the family of an address? Nothing is sent."""

from __future__ import annotations

import socket
from typing import Final

# Root name servers: any address of the public Internet would do, as the route to it is looked up and nothing else is done.
_PUBLIC: Final = {socket.AF_INET: "198.41.0.4", socket.AF_INET6: "2001:503:ba3e::2:30"}


def has_route(address: str) -> bool:
    """Is there a way from here to public addresses of the same family?"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_PUBLIC[family], 53))
    except OSError:
        return False
    return True
