#!/usr/bin/python3
"""The queue of the node: `vitrine send` from the archive to DCMTK's storescp and to receivers that refuse, fail and die; pause,
cancel, retry; kill -9 with jobs at work: nothing is lost, nothing that was answered is sent again."""
import pathlib
import socket
import subprocess
import threading
import time

import rawdicom as raw
import rawget
import samples
from cases import equal, run, until
from node import Node, free_port, json_lines, work_folder

WAIT = 60
OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.4"        # MR
KILL_STUDY = "1.2.3.77"


def jobs(node, *words):
    return json_lines(node.cli("job", "list", "--json", *words).stdout)


def job(node, number):
    return next(j for j in jobs(node, "--all") if j["id"] == number)


def newest(node):
    return jobs(node)[0]


def send(node, peer, *words):
    return node.cli("send", peer, *words)


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "samples").mkdir()
        self.samples = samples.make(self.folder / "samples")
        self.kept = self.folder / "kept"
        self.kept.mkdir()
        self.storescp_port = free_port()
        self.storescp = None
        self.sink = rawget.StorageScp(on_store=lambda values: self.answer(values))
        self.answer = lambda values: 0
        options = ["jobs.back_off=200ms", "peer.KEEP.host=127.0.0.1", f"peer.KEEP.port={self.storescp_port}",
                   "peer.SINK.host=127.0.0.1", f"peer.SINK.port={self.sink.port}", "peer.WIDE.ae_title=WIDE",
                   "peer.WIDE.host=127.0.0.1", f"peer.WIDE.port={self.sink.port}", "peer.WIDE.send_associations=3",
                   "peer.SLOW.ae_title=SLOW", "peer.SLOW.host=127.0.0.1", f"peer.SLOW.port={free_port()}"]
        self.node = Node(self.folder / "archive", options)

    def start_storescp(self):
        self.storescp = subprocess.Popen(["storescp", "--accept-all", "-od", str(self.kept), str(self.storescp_port)],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def reset(self, answer=lambda values: 0):
        self.answer = answer
        with self.sink.lock:
            self.sink.instances.clear()
            self.sink.associations = 0


def case_what_the_archive_has_is_sent_to_storescp(world):
    world.start_storescp()
    done = until(lambda: (lambda d: d if d.returncode == 0 else None)(send(world.node, "KEEP", "PatientID=PAT1")), "a sent study")
    assert "8 instances sent" in done.stdout, done.stdout
    equal(len(list(world.kept.iterdir())), 8, "files that storescp has")
    equal(newest(world.node)["state"], "done", "the job")


def case_files_and_keys_are_told_apart(world):
    done = send(world.node, "SINK", str(world.samples["mr"][0]))
    equal(done.returncode, 0, done.stderr)
    equal(send(world.node, "SINK", "PatientID=NOBODY").returncode, 1, "nothing matches")
    equal(send(world.node, "NOONE", "PatientID=PAT1").returncode, 1, "no such peer")


def case_every_transfer_syntax_arrives_byte_for_byte(world):
    world.reset()
    done = send(world.node, "SINK", "PatientID=*")
    equal(done.returncode, 0, done.stdout + done.stderr)
    for paths in world.samples.values():
        for path in paths:
            meta, data_set = raw.split_part10(pathlib.Path(path).read_bytes())[-2:]
            assert any(data_set == got for _, got in world.sink.instances.values()), path


def case_several_associations_share_a_study(world):
    world.reset()
    equal(send(world.node, "WIDE", "PatientID=PAT1").returncode, 0, "sent")
    equal(world.sink.associations, 3, "associations")
    equal(len(world.sink.instances), 8, "instances")


def case_what_a_peer_does_not_want_is_listed_and_the_rest_sent(world):
    refused = []

    def answer(values):
        if not refused:
            refused.append(raw.text(values, 0x1000))
        return 0xA900 if raw.text(values, 0x1000) == refused[0] else 0
    world.reset(answer)
    done = send(world.node, "SINK", "PatientID=PAT1")
    equal(done.returncode, 1, done.stdout)
    number = newest(world.node)["id"]
    equal((job(world.node, number)["state"], job(world.node, number)["done"], job(world.node, number)["failed"]),
          ("done", 7, 1), "the job")
    shown = json_lines(world.node.cli("job", "show", number, "--json").stdout)
    equal([(row["item"], row["failed"]) for row in shown[1:]], [(refused[0], "for good")], "failed items")
    assert "A900" in shown[1]["reason"], shown[1]

    world.reset()
    equal(world.node.cli("job", "retry", number).returncode, 0, "retry")
    until(lambda: job(world.node, number)["state"] == "done", "a retried job")
    equal(list(world.sink.instances), refused, "only what failed is sent again")
    equal((job(world.node, number)["done"], job(world.node, number)["failed"]), (8, 0), "the job after the retry")
    equal(world.node.cli("job", "retry", number).returncode, 2, "nothing is left to retry")


def case_a_peer_without_room_is_asked_again_for_what_is_missing(world):
    counts = {}

    def answer(values):
        uid = raw.text(values, 0x1000)
        counts[uid] = counts.get(uid, 0) + 1
        return 0xA700 if counts[uid] == 1 and len(counts) <= 2 else 0
    world.reset(answer)
    equal(send(world.node, "SINK", "PatientID=PAT1").returncode, 0, "sent in the end")
    equal(sorted(counts.values()), [1] * 6 + [2] * 2, "times that each was sent")
    assert newest(world.node)["attempts"] >= 1


class Silent:
    """Takes connections, and says nothing: before the association, or to the C-STORE."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.taken = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                self.taken.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)
        for taken in self.taken:
            taken.close()


def ended_in(world, number, words, states):
    begun = time.monotonic()
    equal(world.node.cli("job", *words, number).returncode, 0, words)
    until(lambda: job(world.node, number)["state"] in states, f"{words} of a job that waits")
    return time.monotonic() - begun


def case_a_job_that_waits_for_a_silent_peer_stops_at_once(world):
    silent, gate = Silent(), threading.Event()
    try:
        for words, states in ((["cancel"], ["cancelled"]), (["pause"], ["paused"])):
            before = len(silent.taken)
            equal(world.node.cli("send", f"MUTE@127.0.0.1:{silent.port}", "PatientID=PAT1", "--background").returncode, 0, "queued")
            until(lambda: len(silent.taken) > before, "a connection")
            took = ended_in(world, newest(world.node)["id"], words, states)
            assert took < 10, f"{words} took {took:.1f} s: the answer is waited for 30 s"
        # One that took the association and does not answer the C-STORE.
        world.reset(lambda values: gate.wait(WAIT) and 0)
        equal(send(world.node, "SINK", "PatientID=PAT1", "--background").returncode, 0, "queued")
        number = newest(world.node)["id"]
        until(lambda: world.sink.associations > 0, "an association")
        took = ended_in(world, number, ["pause"], ["paused"])
        assert took < 10, f"a pause took {took:.1f} s: the answer is waited for 60 s"
        gate.set()
        world.reset()
        equal(world.node.cli("job", "resume", number).returncode, 0, "resume")
        until(lambda: job(world.node, number)["state"] == "done", "the paused job goes on")
        equal((job(world.node, number)["done"], job(world.node, number)["failed"]), (8, 0), "nothing was lost")
        # The node itself.
        before = len(silent.taken)
        equal(world.node.cli("send", f"MUTE@127.0.0.1:{silent.port}", "PatientID=PAT2", "--background").returncode, 0, "queued")
        number = newest(world.node)["id"]
        until(lambda: len(silent.taken) > before, "a connection")
        begun = time.monotonic()
        equal(world.node.stop(), 0, "the node")
        assert time.monotonic() - begun < 12, "the node waits for a silent peer"
        world.node.start()
        equal(world.node.cli("job", "cancel", number).returncode, 0, "the job was kept")
    finally:
        gate.set()
        silent.close()


def case_a_peer_that_takes_no_syntax_is_named_in_the_reason(world):
    none = rawget.StorageScp(accept=lambda abstract, syntaxes: None)
    try:
        done = world.node.cli("send", f"NONE@127.0.0.1:{none.port}", "PatientID=PAT4")
        equal(done.returncode, 1, done.stdout)
        assert "the peer takes no" in done.stdout, done.stdout
    finally:
        none.close()


def case_a_peer_that_dies_in_the_middle_gets_the_rest_later(world):
    died = threading.Event()

    def answer(values):
        if len(world.sink.instances) == 3 and not died.is_set():
            died.set()
            raise OSError("dies")
        return 0
    world.reset(answer)
    equal(send(world.node, "SINK", "PatientID=PAT1").returncode, 0, "sent in the end")
    assert died.is_set()
    equal(len(world.sink.instances), 8, "instances")


def case_a_peer_that_is_away_is_tried_again_until_it_is_cancelled(world):
    done = send(world.node, "SLOW", "PatientID=PAT1", "--background")
    equal(done.returncode, 0, done.stderr)
    number = newest(world.node)["id"]
    until(lambda: job(world.node, number)["attempts"] >= 2, "two attempts")
    assert "no connection" in job(world.node, number)["reason"], job(world.node, number)
    equal(world.node.cli("job", "cancel", number).returncode, 0, "cancel")
    equal(until(lambda: job(world.node, number)["state"] == "cancelled", "a cancelled job"), True)


def case_a_paused_job_waits_and_goes_on(world):
    gate = threading.Event()
    world.reset(lambda values: 0 if gate.wait(WAIT) else 0xA700)
    equal(send(world.node, "SINK", "PatientID=PAT1", "--background").returncode, 0, "queued")
    number = newest(world.node)["id"]
    until(lambda: world.sink.associations > 0, "the first association")
    equal(world.node.cli("job", "pause", "--peer", "SINK").returncode, 0, "pause")
    gate.set()
    until(lambda: job(world.node, number)["state"] == "paused", "a paused job")
    before = len(world.sink.instances)
    assert before < 8, before
    equal(world.node.cli("job", "resume", number).returncode, 0, "resume")
    until(lambda: job(world.node, number)["state"] == "done", "the end")
    equal(len(world.sink.instances), 8, "instances")


def case_after_kill_minus_9_nothing_is_lost_and_nothing_answered_is_sent_again(world):
    folder = world.folder / "many"
    folder.mkdir()
    uids = [f"{KILL_STUDY}.1.{i}" for i in range(1, 201)]
    for uid in uids:
        data_set = raw.instance(uid, KILL_STUDY, f"{KILL_STUDY}.1", patient_id="KILL", number=int(uid.split(".")[-1]))
        (folder / uid).write_bytes(raw.part10(data_set, raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    equal(world.node.cli("import", folder).returncode, 0, "import")
    counts, lock = {}, threading.Lock()

    def answer(values):
        with lock:
            counts[raw.text(values, 0x1000)] = counts.get(raw.text(values, 0x1000), 0) + 1
        time.sleep(0.01)
        return 0
    world.reset(answer)
    equal(send(world.node, "SINK", "PatientID=KILL", "--background").returncode, 0, "queued")
    number = newest(world.node)["id"]
    for step in (40, 120):
        until(lambda: len(counts) >= step, f"{step} instances")
        world.node.kill()
        time.sleep(0.1)
        world.node.start()
    until(lambda: job(world.node, number)["state"] == "done", "the end")
    equal(set(counts), set(uids), "what arrived")
    # What was answered within the last checkpoint (50 ms) before each of the two kills may come twice.
    assert sum(counts.values()) - len(uids) <= 2 * 12, counts
    equal(job(world.node, number)["failed"], 0, "failed")


def case_the_queue_is_read_without_a_node(world):
    before = len(jobs(world.node, "--all"))
    equal(world.node.stop(), 0, "stop")
    equal(len(jobs(world.node, "--all")), before, "jobs that are listed")
    assert "vitrined does not run" in send(world.node, "SINK", "PatientID=PAT1").stderr


def main():
    with work_folder("jobs") as folder:
        world = World(folder)
        try:
            with world.node:
                equal(world.node.cli("import", world.folder / "samples").returncode, 0, "import")
                return run(globals(), world)
        finally:
            world.sink.close()
            if world.storescp:
                world.storescp.kill()
                world.storescp.wait()


if __name__ == "__main__":
    raise SystemExit(main())
