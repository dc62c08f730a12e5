"""A simulated pool whose guests listen, the daemon with its monitor, and the questions that scenarios of the monitor ask."""
import json
import os
import pathlib
import subprocess

import poold
from cases import equal
from poold import until
from simulator import BIN as SIMULATOR, XenAPI, free_port

# Fast, and still patient with a loaded machine: a healthy guest has a second to answer.
FAST = ("-o", "watch.interval=0.4", "-o", "watch.timeout=1", "-o", "watch.threshold=2", "-o", "watch.recover=1", "-o", "watch.grace=2")
BOUND = 2 * (0.4 + 1) + 1
FIELDS = ["vm", "vm_uuid", "class", "opened", "closed", "snapshot", "reason"]


class Monitored(poold.Daemon):
    vms, pace = 12, "0.05"

    def __init__(self, folder, *options, vms=12, pace="0.05", hosts=3):
        self.vms, self.pace, self.hosts = vms, pace, hosts
        super().__init__(folder, *FAST, *options)

    def start(self, seed="1"):
        for _ in range(20):
            self.guest_port = self.port + 1000 if self.port < 60000 else self.port - 1000
            self.process = subprocess.Popen(
                [SIMULATOR, "--port", str(self.port), "--hosts", str(self.hosts), "--vms", str(self.vms), "--guest-port",
                 str(self.guest_port), "--pace", self.pace, "--tls", "--seed", seed], stderr=subprocess.PIPE, text=True)
            if "ready" in self.process.stderr.readline():
                return
            self.process.wait()
            self.process.stderr.close()
            self.port += 7
        raise RuntimeError("the simulator did not start")

    def begin(self, *options):
        super().begin("-o", f"watch.port={self.guest_port}", *options)

    # ---- what is asked ----

    def timeline(self, *words):
        return self.rows("watch", "timeline", *words)

    def watched(self):
        return {row["vm"]: row for row in self.rows("watch", "list")}

    def until_class(self, vm, name, seconds=30):
        return until(lambda: self.watched()[vm]["class"] == name and self.watched()[vm], f"{vm} is {name}", seconds)

    def until_incident(self, name, vm=None, open_=True, seconds=30):
        def found():
            for row in self.timeline():
                mine = vm is None or row["vm"] == vm or vm in row.get("vms", [])
                if row["class"] == name and mine and (row["closed"] is None) == open_:
                    return row
            return None
        return until(found, f"{name} of {vm or 'the pool'}", seconds)

    def until_snapshot(self, vm, seconds=30):
        """Of its newest incident, when that is open."""
        def taken():
            row = (self.timeline(vm) or [{"closed": "", "snapshot": None}])[-1]
            return row if row["closed"] is None and row["snapshot"] else None
        return until(taken, f"a snapshot of {vm}", seconds)

    def until_refused(self, vm, word, seconds=30):
        return until(lambda: next((row for row in self.timeline(vm)[-1:] if word in row["reason"]), None), f"{word} for {vm}", seconds)

    def running(self, host=None):
        return [row["name"] for row in self.rows("vm", "list", "--state", "running") if host in (None, row["host"])]

    def snapshots(self, vm):
        """As a client that we did not write sees them."""
        session = self.foreign()
        ref = session.xenapi.VM.get_by_name_label(vm)[0]
        found = []
        for snapshot in session.xenapi.VM.get_snapshots(ref):
            try:
                found.append(session.xenapi.VM.get_record(snapshot))
            except XenAPI.Failure as failure:             # it has expired between the two questions
                equal(failure.details[0], "HANDLE_INVALID")
        session.xenapi.session.logout()
        return found

    def show(self, number):
        return self.rows("watch", "incident", "show", str(number))[0]

    def incident_id(self, vm):
        return self.rows("watch", "incident", "list", vm)[-1]["id"]

    def forget(self):
        """Nothing is watched, no incident is open, no guest is cut."""
        for row in self.rows("vm", "list", "--state", "running"):
            self.ctl("restore-network", row["name"])
            self.ctl("start-guest", row["name"])
        for row in self.rows("watch", "list"):
            self.run("watch", "remove", row["vm"])
        self.run("watch", "remove", "--all")
        until(lambda: not self.watched(), "nothing is watched")
        until(lambda: not [row for row in self.timeline("--open")], "no incident is open")
