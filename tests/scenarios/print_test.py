#!/usr/bin/python3
"""Printing with foreign printers: DCMTK's dcmprscp, whose stored prints pydicom reads, and a colour printer made of bytes that
warns, tells events and refuses."""
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading

import numpy
import pydicom

import cases
from cases import equal, until
from node import Node, free_port, json_lines, work_folder
from rawdicom import (EXPLICIT, NO_DATA_SET, SECONDARY_CAPTURE, Association, Closed, element, elements_of, instance, part10, pdu,
                      item, text, us)

GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
WAIT = 60
COLOUR_META, PRINT_JOB = "1.2.840.10008.5.1.1.18", "1.2.840.10008.5.1.1.14"
FILM_BOX, ANNOTATION = "1.2.840.10008.5.1.1.2", "1.2.840.10008.5.1.1.15"

CONFIGURATION = """[[GENERAL]]
[APPLICATION]
LogDirectory = {work}/log
LogFile = general.log
[PRINT]
Server = dcmprscp
Spooler = dcmprscu
Directory = {work}/spool
Sleep = 1
MinPrintResolution = 16\\16
MaxPrintResolution = 8192\\8192
DeletePrintJobs = false
[DATABASE]
Directory = {work}/database
[LUT]
Directory = {work}/lut
[NETWORK]
aetitle = DCMPSTATE
{general}[[COMMUNICATION]]
[LASER]
Aetitle = LASER
Description = a laser imager
Hostname = localhost
Port = {port}
Type = LOCALPRINTER
BorderDensity = 150\\20\\BLACK\\WHITE
DisableNewVRs = false
DisplayFormat = 1,1\\2,2\\2,3\\4,5
EmptyImageDensity = 20\\BLACK\\WHITE
FilmDestination = MAGAZINE\\PROCESSOR
FilmSizeID = 8INX10IN\\14INX17IN
ImplicitOnly = {implicit}
MagnificationType = REPLICATE\\BILINEAR\\CUBIC\\NONE
MaxDensity = 320
MaxPDU = 32768
MediumType = PAPER\\CLEAR FILM\\BLUE FILM
MinDensity = 20
PresentationLUTMatchRequired = false
PresentationLUTinFilmSession = false
SmoothingType = NONE
Supports12Bit = true
SupportsPresentationLUT = {lut}
SupportsTrim = true
{more}"""


def wrap(data):
    """An item."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


class Laser:
    """dcmprscp; its stored prints lie in `database`."""
    def __init__(self, work, implicit="false", lut="true", general="", more="", port=None):
        self.work, self.port = work, port or free_port()
        for name in ("log", "spool", "database", "lut"):
            (work / name).mkdir(parents=True, exist_ok=True)
        (work / "printers.cfg").write_text(CONFIGURATION.format(work=work, port=self.port, implicit=implicit, lut=lut,
                                                                general=general, more=more))
        self.log = open(work / "dcmprscp.log", "wb")
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(["dcmprscp", "-v", "-c", str(self.work / "printers.cfg"), "-p", "LASER"], cwd=self.work,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        until(self.listens, "the printer listens")
        return self

    def listens(self):
        assert self.process.poll() is None, (self.work / "dcmprscp.log").read_text(errors="replace")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()

    def films(self):
        """Stored prints, oldest first."""
        found = [pydicom.dcmread(p) for p in sorted(self.work.glob("database/SP_*.dcm"), key=lambda p: p.stat().st_mtime_ns)]
        return found

    def hardcopies(self):
        return {d.SOPInstanceUID: d for d in (pydicom.dcmread(p) for p in self.work.glob("database/HG_*.dcm"))}


def write_ct(folder, count):
    """Slices whose values are 100 times their number at the left and 1000 more at the right."""
    folder.mkdir(exist_ok=True)
    paths = []
    for n in range(1, count + 1):
        rows = numpy.zeros((16, 16), "<i2")
        rows[:, :8], rows[:, 8:] = 100 * n, 100 * n + 1000
        data = b"".join([
            element(0x00080016, "UI", CT), element(0x00080018, "UI", f"1.2.77.{n}"), element(0x00080060, "CS", "CT"),
            element(0x00100010, "PN", "Print^Me"), element(0x00100020, "LO", "PR1"), element(0x0020000D, "UI", "1.2.77"),
            element(0x0020000E, "UI", "1.2.77.0"), element(0x00200011, "IS", "1"), element(0x00200013, "IS", str(n)),
            element(0x00280002, "US", 1), element(0x00280004, "CS", "MONOCHROME2"), element(0x00280010, "US", 16),
            element(0x00280011, "US", 16), element(0x00280100, "US", 16), element(0x00280101, "US", 16),
            element(0x00280102, "US", 15), element(0x00280103, "US", 1), element(0x00281050, "DS", str(100 * n + 500)),
            element(0x00281051, "DS", "1001"), element(0x7FE00010, "OW", rows.tobytes())])
        paths.append(folder / f"{n:03}.dcm")
        paths[-1].write_bytes(part10(data, EXPLICIT, CT, f"1.2.77.{n}"))
    return paths


def configuration(port, *more):
    return ["-o", "printer.LASER1.ae_title=LASER", "-o", "printer.LASER1.host=127.0.0.1", "-o", f"printer.LASER1.port={port}",
            *(word for one in more for word in ("-o", "printer.LASER1." + one))]


def boxes_of(film):
    return list(film.ImageBoxContentSequence)


def picture(laser, box):
    uid = box.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    return laser.hardcopies()[uid].pixel_array


def case_films_come_out_as_they_were_laid_out(node, work):
    paths = write_ct(work / "ct", 7)
    with Laser(work / "laser") as laser:
        done = node.cli("print", *configuration(laser.port, "film_size=14INX17IN", "medium=BLUE FILM"), "LASER1", work / "ct",
                        "--layout", "2x3", "--copies", "2", "--magnification", "CUBIC", "--orientation", "PORTRAIT", "--json")
        equal(done.returncode, 0, done.stderr)
        rows = json_lines(done.stdout)
        equal(rows[0]["status"], "NORMAL", "its status comes first")
        equal((rows[-1]["printed"], rows[-1]["films"]), (7, 2))
        until(lambda: len(laser.films()) == 2, "two films are stored")
        films = laser.films()
        equal([len(boxes_of(film)) for film in films], [6, 1])
        film = films[0].FilmBoxContentSequence[0]
        equal((film.ImageDisplayFormat, film.FilmSizeID, film.MagnificationType, film.FilmOrientation),
              ("STANDARD\\2,3", "14INX17IN", "CUBIC", "PORTRAIT"))
        for n, box in enumerate(boxes_of(films[0]), 1):
            equal(box.ImageBoxPosition, n)
            pixels = picture(laser, box)
            equal((pixels.shape, int(pixels[0, 0]), int(pixels[0, 15])), ((16, 16), 0, 255), f"image {n}, its own window")
        assert paths


def case_the_window_of_the_command_line_goes_before_the_image_s_own(node, work):
    with Laser(work / "windowed") as laser:
        done = node.cli("print", *configuration(laser.port), "LASER1", work / "ct/001.dcm", "--window", "1100/2001")
        equal(done.returncode, 0, done.stderr)
        until(lambda: len(laser.films()) == 1, "it is stored")
        pixels = picture(laser, boxes_of(laser.films()[0])[0])
        equal((int(pixels[0, 0]), int(pixels[0, 15])), (0, 128))


def case_twelve_bits_are_twelve_bits(node, work):
    with Laser(work / "deep") as laser:
        done = node.cli("print", *configuration(laser.port, "bits=12"), "LASER1", work / "ct/001.dcm", "--window", "1100/2001")
        equal(done.returncode, 0, done.stderr)
        until(lambda: len(laser.films()) == 1, "it is stored")
        box = boxes_of(laser.films()[0])[0]
        stored = laser.hardcopies()[box.ReferencedImageSequence[0].ReferencedSOPInstanceUID]
        pixels = picture(laser, box)
        equal((stored.BitsAllocated, stored.BitsStored, int(pixels[0, 0]), int(pixels[0, 15])), (16, 12, 1, 2049))


def case_a_presentation_state_gives_the_window(node, work):
    window = element(0x00281050, "DS", "1100") + element(0x00281051, "DS", "2001")
    other = element(0x00281050, "DS", "0") + element(0x00281051, "DS", "10")
    named = element(0x00081140, "SQ", wrap(element(0x00081150, "UI", CT) + element(0x00081155, "UI", "1.2.77.9")))
    data = element(0x00080016, "UI", GSPS) + element(0x00080018, "UI", "1.2.79.1") + \
        element(0x00283110, "SQ", wrap(named + other) + wrap(window))
    (work / "state.dcm").write_bytes(part10(data, EXPLICIT, GSPS, "1.2.79.1"))
    with Laser(work / "stated") as laser:
        done = node.cli("print", *configuration(laser.port), "LASER1", work / "ct/001.dcm", "--state", work / "state.dcm")
        equal(done.returncode, 0, done.stderr)
        until(lambda: len(laser.films()) == 1, "it is stored")
        equal(int(picture(laser, boxes_of(laser.films()[0])[0])[0, 15]), 128)


def case_an_implicit_printer_without_presentation_luts_prints_too(node, work):
    with Laser(work / "implicit", implicit="true", lut="false") as laser:
        done = node.cli("print", *configuration(laser.port), "LASER1", work / "ct/001.dcm", work / "ct/002.dcm")
        equal(done.returncode, 0, done.stderr)
        assert "2 images on 2 films" in done.stdout, done.stdout
        until(lambda: len(laser.films()) == 2, "two films are stored")


def case_a_layout_and_a_film_that_the_printer_has_not_are_named(node, work):
    with Laser(work / "refusing") as laser:
        done = node.cli("print", *configuration(laser.port), "LASER1", work / "ct/001.dcm", "--layout", "7x7")
        equal(done.returncode, 1)
        assert "film box" in done.stderr and "0106" in done.stderr, done.stderr
        done = node.cli("print", *configuration(laser.port), "LASER1", work / "ct/001.dcm", "--layout", "0x3")
        equal(done.returncode, 2)
        assert "no layout" in done.stderr, done.stderr
        equal(laser.films(), [])


def case_a_printer_that_is_not_there_is_told(node, work):
    done = node.cli("print", *configuration(free_port()), "LASER1", work / "ct/001.dcm")
    equal(done.returncode, 1)
    assert "LASER1" in done.stderr, done.stderr
    done = node.cli("print", "NOWHERE", work / "ct/001.dcm")
    equal(done.returncode, 2)
    assert "no [printer" in done.stderr, done.stderr


def case_what_has_no_picture_is_left_out(node, work):
    report = work / "report.dcm"
    data = element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.88.11") + element(0x00080018, "UI", "1.2.3.5")
    report.write_bytes(part10(data, EXPLICIT, "1.2.840.10008.5.1.4.1.1.88.11", "1.2.3.5"))
    with Laser(work / "left") as laser:
        done = node.cli("print", *configuration(laser.port), "LASER1", report, work / "ct/001.dcm")
        equal(done.returncode, 1)
        assert "left out: it has no picture" in done.stderr and "1 images on 1 films" in done.stdout, done.stderr + done.stdout


# ---- through the node ----

def jobs(node):
    return json_lines(node.cli("job", "list", "--kind", "print", "--json").stdout)


def case_the_node_prints_what_matches_as_a_job_that_waits_for_its_printer(node, work):
    for n in range(1, 8):
        data = (work / f"ct/{n:03}.dcm").read_bytes()
        with Association(node.port, contexts=[(CT, [EXPLICIT])]) as a:
            equal(a.store(CT, f"1.2.77.{n}", data[data.index(element(0x00080016, "UI", CT)):])[0], 0)
    refused = node.cli("print", "OFFICE", "PatientID=PR1", "--layout", "9")
    equal(refused.returncode, 2, refused.stderr)
    equal(node.cli("print", "OFFICE", "PatientID=NOBODY").returncode, 1)
    equal(node.cli("print", "OFFICE", "PatientID=PR1", "--layout", "2x2", "--background").returncode, 0)
    until(lambda: jobs(node)[0]["attempts"] >= 1, "an attempt failed")
    with Laser(work / "office", port=node.office) as laser:
        until(lambda: jobs(node)[0]["state"] == "done", "it is printed")
        equal([len(boxes_of(film)) for film in laser.films()], [4, 3])
        numbers = [int(picture(laser, box)[0, 15]) for film in laser.films() for box in boxes_of(film)]
        equal(numbers, [255] * 7)
        done = node.cli("print", "OFFICE", "SOPInstanceUID=1.2.77.3", "--json")
        equal(done.returncode, 0, done.stderr)
        equal(json_lines(done.stdout)[-1]["printed"], 1)


# ---- a printer made of bytes ----

def references(sop_class, root, count):
    items = [element(0x00081150, "UI", sop_class) + element(0x00081155, "UI", f"{root}.{n}") for n in range(count)]
    return b"".join(wrap(i) for i in items)


class Colour(threading.Thread):
    """A colour printer: tells an event in between, and keeps what it was given. `status`, `info`, `action` and `film` may be lists: of
    one association after the other, the last one for all that follow. `goes_away`: behind the first film the line is cut, once."""
    def __init__(self, status="NORMAL", info="NORMAL", action=0, boxes=2, film=0, visits=1, annotation=False, goes_away=False):
        super().__init__(daemon=True)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.script = {"status": status, "info": info, "action": action, "film": film}
        self.boxes, self.visits, self.visit, self.goes_away = boxes, visits, 0, goes_away
        self.accepts = (COLOUR_META, PRINT_JOB, ANNOTATION) if annotation else (COLOUR_META, PRINT_JOB)
        self.seen, self.images, self.texts, self.films = [], [], [], []
        self.event_answer, self.titles, self.error = None, None, None
        self.start()

    def run(self):
        for self.visit in range(self.visits):
            try:
                self.serve()
            except (Closed, OSError):
                pass
            except BaseException as e:      # shown by the case
                self.error = e

    def now(self, what):
        value = self.script[what]
        return value[min(self.visit, len(value) - 1)] if isinstance(value, list) else value

    def serve(self):
        peer = object.__new__(Association)
        peer.contexts, peer.timeout, peer.message_id, peer.accepted = [], WAIT, 0, {}
        peer.peer_max_pdu, peer.deadline = 16384, 0
        peer.socket = self.listener.accept()[0]
        _, body = peer.receive_pdu()
        self.titles = (body[4:20].decode().strip(), body[20:36].decode().strip())
        peer.send(pdu(2, body[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + self.answers(body) +
                      item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.99"))))
        while True:
            context, values, data = peer.receive_message()
            self.answer(peer, context, values, data)

    def answers(self, body):
        """Accepts what it offers with Explicit VR LE, refuses the rest."""
        out, at = b"", 68
        while at + 4 <= len(body):
            kind, _, length = struct.unpack_from(">BBH", body, at)
            if kind == 0x20:
                sub = body[at + 4:at + 4 + length]
                size, = struct.unpack_from(">H", sub, 6)
                wanted = sub[8:8 + size].decode() in self.accepts
                out += item(0x21, bytes([sub[0], 0, 0 if wanted else 3, 0]) + item(0x40, EXPLICIT.encode()))
            at += 4 + length
        return out

    def answer(self, peer, context, values, data):
        field = us(values, 0x0100)
        if field == 0x8100:
            self.event_answer = us(values, 0x0900)
            return
        sop_class = text(values, 0x0002) or text(values, 0x0003)
        uid = text(values, 0x1000) or text(values, 0x1001)
        self.seen.append((field, sop_class))
        status, reply = 0, None
        if field == 0x0110:
            reply = element(0x21100010, "CS", self.now("status")) + element(0x21100020, "CS", self.now("info")) + element(0x21100030, "LO", "Tinte")
        elif field == 0x0140 and sop_class == FILM_BOX:
            self.films.append(data)
            status = self.now("film")
            reply = element(0x20100510, "SQ", references("1.2.840.10008.5.1.1.4.1", "1.9", self.boxes))
            if ANNOTATION in self.accepts:
                reply += element(0x20100520, "SQ", references(ANNOTATION, "1.8", 2))
            event = element(0x21100020, "CS", "SUPPLY LOW")
            peer.send_message(context, {0x0002: "1.2.840.10008.5.1.1.16", 0x0100: 0x0100, 0x0110: 77, 0x0800: 0,
                                        0x1000: "1.2.840.10008.5.1.1.17", 0x1002: 2}, event)
        elif field == 0x0120 and sop_class == ANNOTATION:
            self.texts.append(data)
        elif field == 0x0120:
            self.images.append(data)
            status = 0xB604 if len(self.images) == 2 else 0
        elif field == 0x0130:
            status = self.now("action")
        elif field == 0x0150 and self.goes_away:
            self.goes_away = False
            peer.socket.close()
            raise Closed("away")
        command = {0x0002: sop_class, 0x0100: field | 0x8000, 0x0120: us(values, 0x0110), 0x0800: 0 if reply else NO_DATA_SET,
                   0x0900: status, 0x1000: uid}
        peer.send_message(context, command, reply)


def colour_files(work):
    folder = work / "rgb"
    folder.mkdir(exist_ok=True)
    pixels = bytes([255, 0, 0, 0, 255, 0]) * 8
    data = b"".join([element(0x00080016, "UI", SECONDARY_CAPTURE), element(0x00080018, "UI", "1.2.78.1"),
                     element(0x00280002, "US", 3), element(0x00280004, "CS", "RGB"), element(0x00280006, "US", 0),
                     element(0x00280010, "US", 4), element(0x00280011, "US", 4), element(0x00280100, "US", 8),
                     element(0x00280101, "US", 8), element(0x00280102, "US", 7), element(0x00280103, "US", 0),
                     element(0x7FE00010, "OB", pixels)])
    (folder / "a.dcm").write_bytes(part10(data, EXPLICIT, SECONDARY_CAPTURE, "1.2.78.1"))
    grey = instance("1.2.78.2", pixels=bytes(range(64)))
    (folder / "b.dcm").write_bytes(part10(grey, EXPLICIT, SECONDARY_CAPTURE, "1.2.78.2"))
    return folder


def print_colour(node, work, printer, *more):
    return node.cli("print", f"TINTE@127.0.0.1:{printer.port}", colour_files(work), "--colour", "--layout", "1x2", *more)


def case_a_colour_printer_gets_planes_and_its_warnings_and_events_are_told(node, work):
    printer = Colour()
    done = print_colour(node, work, printer, "--text", "Room 4")
    printer.join(WAIT)
    equal((done.returncode, printer.error), (0, None), done.stderr)
    equal([field for field, _ in printer.seen], [0x0110, 0x0140, 0x0140, 0x0120, 0x0120, 0x0130, 0x0150, 0x0150])
    equal(printer.event_answer, 0, "the event was answered")
    assert "SUPPLY LOW" in done.stderr and "B604" in done.stderr and "does not offer annotation" in done.stderr, done.stderr
    assert b"RGB" in printer.images[0] and bytes([255, 0] * 8) in printer.images[0], "red comes first, as a plane"
    assert bytes(i for i in range(0, 64)) not in printer.images[1], "grey was given its window"


def case_a_printer_without_film_prints_nothing_and_says_why(node, work):
    printer = Colour(status="FAILURE", info="SUPPLY EMPTY")
    done = print_colour(node, work, printer)
    printer.join(WAIT)
    equal((done.returncode, [field for field, _ in printer.seen]), (1, [0x0110]))
    assert "out of film" in done.stderr, done.stderr


def case_a_full_queue_is_a_sentence_and_the_film_is_taken_back(node, work):
    printer = Colour(action=0xC601)
    done = print_colour(node, work, printer)
    printer.join(WAIT)
    equal(done.returncode, 1)
    assert "C601" in done.stderr and "print queue is full" in done.stderr, done.stderr
    equal([field for field, _ in printer.seen][-2:], [0x0150, 0x0150], "film box and session were deleted")


def case_a_printer_with_fewer_boxes_than_the_layout_is_told(node, work):
    printer = Colour(boxes=1)
    done = print_colour(node, work, printer)
    printer.join(WAIT)
    equal(done.returncode, 1)
    assert "1 image boxes for the layout STANDARD\\1,2" in done.stderr, done.stderr


def case_the_shs_has_a_title_of_its_own(node, work):
    printer = Colour()
    done = print_colour(node, work, printer)
    printer.join(WAIT)
    equal((done.returncode, printer.titles), (0, ("TINTE", "SHS")))
    echoed = subprocess.run(["echoscu", "-aec", "SHS", "127.0.0.1", str(node.port)], capture_output=True, timeout=WAIT, check=False)
    equal(echoed.returncode, 0, "the node answers to it")


def main():
    for tool in ("dcmprscp", "echoscu"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return 77
    with work_folder("print") as folder:
        work = pathlib.Path(folder)
        office = free_port()
        node = Node(work / "archive", ["shs.ae_title=SHS", "printer.OFFICE.ae_title=LASER", "printer.OFFICE.host=127.0.0.1",
                                       f"printer.OFFICE.port={office}", "jobs.back_off=1s 1s"])
        node.office = office
        with node:
            return cases.run(globals(), node, work)


if __name__ == "__main__":
    sys.exit(main())
