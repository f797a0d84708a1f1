#!/usr/bin/python3
"""usage: interop.py PEER

OpenSSL's own programs (s_server, s_client) on the other side of src/tls. TAP on standard output.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading

PEER = os.path.abspath(sys.argv[1])
TIMEOUT = 60


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **kwargs)


def make_ca(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key",
            "-out", name + ".pem", "-subj", "/CN=" + name, "-days", "2", "-addext", "keyUsage=critical,keyCertSign")


def make_cert(name, ca, usage, days="1", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
    with open(name + ".ext", "w") as f:
        f.write(f"extendedKeyUsage={usage}\nsubjectAltName=DNS:gw.test\n")
    args = ["x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial", "-out",
            name + ".pem", "-extfile", name + ".ext"]
    openssl(*args, "-days", days)


def make_everything():
    make_ca("ca")
    make_ca("other-ca")
    make_cert("server", "ca", "serverAuth")
    make_cert("client", "ca", "clientAuth")
    make_cert("client-rsa", "ca", "clientAuth", key=("rsa:2048",))
    make_cert("client-ed", "ca", "clientAuth", key=("ed25519",))
    make_cert("expired", "ca", "clientAuth", days="-1")
    make_cert("expired-server", "ca", "serverAuth", days="-1")
    make_cert("foreign", "other-ca", "clientAuth")


class OurServer:
    """peer server, one connection; text() ends it and gives what it printed after the port."""

    def __init__(self):
        self.process = subprocess.Popen([PEER, "server", "ca.pem", "server.pem", "server.key"], stdout=subprocess.PIPE,
                                        text=True)
        self.port = self.process.stdout.readline().strip()

    def text(self):
        try:
            return self.process.communicate(timeout=TIMEOUT)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "TIMEOUT " + self.process.communicate()[0]


def read_until(process, end):
    text = b""
    while end not in text:
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        text += chunk
    return text


def s_client(port, *args, lines=("hello",), alpn="stile-tcp"):
    """What s_client printed, with its errors. Each line waits for the echo of the one before."""
    command = ["openssl", "s_client", "-connect", "127.0.0.1:" + port, "-servername", "gw.test", "-CAfile", "ca.pem",
               "-verify_hostname", "gw.test", "-alpn", alpn, *args]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    text = b""
    try:
        for line in lines:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            text += read_until(process, b"KEYUPDATE\n" if line == "K" else line.encode() + b"\n")
        process.stdin.close()
    except OSError:
        pass
    text += read_until(process, b"never")
    process.wait()
    watchdog.cancel()
    return text.decode(errors="replace")


IDENTITY = ("-cert", "client.pem", "-key", "client.key")


def s_server(*args, rev=True):
    """A started s_server and its port."""
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", "-CAfile", "ca.pem",
               "-verify_return_error", *(["-rev"] if rev else []), *args]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        match = re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line)
        if match:
            return process, match.group(1)
    raise RuntimeError("s_server did not start")


def our_client(port, cert="client", ca="ca", name="gw.test", remote=False):
    key = ("remote:" if remote else "") + cert + ".key"
    process = subprocess.Popen([PEER, "client", ca + ".pem", cert + ".pem", key, port, name], stdout=subprocess.PIPE, text=True)
    try:
        return process.communicate(timeout=TIMEOUT)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return "TIMEOUT " + process.communicate()[0]


def with_server(*server_args, **client_args):
    process, port = s_server(*server_args)
    try:
        return our_client(port, **client_args)
    finally:
        process.kill()
        process.communicate()


BASIC = ("-tls1_3", "-alpn", "stile-tcp")
ASKING = (*BASIC, "-Verify", "1")
ECHO = "enil tsrif\nenil dnoces\n"


def case_server_echoes_to_s_client():
    server = OurServer()
    text = s_client(server.port, *IDENTITY, lines=("hello", "again"))
    return "TLSv1.3" in text and "ALPN protocol: stile-tcp" in text and "hello" in text and server.text().endswith("end\n")


def case_server_answers_a_key_update():
    server = OurServer()
    text = s_client(server.port, *IDENTITY, lines=("before", "K", "after"))
    ours = server.text()
    return "KEYUPDATE" in text and "after" in text and ours.endswith("end\n")


def case_server_refuses_tls12():
    server = OurServer()
    text = s_client(server.port, *IDENTITY, "-tls1_2")
    return "protocol version" in text and "error TLS:" in server.text()


def case_server_refuses_a_client_without_certificate():
    server = OurServer()
    text = s_client(server.port)
    return "certificate required" in text and "error AUTH:" in server.text()


def case_server_refuses_an_expired_certificate():
    server = OurServer()
    text = s_client(server.port, "-cert", "expired.pem", "-key", "expired.key")
    return "certificate expired" in text and "error EXPIRED:" in server.text()


def case_server_refuses_a_foreign_certificate():
    server = OurServer()
    text = s_client(server.port, "-cert", "foreign.pem", "-key", "foreign.key")
    return "unknown ca" in text and "error AUTH:" in server.text()


def case_server_refuses_another_protocol():
    server = OurServer()
    text = s_client(server.port, *IDENTITY, alpn="http/1.1")
    return "no application protocol" in text and "error PROTOCOL:" in server.text()


def case_server_calls_a_cut_a_cut():
    server = OurServer()
    process = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:" + server.port, "-alpn", "h2", *IDENTITY],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdin.write(b"echo me\n")
    process.stdin.flush()
    read_until(process, b"\necho me\n")
    process.kill()
    process.communicate()
    return "error TRUNCATED:" in server.text()


def case_client_talks_to_s_server():
    return ECHO in with_server(*ASKING)


def case_client_signs_remotely_with_ecdsa():
    return ECHO in with_server(*ASKING, remote=True)


def case_client_signs_remotely_with_rsa():
    return ECHO in with_server(*ASKING, cert="client-rsa", remote=True)


def case_client_signs_remotely_with_ed25519():
    return ECHO in with_server(*ASKING, cert="client-ed", remote=True)


def case_client_signs_remotely_over_chacha20_and_p384():
    return ECHO in with_server(*ASKING, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384", remote=True)


def case_client_refuses_tls12():
    text = with_server("-tls1_2", "-alpn", "stile-tcp")
    return "error TLS:" in text and "TLS 1.3" in text


def case_client_refuses_another_ca():
    return "from another CA" in with_server(*BASIC, ca="other-ca")


def case_client_refuses_another_name():
    return "not for the name other.test" in with_server(*BASIC, name="other.test")


def case_client_refuses_an_expired_server():
    text = with_server(*BASIC, "-cert", "expired-server.pem", "-key", "expired-server.key")
    return "error TLS:" in text and "has expired" in text


def case_client_wants_its_protocol():
    text = with_server("-tls1_3", "-alpn", "http/1.1")
    return "error PROTOCOL:" in text or "error TLS:" in text and "protocol" in text


def case_client_is_told_that_its_certificate_expired():
    text = with_server(*ASKING, cert="expired")
    return "error EXPIRED:" in text and "log in again" in text


def case_client_is_told_that_its_ca_is_unknown():
    return "error AUTH:" in with_server(*ASKING, cert="foreign")


def main():
    cases = [(name[5:].replace("_", " "), case) for name, case in globals().items() if name.startswith("case_")]
    print(f"1..{len(cases)}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        make_everything()
        for number, (name, case) in enumerate(cases, 1):
            print(f"{'ok' if case() else 'not ok'} {number} {name}", flush=True)
        os.chdir("/")


main()
