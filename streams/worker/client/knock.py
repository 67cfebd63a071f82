"""Whether anybody listens: told at once, where each of Kafka's libraries would try for a while."""

import socket
from collections.abc import Sequence


def knock(addresses: Sequence[str], patience_s: float) -> None:
    """Return when one of these addresses (host:port) listens; raises OSError, naming each of them."""
    problems = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), patience_s).close()
        except OSError as error:
            problems.append(f"{address}: {error.strerror or error}")
        else:
            return
    raise OSError("; ".join(problems))
