#!/usr/bin/python3
"""usage: listen_fd.py HOST:PORT ADDRESS_FILE CMD [ARG...]

What systemd's socket activation does: opens a listening TCP socket here (PORT 0: any free one), writes its address to
ADDRESS_FILE and becomes CMD, which finds the socket as descriptor 3, announced by LISTEN_FDS and LISTEN_PID. CMD may enter
another network namespace: the socket stays in this one.
"""

import os
import socket
import sys

FIRST_FD = 3


def open_listener(address):
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(4096)
    return listener


def write_address(path, listener):
    host, port = listener.getsockname()[:2]
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"[{host}]:{port}\n" if ":" in host else f"{host}:{port}\n")
    os.rename(path + ".new", path)


def main(arguments):
    if len(arguments) < 3:
        sys.exit(__doc__)
    listener = open_listener(arguments[0])
    write_address(arguments[1], listener)
    if listener.fileno() != FIRST_FD:
        os.dup2(listener.fileno(), FIRST_FD)
    os.set_inheritable(FIRST_FD, True)
    environment = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execvpe(arguments[2], arguments[2:], environment)


if __name__ == "__main__":
    main(sys.argv[1:])
