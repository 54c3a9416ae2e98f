"""The server of a study, as a user starts it."""

import signal
import socket

import pytest
from conftest import served


def test_a_server_is_for_this_machine_alone():
    """A port that is taken on one interface alone is free on another."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not others:
        pytest.skip("this machine has one interface")
    with served() as (address, _):
        host, port = address.split(":")
        socket.create_connection((host, int(port))).close()
        for interface in (others[0], "lo"):
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
                if interface == "lo":
                    with pytest.raises(OSError, match="in use"):
                        trial.bind(("", int(port)))
                else:
                    trial.bind(("", int(port)))


def test_a_port_that_is_taken_gets_one_line(reproduce):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = reproduce(f"--serve={address}")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line == f"reproduce.py: --serve={address} is not possible (Address already in use)"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_quietly(sent):
    with served() as (_, process):
        process.send_signal(sent)
        assert process.communicate() == ("", "")
        assert process.returncode == 128 + sent
