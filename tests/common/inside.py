"""Runs inside `stile run`: does on the virtual network what a test asks for, one JSON line each way.

A request is [function, {argument: value}]; the answer is {"value": …} or {"error": text}.
"""

import errno
import hashlib
import json
import resource
import selectors
import socket
import struct
import subprocess
import sys
import time

FAMILIES = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
kept = {}


def _verdict(error):
    if isinstance(error, socket.gaierror):
        return "unknown name"
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode.get(error.errno, str(error)) if isinstance(error, OSError) else str(error)


def _open(host, port, family=None, timeout=20):
    info = socket.getaddrinfo(host, port, FAMILIES[family], socket.SOCK_STREAM)[0]
    sock = socket.socket(info[0], info[1])
    sock.settimeout(timeout)
    sock.connect(info[4])
    return sock


def connect(host, port, family=None, timeout=20):
    """Connects and closes: "ok", "ECONNREFUSED", "timeout", "unknown name", …; and how long that took."""
    start = time.monotonic()
    address = ""
    try:
        with _open(host, port, family, timeout) as sock:
            verdict, address = "ok", sock.getpeername()[0]
    except OSError as error:
        verdict = _verdict(error)
    return {"verdict": verdict, "seconds": time.monotonic() - start, "address": address}


def resolve(name, family=None):
    """The addresses of a name; empty: there is none."""
    try:
        found = socket.getaddrinfo(name, 1, FAMILIES[family], socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return [entry[4][0] for entry in found]


def _read_to_end(sock):
    parts = []
    while data := sock.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)


def exchange(host, port, text="", size=0, family=None, half_close=True):
    """Sends text, or size bytes of a pattern, half-closes, reads to the end. What came: bytes, digest, its first characters."""
    data = text.encode() if text else (b"0123456789abcdef" * (size // 16 + 1))[:size]
    with _open(host, port, family) as sock:
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        got = _read_to_end(sock)
    return {"sent": hashlib.sha256(data).hexdigest(), "bytes": len(got), "digest": hashlib.sha256(got).hexdigest(),
            "text": got[:200].decode("latin-1")}


def receive_then_send(host, port, text, family=None):
    """Reads to the end first (the server half-closes), then sends text and closes. How many bytes came."""
    with _open(host, port, family) as sock:
        got = _read_to_end(sock)
        sock.sendall(text.encode())
        sock.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
    return {"bytes": len(got)}


def keep(key, host, port, family=None):
    """Opens a connection and keeps it under a key."""
    kept[key] = _open(host, port, family)


def send(key, text):
    kept[key].sendall(text.encode())


def receive(key, timeout=30):
    """What arrives next: text, "" at the end, or {"error": …}."""
    kept[key].settimeout(timeout)
    try:
        return kept[key].recv(65536).decode()
    except OSError as error:
        return {"error": _verdict(error)}


def drop(key, reset=False):
    """Closes a connection; with reset, by RST."""
    sock = kept.pop(key)
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def run(argv, text="", timeout=60):
    """Runs a program inside."""
    start = time.monotonic()
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout, check=False)
    return {"status": done.returncode, "out": done.stdout, "err": done.stderr, "seconds": time.monotonic() - start}


class _Peer:
    """One of many connections: sends its own pattern, reads it back, counts what is wrong."""

    def __init__(self, host_info, number, size):
        self.data = hashlib.sha256(str(number).encode()).digest() * (size // 32)
        self.sent = self.got = 0
        self.state = "connecting"
        self.sock = socket.socket(host_info[0], host_info[1])
        self.sock.setblocking(False)
        self.sock.connect_ex(host_info[4])

    def on_writable(self):
        if self.state == "connecting":
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.state = "open" if code == 0 else errno.errorcode[code]
            return
        self.sent += self.sock.send(self.data[self.sent:self.sent + 16384])
        if self.sent == len(self.data):
            self.sock.shutdown(socket.SHUT_WR)

    def on_readable(self):
        data = self.sock.recv(65536)
        if data != self.data[self.got:self.got + len(data)]:
            self.state = "corrupt"
        self.got += len(data)
        if not data and self.state == "open":
            self.state = "intact" if self.got == len(self.data) else "cut"

    def step(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.on_writable()
            if events & selectors.EVENT_READ and self.state == "open":
                self.on_readable()
        except BlockingIOError:
            pass
        except OSError as error:
            self.state = _verdict(error)

    def wanted(self, may_send):
        if self.state == "connecting":
            return selectors.EVENT_WRITE
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if may_send and self.sent < len(self.data) else 0)


def many(host, port, count, size, family=None, seconds=120):
    """Opens count connections to an echo server; when all are open at once, sends size bytes on each and reads them
    back. How many ended in which state, and how many were open together."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    info = socket.getaddrinfo(host, port, FAMILIES[family], socket.SOCK_STREAM)[0]
    selector = selectors.DefaultSelector()
    peers = [_Peer(info, number, size) for number in range(count)]
    for peer in peers:
        selector.register(peer.sock, selectors.EVENT_WRITE, peer)
    live, connecting, most = count, count, 0
    end = time.monotonic() + seconds
    while live > 0 and time.monotonic() < end:
        for key, events in selector.select(1):
            peer = key.data
            before = peer.state
            peer.step(events)
            connecting -= before == "connecting" and peer.state != "connecting"
            if peer.state not in ("connecting", "open"):
                selector.unregister(peer.sock)
                peer.sock.close()
                live -= 1
            elif connecting > 0:
                selector.modify(peer.sock, selectors.EVENT_WRITE if peer.state == "connecting" else selectors.EVENT_READ,
                                peer)
            else:
                selector.modify(peer.sock, peer.wanted(True), peer)
        if connecting == 0 and most == 0:
            most = sum(peer.state == "open" for peer in peers)
            for peer in peers:
                if peer.state == "open":
                    selector.modify(peer.sock, peer.wanted(True), peer)
    states = {}
    for peer in peers:
        states[peer.state] = states.get(peer.state, 0) + 1
        peer.sock.close()
    return {"states": states, "together": most}


FUNCTIONS = {f.__name__: f for f in (connect, resolve, exchange, receive_then_send, keep, send, receive, drop, run, many)}


def serve(requests, answers):
    answers.write('{"value": "ready"}\n')
    answers.flush()
    for line in requests:
        name, arguments = json.loads(line)
        try:
            answer = {"value": FUNCTIONS[name](**arguments)}
        except Exception as error:  # told to the test, which judges it
            answer = {"error": f"{name}: {_verdict(error)}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
