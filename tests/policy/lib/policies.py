"""Policies as JSON, in the form of HNS."""

import json

from lib.world import PROXY_UID

TCP, UDP, BOTH = "6", "17", "6,17"


def policy(outbound=None, inbound=None, protocols=TCP, uid=PROXY_UID, outbound_ports=(), outbound_addresses=(), inbound_ports=(),
           inbound_addresses=(), priority=None, **settings):
    """One policy. *_ports, *_addresses: exceptions. settings: more of "Settings", by their own names; those of FilterTuple too."""
    tuple_ = {"Protocols": protocols}
    for name in ("LocalAddresses", "RemoteAddresses", "LocalPorts", "RemotePorts"):
        if name in settings:
            tuple_[name] = settings.pop(name)
    if priority is not None:
        tuple_["Priority"] = priority
    value = {"FilterTuple": tuple_, **settings}
    if outbound:
        value["OutboundProxyPort"] = str(outbound)
    if inbound:
        value["InboundProxyPort"] = str(inbound)
    if uid is not None:
        value["UserID"] = str(uid)
    for direction, ports, addresses in (("Outbound", outbound_ports, outbound_addresses),
                                        ("Inbound", inbound_ports, inbound_addresses)):
        if ports or addresses:
            value[direction + "Exceptions"] = {"PortExceptions": [str(p) for p in ports], "IpAddressExceptions": list(addresses)}
    return {"Type": "L4WFPPROXY", "Settings": value}


def text(*policies):
    return json.dumps(list(policies))
