"""Ranges of IP addresses, as the API server's `isCIDR` reads them."""

import ipaddress


def is_cidr(text: str) -> bool:
    """Whether a text is a range like 10.0.0.0/8: no netmask, leading zeros, zone or IPv4 address inside IPv6."""
    address, slash, bits = text.partition("/")
    if (
        not slash
        or "%" in address
        or not bits.isascii()
        or not bits.isdecimal()
        or (len(bits) > 1 and bits.startswith("0"))
    ):
        return False
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    mapped = ipaddress.IPv6Address(address).ipv4_mapped if network.version == 6 else None
    return mapped is None
