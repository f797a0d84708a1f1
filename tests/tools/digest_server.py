#!/usr/bin/python3
"""usage: digest_server.py HOST PORT

A TCP server that answers only after its client has half-closed: reads to the end, then sends "BYTES SHA256\\n" and closes.
"""

import hashlib
import socketserver
import sys


class Digest(socketserver.BaseRequestHandler):
    def handle(self):
        digest, count = hashlib.sha256(), 0
        while data := self.request.recv(1 << 16):
            digest.update(data)
            count += len(data)
        self.request.sendall(f"{count} {digest.hexdigest()}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Server((sys.argv[1], int(sys.argv[2])), Digest).serve_forever()
