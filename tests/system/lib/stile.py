"""The broker and `stile up` on a host, as objects."""

import json
import os
import signal
import subprocess

from common.process import PATIENCE_S, Failed, parent_of, wait_until

STILE = "/opt/stile/stile"
SOCKET = "/run/stile/broker.sock"


class _Process:
    """A long-running command whose standard error goes to a log."""

    def __init__(self, host, name, argv, user, env=None, **how):
        host.numbers += 1
        self.host, self.name = host, name
        self.log_path = host.log_path(f"{name}-{host.numbers}")
        with open(self.log_path, "wb") as log:
            self.process = host.spawn(argv, user, env, stderr=log, **how)

    def messages(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_message(self, text, seconds=PATIENCE_S):
        try:
            wait_until(lambda: text in self.messages(), text, seconds)
        except Failed:
            raise Failed(f"{self.name} didn't say \"{text}\" in {seconds} s, but: {self.messages()}") from None

    def descendants(self, *words):
        """Pids of processes of the host below this one whose command lines begin with these words."""
        return [pid for pid in self.host.processes(*words) if self._is_below(pid)]

    def _is_below(self, pid):
        while pid > 1:
            pid = parent_of(pid)
            if pid == self.process.pid:
                return True
        return False

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.name} didn't end on signal {how}: {self.messages()}") from None

    def stop(self):
        """SIGTERM; the exit status."""
        return self.kill(signal.SIGTERM)


class Broker(_Process):
    def __init__(self, host, options=(), env=None, before=()):
        """before: words that go before the command, of a program that runs it."""
        super().__init__(host, "broker", [*before, STILE, "broker", *options], "root", env)

    def wait_for_socket(self):
        def ready():
            if self.process.poll() is not None:
                raise Failed(f"the broker has ended with status {self.process.returncode}: {self.messages()}")
            return os.path.exists(self.host.path(SOCKET))
        wait_until(ready, "the broker's socket")

    def proper(self):
        """The pid of the broker proper: the supervisor's child, or the process itself."""
        below = [pid for pid in self.descendants("stile", "broker") if parent_of(pid) == self.process.pid]
        return below[0] if below else self.process.pid

    def engines(self):
        return self.host.processes("stile", "engine")


class Up(_Process):
    """`stile up` in the foreground. Its standard output goes to a file of its own: lines as they come."""

    def __init__(self, host, user, options=(), env=None):
        self.user = user
        self.out_path = host.log_path(f"up-{user}-{host.numbers}-out")
        with open(self.out_path, "wb") as out:
            super().__init__(host, f"up-{user}", [STILE, "up", *options], user, env, stdout=out)

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def events(self):
        """With --json: one object per line."""
        found = []
        for line in self.out().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                raise Failed(f"this line of stile up is no JSON: {line}") from None
        return found

    def status(self):
        """The session as `stile status --json` tells of it; None: there is none."""
        done = self.host.stile("status", "--json", user=self.user)
        if done.status != 0:
            return None
        return next((s for s in done.json().get("sessions", []) if s.get("mode") == "up"), None)

    def wait_up(self, seconds=PATIENCE_S):
        """Until it was told that the session is up; status has its interface before."""
        def ready():
            if self.process.poll() is not None:
                raise Failed(f"stile up has ended with status {self.process.returncode}: {self.messages()}{self.out()}")
            if "Up on " not in self.out() and '"up"' not in self.out():
                return None
            status = self.status()  # answered when all that belongs to being up is done
            return status if status and status.get("interface_name", status.get("interface")) else None
        try:
            return wait_until(ready, "stile up", seconds, 0.1)
        except Failed as failed:
            raise Failed(f"{failed}\nstile up: {self.messages()}{self.out()}\n"
                         f"broker: {self.host.broker.messages() if self.host.broker else 'none'}") from None
