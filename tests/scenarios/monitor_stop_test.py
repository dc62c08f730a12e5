#!/usr/bin/python3
"""vitrine-poold is stopped while everything goes on: VMs are lost and found, snapshots are taken, callers ask and hear events, one is in
the middle of a verb. It ends at once, with status 0, each of twelve times (VT_LONG=N: N times). A build with ThreadSanitizer or
AddressSanitizer that has something to say ends with another status."""
import json
import os
import subprocess
import sys
import threading
import time

import cases
from cases import equal
from monitored import Monitored, until
from pool_cli_test import VITRINE

STOPS = int(os.environ.get("VT_LONG", "12"))
SOON_S = 30     # a loaded machine under a sanitizer; it takes well below one


class Callers:
    """Ask and listen as fast as they are answered, until the daemon goes."""

    QUESTIONS = ("status", "vm.list", "watch.list", "watch.timeline", "pool.metrics")

    def __init__(self, world):
        self.world, self.answered, self.gone = world, 0, threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(number,), daemon=True) for number in range(3)]
        self.threads.append(threading.Thread(target=self.listen, daemon=True))
        for thread in self.threads:
            thread.start()

    def ask(self, number):
        while not self.gone.is_set():
            try:
                if self.world.ask(self.QUESTIONS[number % len(self.QUESTIONS)]):
                    self.answered += 1
            except OSError:                  # it went in the middle
                pass
            except json.JSONDecodeError:
                pass
            number += 1
            time.sleep(0.01)

    def listen(self):
        while not self.gone.is_set():
            try:
                with self.world.connect() as events:
                    events.settimeout(1)
                    events.sendall(b'{"do":"events"}\n')
                    while events.recv(1 << 16):
                        self.answered += 1
            except OSError:
                time.sleep(0.01)

    def end(self):
        self.gone.set()
        for thread in self.threads:
            thread.join(60)


def stop_in_the_middle(world, number, names):
    lost = names[number % len(names)]
    world.ctl("cut-network", lost)
    verb = subprocess.Popen([VITRINE, "-c", world.conf, "vm", "snapshot", names[(number + 1) % len(names)], "--name", f"s{number}"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "VITRINE_CONF": ""})
    time.sleep(number % 10 * 0.15)           # before the loss is seen, while it is judged, while the snapshot is taken, behind it
    begun = time.monotonic()
    status = world.end()
    took = time.monotonic() - begun
    verb.wait(60)
    world.ctl("restore-network", lost)
    equal(status, 0, world.log()[-4000:])
    return took


def case_it_ends_at_once_whatever_goes_on(world):
    world.ok("watch", "add", "--all")
    names = world.running()
    callers, slowest = Callers(world), 0
    try:
        for number in range(STOPS):
            slowest = max(slowest, stop_in_the_middle(world, number, names))
            world.begin("-o", "watch.repeat=0", "-o", "watch.storm_hour=1000", "-o", "watch.storm_minute=100")
            until(lambda: world.answers(), "the pool answers again")
    finally:
        callers.end()
    print(f"     {STOPS} stops, the slowest took {slowest:.2f} s; {callers.answered} answers meanwhile")
    equal(slowest < SOON_S, True, slowest)
    equal(callers.answered > STOPS, True)


def case_a_pool_that_never_answers_does_not_keep_it(world):
    world.ctl("delay", "60000")
    time.sleep(1)
    begun = time.monotonic()
    equal(world.end(), 0)
    equal(time.monotonic() - begun < SOON_S, True)
    world.ctl("delay", "0")


if __name__ == "__main__":
    sys.exit(cases.main(globals(), Monitored))
