#!/usr/bin/python3
"""stile policy watch over containerd: who gets policies, and what restarts, deaths, drift and failures do to them."""

import json
import os
import signal
import time

from lib import groups
from lib.checks import ALL, TCP4, TCPS, is_direct, is_proxied, told_of
from lib.containerd import SOCKET, ContainerWorld
from lib.policies import BOTH, policy
from lib.world import Failed, main, wait_until
from common.process import CLONE_NEWNET, PATIENCE_S

TABLE = "stile_policy"
WEB = {"app": "web"}


def rules(*rows):
    """rows: (labels, policies)."""
    return json.dumps({"Rules": [{"Labels": labels, "Policies": list(policies)} for labels, policies in rows]})


TO_8000 = rules((WEB, [policy(outbound=8000, protocols=BOTH)]))


class Watch:
    """`stile policy watch`, and the events that it has told."""

    def __init__(self, world, text=TO_8000, *words, path=None):
        self.world, self.path = world, path or world.file(text)
        self.process = world.start(os.environ["STILE"], "policy", "watch", "--file", self.path, "--runtimeendpoint", f"unix://{SOCKET}",
                                   "--json", *words)

    def events(self, kind=None, pod=None):
        found = [json.loads(line) for line in self.process.lines() if line.startswith("{")]
        return [e for e in found if (kind is None or e["event"] == kind) and (pod is None or pod.name in e.get("name", ""))]

    def wait_for(self, kind, pod=None, count=1):
        wait_until(lambda: len(self.events(kind, pod)) >= count or self.process.popen.poll() is not None,
                   f"watch tells {kind!r} of {pod and pod.name}: {self.process.text()}")
        found = self.events(kind, pod)
        if len(found) < count:
            raise Failed(f"it has ended: {self.process.text()}")
        return found[-1]

    def write(self, text):
        """In place of the file, as careful programs do."""
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path + ".new", self.path)

    def stop(self, sig=signal.SIGTERM):
        self.process.popen.send_signal(sig)
        return self.process.popen.wait(PATIENCE_S)


def inside(world, pod):
    return [(pod.netns(), CLONE_NEWNET)]


def ruleset(world, pod):
    return world.check("nft", "list", "ruleset", namespaces=inside(world, pod))


class Monitor:
    """What changes in a pod's nftables."""

    def __init__(self, world, pod):
        self.world, self.namespaces = world, inside(world, pod)
        self.process = world.start("stdbuf", "-oL", "nft", "monitor", namespaces=self.namespaces)
        # It has begun to listen when it tells of a table of the test's own.
        wait_until(self._probe, "nft monitor listens", step=0.1)
        self.before = len(self.process.lines())

    def _probe(self):
        for action in ("add", "delete"):
            self.world.check("nft", action, "table", "inet", "test_probe", namespaces=self.namespaces)
        return "test_probe" in self.process.text()

    def lines(self):
        """After a last change of the test's own, which comes after all others."""
        self.world.check("nft", "add", "table", "inet", "test_last", namespaces=self.namespaces)
        self.world.check("nft", "delete", "table", "inet", "test_last", namespaces=self.namespaces)
        wait_until(lambda: "delete table inet test_last" in self.process.text(), "nft monitor has told all")
        lines = self.process.lines()[self.before:]
        return [line for line in lines if "test_" not in line and not line.startswith("#")]


def labelled_pods_get_policies_and_others_do_not(world):
    early, other = world.new_pod(labels=WEB), world.new_pod(labels={"app": "db"})
    watch = Watch(world)
    watch.wait_for("applied", early)
    late = world.new_pod(labels=WEB)
    told = watch.wait_for("applied", late)
    assert told["added"] == 1 and told["rule"] == 1 and told["endpoint"] == late.netns(), told
    for pod, check in ((early, is_proxied), (late, is_proxied), (other, is_direct)):
        check(world, pod.proxy(8000), pod.app().talk, ALL)
    assert ruleset(world, other) == "" and not watch.events("failed") and not watch.events("blocked")


def a_containers_own_label_counts_too_and_stays(world):
    pod = world.new_pod(labels={"app": "none"})
    proxy = pod.proxy(8000)
    watch = Watch(world)
    watch.wait_for("listed")
    is_direct(world, proxy, pod.app().talk, TCPS)
    labelled = pod.container("labelled", "/bin/sleep", "100000", labels=WEB)
    watch.wait_for("applied", pod)
    labelled.stop()
    labelled.remove()
    again = pod.container("again", "/bin/sleep", "100000")
    watch.wait_for("right", pod)
    is_proxied(world, proxy, again.talk, ALL)


def pods_of_the_hosts_network_are_never_touched(world):
    before = world.check("nft", "list", "ruleset")
    watch = Watch(world, rules(({}, [policy(outbound=8000)])))
    pod = world.new_pod(labels=WEB, host_network=True)
    watch.wait_for("host", pod)
    assert world.check("nft", "list", "ruleset") == before and not watch.events("applied")


def a_restarted_runtime_is_heard_again_and_nothing_right_is_touched(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    watch = Watch(world)
    watch.wait_for("applied", pod)
    monitor, seen = Monitor(world, pod), len(watch.events("right", pod))
    world.stop_containerd()
    watch.wait_for("disconnected")
    world.start_containerd()
    watch.wait_for("listed", count=2)
    watch.wait_for("right", pod, seen + 1)
    assert monitor.lines() == [], monitor.lines()
    new = world.new_pod(labels=WEB)
    watch.wait_for("applied", new)
    is_proxied(world, proxy, app.talk, ALL)
    assert not watch.events("gone"), watch.events("gone")


def killed_at_any_moment_policies_stay_and_a_new_one_touches_nothing(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    watch = Watch(world)
    watch.wait_for("applied", pod)
    monitor = Monitor(world, pod)
    watch.stop(signal.SIGKILL)
    is_proxied(world, proxy, app.talk, ALL)
    for _ in range(3):
        again = Watch(world, path=watch.path)
        again.wait_for("right", pod)
        again.stop(signal.SIGKILL)
    assert monitor.lines() == [], monitor.lines()
    is_proxied(world, proxy, app.talk, ALL)
    # What starts and ends while nobody watches is seen to by the next one.
    missed = world.new_pod(labels=WEB)
    again = Watch(world, path=watch.path)
    again.wait_for("applied", missed)
    assert not again.events("applied", pod)


def killed_in_the_middle_of_changes_the_next_one_puts_all_right(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000, 9000)
    texts = [TO_8000, TO_8000.replace("8000", "9000"), rules((WEB, [policy(outbound=8000)]))]
    Watch(world, texts[0], "--once").process.popen.wait(PATIENCE_S)
    for i in range(18):
        watch = Watch(world, texts[i % len(texts)])
        time.sleep(0.01 + i * 0.006)
        watch.stop(signal.SIGKILL)
        answers = app.talk(*TCPS)
        assert all(answer.startswith("peer ") for answer in answers.values()), answers
        told = told_of(proxy, TCPS)
        assert len(told) == len(TCPS), (f"after {i} kills", told)
        proxy.forget()
    assert Watch(world, texts[0], "--once").process.popen.wait(PATIENCE_S) == 0
    world.policy("reconcile", pod.netns(), "--check")
    is_proxied(world, proxy, app.talk, ALL)
    world.policy("clear", pod.netns())
    assert ruleset(world, pod) == "" and "57110" not in world.check("ip", "rule", namespaces=inside(world, pod))


def stopping_leaves_policies_and_clear_removes_them(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    watch = Watch(world)
    watch.wait_for("applied", pod)
    assert watch.stop() == 0
    is_proxied(world, proxy, app.talk, ALL)
    world.policy("clear", pod.netns())
    assert ruleset(world, pod) == ""
    is_direct(world, proxy, app.talk, ALL)


def what_drifts_is_repaired_and_told(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    watch = Watch(world, TO_8000, "--interval", "1")
    watch.wait_for("applied", pod)
    before = ruleset(world, pod)
    chain = next(line.split()[1] for line in before.splitlines() if line.strip().startswith("chain "))
    world.check("nft", "insert", "rule", "inet", TABLE, chain, "accept", namespaces=inside(world, pod))
    assert chain in watch.wait_for("repaired", pod)["text"]
    assert ruleset(world, pod) == before
    world.check("nft", "flush", "ruleset", namespaces=inside(world, pod))
    wait_until(lambda: ruleset(world, pod) == before, f"it is as it was: {watch.process.text()}")
    is_proxied(world, proxy, app.talk, ALL)


def what_cannot_be_applied_is_blocked_until_it_can(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    group = f"{world.group}/late"
    is_direct(world, proxy, app.talk, ALL)
    watch = Watch(world, rules((WEB, [policy(outbound=8000, protocols=BOTH, Cgroup=group)])))
    told = watch.wait_for("blocked", pod)
    assert group in told["text"] and told["retry_ms"] > 0, told
    answers = app.talk(*ALL, wait_ms=400)
    assert all(answer.startswith("error ") for answer in answers.values()), answers
    watch.wait_for("blocked", pod, 2)
    os.makedirs(os.path.join(groups.unified(), group))
    watch.wait_for("applied", pod)
    is_proxied(world, proxy, app.talk, ALL)


def what_cannot_be_applied_is_left_where_that_is_wanted(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000)
    watch = Watch(world, rules((WEB, [policy(outbound=8000, Cgroup="no/such/group")])), "--on-failure", "leave")
    watch.wait_for("failed", pod, 2)
    is_direct(world, proxy, app.talk, ALL)
    assert ruleset(world, pod) == ""


def new_rules_are_taken_and_wrong_ones_are_not(world):
    pod = world.new_pod(labels=WEB)
    app, proxy = pod.app(), pod.proxy(8000, 9000)
    watch = Watch(world)
    watch.wait_for("applied", pod)
    watch.write(TO_8000.replace("8000", "90001"))
    assert "90001" in watch.wait_for("rules-wrong")["text"]
    is_proxied(world, proxy, app.talk, ALL)
    watch.write(TO_8000.replace("8000", "9000"))
    watch.wait_for("applied", pod, 2)
    assert ":9000" in ruleset(world, pod) and ":8000" not in ruleset(world, pod)
    is_proxied(world, proxy, app.talk, ALL)
    known = len(watch.events("rules"))
    watch.process.popen.send_signal(signal.SIGHUP)
    watch.wait_for("rules", count=known + 1)
    watch.write(rules())
    watch.wait_for("unmatched", pod)
    assert ":9000" in ruleset(world, pod)
    watch.write(rules(({}, [])))
    watch.wait_for("applied", pod, 3)
    assert TABLE not in ruleset(world, pod)
    is_direct(world, proxy, app.talk, ALL)


def rules_behind_a_link_that_is_replaced_are_read(world):
    directory = world.file("") + ".d"
    for name, text in (("one", TO_8000), ("two", TO_8000.replace("8000", "9000"))):
        os.makedirs(os.path.join(directory, name))
        with open(os.path.join(directory, name, "rules.json"), "w", encoding="utf-8") as file:
            file.write(text)
    os.symlink("one", os.path.join(directory, "data"))
    os.symlink("data/rules.json", os.path.join(directory, "rules.json"))
    pod = world.new_pod(labels=WEB)
    watch = Watch(world, path=os.path.join(directory, "rules.json"))
    watch.wait_for("applied", pod)
    os.symlink("two", os.path.join(directory, "new"))
    os.rename(os.path.join(directory, "new"), os.path.join(directory, "data"))
    watch.wait_for("applied", pod, 2)
    assert ":9000" in ruleset(world, pod)


def another_namespace_in_place_of_a_dead_pods_is_not_configured(world):
    watch = Watch(world)
    watch.wait_for("listed")
    watch.process.popen.send_signal(signal.SIGSTOP)
    pod = world.new_pod(labels=WEB)
    path = pod.netns()
    pod.remove()
    name = os.path.basename(path)
    world.check("ip", "netns", "add", name)
    try:
        assert os.path.exists(path), path
        watch.process.popen.send_signal(signal.SIGCONT)
        seen = world.new_pod(labels=WEB)
        watch.wait_for("applied", seen)
        assert world.check("nft", "list", "ruleset", namespaces=[(path, CLONE_NEWNET)]) == ""
        assert not watch.events("applied", pod)
    finally:
        world.check("ip", "netns", "del", name)


def once_ends_when_all_have_theirs_and_fails_if_one_has_not(world):
    pod = world.new_pod(labels=WEB)
    watch = Watch(world, TO_8000, "--once")
    assert watch.process.popen.wait(PATIENCE_S) == 0 and watch.events("applied", pod)
    watch = Watch(world, rules((WEB, [policy(outbound=8000, Cgroup="no/such/group")])), "--once")
    assert watch.process.popen.wait(PATIENCE_S) == 1 and watch.events("blocked", pod)
    watch = Watch(world, TO_8000, "--once")
    assert watch.process.popen.wait(PATIENCE_S) == 0 and ruleset(world, pod)
    answers = pod.app().talk(TCP4, wait_ms=400)
    assert answers[TCP4].startswith("error "), answers


def what_is_wrong_at_the_start_is_said(world):
    for text, path, words, status in (("[", None, "line 1", 78), (TO_8000.replace("8000", "90001"), None, "90001", 78),
                                      (None, "/nowhere/rules", "/nowhere/rules", 78)):
        done = world.stile("policy", "watch", "--file", path or world.file(text))
        assert done.status == status and words in done.err, done
    done = world.stile("policy", "watch", "--once", "--file", world.file(TO_8000), "--runtimeendpoint", "unix:///nowhere/sock")
    assert done.status == 1 and "/nowhere/sock" in done.err, done


TESTS = [
    labelled_pods_get_policies_and_others_do_not,
    a_containers_own_label_counts_too_and_stays,
    pods_of_the_hosts_network_are_never_touched,
    a_restarted_runtime_is_heard_again_and_nothing_right_is_touched,
    killed_at_any_moment_policies_stay_and_a_new_one_touches_nothing,
    killed_in_the_middle_of_changes_the_next_one_puts_all_right,
    stopping_leaves_policies_and_clear_removes_them,
    what_drifts_is_repaired_and_told,
    what_cannot_be_applied_is_blocked_until_it_can,
    what_cannot_be_applied_is_left_where_that_is_wanted,
    new_rules_are_taken_and_wrong_ones_are_not,
    rules_behind_a_link_that_is_replaced_are_read,
    another_namespace_in_place_of_a_dead_pods_is_not_configured,
    once_ends_when_all_have_theirs_and_fails_if_one_has_not,
    what_is_wrong_at_the_start_is_said,
]

if __name__ == "__main__":
    main(__file__, TESTS, ContainerWorld, limit_s=300)
