"""Routes are read as rtnetlink has them."""

from __future__ import annotations

import socket
import struct
import sys
from struct import Struct

import pytest

from guestwire.system.net import routes
from guestwire.system.root import Root

MESSAGE = Struct("=BBBBBBBBI")


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def number(value):
    return value.to_bytes(4, sys.byteorder)


def body(family, length, table, *attributes, kind=1, flags=0, protocol=4, scope=0):
    header = MESSAGE.pack(family, length, 0, 0, table, protocol, scope, kind, flags)
    return header + b"".join(attributes)


def four(text):
    return socket.inet_pton(socket.AF_INET, text)


def six(text):
    return socket.inet_pton(socket.AF_INET6, text)


def test_a_route_has_what_its_attributes_say():
    message = body(
        socket.AF_INET,
        8,
        252,
        attribute(1, four("10.0.0.0")),
        attribute(5, four("192.0.2.1")),
        attribute(4, number(2)),
        attribute(6, number(77)),
        attribute(7, four("192.0.2.9")),
        attribute(15, number(100000)),
    )
    assert list(routes.parse_route(message)) == [
        routes.Route(
            4, "10.0.0.0/8", "192.0.2.1", 2, 77, 100000, "unicast", "global", "static", "192.0.2.9"
        )
    ]


def test_a_default_route_of_two_interfaces_is_two_routes():
    def way(index, gateway):
        inner = attribute(5, six(gateway))
        return struct.pack("=HBBi", 8 + len(inner), 0, 0, index) + inner

    message = body(
        socket.AF_INET6,
        0,
        254,
        attribute(6, number(1024)),
        attribute(9, way(2, "fe80::2") + way(3, "fd00::2")),
    )
    assert [(one.to, one.via, one.index) for one in routes.parse_route(message)] == [
        ("::/0", "fe80::2", 2),
        ("::/0", "fd00::2", 3),
    ]


@pytest.mark.parametrize(
    "message",
    [
        body(socket.AF_INET, 32, 255),  # the table "local"
        body(socket.AF_INET6, 128, 254, flags=0x200),  # cloned
        body(28, 0, 254),  # another family
    ],
)
def test_what_the_kernel_keeps_for_itself_is_no_route(message):
    assert list(routes.parse_route(message)) == []


def test_a_way_that_claims_no_length_ends_the_list():
    broken = struct.pack("=HBBi", 0, 0, 0, 2)
    found = list(routes.parse_route(body(socket.AF_INET, 0, 254, attribute(9, broken))))
    assert [one.index for one in found] == [2]


def test_an_image_has_no_routes(root):
    assert routes.routes(root) == []


def test_this_machine_tells_its_routes():
    assert all("/" in route.to for route in routes.routes(Root("/")))
