#!/usr/bin/python3
"""Names: what stile answers itself, what upstream answers, what is told to nobody."""

import os

from lib.harness import main
from lib.world import DIR, ZONE, Failed


def dig(session, *words):
    result = session.call("run", argv=["dig", "+tries=1", "+time=5", *words])
    if result["status"] != 0:
        raise Failed(f"dig {words}: {result}")
    return result["out"]


def asked_upstream(name):
    with open(os.path.join(DIR, "dnsmasq.log"), encoding="utf-8", errors="replace") as log:
        return any(f"] {name} from" in line.lower() for line in log)


def an_app_has_an_address_of_each_family(world):
    session = world.session()
    out = dig(session, f"echo.{ZONE}", "A")
    assert "status: NOERROR" in out and " aa " in out, out
    four = session.call("resolve", name=f"echo.{ZONE}", family=4)
    six = session.call("resolve", name=f"echo.{ZONE}", family=6)
    assert len(four) == 1 and four[0].startswith("100."), four
    assert len(six) == 1 and six[0].startswith("fd"), six


def answers_live_ten_seconds_and_stay_the_same(world):
    session = world.session()
    first = dig(session, "+noall", "+answer", f"echo.{ZONE}", "A").split()
    again = dig(session, "+noall", "+answer", f"ECHO.{ZONE.upper()}", "A").split()
    assert first[1] == "10" and first[3] == "A", first
    assert again[4] == first[4], (first, again)


def two_apps_have_two_addresses(world):
    session = world.session()
    assert session.call("resolve", name=f"echo.{ZONE}", family=4) != session.call("resolve", name=f"digest.{ZONE}", family=4)


def other_types_of_an_app_are_empty_and_not_forwarded(world):
    session = world.session()
    out = dig(session, f"echo.{ZONE}", "MX")
    assert "status: NOERROR" in out and "ANSWER: 0" in out and "SOA" in out, out
    assert not asked_upstream(f"echo.{ZONE}")


def a_virtual_address_has_its_name(world):
    session = world.session()
    address = session.call("resolve", name=f"echo.{ZONE}", family=4)[0]
    assert f"echo.{ZONE}." in dig(session, "+short", "-x", address)


def an_unknown_name_in_the_zone_gets_the_answer_of_upstream(world):
    session = world.session()
    assert "status: NXDOMAIN" in dig(session, f"nosuch.{ZONE}", "A")
    assert asked_upstream(f"nosuch.{ZONE}")
    assert "from upstream" in dig(session, "+short", f"text.{ZONE}", "TXT")


def a_name_outside_the_zones_gets_the_answer_of_upstream(world):
    session = world.session()
    assert session.call("resolve", name="outside.test", family=4) == ["192.0.2.77"]
    assert session.call("resolve", name="outside.test", family=6) == ["2001:db8::77"]


def a_web_app_is_forwarded(world):
    session = world.session()
    assert session.call("resolve", name=f"dash.{ZONE}", family=4) == ["192.0.2.78"]


def an_app_that_others_may_use_is_no_name_here(world):
    session = world.session()
    assert session.call("resolve", name=f"bobs.{ZONE}") == []


def names_are_answered_over_tcp(world):
    session = world.session()
    assert dig(session, "+tcp", "+short", f"echo.{ZONE}", "A").startswith("100.")
    assert dig(session, "+tcp", "+short", "outside.test", "A").strip() == "192.0.2.77"


def without_an_upstream_the_answer_is_servfail_at_once(world):
    session = world.session()
    world.dnsmasq.send_signal(19)
    try:
        out = dig(session, "+time=8", "outside.test", "A")
    finally:
        world.dnsmasq.send_signal(18)
    assert "status: SERVFAIL" in out, out


def each_question_leaves_one_debug_line(world):
    result = world.run("dig", "+short", f"echo.{ZONE}", "A", options=["-v"])
    lines = [line for line in result.err.splitlines() if f"name=echo.{ZONE} type=A " in line]
    assert len(lines) == 1, result
    assert f"zone={ZONE} verdict=app" in lines[0], lines


def virtual_addresses_answer_ping_and_refuse_udp(world):
    session = world.session()
    address = session.call("resolve", name=f"echo.{ZONE}", family=4)[0]
    code = ("import socket,sys;s=socket.socket(2,2);s.settimeout(5);s.connect((sys.argv[1],9));s.send(b'x')\n"
            "try: s.recv(1)\nexcept ConnectionRefusedError: print('refused')")
    assert session.call("run", argv=["python3", "-c", code, address])["out"].strip() == "refused"


if __name__ == "__main__":
    main(__file__, an_app_has_an_address_of_each_family, answers_live_ten_seconds_and_stay_the_same, two_apps_have_two_addresses,
         other_types_of_an_app_are_empty_and_not_forwarded, a_virtual_address_has_its_name,
         an_unknown_name_in_the_zone_gets_the_answer_of_upstream, a_name_outside_the_zones_gets_the_answer_of_upstream,
         a_web_app_is_forwarded, an_app_that_others_may_use_is_no_name_here, names_are_answered_over_tcp,
         without_an_upstream_the_answer_is_servfail_at_once, each_question_leaves_one_debug_line,
         virtual_addresses_answer_ping_and_refuse_udp)
