"""What a test of a policy finds out: whether what an app opened went through the proxy, and only so."""

from common.process import wait_until
from lib.world import socket_text

# A peer on each protocol and family.
TCP4, UDP4 = "tcp/192.0.2.2/7000", "udp/192.0.2.2/7000"
TCP6, UDP6 = "tcp/2001:db8::2/7000", "udp/2001:db8::2/7000"
TCPS, UDPS = [TCP4, TCP6], [UDP4, UDP6]
ALL = [TCP4, UDP4, TCP6, UDP6]


def of(target):
    protocol, address, port = target.split("/")
    return protocol, socket_text(address, port)


def told_of(proxy, targets):
    """The proxy's entries, as soon as there are enough: logs of containers are a little late."""
    wait_until(lambda: len(proxy.entries()) >= len(targets), f"the proxy tells of {targets}")
    return proxy.entries()


def is_direct(world, proxy, talk, targets, **how):
    """The app reaches the peer at each target itself; the proxy sees nothing of it."""
    proxy.forget()
    world.peer.forget()
    answers = talk(*targets, **how)
    assert all(answers[target].startswith("peer ") for target in targets), answers
    assert proxy.entries() == [], proxy.entries()
    mine = sorted((target.split("/")[0], socket_text(*answers[target].split()[1:])) for target in targets)
    assert sorted(world.peer.sources()) == mine, (world.peer.sources(), mine)


def is_proxied(world, proxy, talk, targets, **how):
    """The app reaches the peer at each target, and the proxy was told of each, with its original destination. The peer was
    called by the proxy's own sockets and by nobody else."""
    proxy.forget()
    world.peer.forget()
    answers = talk(*targets, **how)
    assert all(answers[target].startswith("peer ") for target in targets), answers
    entries = told_of(proxy, targets)
    told = sorted((protocol, to) for protocol, _, to, _ in entries)
    assert told == sorted(of(target) for target in targets), (told, targets)
    proxys = sorted((protocol, via) for protocol, _, _, via in entries)
    assert sorted(world.peer.sources()) == proxys, (world.peer.sources(), proxys)


def app_is_reached_directly(proxy, caller, targets):
    """An app's server is called, by somebody from outside, whom it sees."""
    proxy.forget()
    answers = caller.talk(*targets)
    assert all(answers[target].startswith("app ") for target in targets), answers
    assert proxy.entries() == [], proxy.entries()


def app_is_reached_by_proxy(proxy, caller, targets):
    """The proxy alone calls the app's server, for each one that somebody from outside calls."""
    proxy.forget()
    answers = caller.talk(*targets)
    assert all(answers[target].startswith("app ") for target in targets), answers
    entries = told_of(proxy, targets)
    assert sorted((protocol, to) for protocol, _, to, _ in entries) == sorted(of(target) for target in targets), entries
    saw = sorted((target.split("/")[0], socket_text(*answers[target].split()[1:])) for target in targets)
    assert saw == sorted((protocol, via) for protocol, _, _, via in entries), (saw, entries)
