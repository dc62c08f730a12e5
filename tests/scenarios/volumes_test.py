#!/usr/bin/python3
"""Short-term and long-term storage: studies go to a second volume and come out of it byte for byte, for DCMTK as well; a volume that is
away, comes back, is full; kill -9 in the middle of a drain, again and again; rules; availability in C-FIND."""
import pathlib
import subprocess
import time

import rawdicom as raw
import rawget
import samples
from cases import equal, run, until
from node import Node, json_lines, object_files, work_folder

STUDY = "1.2.3.88"
MANY = 150


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "samples").mkdir()
        self.samples = samples.make(self.folder / "samples")
        self.long_term = self.folder / "long"
        options = [f"volume.LT.path={self.long_term}", "volume.LT.class=long-term", "volume.LT.stop_free=1", "volume.LT.warn_free=1",
                   "jobs.back_off=200ms"]
        self.options, self.sent, self.total = options, {}, 0
        self.node = Node(self.folder / "archive", options)

    def ok(self, *words):
        done = self.node.cli(*words)
        equal(done.returncode, 0, f"{words}: {done.stderr}")
        return done

    def volume(self, name):
        return next(v for v in json_lines(self.ok("volume", "list", "--json").stdout) if v["volume"] == name)

    def files(self, where):
        return sum(len(names) for names in object_files(where).values())

    def find(self, study):
        """The availability that C-FIND tells, as DCMTK's findscu shows it."""
        done = subprocess.run(["findscu", "-S", "-aec", "VITRINE", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
                               "-k", "InstanceAvailability=", "127.0.0.1", str(self.node.port)], capture_output=True, text=True,
                              timeout=60, check=False)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "(0008,0056)" in line]
        return lines[-1].split("[")[1].split("]")[0].strip() if lines else None

    def get(self, study):
        """{SOP Instance UID: data set} over C-GET, and its final status."""
        contexts = [(raw.STUDY_GET, (raw.EXPLICIT,)), (raw.SECONDARY_CAPTURE, (raw.EXPLICIT,))]
        with raw.Association(self.node.port, contexts=contexts, roles=[raw.SECONDARY_CAPTURE]) as association:
            status, found, _, _ = rawget.get(association, rawget.keys("STUDY", study=study))
        return status, {uid: data for uid, (_, data) in found.items()}

    def assert_whole(self):
        """The big study, byte for byte as it was sent."""
        status, found = self.get(STUDY)
        equal((status, len(found)), (0, MANY), "C-GET")
        assert found == self.sent, "bytes differ"


def case_a_volume_is_marked_at_its_first_use_only(world):
    equal(world.volume("LT")["state"], "away", "before")
    world.ok("volume", "add", "LT")
    equal(world.volume("LT")["state"], "ok", "after")
    equal(world.node.cli("volume", "add", "LT").returncode, 1, "again")
    equal(world.node.cli("volume", "add", "OTHER").returncode, 1, "not configured")


def case_what_was_moved_comes_out_byte_for_byte(world):
    folder = world.folder / "many"
    folder.mkdir()
    for i in range(1, MANY + 1):
        uid = f"{STUDY}.1.{i}"
        world.sent[uid] = raw.instance(uid, STUDY, f"{STUDY}.1", patient_id="MANY", number=i)
        (folder / uid).write_bytes(raw.part10(world.sent[uid], raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    world.ok("import", folder)
    world.ok("import", world.folder / "samples")
    world.total = world.files(world.node.path)
    world.ok("volume", "drain", "MAIN", "--to", "LT")
    equal(world.files(world.node.path), 0, "files left")
    equal(world.files(world.long_term), world.total, "files there")
    world.assert_whole()
    equal(world.volume("LT")["instances"], world.total, "instances")
    world.ok("volume", "verify", "LT")
    world.ok("verify")


def case_dcmtk_takes_a_study_from_the_long_term_volume(world):
    out = world.folder / "got"
    out.mkdir()
    subprocess.run(["getscu", "-S", "-aec", "VITRINE", "-od", str(out), "-k", "QueryRetrieveLevel=STUDY", "-k",
                    f"StudyInstanceUID={samples.ROOT}.1", "127.0.0.1", str(world.node.port)], timeout=60, check=True, capture_output=True)
    equal(len(list(out.iterdir())), len(world.samples["ct"]), "instances")


def case_availability_is_told_as_it_is(world):
    equal(world.find(STUDY), "ONLINE", "on a disk")
    world.long_term.rename(world.folder / "away")
    equal(world.find(STUDY), "OFFLINE", "away")
    equal(world.volume("LT")["state"], "away", "state")
    (world.folder / "away").rename(world.long_term)
    equal(world.find(STUDY), "ONLINE", "back")


def case_while_a_volume_is_away_other_work_goes_on(world):
    world.long_term.rename(world.folder / "away")
    status, found = world.get(STUDY)
    assert status != 0 and not found, (hex(status), len(found))
    uid = f"{STUDY}.9.1"
    path = world.folder / "late"
    path.write_bytes(raw.part10(raw.instance(uid, f"{STUDY}.9", f"{STUDY}.9.2"), raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    world.ok("import", path)
    done = world.node.cli("study", "delete", STUDY)
    equal(done.returncode, 1, "delete")
    assert "volume LT is away" in done.stderr, done.stderr
    done = world.node.cli("reindex")
    equal(done.returncode, 1, "reindex")
    assert "volume LT is away" in done.stderr, done.stderr
    equal(world.node.cli("verify").returncode, 1, "verify says so")
    world.node.stop()
    world.node.start()
    (world.folder / "away").rename(world.long_term)
    world.assert_whole()
    world.ok("verify")


def case_a_reindex_knows_both_volumes(world):
    world.ok("reindex")
    world.assert_whole()
    equal(world.volume("MAIN")["instances"], 1, "on MAIN")


def case_kill_minus_9_in_a_drain_loses_nothing_and_doubles_nothing(world):
    way, kills = ("LT", "MAIN"), 0
    for attempt in range(8):
        before = world.files(world.folder / ("long" if way[0] == "LT" else "archive"))
        world.ok("volume", "drain", way[0], "--to", way[1], "--background")
        source = world.long_term if way[0] == "LT" else world.node.path
        until(lambda: world.files(source) < before or before <= 1, "the first files")
        world.node.kill()
        kills += 1
        world.node.start()
        until(lambda: not [j for j in json_lines(world.node.cli("job", "list", "--kind", "migrate", "--json").stdout)
                           if j["state"] in ("waiting", "running")], "the end of the drain")
        equal(world.files(world.node.path) + world.files(world.long_term), world.total + 1, f"files after kill {attempt}")
        way = way[::-1]
    equal(kills, 8, "kills")
    world.assert_whole()
    world.ok("verify")


def case_a_full_volume_takes_nothing_and_the_drain_goes_on_later(world):
    world.ok("volume", "drain", "LT")
    world.node.stop()
    full = Node(world.node.path, [*world.options, f"volume.LT.stop_free={1 << 49}"])
    with full:
        equal(json_lines(full.cli("volume", "list", "--json").stdout)[1]["state"], "full", "state")
        equal(full.cli("volume", "drain", "MAIN", "--to", "LT", "--background").returncode, 0, "queued")
        reasons = until(lambda: [j["reason"] for j in json_lines(full.cli("job", "list", "--kind", "migrate", "--json").stdout)
                                 if j["state"] == "waiting" and j["reason"]], "a reason")
        assert "volume LT is full" in reasons[0], reasons
        equal(world.files(world.long_term), 0, "files there")
    world.node.start()
    until(lambda: world.files(world.node.path) == 0, "the drain, later")
    world.assert_whole()


def case_a_rule_moves_what_is_old_enough_and_nothing_else(world):
    world.ok("volume", "drain", "LT")
    world.node.stop()
    rule = ["migrate.OLD.to=LT", "migrate.OLD.arrived_before=1ms", "migrate.OLD.study_older_than=1d", "migrate.OLD.every=1s",
            "migrate.OLD.match=ModalitiesInStudy=CT; PatientID=PAT1", "volume.LT.nearline=yes"]
    with Node(world.node.path, [*world.options, *rule]) as node:
        until(lambda: world.files(world.long_term) == len(world.samples["ct"]), "the old CT study on the other volume")
        time.sleep(1.5)
        equal(world.files(world.long_term), len(world.samples["ct"]), "nothing else")
        world.node.port, port = node.port, world.node.port
        equal(world.find(f"{samples.ROOT}.1"), "NEARLINE", "marked so")
        equal(world.find(STUDY), "ONLINE", "the others")
        world.node.port = port


def main():
    with work_folder("volumes") as folder:
        world = World(folder)
        with world.node:
            status = run(globals(), world)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
