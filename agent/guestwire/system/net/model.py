"""What a network shall be, whatever language it came in and whichever manager will hold it.

Records are frozen. Numbers and switches that nobody gave are None, so that a back end can leave
them to the guest; addresses are kept in the text form that the kernel prints.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
MAIN_TABLE = 254
NO_DEVICE = ("blackhole", "prohibit", "throw", "unreachable")  # types of route that go nowhere


class Address(NamedTuple):
    """`forever` false: the address answers, but new connections are not made from it."""

    address: str
    prefix: int
    family: int  # 4 or 6
    label: str = ""
    forever: Optional[bool] = None

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


class Route(NamedTuple):
    """`to` is a network such as "10.0.0.0/8"; a default route goes to `ANYWHERE[family]`."""

    to: str
    family: int  # 4 or 6
    via: str = ""
    source: str = ""
    metric: Optional[int] = None
    table: Optional[int] = None
    mtu: Optional[int] = None
    on_link: bool = False
    type: str = "unicast"
    scope: str = ""

    @property
    def default(self) -> bool:
        return self.to == ANYWHERE[self.family]


class Rule(NamedTuple):
    """A rule of policy routing."""

    family: int  # 4 or 6
    table: int
    source: str = ""
    to: str = ""
    priority: Optional[int] = None
    mark: Optional[int] = None
    type_of_service: Optional[int] = None


class Lease(NamedTuple):
    """What is taken from a DHCP server, and what it is told. None: as the manager likes."""

    hostname: str = ""
    route_metric: Optional[int] = None
    send_hostname: Optional[bool] = None
    use_dns: Optional[bool] = None
    use_domains: Optional[str] = None  # "yes", "no" or "route"
    use_hostname: Optional[bool] = None
    use_mtu: Optional[bool] = None
    use_ntp: Optional[bool] = None
    use_routes: Optional[bool] = None


class Match(NamedTuple):
    """A NIC by its kernel name (a shell pattern) or its permanent MAC, or both."""

    name: str = ""
    mac: str = ""


class Ethernet(NamedTuple):
    """One device. `id` is what the host calls it: the interface's name, unless `match` is given.

    `names` are the interfaces of this guest which it stands for; `nics.bind` fills them in.
    """

    id: str
    match: Match
    names: tuple[str, ...] = ()
    dhcp4: bool = False
    dhcp6: bool = False
    lease4: Lease = Lease()
    lease6: Lease = Lease()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mtu: Optional[int] = None
    mac: str = ""
    accept_ra: Optional[bool] = None
    link_local: Optional[tuple[str, ...]] = None  # of "ipv4" and "ipv6"
    optional: bool = False
    wakeonlan: bool = False

    @property
    def path(self) -> str:
        """Where the host finds it in what it sent."""
        return f"ethernets.{self.id}"

    def of_family(self, family: int) -> tuple[list[Address], list[Route], list[Rule]]:
        return (
            [address for address in self.addresses if address.family == family],
            [route for route in self.routes if route.family == family],
            [rule for rule in self.rules if rule.family == family],
        )


class Network(NamedTuple):
    """Everything a host asked for at once."""

    ethernets: tuple[Ethernet, ...]


class File(NamedTuple):
    """A file that a back end wants. Mode None: as the file that it replaces, or 0644."""

    text: str
    mode: Optional[int] = 0o644
