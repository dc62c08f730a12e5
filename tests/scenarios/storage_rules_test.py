#!/usr/bin/python3
"""What the configuration says about old studies: second copies that are read when the first ones are lost, first ones released, studies
that come back when somebody looks at them, holds; and what goes because Orthanc, or another Vitrine, committed to keep it."""
import pathlib
import shutil
import subprocess
import sys
import time

from cases import equal, run, until
from commitment_test import Orthanc
from node import Node, free_port, json_lines, object_files, work_folder
from rawdicom import EXPLICIT, SECONDARY_CAPTURE, Association, instance

KEPT, HELD, AWAY, NEW, SILENT = "1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4", "1.2.3.5"


def uids(study, count=4):
    return [f"{study}.1.{i}" for i in range(1, count + 1)]


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.long_term = self.folder / "long"
        beta_port = free_port()      # nobody listens there: BETA's reports come nowhere
        self.beta = Node(self.folder / "beta", ["dicom.ae_title=BETA", "commit.same_association=0", "peer.ALPHA.host=127.0.0.1",
                                                  f"peer.ALPHA.port={beta_port}"])
        self.basic = ["dicom.ae_title=ALPHA", f"volume.LT.path={self.long_term}", "volume.LT.stop_free=1", "volume.LT.warn_free=1",
                      "volume.LT.recall=yes", "jobs.back_off=200ms", "peer.BETA.host=127.0.0.1", f"peer.BETA.port={self.beta.port}"]
        self.keep = ["migrate.COPY.to=LT", "migrate.COPY.keep_copy=yes", "migrate.COPY.arrived_before=1ms", "migrate.COPY.every=1s",
                     "migrate.COPY.not_accessed_for=1d", "migrate.COPY.match=PatientID=KEEP"]
        self.expire = ["expire.OLD.copy=LT", "expire.OLD.arrived_before=1ms", "expire.OLD.every=30d",
                       "expire.OLD.not_accessed_for=0"]
        self.node, self.sent = None, {}
        self.start(*self.keep)
        self.ok("volume", "add", "LT")

    def start(self, *more):
        """The node with other rules."""
        if self.node:
            self.node.stop()
        self.node = Node(self.folder / "archive", [*self.basic, *more])
        self.node.start()

    def store(self, study, patient="KEEP"):
        with Association(self.node.port, called="ALPHA", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
            for uid in uids(study):
                self.sent[uid] = instance(uid, study_uid=study, series_uid=f"{study}.1", patient_id=patient, pixels=bytes(90000))
                equal(a.store(SECONDARY_CAPTURE, uid, self.sent[uid])[0], 0, uid)

    def ok(self, *words):
        done = self.node.cli(*words)
        equal(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        return done

    def rows(self, *words):
        return json_lines(self.ok(*words, "--json").stdout)

    def on(self, where, study):
        """How many of the study's files lie there."""
        return sum(len(files) for uid, files in object_files(where).items() if uid.startswith(study + "."))

    def here(self, study):
        return self.on(self.node.path, study), self.on(self.long_term, study)

    def get(self, study):
        """By DCMTK; how many came."""
        out = pathlib.Path(self.folder / f"got-{time.monotonic_ns()}")
        out.mkdir()
        subprocess.run(["getscu", "-S", "-aec", "ALPHA", "-od", str(out), "-k", "QueryRetrieveLevel=STUDY", "-k",
                        f"StudyInstanceUID={study}", "127.0.0.1", str(self.node.port)], timeout=60, check=False, capture_output=True)
        return len(list(out.iterdir()))

    def action(self, rows, study):
        return next(((r["action"], r["reason"]) for r in rows if r.get("StudyInstanceUID") == study), (None, None))


def case_a_rule_makes_second_copies_and_keeps_both(world):
    world.store(KEPT)
    world.store(HELD)
    world.store(NEW, "OTHER")
    until(lambda: world.here(KEPT) == (4, 4) and world.here(HELD) == (4, 4), "copies")
    equal(world.here(NEW), (4, 0), "what the rule is not about")
    world.ok("verify")
    world.ok("volume", "verify", "LT")


def case_a_copy_is_read_when_the_first_one_is_lost(world):
    path = object_files(world.node.path)[f"{KEPT}.1.1"][0]
    shutil.move(path, f"{path}.away")
    equal(world.get(KEPT), 4, "instances that getscu got")
    shutil.move(f"{path}.away", path)


def case_a_dry_run_shows_what_would_go_and_takes_nothing(world):
    world.ok("study", "hold", HELD, "--reason", "court order")
    world.start(*world.expire)
    equal(world.node.cli("volume", "expire", "NONE", "--dry-run").returncode, 1, "a rule that is not there")
    until(lambda: world.here(KEPT)[0] == 0 or world.action(world.rows("volume", "expire", "OLD", "--dry-run"), KEPT)[0] == "would go",
          "a study that would go")


def case_the_first_copy_goes_and_what_is_held_or_has_no_copy_stays(world):
    rows = world.rows("volume", "expire", "OLD")
    equal(world.action(rows, NEW), ("stays", "no copy there"), "without a copy")
    until(lambda: world.here(KEPT) == (0, 4), "the first copies are released")
    equal(world.here(HELD), (4, 4), "what is held")
    world.ok("verify")
    equal(world.node.cli("study", "delete", HELD).returncode, 1, "nobody deletes it either")
    equal(world.rows("study", "holds")[0]["reason"], "court order", "the hold")
    world.ok("study", "release", HELD)
    rows = world.rows("volume", "expire", "OLD", "--dry-run")
    equal(world.action(rows, HELD), ("would go", "volume LT has a copy"), "released")
    equal(world.here(HELD), (4, 4), "a dry run")
    rows = world.rows("volume", "expire", "OLD")
    equal((world.action(rows, HELD)[0], world.here(HELD)), ("gone", (0, 4)), "a turn")
    world.ok("verify")


def case_the_forecast_knows_who_fills_the_disk(world):
    peers = next(v for v in world.rows("volume", "list") if v["volume"] == "MAIN")["peers"]
    equal([p["peer"] for p in peers], ["RAWDICOM"], "peers, over restarts")
    assert peers[0]["bytes_per_day"] > 12 * 90000 and peers[0]["instances_per_day"] == 12 and peers[0]["days_until_full"] >= 0, peers


def case_what_somebody_retrieves_comes_back_and_stays_a_while(world):
    world.start("migrate.BACK.to=LT", "migrate.BACK.arrived_before=1ms", "migrate.BACK.every=1s")
    until(lambda: world.here(NEW) == (0, 4), "all is on the long-term volume")
    equal(world.get(KEPT), 4, "instances")
    until(lambda: world.here(KEPT) == (4, 0), "it is here again")
    equal([j["state"] for j in world.rows("job", "list", "--kind", "recall", "--all")], ["done"], "the job")
    time.sleep(2.5)
    equal(world.here(KEPT), (4, 0), "turns of the rule leave it: it was looked at today")
    equal(world.here(HELD), (0, 4), "another study")
    world.ok("verify")


def case_a_study_goes_when_orthanc_committed_to_all_of_it(world):
    if not shutil.which("Orthanc"):
        print("     skipped: Orthanc is not installed")
        return
    orthanc = Orthanc(world.folder / "orthanc", world.node)
    try:
        peer = ["peer.ORTHANC.host=127.0.0.1", f"peer.ORTHANC.port={orthanc.port}"]
        port = world.node.port
        world.node.stop()
        world.node = Node(world.node.path, [*world.basic, *peer, f"dicom.port={port}"])
        world.node.port = port
        world.node.start()
        world.store(AWAY, "AWAY")
        world.ok("send", "ORTHANC", f"StudyInstanceUID={AWAY}", "--commit")
        until(lambda: [j["state"] for j in world.rows("job", "list", "--kind", "commit.ask", "--all")] == ["done"], "a commitment")
        world.node.stop()
        rule = ["expire.GONE.peer=ORTHANC", "expire.GONE.arrived_before=1ms", "expire.GONE.every=30d"]
        world.node = Node(world.node.path, [*world.basic, *peer, *rule, f"dicom.port={port}"])
        world.node.port = port
        world.node.start()
        until(lambda: world.here(AWAY) == (0, 0), "the study is in the trash")
        assert any("ORTHANC committed to it" in t["reason"] for t in world.rows("trash", "list")), "the reason"
        asked = until(lambda: [j for j in world.rows("job", "list", "--kind", "commit.ask", "--all")
                               if j["subject"] == KEPT and j["state"] == "done"], "what it was not asked for is asked")
        equal(asked[0]["failed"], 4, "and it has none of it")
        equal(world.here(KEPT), (4, 0), "so it stays")
        world.ok("study", "restore", AWAY)
        equal(world.here(AWAY), (4, 0), "back from the trash")
    finally:
        orthanc.stop()


def case_an_archive_that_does_not_report_is_asked_again_and_given_up(world):
    world.start("commit.repeat=1s", "commit.times=2")
    with world.beta:
        world.store(SILENT, "SILENT")
        world.ok("send", "BETA", f"StudyInstanceUID={SILENT}")
        begun = time.monotonic()
        done = world.node.cli("commitment", "ask", "BETA", f"StudyInstanceUID={SILENT}", "--background")
        equal(done.returncode, 0, done.stderr)

        def failed():
            rows = [j for j in world.rows("job", "list", "--kind", "commit.ask", "--all") if j["subject"] == SILENT]
            return rows and rows[0]["state"] == "failed" and rows[0]
        job = until(failed, "the job gives up")
        assert "asked 2 times" in job["reason"], job
        assert time.monotonic() - begun > 1, "it waited"
        equal(len(json_lines(world.beta.cli("commitment", "list", "--json").stdout)), 2, "requests that BETA heard")


def main():
    with work_folder("rules") as folder:
        world = World(folder)
        try:
            return run(globals(), world)
        finally:
            if world.node.alive():
                world.node.stop()


if __name__ == "__main__":
    sys.exit(main())
