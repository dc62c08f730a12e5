#!/usr/bin/python3
"""Printers by TLS (DCMTK's dcmprscp with UseTLS), what only some printers take (sizes, annotation), and printers that fail while a job
of the node prints: out of film, a full queue, another layout, a lost association, and the node itself killed in the middle."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy
import pydicom

import cases
import print_test as printing
from cases import equal, until
from node import Node, free_port, json_lines, work_folder
from print_test import CT, WAIT, Colour, Laser
from rawdicom import EXPLICIT, Association, element, part10
from tls_test import Authority

IMAGES = 8


class World:
    """A node with images to print and a laser imager by TLS in its configuration, and certificates of two authorities."""

    def __init__(self, work):
        self.work = work
        self.ca, self.stranger = Authority(work / "ca", "Print-CA"), Authority(work / "stranger", "Stranger-CA")
        self.ours, self.theirs = self.ca.sign("node"), self.ca.sign("laser")
        self.foreign = self.stranger.sign("foreign")
        self.paths, self.port = printing.write_ct(work / "ct", IMAGES), free_port()
        self.node = Node(work / "archive", ["jobs.back_off=300ms 300ms", *(f"printer.SAFE.{one}" for one in self.safe(self.port))])

    def safe(self, port, certificate=None):
        cert, key = certificate or self.ours
        return ["ae_title=LASER", "host=127.0.0.1", f"port={port}", "tls=yes", f"tls_certificate={cert}", f"tls_key={key}",
                f"tls_ca={self.ca.folder / 'ca.pem'}", "tls_subject=CN=laser"]

    def laser(self, name, port=None, certificate=None):
        """dcmprscp that speaks TLS only, and wants a certificate of ours."""
        cert, key = certificate or self.theirs
        tls = self.work / name / "tls"
        (tls / "cacerts").mkdir(parents=True)
        shutil.copy(cert, tls / "sitecert.pem")
        shutil.copy(key, tls / "sitekey.pem")
        shutil.copy(self.ca.folder / "ca.pem", tls / "cacerts")
        self.ca.openssl("rehash", str(tls / "cacerts"))
        general = f"[TLS]\nTLSDirectory = {tls}\nCACertificateDirectory = {tls}/cacerts\nUsePEMFormat = true\n"
        more = "UseTLS = true\nTLSProfile = BCP195\nPeerAuthentication = REQUIRE\nCertificate = sitecert.pem\nPrivateKey = sitekey.pem\n"
        return Laser(self.work / name, general=general, more=more, port=port)

    def print(self, options, *words):
        """By the command line; options of the printer LASER1."""
        return self.node.cli("print", *(word for one in options for word in ("-o", "printer.LASER1." + one)), "LASER1", *words)

    def job(self, *words):
        """Number of a new print job."""
        done = self.node.cli("print", *words, "--background", "--json")
        equal(done.returncode, 0, done.stderr)
        return json_lines(done.stdout)[-1]["job"]

    def state(self, number):
        return next(job for job in json_lines(self.node.cli("job", "list", "--all", "--json").stdout) if job["id"] == number)

    def ended(self, number, state):
        found = until(lambda: (lambda j: j if j["state"] not in ("waiting", "running") else None)(self.state(number)), f"the end of job {number}")
        equal(found["state"], state, found)
        return found


def tool(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", timeout=60, check=False)
    equal(done.returncode, 0, f"{words}: {done.stdout} {done.stderr}")


def portable(path):
    """The pixels of a PGM file."""
    match = re.match(rb"P5\s(?:#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+(\d+)\s", path.read_bytes())
    columns, rows, largest = map(int, match.groups())
    equal(largest, 255, path)
    return numpy.frombuffer(path.read_bytes()[match.end():], numpy.uint8)[:columns * rows].reshape(rows, columns).astype(int)


# ---- TLS ----

def case_a_printer_by_tls_prints_from_files_and_as_a_job(world):
    with world.laser("safe", world.port) as laser:
        done = world.print(world.safe(world.port), world.paths[0])
        equal(done.returncode, 0, done.stderr)
        world.ended(world.job("SAFE", "PatientID=PR1", "--layout", "2x2"), "done")
        until(lambda: len(laser.films()) == 3, "three films are stored")
        equal([len(printing.boxes_of(film)) for film in laser.films()], [1, 4, 4])
        status = world.node.cli("print", "SAFE", "--json")
        equal((status.returncode, json_lines(status.stdout)[0]["status"]), (0, "NORMAL"), status.stderr)
        done = world.node.cli("print", "-o", f"dicom.tls_certificate={world.ours[0]}", "-o", f"dicom.tls_key={world.ours[1]}", "-o",
                              f"dicom.tls_ca={world.ca.folder / 'ca.pem'}", f"LASER@127.0.0.1:{world.port}", "--tls")
        equal(done.returncode, 0, done.stderr)


def case_who_is_not_the_printer_or_not_us_gets_no_image(world):
    with world.laser("careful") as laser:
        port = laser.port
        plain = world.print(["ae_title=LASER", "host=127.0.0.1", f"port={port}", "timeout=10s"], world.paths[0])
        equal(plain.returncode, 1, "plain, to a printer by TLS")
        stranger = world.print(world.safe(port, world.foreign), world.paths[0])
        equal(stranger.returncode, 1, "with a certificate that the printer does not trust")
        other = [one for one in world.safe(port) if not one.startswith("tls_subject")] + ["tls_subject=CN=another"]
        done = world.print(other, world.paths[0])
        equal(done.returncode, 1, "another printer than the configuration names")
        assert "certificate" in done.stderr, done.stderr
        equal(laser.films(), [])
    with world.laser("false", certificate=world.foreign) as laser:
        done = world.print(world.safe(laser.port), world.paths[0])
        equal(done.returncode, 1, "a printer that an authority we do not trust has signed")
        assert "certificate" in done.stderr, done.stderr
        equal(laser.films(), [])


def case_a_printer_whose_certificates_cannot_be_read_stops_the_start(world):
    options = [f"printer.BAD.{one}" for one in world.safe(1, (world.work / "none.pem", world.work / "none.key"))]
    try:
        with Node(world.work / "unstarted", options):
            raise AssertionError("it started")
    except RuntimeError as e:
        assert "none.pem" in str(e), e


# ---- what only some printers take ----

def case_the_size_on_film_is_asked_for_where_the_printer_takes_it(world):
    with Laser(world.work / "sized", more="SupportsImageSize = true\nSupportsDecimateCrop = true\n") as laser:
        done = world.print(["ae_title=LASER", "host=127.0.0.1", f"port={laser.port}", "decimate=CROP"], world.paths[0], "--image-size", "123.5")
        equal(done.returncode, 0, done.stderr)
        until(lambda: len(laser.films()) == 1, "it is stored")
        box = printing.boxes_of(laser.films()[0])[0]
        equal((str(box.RequestedImageSize), box.RequestedDecimateCropBehavior), ("123.5", "CROP"), "in the image box")
    with Laser(world.work / "unsized") as laser:
        done = world.print(["ae_title=LASER", "host=127.0.0.1", f"port={laser.port}"], world.paths[0], "--image-size", "123.5")
        equal(done.returncode, 0, done.stderr)
        assert "0105" in done.stderr and "printed without" in done.stderr, done.stderr
        until(lambda: len(laser.films()) == 1, "it is printed all the same")
        assert "RequestedImageSize" not in printing.boxes_of(laser.films()[0])[0]
    done = world.print(["host=127.0.0.1", "port=1"], world.paths[0], "--image-size", "wide")
    equal(done.returncode, 2, done.stderr)


def case_annotations_go_where_they_are_offered_and_are_told_where_not(world):
    printer = Colour(annotation=True)
    done = printing.print_colour(world.node, world.work, printer, "--text", "Room 4|morning|third")
    printer.join(WAIT)
    equal((done.returncode, printer.error), (0, None), done.stderr)
    equal([b"Room 4" in printer.texts[0], b"morning" in printer.texts[1], len(printer.texts)], [True, True, 2])
    assert b"ANNOTATION" in printer.films[0], "the film is asked for with its display format"
    assert "room for 2 of 3 annotations" in done.stderr, done.stderr
    with Laser(world.work / "mute") as laser:
        done = world.print(["ae_title=LASER", "host=127.0.0.1", f"port={laser.port}"], world.paths[0], "--text", "Room 4")
        equal(done.returncode, 0, done.stderr)
        assert "does not offer annotation" in done.stderr, done.stderr
        until(lambda: len(laser.films()) == 1, "the film came all the same")


# ---- slides ----

def case_of_a_slide_its_overview_is_printed_and_no_tile(world):
    folder, slide = world.work / "slide", "1.2.840.10008.5.1.4.1.1.77.1.6"
    folder.mkdir()
    for uid, frames in (("1.2.79.1", 4), ("1.2.79.2", 1)):
        data = b"".join([
            element(0x00080016, "UI", slide), element(0x00080018, "UI", uid), element(0x00280002, "US", 3), element(0x00280004, "CS", "RGB"),
            element(0x00280006, "US", 0), element(0x00280008, "IS", str(frames)), element(0x00280010, "US", 4), element(0x00280011, "US", 4),
            element(0x00280100, "US", 8), element(0x00280101, "US", 8), element(0x00280102, "US", 7), element(0x00280103, "US", 0),
            element(0x7FE00010, "OB", bytes([200, 10, 20] * 16 * frames))])
        (folder / f"{frames}.dcm").write_bytes(part10(data, EXPLICIT, slide, uid))
    for words, images in (((), 1), (("--frame", "1"), 2)):
        printer = Colour()
        done = world.node.cli("print", f"TINTE@127.0.0.1:{printer.port}", folder, "--colour", "--layout", "1x2", *words)
        printer.join(WAIT)
        equal((len(printer.images), printer.error), (images, None), done.stderr)
        assert words or "a slide in tiles" in done.stderr, done.stderr


# ---- presentation states ----

def case_films_show_what_dcmtk_shows_of_a_presentation_state(world):
    """The same image and state, by dcmp2pgm and on film."""
    folder = world.work / "states"
    folder.mkdir()
    image = folder / "image.dcm"
    ds = pydicom.dcmread(world.paths[0])
    rows = numpy.add.outer(numpy.arange(16) * 40, numpy.arange(12) * 3).astype("<i2")
    ds.Rows, ds.Columns, ds.PixelData = 16, 12, rows.tobytes()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.78.500"
    ds.StudyDate, ds.StudyTime, ds.ReferringPhysicianName, ds.StudyID, ds.AccessionNumber = "20260101", "101010", "", "1", ""
    ds.PatientBirthDate, ds.PatientSex, ds.WindowCenter, ds.WindowWidth = "", "O", "300", "500"
    ds.save_as(image)
    with Laser(folder / "laser") as laser:
        for n, (degrees, flip, shape) in enumerate(((0, "N", "IDENTITY"), (90, "N", "INVERSE"), (270, "Y", "IDENTITY"), (180, "Y", "INVERSE"))):
            state, bitmap = folder / f"state{n}.dcm", folder / f"{n}.pgm"
            tool("dcmpsmk", "+Vw", image, state)
            tool("dcmodify", "-nb", "-i", f"ImageRotation={degrees}", "-i", f"ImageHorizontalFlip={flip}", "-m", f"PresentationLUTShape={shape}", state)
            tool("dcmp2pgm", "-p", state, image, bitmap)
            done = world.print(["ae_title=LASER", "host=127.0.0.1", f"port={laser.port}"], image, "--state", state)
            equal(done.returncode, 0, done.stderr)
            until(lambda n=n: len(laser.films()) == n + 1, "a film")
            seen = printing.picture(laser, printing.boxes_of(laser.films()[-1])[0]).astype(int)
            theirs = portable(bitmap)
            equal(seen.shape, theirs.shape, f"{degrees} {flip}")
            assert abs(seen - theirs).max() <= 2, (degrees, flip, shape, seen, theirs)


def case_what_films_do_not_show_of_a_state_is_told(world):
    state, other = world.work / "states/state0.dcm", world.work / "marked.dcm"
    ds = pydicom.dcmread(state)
    ds.ShutterShape = "RECTANGULAR"
    mark = pydicom.Dataset()
    mark.GraphicLayer = "ONE"
    ds.GraphicAnnotationSequence = pydicom.Sequence([mark])
    ds.save_as(other)
    with Laser(world.work / "told") as laser:
        options = ["ae_title=LASER", "host=127.0.0.1", f"port={laser.port}"]
        done = world.print(options, world.work / "states/image.dcm", "--state", other)
        equal(done.returncode, 0, done.stderr)
        assert "graphic annotations, a shutter" in done.stderr, done.stderr
        done = world.print(options, world.paths[0], "--state", state)
        equal(done.returncode, 0, done.stderr)
        assert "not one of the presentation state's" in done.stderr, done.stderr


# ---- jobs and printers that fail ----

def case_a_printer_out_of_film_is_waited_for(world):
    printer = Colour(status=["FAILURE", "FAILURE", "NORMAL"], info=["SUPPLY EMPTY", "SUPPLY EMPTY", "NORMAL"], visits=3)
    number = world.job(f"TINTE@127.0.0.1:{printer.port}", "SOPInstanceUID=1.2.77.1", "--colour", "--layout", "1x2")
    found = until(lambda: (lambda j: j if j["attempts"] else None)(world.state(number)), "an attempt")
    assert found["state"] == "done" or "out of film" in found["reason"], found
    world.ended(number, "done")
    printer.join(WAIT)
    equal((len(printer.images), printer.error), (1, None), "printed once, behind the third question")


def case_a_full_queue_is_tried_again_and_nothing_comes_twice(world):
    printer = Colour(action=[0xC601, 0], visits=2)
    number = world.job(f"TINTE@127.0.0.1:{printer.port}", "SOPInstanceUID=1.2.77.1", "--colour", "--layout", "1x2")
    world.ended(number, "done")
    printer.join(WAIT)
    fields = [field for field, _ in printer.seen]
    equal((fields.count(0x0130), fields.count(0x0150), printer.error), (2, 4, None), "two actions, all boxes and sessions deleted")


def case_a_layout_that_the_printer_refuses_ends_the_job_at_once(world):
    printer = Colour(film=0x0106)
    number = world.job(f"TINTE@127.0.0.1:{printer.port}", "SOPInstanceUID=1.2.77.1", "--colour", "--layout", "9x9")
    found = world.ended(number, "failed")
    printer.join(WAIT)
    assert "0106" in found["reason"] and "film box" in found["reason"], found
    equal((found["attempts"] <= 1, printer.images), (True, []), "no second attempt")
    with Laser(world.work / "strict") as laser:
        number = world.job(f"LASER@127.0.0.1:{laser.port}", "SOPInstanceUID=1.2.77.1", "--layout", "7x7")
        found = world.ended(number, "failed")
        assert "film box" in found["reason"], found
        equal((found["attempts"] <= 1, laser.films()), (True, []))


def case_a_lost_association_goes_on_with_the_next_film(world):
    printer = Colour(visits=2, goes_away=True)
    number = world.job(f"TINTE@127.0.0.1:{printer.port}", "PatientID=PR1", "SOPInstanceUID=1.2.77.1\\1.2.77.2\\1.2.77.3", "--colour",
                       "--layout", "1x2")
    world.ended(number, "done")
    printer.join(WAIT)
    equal((len(printer.films), len(printer.images), printer.error), (2, 3, None), "the first film is not printed again")


def case_a_killed_node_goes_on_with_the_film_it_was_at(world):
    with Laser(world.work / "patient") as laser:
        number = world.job(f"LASER@127.0.0.1:{laser.port}", "PatientID=PR1")
        until(lambda: len(laser.films()) >= 2, "two films are there")
        world.node.kill()
        world.node.start()
        found = world.ended(number, "done")
        films = until(lambda: (lambda f: f if len(f) >= IMAGES else None)(laser.films()), "all films")
        # What the printer had taken when the node died may come once more, nothing before it does.
        assert IMAGES <= len(films) <= IMAGES + 1, len(films)
        equal(found["done"], IMAGES, json.dumps(found))


def main():
    for name in ("dcmprscp", "openssl", "dcmp2pgm"):
        if not shutil.which(name):
            print(f"{name} is not installed")
            return 77
    with work_folder("print-faults") as folder:
        world = World(pathlib.Path(folder))
        with world.node as node:
            for n, path in enumerate(world.paths, 1):
                data = path.read_bytes()
                with Association(node.port, contexts=[(CT, [EXPLICIT])]) as a:
                    equal(a.store(CT, f"1.2.77.{n}", data[data.index(element(0x00080016, "UI", CT)):])[0], 0)
            return cases.run(globals(), world)


if __name__ == "__main__":
    sys.exit(main())
