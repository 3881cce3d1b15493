"""Which network addresses are public, from the IANA special-purpose address registries (RFC 6890 and its updates).

Python's `is_global` is not enough: it passes forms in which an IPv6 address carries a private IPv4 one (threat T16).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NOT_PUBLIC_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",
        "168.63.129.16/32",  # not of the registry: a cloud's own services, seen only from its machines
        "169.254.0.0/16",  # link-local, and the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# What is not in here (mapped, compatible and NAT64 IPv4, local, multicast, segment routing) is not public.
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments: Teredo, benchmarking, ORCHID and others
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)
# The interface part of an ISATAP address (RFC 5214 section 6.1), without the bit that says "unique"; an IPv4 follows.
_ISATAP = 0x00005EFE
_UNIQUE_BIT = 0x02000000


def read_address(text: str) -> Address:
    """The address that a resolver answered; a zone (`%eth0`) is not part of it.  Raises ValueError."""
    return ip_address(text.partition("%")[0])


def is_public(address: Address) -> bool:
    """Whether an address is an ordinary public unicast one, with no other address hidden in it."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address not in _GLOBAL_6 or any(address in block for block in _NOT_PUBLIC_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF & ~_UNIQUE_BIT != _ISATAP
