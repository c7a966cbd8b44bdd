"""Where the page is served, and how to reach it from another computer."""

import getpass
import os
import socket
from collections.abc import Mapping

from body_models import InputError

TRIED = 50
"""Ports that are tried, from the wished one upwards."""
LOCAL = ("127.0.0.1", "localhost", "::1")


def free_port(host: str, port: int) -> int:
    """The wished port, or the next one that nobody uses.

    Raises InputError for numbers that are no ports, a host that is not this computer's, and where none is free.
    """
    if not 1 <= port <= 65535:
        raise InputError(f"--port {port} is not in 1 to 65535; 8080 is usual.")
    for candidate in range(port, min(port + TRIED, 65536)):
        if _is_free(host, candidate):
            return candidate
    raise InputError(f"No port from {port} to {min(port + TRIED, 65536) - 1} is free on {host}; give another --port.")


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host '{host}' is no name or address of a computer; 127.0.0.1 is this one.") from error
    with socket.socket(family, kind) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(address)
            tried.listen(1)
        except PermissionError as error:
            raise InputError(f"Port {port} needs special rights; use --port 8080, or another above 1023.") from error
        except OSError as error:
            if error.errno in _NOT_OURS:
                raise InputError(f"--host '{host}' is not an address of this computer; use 127.0.0.1.") from error
            return False
    return True


_NOT_OURS = (99, 49, 10049)
"""What Linux, macOS and Windows say of an address that is another computer's (EADDRNOTAVAIL)."""


def page_address(host: str, port: int) -> str:
    """What to type into a browser on this computer."""
    return f"http://{'localhost' if host in (*LOCAL, '0.0.0.0', '::') else host}:{port}"


def remote_hint(host: str, port: int, environment: Mapping[str, str] = os.environ) -> str | None:
    """How to see the page on another computer; None where a display is at hand or others are let in anyway."""
    if host not in LOCAL or not ({"SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"} & environment.keys()):
        return None
    server = environment.get("SSH_CONNECTION", "").split()
    machine = server[2] if len(server) == 4 else socket.gethostname()
    return (
        f"From your own computer: ssh -N -L {port}:localhost:{port} {_user()}@{machine}\n"
        f"then open http://localhost:{port} there."
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "you"
