#!/usr/bin/python3
"""What the network monitor costs, and how fast it is: a simulated pool whose guests listen on loopback, vitrine-poold beside it. Builds
the release and prints a table with its bars; about five minutes.

    tests/bench/monitor_bench.py [--write] [--vms 10000] [--switch 2000] [--seconds 60]
    VT_BIN_DIR=DIR tests/bench/monitor_bench.py          measures the programs there, builds nothing

First so many watched VMs, one probe a VM in 10 s: processor time and memory of vitrine-poold over the seconds; then VMs that lose their
network, one with a snapshot and some without: when they were classified, when the snapshot was asked for. Then a pool all of whose VMs
lose it at once: one incident that lists them, how many snapshots were begun, how late a probe was. --write puts the table between the
markers of docs/monitoring.md. Exit status 1: a bar was missed."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VT_BIN_DIR") or SOURCE / "build/release/bin")
BEGIN, END = "<!-- monitor bench: begin -->", "<!-- monitor bench: end -->"
INTERVAL, TIMEOUT, THRESHOLD = 10, 2, 3
SWITCH_INTERVAL, STORM_MINUTE = 5, 4
LOSSES = 5


def bound(interval):
    """A loss is classified so many seconds behind its begin at the latest."""
    return THRESHOLD * (interval + TIMEOUT) + 1


def free_port():
    for port in range(24000 + os.getpid() % 5000, 32000, 7):
        try:
            sockets = []
            for last in (1, 2, 17):
                sockets.append(socket.socket())
                sockets[-1].bind((f"127.0.0.{last}", port))
            return port
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no free port")


class Pool:
    """A simulated pool with so many running VMs, and vitrine-poold beside it."""

    def __init__(self, folder, running, hosts, *options):
        self.folder, self.port = pathlib.Path(folder), free_port()
        password = self.folder / "password"
        password.write_text("vitrine\n")
        password.chmod(0o600)
        self.sim = subprocess.Popen([BIN / "vitrine-poolsim", "--port", str(self.port), "--hosts", str(hosts), "--vms",
                                     str(running * 3 // 2), "--guest-port", str(self.port + 1000), "--password-file", password],
                                    stderr=subprocess.PIPE, text=True)
        if "ready" not in self.sim.stderr.readline():
            raise RuntimeError("the simulator did not start")
        self.conf = self.folder / "vitrine.conf"
        self.conf.write_text(f"[pool]\nurl = http://127.0.0.1:{self.port}\npassword_file = {password}\nstate = {folder}/state\n"
                             f"socket = {folder}/pool.sock\n[watch]\nport = {self.port + 1000}\n")
        self.log = open(self.folder / "poold.log", "w+")
        self.daemon = subprocess.Popen([BIN / "vitrine-poold", "-c", self.conf, *options], stderr=self.log)
        self.until(lambda: "ready" in (self.folder / "poold.log").read_text(), 120)

    def until(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = condition()
            if got:
                return got
            time.sleep(0.05)
        raise RuntimeError(f"not in {seconds} s: {(self.folder / 'poold.log').read_text()[-2000:]}")

    def vitrine(self, *words):
        return subprocess.run([BIN / "vitrine", "-c", self.conf, *words], check=True, capture_output=True, text=True,
                              env={**os.environ, "VITRINE_CONF": ""}).stdout

    def rows(self, *words):
        return [json.loads(line) for line in self.vitrine(*words, "--json").splitlines()]

    def ctl(self, *words):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"\0vitrine-poolsim-{self.port}")
            s.sendall(b"".join(word.encode() + b"\0" for word in words))
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(65536)
            if not answer.startswith(b"ok"):
                raise RuntimeError(answer)

    def metrics(self):
        """{"probes_total answered": 7, "probe_latest_seconds": 0.1}"""
        values = {}
        for line in self.vitrine("pool", "metrics").splitlines():
            found = re.match(r'vitrine_(\w+)\{pool="[^"]*"(?:,\w+="([^"]*)")?\} (\S+)$', line)
            if found:
                values[" ".join(word for word in found.groups()[:2] if word)] = float(found[3])
        return values

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, key="VmRSS"):
        """MB"""
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) // 1024
        return 0

    def close(self):
        for process in (self.daemon, self.sim):
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        self.log.close()


def options(interval, *more):
    settings = (f"interval={interval}", f"timeout={TIMEOUT}", f"threshold={THRESHOLD}", *more)
    return [word for setting in settings for word in ("-o", f"watch.{setting}")]


def opened(row):
    return datetime.datetime.fromisoformat(row["opened"].replace("Z", "+00:00")).timestamp()


class Row:
    """A line of the table: within says whether value keeps the bar."""

    def __init__(self, what, value, bar, within):
        self.what, self.value, self.bar, self.within = what, value, bar, within
        print(f"  {what}: {value} (bar {bar}) {'ok' if within else 'MISSED'}", flush=True)

    def cells(self):
        return f"| {self.what} | {self.value} | {self.bar} | {'ok' if self.within else '**missed**'} |"


def lose(pool, names):
    """Seconds until each was classified; they lose their network at once."""
    cut = {}
    for name in names:
        cut[name] = time.time()
        pool.ctl("cut-network", name)
    rows = pool.until(lambda: (found := [r for name in names for r in pool.rows("watch", "timeline", name)]) and len(found) == len(names)
                      and found, 3 * bound(INTERVAL))
    if {row["class"] for row in rows} != {"network-lost"}:
        raise RuntimeError(rows)
    return [opened(row) - cut[row["vm"]] for row in rows]


def steady(folder, vms, seconds):
    pool = Pool(folder, vms, 16, *options(INTERVAL))
    try:
        pool.vitrine("watch", "add", "--all")
        pool.until(lambda: pool.metrics()["probes_total answered"] > vms, 120)
        time.sleep(5)
        processor, begun, probes = pool.processor(), time.monotonic(), pool.metrics()["probes_total answered"]
        time.sleep(seconds)
        took = time.monotonic() - begun
        share, rate = 100 * (pool.processor() - processor) / took, (pool.metrics()["probes_total answered"] - probes) / took
        yield Row(f"{vms:,} watched VMs, one probe each in {INTERVAL} s ({rate:,.0f}/s): processor", f"{share:.1f} % of a core", "10 %",
                  share <= 10 and rate >= 0.9 * vms / INTERVAL)
        running = pool.rows("vm", "list", "--state", "running")
        names = [running[(i + 1) * vms // (LOSSES + 2)]["name"] for i in range(LOSSES + 1)]
        pool.vitrine("watch", "add", *names[1:], "--snapshot", "none")
        slowest = max(lose(pool, names))
        yield Row("the same: memory", f"{pool.memory('VmHWM')} MB", "200 MB", pool.memory("VmHWM") <= 200)
        yield Row(f"{LOSSES + 1} of them lose their network: the slowest is classified after", f"{slowest:.1f} s",
                  f"{bound(INTERVAL)} s", slowest <= bound(INTERVAL))
        pool.until(lambda: pool.rows("watch", "timeline", names[0])[0]["snapshot"], 60)
        request = 1000 * pool.metrics()["snapshot_request_slowest_seconds"]
        yield Row("the request for the snapshot behind the classification", f"{request:.1f} ms", "100 ms", request <= 100)
    finally:
        pool.close()


def switch(folder, vms):
    pool = Pool(folder, vms, 8, *options(SWITCH_INTERVAL, "always=yes"))
    try:
        pool.vitrine("watch", "add", "--all")
        pool.until(lambda: pool.metrics()["probes_total answered"] > 2 * vms, 120)
        watched = sum(row["state"] == "answers" for row in pool.rows("watch", "list"))
        pool.metrics()
        quiet, latest, cut = pool.memory(), 0.0, time.time()
        pool.ctl("cut-network", "all")
        rows, listed = [], 0
        while listed < watched and time.time() - cut < 3 * bound(SWITCH_INTERVAL):
            latest = max(latest, pool.metrics()["probe_latest_seconds"])
            rows = pool.rows("watch", "timeline")
            listed = max((len(row.get("vms", [])) for row in rows), default=0)
            time.sleep(0.2)
        took = time.time() - cut
        end = time.time() + 2 * SWITCH_INTERVAL      # what is begun within a minute, and what is late behind it
        while time.time() < end:
            latest = max(latest, pool.metrics()["probe_latest_seconds"])
            time.sleep(0.5)
        kept = len({s for row in pool.rows("vm", "list") for s in row["snapshots"]})
        classes = [row["class"] for row in pool.rows("watch", "timeline")]
        yield Row(f"a switch dies under {watched:,} VMs (interval {SWITCH_INTERVAL} s): incidents, VMs listed",
                  f"{len(classes)} {' '.join(sorted(set(classes)))}, {listed:,}", f"1 link-lost, {watched:,}",
                  classes == ["link-lost"] and listed == watched)
        yield Row("the same: all are listed after", f"{took:.1f} s", f"{bound(SWITCH_INTERVAL)} s", took <= bound(SWITCH_INTERVAL))
        yield Row("the same, `always` for all: snapshots begun in the first minute", str(kept), f"{STORM_MINUTE}", kept <= STORM_MINUTE)
        yield Row("the same: the latest probe", f"{latest:.2f} s", f"{SWITCH_INTERVAL} s", latest <= SWITCH_INTERVAL)
        yield Row("the same: memory, before it and at most", f"{quiet} MB, {pool.memory('VmHWM')} MB", "200 MB",
                  pool.memory("VmHWM") <= 200)
    finally:
        pool.close()


def build():
    subprocess.run(["cmake", "--preset", "release"], cwd=SOURCE, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "build/release", "--target", "vitrine", "vitrine-poold", "vitrine-poolsim"], cwd=SOURCE, check=True,
                   stdout=subprocess.DEVNULL)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {cpu}, kernel {platform.release()}"


def table(rows, load):
    build = "the release build" if not os.environ.get("VT_BIN_DIR") else "the programs in VT_BIN_DIR"
    return "\n".join([f"Measured {time.strftime('%Y-%m-%d')} on {machine()} (load {load:.1f} before it began), {build}, by", "",
                      f"    {' '.join(['tests/bench/monitor_bench.py', *sys.argv[1:]])}", "", "| | measured | bar | |", "| --- | --- | --- | --- |",
                      *(row.cells() for row in rows)])


def write(text):
    path = SOURCE / "docs/monitoring.md"
    head, rest = path.read_text().split(BEGIN, 1)
    path.write_text(head + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=10000)
    parser.add_argument("--switch", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    if not os.environ.get("VT_BIN_DIR"):
        build()
    load, rows = os.getloadavg()[0], []
    for part in ((steady, chosen.vms, chosen.seconds), (switch, chosen.switch)):
        with tempfile.TemporaryDirectory() as folder:
            rows += part[0](folder, *part[1:])
    text = table(rows, load)
    print("\n" + text)
    if chosen.write:
        write(text)
    return 0 if all(row.within for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
