"""vitrine-poold for scenarios: a simulated pool over TLS, the daemon that keeps it, and a command line that knows nothing but the socket."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pool_cli_test
from simulator import BIN as SIMULATOR

POOLD = SIMULATOR.parent / "vitrine-poold"
WAIT = 30


def until(condition, what, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"{what}: not in {seconds} s")


class Daemon(pool_cli_test.World):
    """The command line's configuration has a socket and no password: what works, works through the daemon."""

    def __init__(self, folder, *options, user="root"):
        self.socket = pathlib.Path(folder) / "run" / "pool.sock"
        self.options = options
        self.daemon = None
        super().__init__(folder)
        self.daemon_conf = self.folder / "poold.conf"
        self.daemon_conf.write_text(self.conf.read_text() + f"[pool]\nsocket = {self.socket}\nconsole_user = {user}\n")
        self.conf.write_text(f"[pool]\nsocket = {self.socket}\n")
        self.begin()

    def popen(self, *options):
        return subprocess.Popen([POOLD, "-c", self.daemon_conf, *self.options, *options], stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "VITRINE_CONF": ""})

    def begin(self, *options):
        log = open(self.folder / "poold.log", "a+")
        at = log.seek(0, os.SEEK_END)
        self.daemon = subprocess.Popen([POOLD, "-c", self.daemon_conf, *self.options, *options], stderr=log,
                                       env={**os.environ, "VITRINE_CONF": ""})

        def ready():
            log.seek(at)
            if self.daemon.poll() is not None:
                raise AssertionError(f"vitrine-poold ended: {log.read()}")
            return "ready " in log.read()
        until(ready, "ready", 60)
        log.close()

    def log(self):
        return (self.folder / "poold.log").read_text()

    def end(self, number=signal.SIGTERM):
        self.daemon.send_signal(number)
        status = self.daemon.wait(60)
        self.daemon = None
        return status

    def close(self):
        if self.daemon:
            pool_cli_test.equal(self.end(), 0, "the daemon's end")
        self.stop()

    def anew(self, seed="1"):
        running = self.daemon is not None
        if running:
            self.end()
        super().anew(seed)
        if running:
            self.begin()

    def settle(self):
        """A change waits until the picture has caught up; one that does nothing waits too."""
        self.run("vm", "start", "--all", "--dry-run")

    # ---- the socket itself ----

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(str(self.socket))
        return s

    def raw(self, line):
        """What comes back for these bytes, until the daemon closes."""
        with self.connect() as s:
            try:
                s.sendall(line)
            except OSError:
                pass
            return read_all(s)

    def ask(self, verb, *args, **more):
        return self.raw(json.dumps({"do": verb, "args": list(args), "json": True, **more}).encode() + b"\n")

    def status(self):
        return {row["row"].get("pool") or row["row"].get("daemon") or row["row"]["module"]: row["row"]
                for row in self.ask("status") if "row" in row}

    def answers(self):
        return self.status()["MAIN"]["answers"]


def read_all(s):
    data = b""
    while True:
        try:
            piece = s.recv(1 << 16)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return [json.loads(line) for line in data.splitlines()]


class Events:
    """Follows {"do":"events"}."""

    def __init__(self, world):
        self.socket = world.connect()
        self.socket.sendall(b'{"do":"events"}\n')
        self.file = self.socket.makefile("r")

    def wait_for(self, kind, check=lambda event: True, seconds=WAIT):
        self.socket.settimeout(seconds)
        for line in self.file:
            event = json.loads(line)["event"]
            if event["kind"] == kind and check(event):
                return event
        raise AssertionError(f"no {kind}")

    def close(self):
        self.file.close()
        self.socket.close()
