#!/usr/bin/python3
"""Discs as jobs of the node: imports and exports that are killed and go on, media that are pulled out, full ones, cancelled ones; a production
centre that burns, refuses and is cancelled, and a command that burns (xorriso, to a file). Nothing half-visible at any time."""
import configparser
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from pydicom.fileset import FileSet

import cases
import media_import_test as media
from cases import equal, until
from node import Node, json_lines, object_files, work_folder

MANY = 600


class World(media.World):
    def __init__(self, folder):
        super().__init__(folder)
        self.many = self.folder / "many"
        self.many.mkdir()
        study, series = media.generate_uid(), media.generate_uid()
        for number in range(MANY):
            ds = media.instance("MANY", study, series, number % 200 + 1)
            ds.save_as(self.many / f"{number:05}.dcm", write_like_original=False)
        self.robot, self.drive = self.folder / "robot", self.folder / "drive"
        self.burned = self.folder / "burned.iso"
        self.options = ["jobs.back_off=200ms", "burner.ROBOT.adapter=folder", f"burner.ROBOT.folder={self.robot}", "burner.ROBOT.capacity=2M",
                        "burner.ROBOT.poll=50ms", "burner.DRIVE.adapter=command", f"burner.DRIVE.folder={self.drive}",
                        f"burner.DRIVE.command=xorriso -as cdrecord dev=stdio:{self.burned} %i", "burner.BROKEN.adapter=command",
                        f"burner.BROKEN.folder={self.folder}/broken", f"burner.BROKEN.command=ls {self.folder}/no-such-drive"]

    def node(self, path=None):
        return Node(path or self.fresh(), self.options)


def ask(node, *words, status=0):
    done = node.cli("--json", *words)
    equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
    return json_lines(done.stdout) if status == 0 else done.stderr


def job(node, number):
    return next(j for j in ask(node, "job", "list", "--all") if j["id"] == number)


def ended(node, number, state="done"):
    found = until(lambda: (lambda j: j if j["state"] not in ("waiting", "running") else None)(job(node, number)), f"the end of job {number}")
    equal(found["state"], state, found)
    return found


def hidden(folder):
    return [str(path) for path in pathlib.Path(folder).rglob(".*")] if pathlib.Path(folder).exists() else []


def case_a_killed_import_goes_on_where_it_was(world):
    node = world.node().start()
    number = ask(node, "import", world.many, "--background")[-1]["job"]
    until(lambda: len(object_files(node.path)) > 20, "some files")
    node.kill()
    before = len(object_files(node.path))
    with node:
        found = ended(node, number)
        equal((len(object_files(node.path)), found["done"]), (MANY, MANY), "instances, files")
        assert before <= MANY and found["done_bytes"] > MANY * 1000, found


def case_an_import_waits_for_a_medium_that_was_pulled_out(world):
    with world.node() as node:
        inside, outside = world.copy("inside"), world.folder / "outside"
        (inside / "zzz").mkdir()
        number = ask(node, "import", inside, "--background")[-1]["job"]
        ended(node, number)
        gone = world.copy("gone")
        node.cli("job", "pause", "--kind", "import")
        os.rename(gone, outside)
        assert "gone" in ask(node, "import", gone, "--background", status=1), "not there when it is asked for"
        os.rename(outside, gone)
        for _ in range(50):  # until the medium goes away while the job waits or runs
            number = ask(node, "import", world.many, gone, "--background")[-1]["job"]
            os.rename(gone, outside)
            found = until(lambda: (lambda j: j if j["state"] != "running" and (j["attempts"] or j["state"] == "done") else None)(job(node, number)),
                          "an attempt")
            if found["state"] != "done":
                break
            os.rename(outside, gone)
        assert "away" in found["reason"], found
        os.rename(outside, gone)
        node.cli("job", "retry", str(number))
        found = ended(node, number)
        equal((len(object_files(node.path)), found["failed"]), (MANY + 7, 0), "instances, failed items")


def case_what_fails_in_an_import_is_listed(world):
    with world.node() as node:
        folder = world.copy("scratched")
        broken = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("DICOMDIR", "README.TXT"))
        broken.write_bytes(broken.read_bytes()[:400])
        number = ask(node, "import", folder, "--background")[-1]["job"]
        found = ended(node, number)
        assert found["failed"] >= 1 and str(broken) in json.dumps(ask(node, "job", "show", number)), found


def case_a_killed_export_begins_again_and_leaves_nothing(world):
    node = world.node().start()
    ask(node, "import", world.many)
    for name in ("killed", "killed.iso", "killed.zip"):
        target = world.folder / "out" / name
        target.parent.mkdir(exist_ok=True)
        number = ask(node, "export", "PatientID=MANY", "-o", target, "--background")[-1]["job"]
        until(lambda: hidden(target.parent) or target.exists(), "its beginning")
        node.kill()
        node.start()
        found = ended(node, number)
        equal((found["done"], hidden(target.parent)), (MANY, []), name)
        assert target.exists(), name
    equal(len(FileSet(world.folder / "out/killed/DICOMDIR")), MANY, "the file-set")
    equal(media.counts(world.take(world.folder / "out/killed.iso")[1]), [MANY, 0, 0], "import of our own")
    node.stop()


def case_a_cancelled_export_is_not_seen(world):
    with world.node() as node:
        ask(node, "import", world.many)
        target = world.folder / "cancelled" / "disc"
        target.parent.mkdir()
        number = ask(node, "export", "PatientID=MANY", "-o", target, "--background")[-1]["job"]
        node.cli("job", "cancel", str(number))
        state = until(lambda: (lambda s: s if s not in ("waiting", "running") else None)(job(node, number)["state"]), "an end")
        until(lambda: not hidden(target.parent), "no hidden names")
        equal(target.exists(), state == "done", state)
        assert "there already" in ask(node, "export", "PatientID=MANY", "-o", world.many, "--background", status=1)
        assert "nothing matches" in ended(node, ask(node, "export", "PatientID=NO", "-o", target.parent / "no", "--background")[-1]["job"],
                                          "failed")["reason"]


def case_a_full_medium_is_told_and_tried_again(world):
    small = world.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True, check=False).returncode:
        print("     (no tmpfs here)")
        return
    try:
        with world.node() as node:
            ask(node, "import", world.many)
            for name in ("full.zip", "full.iso", "full"):
                said = ask(node, "export", "PatientID=MANY", "-o", small / name, status=1)
                assert "No space" in said, said
                equal(list(small.iterdir()), [], "nothing is left")
            number = ask(node, "export", "PatientID=MANY", "-o", small / "later.zip", "--background")[-1]["job"]
            found = until(lambda: (lambda j: j if j["attempts"] else None)(job(node, number)), "an attempt")
            assert "No space" in found["reason"], found
            subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True, capture_output=True)
            node.cli("job", "retry", str(number))
            ended(node, number)
            assert (small / "later.zip").exists()
    finally:
        subprocess.run(["umount", str(small)], capture_output=True, check=False)


# ---- burning ----

def robot_jobs(world):
    return sorted(path for path in world.robot.glob("VT*") if path.is_dir()) if world.robot.exists() else []


def large(world, node):
    paths = []
    for number in range(4):
        ds = media.instance("BIG", "2.25.71", "2.25.72", number + 1)
        ds.Rows = ds.Columns = 512
        ds.PixelData = bytes(512 * 512 * 2)
        paths.append(world.folder / f"large{number}.dcm")
        ds.save_as(paths[-1], write_like_original=False)
    ask(node, "import", *paths)


def read_job(folder):
    text = configparser.ConfigParser()
    text.read(folder / "job.ini")
    return text


def case_a_production_centre_gets_each_disc_whole_and_answers(world):
    with world.node() as node:
        large(world, node)
        number = ask(node, "export", "PatientID=BIG", "--burn", "ROBOT", "--label", "for the\nsurgeon", "--copies", "2")[-1]["job"]
        first, second = until(lambda: (lambda found: found if len(found) == 2 else None)(robot_jobs(world)), "two discs")
        told = read_job(first)
        equal(dict(told["label"]), {"patientname": "Foreign^BIG", "patientid": "BIG", "studydate": "20200101", "text": "for the surgeon"}, "label")
        equal((told["job"]["copies"], told["job"]["discs"], told["job"]["image"]), ("2", "2", f"{first.name}.iso"), "job.ini")
        assert first.name.startswith(f"VT{number}-") and first.name.endswith("-1"), first
        equal((first / told["job"]["image"]).stat().st_size, int(told["job"]["bytes"]), "the image")
        equal({row["state"] for row in ask(node, "burn", "show", number)}, {"queued"}, "states")
        (first / "status.txt").write_text("burning\n")
        until(lambda: ask(node, "burn", "list")[0]["state"] == "burning", "burning")
        (first / "status.txt").write_text("done\n")
        (second / "status.txt").write_text("failed: no blank media in the hopper\n")
        found = ended(node, number, "failed")
        assert "no blank media" in found["reason"] and "disc 2" in found["reason"], found
        node.cli("job", "retry", str(number))
        until(lambda: not (second / "status.txt").exists(), "the second one anew")
        (second / "status.txt").write_text("done\n")
        ended(node, number)
        until(lambda: not robot_jobs(world), "an empty folder")
        equal(hidden(world.robot), [], "hidden names")


def case_a_burn_job_that_is_killed_is_not_burned_twice(world):
    node = world.node().start()
    large(world, node)
    number = ask(node, "export", "PatientID=BIG", "--burn", "ROBOT")[-1]["job"]
    node.kill()
    node.start()
    first, second = until(lambda: (lambda found: found if len(found) == 2 else None)(robot_jobs(world)), "two discs")
    for folder in (first, second):
        assert (folder / "job.ini").exists() and list(folder.glob("*.iso")), folder
    (first / "status.txt").write_text("done\n")
    until(lambda: not first.exists(), "the first one is done")
    node.kill()
    node.start()
    (second / "status.txt").write_text("done\n")
    ended(node, number)
    equal((robot_jobs(world), hidden(world.robot)), ([], []), "the folder")
    node.stop()


def case_a_cancelled_disc_is_taken_back(world):
    with world.node() as node:
        large(world, node)
        number = ask(node, "export", "PatientID=BIG", "--burn", "ROBOT")[-1]["job"]
        first, second = until(lambda: (lambda found: found if len(found) == 2 else None)(robot_jobs(world)), "two discs")
        (first / "status.txt").write_text("burning\n")
        until(lambda: [row["state"] for row in ask(node, "burn", "show", number)] == ["burning", "queued"], "states")
        ask(node, "burn", "cancel", number)
        ended(node, number, "cancelled")
        until(lambda: not second.exists() and (first / "cancel").exists(), "taken back")
        shutil.rmtree(first)
        equal(hidden(world.robot), [], "hidden names")
        assert "no [burner" in ask(node, "export", "PatientID=BIG", "--burn", "NOBODY", status=1)


def case_a_command_burns_and_its_failure_is_told(world):
    with world.node() as node:
        ask(node, "import", world.disc)
        number = ask(node, "export", "PatientID=A1", "--burn", "DRIVE", "--deidentify", "basic", "--patient-id", "T1")[-1]["job"]
        ended(node, number)
        rows, result = world.take(world.burned)
        equal((rows, media.counts(result)), ([], [3, 0, 0]), "what was burned")
        equal((list(world.drive.iterdir()), hidden(world.drive)), ([], []), "its folder")
        found = ended(node, ask(node, "export", "PatientID=A1", "--burn", "BROKEN")[-1]["job"], "failed")
        assert "no-such-drive" in found["reason"], found


def main():
    if not shutil.which("xorriso"):
        print("xorriso is not installed")
        return 77
    with work_folder("media-jobs") as folder:
        return cases.run(globals(), World(folder))


if __name__ == "__main__":
    sys.exit(main())
