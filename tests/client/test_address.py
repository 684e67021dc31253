"""The grammar of addresses."""

from __future__ import annotations

import pytest

from guestwire.client import address
from guestwire.client.address import Libvirt, Name, Native, Pty, Serial, Tcp, Unix, Vsock, VsockMux
from guestwire.client.errors import BadAddress

FORMS = {
    "web1": Name("web1"),
    "web1#org.example.0": Name("web1", "org.example.0"),
    "web 1": Name("web 1"),
    "libvirt+qemu:///system/web1": Libvirt("qemu:///system", "web1"),
    "libvirt+qemu:///system/web1#org.x.0": Libvirt("qemu:///system", "web1", "org.x.0"),
    "libvirt+qemu+ssh://host/system/web1": Libvirt("qemu+ssh://host/system", "web1"),
    "libvirt+qemu+unix:///system?socket=/run/x/sock/web1": Libvirt(
        "qemu+unix:///system?socket=/run/x/sock", "web1"
    ),
    "unix:/run/vm/a:b.sock": Unix("/run/vm/a:b.sock"),
    "unix:relative.sock": Unix("relative.sock"),
    "pty:/dev/pts/7": Pty("/dev/pts/7"),
    "tcp:127.0.0.1:4444": Tcp("127.0.0.1", 4444),
    "tcp:[::1]:4444": Tcp("::1", 4444),
    "vsock:3:1234": Vsock(3, 1234),
    "vsock-mux:/run/fc:1/v.sock:52": VsockMux("/run/fc:1/v.sock", 52),
    "serial:/dev/ttyUSB0": Serial("/dev/ttyUSB0"),
    "serial:/dev/ttyUSB0,115200": Serial("/dev/ttyUSB0", 115200),
    "native+unix:/run/vm/own.sock": Native(Unix("/run/vm/own.sock")),
    "native+vsock:3:1234": Native(Vsock(3, 1234)),
}


@pytest.mark.parametrize("text", FORMS)
def test_an_address_is_parsed_into_its_record(text):
    parsed = address.parse(text)
    assert parsed == FORMS[text]
    assert type(parsed) is type(FORMS[text])


@pytest.mark.parametrize("text", FORMS)
def test_a_record_is_written_as_it_was_read(text):
    assert str(address.parse(text)) == text


WRONG = {
    "": "empty",
    "unix:": "unix:PATH",
    "native+web1": "native+ and one of unix:",
    "native+unix:": "unix:PATH",
    "tcp:host": "tcp:HOST:PORT",
    "tcp:host:http": "'http' is not a number",
    "tcp:host:70000": "from 1 to 65535",
    "vsock:x:1": "vsock:CID:PORT",
    "vsock:3": "vsock:CID:PORT",
    "vsock-mux:52": "vsock-mux:PATH:PORT",
    "serial:/dev/ttyS0,fast": "serial:DEVICE,SPEED",
    "libvirt+web1": "libvirt+URI/NAME",
    "libvirt+qemu:///system/": "libvirt+URI/NAME",
    "libvirt+qemu:///web1": "path is missing",
    "/run/vm/agent.sock": "unix:",
    "ssh:host": "begin with unix:",
    "web1#": "NAME#PORT",
    "#port": "NAME#PORT",
    "web1\x1b[2J": "cannot be printed",
    "vsock:\u0663:1": "is not a number",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_address_is_refused_with_the_form_that_was_missed(text):
    with pytest.raises(BadAddress) as refused:
        address.parse(text)
    assert WRONG[text] in str(refused.value)
    assert "\x1b" not in str(refused.value)
