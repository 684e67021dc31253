"""vsock in a real guest, through its own loopback device: the host may have no vhost-vsock."""

from __future__ import annotations

import pytest

from vm import inside

PORT = 5252

# Connects, asks, and prints what came; an end of file is the empty line.
CLIENT = f"""
import socket, sys
peer = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
peer.settimeout(20)
peer.connect((1, {PORT}))
try:
    for word in sys.argv[1:]:
        peer.sendall(word.encode())
    print(peer.makefile().readline().strip())
except ConnectionError:
    print()
"""
SYNC = '{"execute":"guest-sync", "arguments":{"id":17}}'


@pytest.fixture
def ask(guest):
    """Connect to the agent on vsock from inside of the guest; what it says."""
    if guest.agent != "guestwire":
        pytest.skip("this test starts our agent by hand")
    if guest.side.run("modprobe vsock_loopback").exitcode:
        pytest.skip("this guest's kernel has no vsock_loopback")
    inside.shell(guest, f"cat > /tmp/client.py <<'END'\n{CLIENT}\nEND")

    def ask(*words):
        quoted = " ".join(f"'{word}'" for word in words)
        return inside.shell(guest, f"python3 /tmp/client.py {quoted}")

    return ask


def listening(process):
    inside.until(lambda: "serving vsock:" in process.log())


def test_any_peer_is_served_where_the_address_says_so(guest, ask):
    with inside.started(guest, "run", "--channel", f"vsock:any-peer:{PORT}") as agent:
        listening(agent)
        assert ask(SYNC) == '{"return": 17}'
        assert ask('{"execute":"guest-ping"}') == '{"return": {}}'


def test_what_a_peer_had_begun_to_say_does_not_reach_the_next(guest, ask):
    with inside.started(guest, "run", "--channel", f"vsock:any-peer:{PORT}") as agent:
        listening(agent)
        assert ask(SYNC, '{"execute":"guest-pi') == '{"return": 17}'
        assert ask('{"execute":"guest-ping"}') == '{"return": {}}'


def test_a_process_of_the_guest_is_refused_where_the_host_is_meant(guest, ask):
    with inside.started(guest, "run", "--channel", f"vsock:{PORT}") as agent:
        listening(agent)
        for _ in range(3):
            assert ask(SYNC) == ""
        assert inside.ended(guest, "TERM", agent)[0] == "0"


def test_qemu_gas_options_let_any_peer_in(guest, ask):
    options = ("-m", "vsock-listen", "-p", f"-1:{PORT}")
    with inside.started(guest, *options) as agent:
        listening(agent)
        assert ask(SYNC) == '{"return": 17}'
