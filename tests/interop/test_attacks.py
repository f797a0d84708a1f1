#!/usr/bin/python3
"""Hostile programs and hostile packets in a session: it goes on working, with bounded memory and descriptors."""

import os
import subprocess
import sys

from lib.harness import main
from lib.world import PYTHON, Skip, resident_kib, wait_until

GROWTH_KIB = 32 * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch:
    """A session whose engine must be as it was when the attack is over."""

    def __init__(self, world):
        self.session = world.session()
        self.engine = self.session.child("engine")
        self.assert_works()
        self.kib, self.descriptors = resident_kib(self.engine), descriptors(self.engine)

    def assert_works(self):
        got = self.session.call("exchange", host="echo.demo.stile.test", port=7001, text="still here")
        assert got["text"] == "still here", (got, self.session.messages())

    def attack(self, text):
        """Runs a Python program in the session."""
        done = self.session.call("run", argv=[PYTHON, "-c", text], timeout=100)
        assert done["status"] == 0, done
        return done["out"]

    def inject(self, text):
        """Runs a Python program in the session's network that may use raw sockets."""
        done = subprocess.run(["nsenter", f"--net=/proc/{self.session.child('launcher')}/ns/net", sys.executable, "-c", text],
                              capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def assert_unharmed(self):
        self.assert_works()
        # A few sockets to resolvers are kept.
        wait_until(lambda: descriptors(self.engine) <= self.descriptors + 12, "the engine's descriptors are closed")
        assert resident_kib(self.engine) < self.kib + GROWTH_KIB, (self.kib, resident_kib(self.engine))


DNS = """
import socket, os, random, struct, time
server = [l.split()[1] for l in open('/etc/resolv.conf') if l.startswith('nameserver') and '.' in l.split()[1]][0]
def q(name, qtype=1, extra=b'', id=None):
    w = b''.join(bytes([len(p)]) + p for p in name.encode().split(b'.')) + b'\\0'
    head = struct.pack('>HHHHHH', random.getrandbits(16) if id is None else id, 0x100, 1, 0, 0, 1 if extra else 0)
    return head + w + struct.pack('>HH', qtype, 1) + extra
"""


def malformed_and_many_questions(world):
    watch = Watch(world)
    out = watch.attack(DNS + """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((server, 53)); s.setblocking(False)
random.seed(1)
n = 0
for i in range(6000):
    k = i % 6
    if k == 0: m = os.urandom(random.randrange(0, 1400))
    elif k == 1: m = q('r%d.demo.stile.test' % i)
    elif k == 2: m = q('x%d.outside.test' % i)
    elif k == 3: m = q('echo.demo.stile.test')[:random.randrange(0, 40)]
    elif k == 4: m = struct.pack('>HHHHHH', i & 65535, 0x100, 1, 0, 0, 0) + b'\\xc0\\x0c\\0\\1\\0\\1'
    else: m = struct.pack('>HHHHHH', i & 65535, 0x100, 1, 0, 0, 0) + b'\\x01a\\xc0\\x0e\\xc0\\x0c' + os.urandom(8)
    try: s.send(m)
    except OSError: pass
    try:
        while True: s.recv(65536); n += 1
    except OSError: pass
print(n)
""")
    assert int(out) > 0, "no answer at all"
    watch.assert_unharmed()


def dns_connections_that_say_nothing_or_ask_for_ever(world):
    watch = Watch(world)
    watch.attack(DNS + """
kept = []
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
for i in range(700):
    s = socket.socket(); s.settimeout(5)
    try:
        s.connect((server, 53)); kept.append(s)
        s.send((b'', b'\\xff', b'\\xff\\xff' + os.urandom(1000), b'\\0\\0' * 500)[i % 4])
    except OSError: pass
assert 0 < len(kept) < 700, len(kept)
for s in kept: s.close()
time.sleep(.5)
s = socket.socket(); s.connect((server, 53)); s.settimeout(2)
m = q('echo.demo.stile.test'); m = struct.pack('>H', len(m)) + m
try:
    for i in range(20000): s.sendall(m * 50)
    raise SystemExit('a client that never reads may ask without end')
except OSError: pass
""")
    watch.assert_unharmed()


def ports_and_addresses_without_an_app_are_refused_at_once(world):
    watch = Watch(world)
    watch.attack("""
import errno, socket, time
echo = socket.getaddrinfo('echo.demo.stile.test', 1, socket.AF_INET)[0][4][0]
base = echo.rsplit('.', 1)[0]
start = time.monotonic()
targets = [(echo, port) for port in range(1, 2000)] + [(f'{base}.{last}', 80) for last in (0, 1, 2, 255)]
for target in targets:
    s = socket.socket(); s.settimeout(5)
    assert s.connect_ex(target) == errno.ECONNREFUSED, target
    s.close()
assert time.monotonic() - start < 30
""")
    watch.assert_unharmed()


RAW = """
import socket, os, random, struct, time
random.seed(%d)
def csum(b):
    if len(b) %% 2: b += b'\\0'
    s = sum(struct.unpack('>%%dH' %% (len(b) // 2), b))
    while s >> 16: s = (s & 65535) + (s >> 16)
    return ~s & 65535
def ip(src, dst, proto, body, **o):
    opt = o.get('opt', b''); ihl = o.get('ihl', 5 + len(opt) // 4)
    ln = o.get('len', 20 + len(opt) + len(body))
    h = struct.pack('>BBHHHBBH', (o.get('v', 4) << 4) | ihl, 0, ln & 65535, o.get('id', 1), o.get('frag', 0), 64, proto, 0)
    h += socket.inet_aton(src) + socket.inet_aton(dst) + opt
    h = h[:10] + struct.pack('>H', csum(h)) + h[12:]
    return h + body
def l4(src, dst, proto, body, at):
    ps = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack('>BBH', 0, proto, len(body))
    b = body[:at] + b'\\0\\0' + body[at+2:]
    c = csum(ps + b)
    return b[:at] + struct.pack('>H', c) + b[at+2:]
def tcp(src, dst, sp, dp, seq, ack, flags, win=65535, opt=b'', data=b'', off=None):
    opt += b'\\0' * (-len(opt) %% 4)
    off = 5 + len(opt) // 4 if off is None else off
    h = struct.pack('>HHIIBBHHH', sp, dp, seq & 0xffffffff, ack & 0xffffffff, off << 4, flags, win, 0, 0) + opt
    return ip(src, dst, 6, l4(src, dst, 6, h + data, 16))
"""


def packets_of_every_broken_kind(world):
    """Beside a connection that must not notice."""
    if not world.may_be_user:
        raise Skip("sending raw packets into the session's network needs root")
    watch = Watch(world)
    session = watch.session
    echo = watch.attack("import socket; print(socket.gethostbyname('echo.demo.stile.test'))").strip()
    session.call("keep", key="k", host="echo.demo.stile.test", port=7001, family=4)
    session.call("send", key="k", text="one")
    assert session.call("receive", key="k") == "one"
    watch.inject(RAW % 7 + f"""
echo = '{echo}'
base = echo.rsplit('.', 1)[0]
""" + """
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
s.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
import subprocess
shown = subprocess.run(['ip', '-4', '-o', 'addr', 'show', 'stile0'], capture_output=True, text=True).stdout
me = [word for word in shown.split() if '/' in word][0].split('/')[0]
ports = [int(l.split()[1].rsplit(':')[1].split()[0], 16) for l in open('/proc/net/tcp').read().splitlines()[1:]]
sent = bad = 0
def send(p):
    global sent, bad
    try: s.sendto(p, (echo, 0)); sent += 1
    except OSError as e: bad += 1
for i in range(8000):
    k = i % 12
    sp = random.choice(ports + [random.randrange(65536)])
    dp = random.choice([7001, 53, 80, random.randrange(65536)])
    dst = random.choice([echo, echo, base + '.2', base + '.1', me, base + '.77', '224.0.0.1'])
    src = random.choice([me, me, me, echo, '1.2.3.4', '127.0.0.1', '0.0.0.0', '255.255.255.255', base + '.9'])
    seq, ack = random.getrandbits(32), random.getrandbits(32)
    if k == 0: send(tcp(src, dst, sp, dp, seq, ack, random.randrange(256), random.randrange(65536),
                         os.urandom(random.randrange(41)), os.urandom(random.randrange(100))))
    elif k == 1: send(tcp(src, dst, sp, dp, seq, 0, 2, 0, b'\\2\\4\\0\\0\\3\\3\\xff'))
    elif k == 2: send(tcp(me, dst, sp, 7001, seq, ack, 0x10, 0, b'', os.urandom(10), off=random.randrange(16)))
    elif k == 3: send(ip(src, dst, random.choice([1, 6, 17, 47, 58, 255, 0]), os.urandom(random.randrange(200)),
                        frag=random.getrandbits(16)))
    elif k == 4: send(ip(me, dst, 6, os.urandom(random.randrange(40)), len=random.randrange(65536), ihl=random.randrange(16)))
    elif k == 5: send(ip(me, dst, 17, struct.pack('>HHHH', sp, 53, random.randrange(65536), 0)
                        + os.urandom(random.randrange(100))))
    elif k == 6: send(ip(me, dst, 1, l4('0.0.0.0', '0.0.0.0', 0, b'\\x08\\0\\0\\0' + os.urandom(random.randrange(1400)), 2)))
    elif k == 7: send(tcp(me, echo, sp, 7001, seq, ack, 4))
    elif k == 8: send(tcp(echo, echo, 7001, 7001, seq, ack, 2))
    elif k == 9: send(ip(me, dst, 6, os.urandom(40), opt=os.urandom(4 * random.randrange(11))))
    elif k == 10: send(tcp(me, echo, random.randrange(65536), 7001, seq, 0, 2, 65535, b'\\2\\4\\5\\xb4',
                           os.urandom(random.randrange(1000))))
    else: send(ip(me, dst, random.choice([4, 41, 6, 17]), ip(me, dst, 6, os.urandom(20)),
                frag=random.choice([0x2000, 1, 0x2001, 8191, 0])))
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM); s.bind(('stile0', 0x86dd))
n = 0
for proto in (0x86dd, 0x0800, 0x1234):
    for i in range(3000):
        b = os.urandom(random.choice([0, 1, 19, 20, 39, 40, 41, random.randrange(1500)]))
        if len(b) > 7 and i % 2:
            nh = random.choice([0, 6, 17, 43, 44, 50, 51, 58, 60, 59, 135, 255])
            pl = random.choice([len(b) - 40, random.randrange(65536)])
            b = bytes([0x60 if proto == 0x86dd else 0x45]) + b[1:4] + struct.pack('>H', max(pl, 0)) + bytes([nh]) + b[7:]
        try: s.sendto(b, ('stile0', proto)); n += 1
        except OSError: pass
""")
    session.call("send", key="k", text="two")
    assert session.call("receive", key="k") == "two"
    watch.assert_unharmed()


if __name__ == "__main__":
    main(__file__, malformed_and_many_questions, dns_connections_that_say_nothing_or_ask_for_ever,
         ports_and_addresses_without_an_app_are_refused_at_once, packets_of_every_broken_kind)
