#!/usr/bin/python3
"""How much the network monitor costs, and how fast it is: a simulated pool whose guests listen on loopback, vitrine-poold beside it.

    VT_BIN_DIR=build/release/bin tests/bench/monitor_bench.py [--vms 10000] [--switch 2000] [--seconds 60]

First so many watched VMs, one probe a VM in 10 s: processor time and memory of vitrine-poold over the seconds, then one VM that loses its
network: when it was classified, when its snapshot was asked for. Then a pool whose VMs all lose it at once: one incident that lists them,
how many snapshots were begun, how late a probe was. Prints one JSON object for each part; the bars are those of docs/performance.md."""
import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(os.environ.get("VT_BIN_DIR", "build/release/bin"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scenarios"))


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
        lines = self.vitrine("pool", "metrics").splitlines()
        return {line.rsplit(" ", 1)[0].replace('pool="pool"', ""): float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"}

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, key="VmRSS"):
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) // 1024
        return 0

    def close(self):
        for process in (self.daemon, self.sim):
            process.send_signal(signal.SIGTERM)
            process.wait(120)
        self.log.close()


def reachable(pool):
    return pool.metrics().get('vitrine_watched_vms{,class="reachable"}', 0)


def steady(folder, vms, seconds):
    pool = Pool(folder, vms, 16, "-o", "watch.interval=10", "-o", "watch.timeout=2", "-o", "watch.threshold=3")
    try:
        pool.vitrine("watch", "add", "--all")
        pool.until(lambda: pool.metrics()['vitrine_probes_total{,end="answered"}'] > vms, 120)
        time.sleep(5)
        processor, begun, probes = pool.processor(), time.monotonic(), pool.metrics()['vitrine_probes_total{,end="answered"}']
        time.sleep(seconds)
        took = time.monotonic() - begun
        share = 100 * (pool.processor() - processor) / took
        rate = (pool.metrics()['vitrine_probes_total{,end="answered"}'] - probes) / took
        name = pool.rows("vm", "list", "--state", "running")[vms // 2]["name"]
        cut = time.time()
        pool.ctl("cut-network", name)
        row = pool.until(lambda: next(iter(pool.rows("watch", "timeline", name)), None), 60)
        noticed = time.time() - cut
        metrics = pool.metrics()
        print(json.dumps({"watched": vms, "probes_per_s": round(rate), "core_percent": round(share, 1), "core_bar": 10,
                          "memory_mb": pool.memory(), "memory_bar": 200, "class": row["class"], "classified_after_s": round(noticed, 1),
                          "classified_bar_s": 3 * 12 + 1,
                          "request_ms": round(1000 * metrics['vitrine_snapshot_request_slowest_seconds{}'
                                                             if 'vitrine_snapshot_request_slowest_seconds{}' in metrics
                                                             else 'vitrine_snapshot_request_slowest_seconds{pool="pool"}'], 1),
                          "request_bar_ms": 100}))
    finally:
        pool.close()


def switch(folder, vms):
    pool = Pool(folder, vms, 8, "-o", "watch.interval=5", "-o", "watch.timeout=2", "-o", "watch.threshold=3", "-o", "watch.always=yes")
    try:
        pool.vitrine("watch", "add", "--all")
        pool.until(lambda: pool.metrics()['vitrine_probes_total{,end="answered"}'] > 2 * vms, 120)
        names = [row["vm"] for row in pool.rows("watch", "list") if row["state"] == "answers"]
        pool.metrics()
        begun = time.monotonic()
        for name in names:
            pool.ctl("cut-network", name)
        cut = time.monotonic() - begun
        rows = pool.until(lambda: [r for r in pool.rows("watch", "timeline") if len(r.get("vms", [])) == len(names)], 120)
        took = time.monotonic() - begun
        metrics = pool.metrics()
        kept = len({s for row in pool.rows("vm", "list") for s in row["snapshots"]})
        print(json.dumps({"cut": len(names), "cut_in_s": round(cut, 1), "incidents": len(pool.rows("watch", "timeline")),
                          "class": rows[0]["class"], "listed": len(rows[0]["vms"]), "all_after_s": round(took, 1), "bar_s": 3 * 7 + 1,
                          "snapshots": kept, "storm_minute": 4, "latest_probe_s": round(next(
                              v for k, v in metrics.items() if k.startswith("vitrine_probe_latest")), 2), "latest_bar_s": 5,
                          "memory_mb": pool.memory("VmHWM")}))
    finally:
        pool.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, default=10000)
    parser.add_argument("--switch", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    for part in ((steady, options.vms, options.seconds), (switch, options.switch)):
        with tempfile.TemporaryDirectory() as folder:
            part[0](folder, *part[1:])


if __name__ == "__main__":
    main()
