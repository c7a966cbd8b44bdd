import socket

import pytest

from avatars.viewer.ports import free_port, page_address, remote_hint
from body_models import InputError


def test_a_port_in_use_gives_the_next_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        found = free_port("127.0.0.1", port)
    assert port < found < port + 50


def test_a_free_port_is_taken_as_it_is():
    port = free_port("127.0.0.1", 23_456)
    assert free_port("127.0.0.1", port) == port


@pytest.mark.parametrize("port", [-1, 0, 65_536, 1_000_000])
def test_numbers_that_are_no_ports_are_refused(port):
    with pytest.raises(InputError, match=f"--port {port} is not in 1 to 65535"):
        free_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_hosts_that_are_not_this_computer_are_refused(host):
    with pytest.raises(InputError, match="--host"):
        free_port(host, 23_456)


def test_addresses_can_be_typed_into_a_browser():
    assert page_address("127.0.0.1", 8080) == page_address("0.0.0.0", 8080) == "http://localhost:8080"
    assert page_address("10.0.0.7", 81) == "http://10.0.0.7:81"


def test_who_came_by_ssh_is_told_the_tunnel():
    hint = remote_hint("127.0.0.1", 8081, {"SSH_CONNECTION": "10.0.0.2 50000 10.0.0.9 22"})
    assert hint is not None
    assert "ssh -N -L 8081:localhost:8081" in hint
    assert "@10.0.0.9" in hint


def test_nobody_else_is():
    assert remote_hint("127.0.0.1", 8081, {"DISPLAY": ":0"}) is None
    assert remote_hint("0.0.0.0", 8081, {"SSH_TTY": "/dev/pts/0"}) is None
