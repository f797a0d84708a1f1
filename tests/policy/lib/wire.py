"""What a pod sends onto its wire, whoever it is for."""

import socket
import time

from common.process import PATIENCE_S

ALL = 3  # ETH_P_ALL
OUTGOING = 4  # of the host's end: what goes to the pod
TCP, UDP = 6, 17


HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60  # of IPv6


def behind_extensions(packet):
    """The protocol of a packet of IPv6, whatever headers stand before it (RFC 8200, section 4)."""
    protocol, at = packet[6], 40
    while protocol in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION) and at + 2 <= len(packet):
        protocol, at = packet[at], at + (8 if protocol == FRAGMENT else 8 * (packet[at + 1] + 1))
    return protocol


class Wire:
    """The host's end of a pod's interface, from now on."""

    def __init__(self, pod):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
        self.socket.bind((f"veth{pod.ip4.split('.')[3]}", ALL))
        self.socket.setblocking(False)
        self.sent()

    def sent(self, wanted=0):
        """(protocol, from, to) of each packet of TCP and UDP that the pod has sent since. wanted: so many will come, if late."""
        found, end = [], time.monotonic() + PATIENCE_S
        while True:
            time.sleep(0.05)
            found += self._there()
            if len(found) >= wanted or time.monotonic() > end:
                return found

    def _there(self):
        found = []
        while True:
            try:
                packet, (_, kind, direction, *_) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return found
            if direction == OUTGOING or kind not in (0x0800, 0x86DD):
                continue
            old = kind == 0x0800
            protocol, addresses = (packet[9], packet[12:20]) if old else (packet[6], packet[8:40])
            if not old:
                protocol = behind_extensions(packet)
            half = len(addresses) // 2
            family = socket.AF_INET if old else socket.AF_INET6
            if protocol in (TCP, UDP):
                found.append((protocol, *(socket.inet_ntop(family, a) for a in (addresses[:half], addresses[half:]))))

    def close(self):
        self.socket.close()
