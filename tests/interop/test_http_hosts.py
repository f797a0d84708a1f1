#!/usr/bin/python3
"""Apps marked http: what a page of another site makes a browser send never reaches them (DNS rebinding)."""

from lib.harness import main

WIKI = "wiki.demo.stile.test"


def ask(session, host, rest=""):
    """What comes back for a request with this Host; the app is an echo server."""
    text = "GET / HTTP/1.1\r\nHost: %s\r\n\r\n%s" % (host, rest)
    return session.call("exchange", host=WIKI, port=7001, text=text)


def the_app_s_own_name_reaches_it_with_every_byte(world):
    answer = ask(world.session(), "Wiki.demo.stile.test:7001", "x" * 5000)
    assert answer["digest"] == answer["sent"], answer


def a_foreign_host_gets_421_and_the_app_nothing(world):
    session = world.session()
    answer = ask(session, "evil.example")
    assert answer["text"].startswith("HTTP/1.1 421 "), answer
    assert "evil" not in answer["text"], answer
    record = world.connection("wiki", 7001, "denied")
    assert "evil.example" in record["reason"], record


def what_is_not_http_gets_400(world):
    answer = world.session().call("exchange", host=WIKI, port=7001, text="SSH-2.0-x\r\n")
    assert answer["text"].startswith("HTTP/1.1 400 "), answer


def an_unfinished_request_ends_with_the_program_s_patience(world):
    answer = world.session().call("exchange", host=WIKI, port=7001, text="GET / HTTP/1.1\r\nHo")
    assert answer["text"].startswith("HTTP/1.1 400 "), answer


if __name__ == "__main__":
    main(__file__, the_app_s_own_name_reaches_it_with_every_byte, a_foreign_host_gets_421_and_the_app_nothing,
         what_is_not_http_gets_400, an_unfinished_request_ends_with_the_program_s_patience)
