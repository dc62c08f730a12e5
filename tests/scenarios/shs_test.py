#!/usr/bin/python3
"""The SHS flow from end to end, each step with a foreign partner: a disc of pydicom's comes in, DCMTK's dcmqrscp, which admits nobody but
SHS, is asked and gives priors for what is scheduled, dcmprscp prints, dcmqrscp is sent a study by a job, and a disc goes out over
xorriso. The table in docs/operator.md ("The SHS flow") has the same steps."""
import pathlib
import shutil
import subprocess
import sys

import pydicom
from pydicom.fileset import FileSet

import cases
import media_import_test as media
import print_test as printing
from cases import equal, until
from node import Node, free_port, json_lines, object_files, work_folder

SHS, WORKSTATION = "SHS", "VITRINE"


class World(media.World):
    """dcmqrscp with two areas: QR for the title SHS alone, SINK for the node's own title alone."""

    def __init__(self, folder):
        super().__init__(folder)
        self.qr, self.laser_port, self.ours = free_port(), free_port(), free_port()
        self.old, self.burned = self.folder / "old", self.folder / "burned.iso"
        options = [f"shs.ae_title={SHS}", "jobs.back_off=300ms", "peer.QR.host=127.0.0.1", f"peer.QR.port={self.qr}",
                   "peer.SINK.host=127.0.0.1", f"peer.SINK.port={self.qr}", "prefetch.OLD.peer=QR", "prefetch.OLD.when=scheduled",
                   "prefetch.OLD.priors=1", "printer.LASER.host=127.0.0.1", f"printer.LASER.port={self.laser_port}",
                   "burner.DRIVE.adapter=command", f"burner.DRIVE.folder={self.folder}/drive",
                   f"burner.DRIVE.command=xorriso -as cdrecord dev=stdio:{self.burned} %i"]
        self.node = Node(self.folder / "archive", options)
        self.node.options[self.node.options.index(f"dicom.port={self.node.port}")] = f"dicom.port={self.ours}"
        self.node.command = [self.node.command[0], *self.node.options]
        self.node.port = self.ours
        self.archive = None

    def start(self):
        for name in ("qr", "sink"):
            (self.folder / name).mkdir()
        (self.folder / "qr.cfg").write_text(
            f"NetworkTCPPort = {self.qr}\nMaxPDUSize = 131072\nMaxAssociations = 16\nHostTable BEGIN\n"
            f"shs = ({SHS}, localhost, {self.ours})\nours = ({WORKSTATION}, localhost, {self.ours})\nHostTable END\nVendorTable BEGIN\n"
            f"VendorTable END\nAETable BEGIN\nQR {self.folder}/qr RW (500, 1024mb) shs\nSINK {self.folder}/sink RW (500, 1024mb) ours\nAETable END\n")
        self.archive = subprocess.Popen(["dcmqrscp", "-c", str(self.folder / "qr.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.dcmtk("echoscu", SHS, "QR").returncode == 0, "dcmqrscp answers")
        self.fill()

    def dcmtk(self, tool, calling, called, *words):
        return subprocess.run([tool, "-aet", calling, "-aec", called, "127.0.0.1", str(self.qr), *map(str, words)], capture_output=True,
                              text=True, errors="replace", timeout=60, check=False)

    def fill(self):
        """Two old studies of patient A1, whom the disc brings, and one of somebody else."""
        self.old.mkdir()
        for number, (patient, date) in enumerate((("A1", "20180101"), ("A1", "20190101"), ("Z9", "20190101"))):
            ds = media.instance(patient, f"2.25.60{number}", f"2.25.61{number}", 1)
            ds.StudyDate = date
            ds.save_as(self.old / f"{number}.dcm", write_like_original=False)
        equal(self.dcmtk("storescu", SHS, "QR", *sorted(self.old.iterdir())).returncode, 0, "stored at dcmqrscp")

    def held(self):
        return set(object_files(self.node.path))

    def close(self):
        if self.archive:
            self.archive.kill()
            self.archive.wait()


def uid_of(path):
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def case_a_disc_comes_in(world):
    done = world.node.cli("--json", "import", world.iso("disc.iso", "-R"), "--report")
    equal(done.returncode, 0, done.stderr)
    equal(media.counts(json_lines(done.stdout)[-1]), [7, 0, 0])


def case_other_archives_are_asked_as_shs(world):
    found = json_lines(world.node.cli("find", "QR", "PatientID=A1", "--json").stdout)
    equal(sorted(row["0020000D"]["Value"][0] for row in found), ["2.25.600", "2.25.601"], "what dcmqrscp shows to SHS")
    refused = world.node.cli("-o", "shs.ae_title=", "find", "QR", "PatientID=A1", "--json")
    equal(json_lines(refused.stdout), [], "and to nobody else")


def case_a_study_is_fetched_as_shs(world):
    done = world.node.cli("fetch", "QR", "PatientID=Z9")
    equal(done.returncode, 0, done.stdout + done.stderr)
    assert uid_of(world.old / "2.dcm") in world.held(), "by C-MOVE to SHS, at which the node answers"


def case_what_is_scheduled_brings_the_newest_prior_of_a_foreign_archive(world):
    done = world.node.cli("worklist", "add", "PatientName=Foreign^A1", "PatientID=A1", "Modality=CT", "ScheduledStationAETitle=CT1")
    equal(done.returncode, 0, done.stderr)
    until(lambda: uid_of(world.old / "1.dcm") in world.held(), "the prior came")
    until(lambda: all(job["state"] == "done" for job in json_lines(world.node.cli("job", "list", "--all", "--json").stdout)), "jobs that are done")
    assert uid_of(world.old / "0.dcm") not in world.held(), "only the newest was asked for"


def case_a_study_is_printed(world):
    with printing.Laser(world.folder / "laser", port=world.laser_port) as laser:
        done = world.node.cli("print", "LASER", "PatientID=A1", "StudyDate=20200101", "--layout", "2x2")
        equal(done.returncode, 0, done.stderr)
        until(lambda: len(laser.films()) == 1, "a film")
        equal(len(printing.boxes_of(laser.films()[0])), 3, "images")


def case_a_study_is_sent_by_the_archive_s_jobs(world):
    done = world.node.cli("send", "SINK", "PatientID=A1", "StudyDate=20200101")
    equal(done.returncode, 0, done.stderr)
    sent = {uid_of(path) for path in (world.folder / "sink").iterdir() if path.name != "index.dat"}
    equal(sent, {ds.SOPInstanceUID for ds in world.instances if ds.PatientID == "A1"}, "at an archive that admits the node's title alone")


def case_a_disc_goes_out_over_the_production_queue(world):
    number = json_lines(world.node.cli("--json", "export", "PatientID=A1", "--burn", "DRIVE").stdout)[-1]["job"]
    until(lambda: any(row["state"] == "done" for row in json_lines(world.node.cli("--json", "burn", "show", number).stdout)), "a disc")
    seen = world.folder / "seen"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", str(world.burned), "-extract", "/", str(seen)], check=True, capture_output=True, timeout=60)
    equal({i.SOPInstanceUID for i in FileSet(seen / "DICOMDIR")},
          {ds.SOPInstanceUID for ds in world.instances if ds.PatientID == "A1"} | {uid_of(world.old / "1.dcm")}, "what is on it")


def main():
    for tool in ("dcmqrscp", "dcmprscp", "xorriso"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return 77
    with work_folder("shs") as folder:
        world = World(pathlib.Path(folder))
        try:
            with world.node:
                world.start()
                return cases.run(globals(), world)
        finally:
            world.close()


if __name__ == "__main__":
    sys.exit(main())
