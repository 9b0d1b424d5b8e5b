"""Which addresses a fetch may connect to: those of the public Internet, whatever they are wrapped in."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = (80, 443, 8080, 8443)

# Not public, whatever the standard library of some version says of them.
_DENIED = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's own services, which `ipaddress` holds to be global
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from `127.0.0.1` or `10.1.0.0/16`. Raises: ValueError."""
    return tuple(ip_network(text) for text in texts)


def refusal(host: str, port: int, allowed: Iterable[Network] = ()) -> str | None:
    """Why this address, given as digits, is not connected to; null = it may be. `allowed` may be of any port."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"{host!r} is no address"
    # Of the wrappings, a mapped address alone is the same machine: the others go through a relay.
    same = getattr(address, "ipv4_mapped", None) or address
    if any(same in network for network in allowed):
        return None
    if not is_public(unwrapped(address)):
        return f"{address} is no public address"
    return None if port in PORTS else f"port {port} is none of {', '.join(map(str, PORTS))}"


def is_public(address: Address) -> bool:
    """Whether an address, unwrapped, is one of the public Internet."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in _DENIED if network.version == address.version)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4 or NAT64; other addresses as they are."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
