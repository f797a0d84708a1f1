"""A machine of the network: says to everybody who they are, over TCP and UDP, and writes down whom it saw.

usage: peer.py NAME LOG ADDRESS,... PORT...      as root, in the machine's network namespace

The answer to anything is "NAME ADDRESS PORT": who the peer took its client for. A line of the log is "tcp CLIENT CLIENT-PORT
PORT", the port being the peer's own; of UDP each datagram is one.
"""

import asyncio
import socket
import sys


def bound(kind, address, port):
    # Each address has its sockets, so that UDP is answered from the address that was asked.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


class Peer:
    def __init__(self, name, log):
        self.name, self.log = name, open(log, "a", encoding="ascii")

    def answer(self, protocol, client, port):
        self.log.write(f"{protocol} {client[0]} {client[1]} {port}\n")
        self.log.flush()
        return f"{self.name} {client[0]} {client[1]}\n".encode()

    def tcp(self, port):
        async def serve(reader, writer):
            try:
                writer.write(self.answer("tcp", writer.get_extra_info("peername"), port))
                writer.write_eof()
                await reader.read(-1)
            except OSError:
                pass
            finally:
                writer.close()
        return serve

    def udp(self, port):
        peer = self

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, addr):
                self.transport.sendto(peer.answer("udp", addr, port), addr)
        return Protocol

    async def serve(self, addresses, ports):
        loop = asyncio.get_running_loop()
        for address in addresses:
            for port in ports:
                await asyncio.start_server(self.tcp(port), sock=bound(socket.SOCK_STREAM, address, port))
                await loop.create_datagram_endpoint(self.udp(port), sock=bound(socket.SOCK_DGRAM, address, port))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(Peer(sys.argv[1], sys.argv[2]).serve(sys.argv[3].split(","), [int(port) for port in sys.argv[4:]]))
