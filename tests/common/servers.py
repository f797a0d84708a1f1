"""The apps of the world: small TCP servers in the namespace that only the gateway reaches.

usage: servers.py ADDRESS READY_FILE

    7001 echo     sends back what comes; ends when its client has
    7002 digest   reads to the end, then sends "BYTES SHA256\\n"
    7003 first    sends 100,000 bytes and half-closes first; what it then reads to the end it keeps as the last word
    7004 last     sends that last word's digest: what port 7003 was sent after it had half-closed
    7005 slow     sends nothing and reads nothing
    7006 reset    resets the connection when it has read one byte
    7007 bulk     sends as many bytes as the line it reads asks for: 0, 1, 2, … modulo 251, repeated
    8000 … 8010   send their own port's number
"""

import asyncio
import hashlib
import os
import socket
import struct
import sys

PATTERN = bytes(range(251)) * 261
last_word = b""


async def echo(reader, writer):
    while data := await reader.read(1 << 18):
        writer.write(data)
        await writer.drain()


async def digest(reader, writer):
    sha, count = hashlib.sha256(), 0
    while data := await reader.read(1 << 18):
        sha.update(data)
        count += len(data)
    writer.write(f"{count} {sha.hexdigest()}\n".encode())


async def first(reader, writer):
    global last_word
    writer.write(b"x" * 100_000)
    writer.write_eof()
    last_word = await reader.read(-1)


async def last(_reader, writer):
    writer.write(f"{len(last_word)} {hashlib.sha256(last_word).hexdigest()}\n".encode())


async def slow(_reader, writer):
    writer.transport.pause_reading()
    await asyncio.sleep(3600)


async def reset(reader, writer):
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def bulk(reader, writer):
    left = int(await reader.readline())
    while left > 0:
        part = PATTERN[:left]
        writer.write(part)
        await writer.drain()
        left -= len(part)


async def port_number(_reader, writer):
    writer.write(f"{writer.get_extra_info('sockname')[1]}\n".encode())


def ended(handler):
    """The handler, then the end of the connection; a client that goes away is no error."""
    async def handle(reader, writer):
        try:
            await handler(reader, writer)
            await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
    return handle


HANDLERS = {7001: echo, 7002: digest, 7003: first, 7004: last, 7005: slow, 7006: reset, 7007: bulk}
HANDLERS.update({port: port_number for port in range(8000, 8011)})


async def serve(address, ready):
    for port, handler in HANDLERS.items():
        await asyncio.start_server(ended(handler), address, port, backlog=2048)
        await asyncio.start_server(ended(handler), "::1", port, backlog=2048)
    with open(ready, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
