#!/usr/bin/python3
"""kill -9 at any moment of a running ingest: whatever was acknowledged with success is there, intact and indexed once, and no
orphan is left. 50 rounds in ./check; `kill9_test.py --long` makes 1,000."""
import argparse
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402

ROUNDS, LONG_ROUNDS, ROUNDS_A_FOLDER = 50, 1000, 50
LOAD_SECONDS = 0.4          # the longest ingest before the kill
START_KILL_PART = 0.15      # of rounds that also kill the node while it recovers


class Crash:
    def __init__(self, folder, seed):
        self.folder, self.rng, self.run = pathlib.Path(folder), random.Random(seed), 1
        self.node = nodes.Node(self.folder / "archive")
        self.acks, self.last, self.kills = {}, {}, 0

    def start(self):
        while self.rng.random() < START_KILL_PART:       # a crash during recovery
            self.node.lines.clear()
            self.begin_and_kill()
        self.node.lines.clear()
        self.node.start()

    def begin_and_kill(self):
        import subprocess
        process = subprocess.Popen(self.node.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(self.rng.random() * 0.06)
        process.kill()
        process.wait()
        self.kills += 1

    def round(self):
        """Load, kill, wait until the clients noticed; start; look at what this round was told."""
        self.run += 1
        files = [self.folder / f"acks-{self.run}-{kind}" for kind in ("tiny", "ct")]
        loads = [load(self.node.port, files[0], "--set", "tiny", "-c", "4", "--run", 2 * self.run, "--count", 4000),
                 load(self.node.port, files[1], "--set", "ct", "-c", "2", "--run", 2 * self.run + 1, "--count", 600)]
        time.sleep(0.02 + self.rng.random() * LOAD_SECONDS)
        self.node.kill()
        self.kills += 1
        for one in loads:
            one.communicate(timeout=60)
        self.last = {}
        for file in files:
            self.last.update(read_acks(file))
            file.unlink(missing_ok=True)
        self.acks.update(self.last)
        self.start()
        return missing_from_index(self.node.port, self.last) + missing_from_disk(self.node.path, self.last)

    def finish(self):
        faults = missing_from_index(self.node.port, self.acks) + missing_from_disk(self.node.path, self.acks)
        faults += verify(self.node)
        if self.node.stop() != 0:
            faults.append("the node did not end cleanly")
        return faults


def series_of_rounds(rounds, seed):
    with nodes.work_folder("kill9") as folder:
        crash = Crash(folder, seed)
        crash.start()
        try:
            for i in range(rounds):
                faults = crash.round()
                if faults:
                    return crash, [f"round {i + 1}: {f}" for f in faults] + crash.node.lines[-10:]
            return crash, crash.finish()
        finally:
            if crash.node.alive():
                crash.node.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    left, acknowledged, kills = options.rounds or (LONG_ROUNDS if options.long else ROUNDS), 0, 0
    seed = options.seed
    print(f"seed {seed}", flush=True)
    while left > 0:
        crash, faults = series_of_rounds(min(left, ROUNDS_A_FOLDER), seed)
        if faults:
            print("\n".join(faults[:20]) + f"\n{len(faults)} faults, seed {seed}")
            return 1
        left, seed = left - ROUNDS_A_FOLDER, seed + 1
        acknowledged, kills = acknowledged + len(crash.acks), kills + crash.kills
    if acknowledged == 0:
        print("nothing was acknowledged: the test saw nothing")
        return 1
    print(f"{kills} kills, {acknowledged} instances acknowledged, none lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())
