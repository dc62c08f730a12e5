#!/usr/bin/python3
"""Media that go away in the middle: a stick that is pulled out while it is written, a production centre whose folder is away for a while,
an image whose import is killed. The job says so, goes on when it can, and nothing half-visible is ever left."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from pydicom.fileset import FileSet

import cases
import media_import_test as media
import media_jobs_test as jobs
from cases import equal, until
from node import object_files, work_folder

TRIES = 20


def mounted(path):
    """A stick: what is on it goes with it."""
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], capture_output=True, check=False).returncode == 0


def pull_out(path):
    subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)


def stopped_while_it_writes(world, node, target):
    """Number of a job that is in the middle of its export, with the node stopped; None: it was too fast."""
    number = jobs.ask(node, "export", "PatientID=MANY", "-o", target, "--background")[-1]["job"]
    end = time.monotonic() + 60
    while time.monotonic() < end and not target.exists():
        if any(name.startswith(".") for name in os.listdir(target.parent)):
            os.kill(node.process.pid, signal.SIGSTOP)
            if not target.exists():
                return number
            os.kill(node.process.pid, signal.SIGCONT)
            break
    jobs.ended(node, number)
    return None


def case_a_stick_that_is_pulled_out_while_it_is_written_gets_all_of_it_later(world):
    stick, whole = world.folder / "stick", []
    stick.mkdir()
    with world.node() as node:
        jobs.ask(node, "import", world.many)
        for kind in ("", ".iso", ".zip"):
            for attempt in range(TRIES):
                if not mounted(stick):
                    print("     (no tmpfs here)")
                    return
                target = stick / f"set{attempt}{kind}"
                number = stopped_while_it_writes(world, node, target)
                pull_out(stick)
                if number:
                    os.kill(node.process.pid, signal.SIGCONT)
                    found = jobs.ended(node, number)
                    equal((found["done"], target.exists(), jobs.hidden(stick)), (jobs.MANY, True, []), f"{target}: on what lies there now")
                    whole.append(target)
                    break
    assert whole, "each was too fast to be pulled out"
    for target in whole:
        if target.is_dir():
            equal(len(FileSet(target / "DICOMDIR")), jobs.MANY, str(target))
        equal(media.counts(world.take(target)[1]), [jobs.MANY, 0, 0], str(target))


def case_a_killed_import_of_an_image_goes_on(world):
    image = world.folder / "many.iso"
    subprocess.run(["xorriso", "-as", "mkisofs", "-R", "-o", str(image), str(world.many)], check=True, capture_output=True, timeout=60)
    node = world.node().start()
    number = jobs.ask(node, "import", image, "--background")[-1]["job"]
    until(lambda: len(object_files(node.path)) > 20, "some files")
    node.kill()
    with node:
        found = jobs.ended(node, number)
        equal((len(object_files(node.path)), found["failed"]), (jobs.MANY, 0), "instances")
        equal(node.cli("verify").returncode, 0, "verify")


def case_a_production_centre_that_is_away_for_a_while_burns_afterwards(world):
    with world.node() as node:
        jobs.large(world, node)
        number = jobs.ask(node, "export", "PatientID=BIG", "--burn", "ROBOT")[-1]["job"]
        until(lambda: len(jobs.robot_jobs(world)) == 2, "two discs")
        away = world.folder / "robot-away"
        os.rename(world.robot, away)
        until(lambda: jobs.job(node, number)["reason"] or jobs.job(node, number)["state"] == "failed", "that it is told", 30)
        os.rename(away, world.robot)
        if jobs.job(node, number)["state"] == "failed":
            node.cli("job", "retry", str(number))
        for folder in until(lambda: (lambda found: found if len(found) == 2 else None)(jobs.robot_jobs(world)), "two discs again"):
            (folder / "status.txt").write_text("done\n")
        jobs.ended(node, number)
        until(lambda: not jobs.robot_jobs(world), "an empty folder")
        equal(jobs.hidden(world.robot), [], "hidden names")


def case_an_export_to_a_folder_that_is_not_there_yet_waits_for_it(world):
    with world.node() as node:
        jobs.ask(node, "import", world.disc)
        place = world.folder / "not-yet"
        number = jobs.ask(node, "export", "PatientID=A1", "-o", place / "disc.zip", "--background")[-1]["job"]
        found = until(lambda: (lambda j: j if j["attempts"] else None)(jobs.job(node, number)), "an attempt")
        assert found["state"] != "failed" and "the medium is away" in found["reason"], found
        place.mkdir()
        jobs.ended(node, number)
        equal([path.name for path in place.iterdir()], ["disc.zip"], "what is there")


def main():
    if not shutil.which("xorriso"):
        print("xorriso is not installed")
        return 77
    with work_folder("media-faults") as folder:
        try:
            return cases.run(globals(), jobs.World(pathlib.Path(folder)))
        finally:
            subprocess.run(["umount", "-l", f"{folder}/stick"], capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
