#!/usr/bin/python3
"""Slides end to end: .svs into DICOM and back. Instances are judged by others: pydicom takes the tiles out, OpenSlide reads the original's pixels,
dciodvfy the attributes; the file that comes back must have the same SHA-256. Bad files are refused with a sentence and leave nothing."""
import hashlib
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import time

import numpy
import pydicom
from PIL import Image
from pydicom.encaps import generate_pixel_data_frame

import cases
import slides
from cases import equal
from node import BIN, Node, json_lines, shared_data, work_folder

WHOLE_SLIDE, RAW_DATA = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.66"
LONG = bool(os.environ.get("VT_LONG"))


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.slide = slides.pyramid(self.folder / "made.svs")

    def run(self, *words, archive=None):
        command = [str(BIN / "vitrine"), *(["-o", f"archive.path={archive}"] if archive else []), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=280, stdin=subprocess.DEVNULL,
                              check=False, env=dict(os.environ, VITRINE_CONF=""))

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        equal(done.returncode, 0, f"{words}: {done.stderr}")
        return done

    def convert(self, slide, name, *options):
        folder = self.folder / name
        self.ok("slide", "convert", slide, "-o", folder, *options)
        return folder

    def refused(self, path, say, *options):
        """A sentence, and nothing left behind."""
        out = self.folder / "refused"
        done = self.run("slide", "convert", path, "-o", out, *options)
        equal(done.returncode, 1, f"{path}: {done.stdout} {done.stderr}")
        if say not in done.stderr or len(done.stderr.strip().splitlines()) != 1:
            raise AssertionError(f"'{say}' is not in: {done.stderr}")
        equal(list(out.glob("*")) if out.exists() else [], [], f"{path} left files")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def levels(folder):
    found = {p.stem: pydicom.dcmread(p) for p in pathlib.Path(folder).glob("*.dcm")}
    return {name: ds for name, ds in found.items() if name.startswith("level")}, found


def frames(ds):
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        return list(generate_pixel_data_frame(ds.PixelData, int(ds.NumberOfFrames)))
    size = ds.Rows * ds.Columns * ds.SamplesPerPixel
    return [ds.PixelData[i * size:(i + 1) * size] for i in range(int(ds.NumberOfFrames))]


def picture(ds):
    """A level as one picture, as a viewer would draw it."""
    whole = Image.new("RGB", (ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows))
    columns = -(-ds.TotalPixelMatrixColumns // ds.Columns)
    for i, frame in enumerate(frames(ds)):
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            tile = Image.open(io.BytesIO(frame))
            # Without the transformation inside, JPEG 2000 gives the components as they are.
            if ds.file_meta.TransferSyntaxUID.endswith((".90", ".91")) and ds.PhotometricInterpretation.startswith("YBR_FULL"):
                tile = Image.merge("YCbCr", tile.split())
        else:
            tile = Image.frombytes("RGB", (ds.Columns, ds.Rows), frame)
        whole.paste(tile.convert("RGB"), (i % columns * ds.Columns, i // columns * ds.Rows))
    return whole


def same_pixels(slide, folder, most=0):
    import openslide
    original = openslide.OpenSlide(str(slide))
    for number, (name, ds) in enumerate(sorted(levels(folder)[0].items())):
        size = (ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows)
        equal(original.level_dimensions[number], size, f"{slide} {name}")
        wanted = numpy.asarray(original.read_region((0, 0), number, size).convert("RGB")).astype(int)
        worst = int(abs(numpy.asarray(picture(ds)).astype(int) - wanted).max())
        if worst > most:
            raise AssertionError(f"{slide} {name}: a pixel differs by {worst}")


# Of dciodvfy 2022: it expects all frames of the matrix in each part of a concatenation, and knows no JPEG 2000 whose colours were turned before it.
NOT_KNOWN = ("NumberOfFrames does not match expected value for tiled total pixel matrix", "Unrecognized enumerated value = <YBR_FULL>")


def valid(folder, but=""):
    for path in sorted(pathlib.Path(folder).glob("*.dcm")):
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace", check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines()
                  if line.startswith("Error") and not (but and but in line)]
        equal(errors, [], str(path))


# ---- convert and restore ----

def case_a_slide_made_here_becomes_valid_instances_with_the_pixels_openslide_sees(world):
    folder = world.convert(world.slide, "made")
    found, every = levels(folder)
    equal(sorted(every), ["label", "level-0", "level-1", "level-2", "original", "overview", "thumbnail"])
    for ds in found.values():
        equal((ds.SOPClassUID, ds.DimensionOrganizationType, ds.PhotometricInterpretation), (WHOLE_SLIDE, "TILED_FULL", "RGB"))
        equal(ds.file_meta.TransferSyntaxUID, "1.2.840.10008.1.2.4.50")
    equal(len({ds.FrameOfReferenceUID for ds in found.values()}), 1)
    equal(every["original"].SOPClassUID, RAW_DATA)
    equal(float(found["level-0"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0]), 0.000499)
    equal((found["level-0"].AcquisitionDateTime, every["label"].BarcodeValue), ("20260102030405", "S26-1001"))
    valid(folder)
    same_pixels(world.slide, folder)


def case_tiles_are_bit_identical_and_the_offset_table_finds_them(world):
    folder = world.folder / "made"
    image = slides.drawn(1500, 1100)
    pieces, _ = slides.tiled(image)
    ds = pydicom.dcmread(folder / "level-0.dcm")
    for piece, frame in zip(pieces, frames(ds)):
        if piece[2:] not in frame[-len(piece) - 1:]:
            raise AssertionError("a tile was changed")
    equal(struct.unpack("<HHI", ds.PixelData[:8]), (0xFFFE, 0xE000, 4 * int(ds.NumberOfFrames)))


def case_the_very_same_file_comes_back(world):
    for name, options in (("big", {"big": True}), ("whole", {"abbreviated": False}), ("odd", {"width": 241, "height": 239, "levels": 1})):
        slide = slides.pyramid(world.folder / f"{name}.svs", **options)
        folder = world.convert(slide, name)
        back = world.folder / f"{name}.back"
        world.ok("slide", "restore", folder, "-o", back)
        equal(sha256(back), sha256(slide), name)
        valid(folder)
        same_pixels(slide, folder)


def case_slides_of_others_are_converted_and_come_back(world):
    shared = shared_data()
    if not shared:
        return
    for name, most in (("CMU-1-Small-Region.svs", 0), ("synth-pyramid-jpeg.svs", 0), ("synth-jp2k-33005.svs", 0), ("synth-jp2k-33003.svs", 2),
                       ("small.svs", 0)):
        slide = shared / "slides" / name
        folder = world.convert(slide, "shared-" + name)
        valid(folder, NOT_KNOWN[1] if "33003" in name else "")
        same_pixels(slide, folder, most)
        world.ok("slide", "restore", folder, "-o", world.folder / "back.svs")
        equal(sha256(world.folder / "back.svs"), sha256(slide), name)
        (world.folder / "back.svs").unlink()
    folder = world.convert(shared / "slides/boxes.tiff", "boxes", "--mpp", "0.5")
    valid(folder)


def case_plain_and_compressed_tiff_pyramids_pass_too(world):
    image = slides.drawn(500, 400)
    image.save(world.folder / "plain.png")
    for compression in ("none", "lzw", "deflate", "jpeg"):
        slide = world.folder / f"{compression}.tif"
        subprocess.run(["vips", "tiffsave", str(world.folder / "plain.png"), str(slide), "--tile", "--pyramid", "--compression", compression,
                        "--tile-width", "128", "--tile-height", "128", "--xres", "2000", "--yres", "2000", "--resunit", "cm"],
                       check=True, capture_output=True)
        folder = world.convert(slide, compression)
        valid(folder)
        found, _ = levels(folder)
        spacing = found["level-0"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        equal(round(float(spacing[0]), 9), 0.0005, compression)
        if compression != "jpeg":
            equal(numpy.asarray(picture(found["level-0"])).tobytes(), image.tobytes(), compression)
        world.ok("slide", "restore", folder, "-o", world.folder / "tif.back")
        equal(sha256(world.folder / "tif.back"), sha256(slide), compression)
        (world.folder / "tif.back").unlink()


def case_other_formats_are_read_by_openslide_and_say_so(world):
    folder = world.convert(world.slide, "foreign", "--openslide")
    valid(folder)
    found, _ = levels(folder)
    equal(found["level-0"].ImageType[0], "DERIVED")
    if "OpenSlide" not in found["level-0"].DerivationDescription:
        raise AssertionError("it does not say that it was compressed again")
    same_pixels(world.slide, folder, 60)
    world.ok("slide", "restore", folder, "-o", world.folder / "foreign.back")
    equal(sha256(world.folder / "foreign.back"), sha256(world.slide))


# ---- options ----

def case_metadata_come_from_json_and_csv(world):
    names = world.folder / "names.json"
    names.write_text(json.dumps({"PatientID": 4711, "PatientName": "Müller^Anna", "AccessionNumber": "S26-1", "PatientSex": "F"}))
    one = pydicom.dcmread(world.convert(world.slide, "json", "--metadata", names) / "level-0.dcm")
    equal((one.PatientID, str(one.PatientName), one.AccessionNumber), ("4711", "Müller^Anna", "S26-1"))
    table = world.folder / "names.csv"
    table.write_text('file,PatientID,PatientName,AccessionNumber\r\nother.svs,1,"X",S1\r\nmade,4711,"Müller^Anna",S26-1\r\n')
    two = pydicom.dcmread(world.convert(world.slide, "csv", "--metadata", table) / "level-0.dcm")
    equal((two.PatientID, two.StudyInstanceUID), ("4711", one.StudyInstanceUID))
    table.write_text("barcode,PatientID\nS26-1000,A\nS26-1001,B\n")
    equal(pydicom.dcmread(world.convert(world.slide, "barcode", "--metadata", table) / "level-0.dcm").PatientID, "B")
    table.write_text("file,PatientID\nother.svs,1\n")
    world.refused(world.slide, "no line for made.svs", "--metadata", table)
    names.write_text(json.dumps({"PatientBirthDate": "tomorrow"}))
    world.refused(world.slide, "PatientBirthDate", "--metadata", names)


def case_a_dropped_label_leaves_no_trace(world):
    folder = world.convert(world.slide, "dropped", "--label", "drop")
    equal(sorted(p.stem for p in folder.glob("*.dcm")), ["level-0", "level-1", "level-2", "thumbnail"])
    for path in folder.glob("*.dcm"):
        if b"S26-1001" in path.read_bytes() or b"made by a test" in path.read_bytes():
            raise AssertionError(f"{path}: the barcode or the title is still there")
    masked = world.convert(world.slide, "masked", "--label", "mask")
    label = pydicom.dcmread(masked / "label.dcm")
    equal((set(label.PixelData), label.BarcodeValue, label.BurnedInAnnotation), ({0}, "", "NO"))
    valid(masked)


def case_a_level_may_be_split_into_a_concatenation(world):
    slide = slides.large(world.folder / "large.svs", 5)
    folder = world.convert(slide, "split", "--concat-bytes", 2000000)
    parts = [pydicom.dcmread(p) for p in sorted(folder.glob("level-0-part-*.dcm"))]
    if len(parts) < 2:
        raise AssertionError(f"{len(parts)} parts")
    equal(len({p.ConcatenationUID for p in parts}), 1)
    equal([p.InConcatenationNumber for p in parts], list(range(1, len(parts) + 1)))
    equal(parts[1].ConcatenationFrameOffsetNumber, int(parts[0].NumberOfFrames))
    valid(folder, NOT_KNOWN[0])
    world.ok("slide", "restore", folder, "-o", world.folder / "split.back")
    equal(sha256(world.folder / "split.back"), sha256(slide))


def case_a_level_may_be_dicom_and_tiff_at_once(world):
    import openslide
    from PIL import TiffImagePlugin
    plain = world.folder / "dual-plain.tif"
    slides.drawn(500, 400).save(world.folder / "dual.png")
    subprocess.run(["vips", "tiffsave", str(world.folder / "dual.png"), str(plain), "--tile", "--pyramid", "--compression", "jpeg", "--Q", "80",
                    "--tile-width", "128", "--tile-height", "128", "--xres", "2000", "--yres", "2000", "--resunit", "cm"], check=True, capture_output=True)
    for name, slide in (("dual", world.slide), ("dual-ycbcr", plain)):
        folder = world.convert(slide, name, "--dual")
        valid(folder)
        same_pixels(slide, folder)
        for level, ds in levels(folder)[0].items():
            with TiffImagePlugin.TiffImageFile(folder / f"{level}.dcm") as picture:
                equal(picture.size, (ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows), level)
            said = subprocess.run(["tiffinfo", str(folder / f"{level}.dcm")], capture_output=True, text=True, check=False)
            equal((said.returncode, "rror" in said.stderr), (0, False), said.stderr)
            original, as_tiff = openslide.OpenSlide(str(slide)), openslide.OpenSlide(str(folder / f"{level}.dcm"))
            number = int(level.split("-")[1])
            equal(as_tiff.dimensions, original.level_dimensions[number])
            wanted = original.read_region((0, 0), number, as_tiff.dimensions).tobytes()
            equal(as_tiff.read_region((0, 0), 0, as_tiff.dimensions).tobytes() == wanted, True, level)
        world.ok("slide", "restore", folder, "-o", world.folder / f"{name}.back")
        equal(sha256(world.folder / f"{name}.back"), sha256(slide))


# ---- bad input ----

def case_bad_files_are_refused_with_a_sentence(world):
    whole = world.slide.read_bytes()
    bad = world.folder / "bad.svs"
    for content, say in ((whole[:len(whole) // 2], "bad.svs"), (b"II*\0" + b"\xff" * 40, "bad.svs"), (b"", "bad.svs"), (b"not a slide at all", "bad.svs"),
                         (whole[:4] + struct.pack("<I", 4) + whole[8:], "bad.svs")):
        bad.write_bytes(content)
        world.refused(bad, say)
    base = slides.drawn(500, 480)
    pieces, tables = slides.tiled(base)
    text = slides.DESCRIPTION.format(w=500, h=480, t=240)

    def made(**changes):
        page = dict(width=500, height=480, pieces=pieces, tile=240, description=text, tables=tables)
        page.update(changes)
        return slides.write(bad, [slides.Page(**page)])
    world.refused(made(description=text.replace("MPP = 0.4990", "")), "--mpp")
    world.refused(made(tables=None), "without tables")
    world.refused(made(pieces=pieces[:-1]), "instead of 6")
    world.refused(made(pieces=[pieces[0], b"\xff\xd8rubbish" * 9, *pieces[2:]]), "tile 1")
    world.refused(made(pieces=[b"", *pieces[1:]]), "--fill-holes")
    world.refused(made(tile=256, pieces=pieces[:4]), "codestream")
    world.refused(made(width=2 ** 31 - 1, height=2 ** 31 - 1), "tiles")
    world.refused(made(tile=None, rows_per_strip=80, compression=1, pieces=[base.tobytes()[i * 120000:(i + 1) * 120000] for i in range(6)]), "no slide")
    shared = shared_data()
    for name, say in (("small-ifd-loop.svs", "loop"), ("unreadable.svs", "tile 0"), ("CMU-1-truncated-900kB.svs", "900000"), ("unopenable.tiff", "")):
        if shared:
            world.refused(shared / "slides" / name, say)


def case_what_can_be_read_all_the_same_is_read(world):
    base = slides.drawn(500, 480)
    pieces, tables = slides.tiled(base)
    text = slides.DESCRIPTION.format(w=500, h=480, t=240)
    odd = text.replace("MPP = 0.4990", "MPP = 0,2510").replace("made by a test", "M\xfcller").encode("latin-1")
    slide = slides.write(world.folder / "odd2.svs", [slides.Page(500, 480, [*pieces[:-1], b""], tile=240, description=odd, tables=tables)])
    folder = world.convert(slide, "odd2")
    ds = pydicom.dcmread(folder / "level-0.dcm")
    equal(float(ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0]), 0.000251)
    equal(ds.DerivationDescription, "1 tiles without data filled with white")
    equal(numpy.asarray(Image.open(io.BytesIO(frames(ds)[-1]))).min(), 255)
    valid(folder)
    world.ok("slide", "restore", folder, "-o", world.folder / "odd2.back")
    equal(sha256(world.folder / "odd2.back"), sha256(slide))


# ---- the archive ----

def case_import_stores_once_and_restore_gives_it_back(world):
    with Node(world.folder / "node") as node:
        (world.folder / "slides.csv").write_text("barcode,PatientID\nS26-1001,B7\n")
        first = json_lines(node.cli("--json", "import", world.slide).stdout)
        equal([row["PatientID"] for row in json_lines(node.cli("--json", "study", "list").stdout)], ["B7"])
        equal((first[0]["result"], first[0]["verified"], first[-1]["stored"]), ("stored", True, 7))
        again = json_lines(node.cli("--json", "import", world.slide).stdout)
        equal((again[0]["result"], again[0]["verified"], again[-1]["duplicates"]), ("duplicate", True, 7))
        done = node.cli("slide", "restore", f"StudyInstanceUID={first[0]['StudyInstanceUID']}", "-o", world.folder / "archive.back")
        equal(done.returncode, 0, done.stderr)
        equal(sha256(world.folder / "archive.back"), sha256(world.slide))
        bad = world.folder / "cut.svs"
        bad.write_bytes(world.slide.read_bytes()[:100000])
        done = node.cli("import", bad)
        equal(done.returncode, 1, done.stdout)
        equal(len(json_lines(node.cli("--json", "study", "list").stdout)), 1, "studies")
        equal(node.cli("verify").returncode, 0)


def case_the_worklist_knows_whose_slide_it_is(world):
    folder = world.folder / "ordered"
    folder.mkdir()
    slide = slides.pyramid(folder / "S26-2002-A1.svs", width=500, height=400, levels=1)
    scanner = folder / "scanner"
    with Node(folder / "node", [f"slides.watch={scanner}", "slides.settle=300ms", "slides.every=100ms", "slides.worklist=yes"]) as node:
        def order(patient, accession, more=""):
            done = node.cli("worklist", "add", f"PatientID={patient}", f"PatientName=Ordered^{patient}", f"AccessionNumber={accession}", "Modality=SM",
                            "ScheduledStationAETitle=SCANNER", "StudyInstanceUID=1.2.826.0.1." + accession.replace("S26-", "26").replace("-", ".") + more)
            equal(done.returncode, 0, done.stderr)
        done = node.cli("--json", "import", "--worklist", slide)
        row = json_lines(done.stdout)[0]
        equal((row["result"], row["text"]), ("failed", "the worklist has no order for S26-2002-A1.svs or barcode S26-1001"))
        order("W20", "S26-200")
        order("W1", "S26-2002")
        row = json_lines(node.cli("--json", "import", "--worklist", slide).stdout)[0]
        equal((row["result"], row["StudyInstanceUID"]), ("stored", "1.2.826.0.1.262002"))
        equal([s["PatientID"] for s in json_lines(node.cli("--json", "study", "list").stdout)], ["W1"])
        order("W3", "S26-1001")   # the barcode of the whole slide, which counts more
        (scanner / "anything.svs").write_bytes(world.slide.read_bytes())
        wait_for(lambda: (scanner / "done/anything.svs").exists())
        equal(sorted(s["PatientID"] for s in json_lines(node.cli("--json", "study", "list").stdout)), ["W1", "W3"])
        order("W4", "S26-1001", ".4")
        row = json_lines(node.cli("--json", "import", "--worklist", world.slide).stdout)[0]
        equal((row["result"], row["text"][:43]), ("failed", "several orders of the worklist fit made.svs"))


def case_an_import_may_be_a_job(world):
    with Node(world.folder / "later") as node:
        job = str(json_lines(node.cli("--json", "import", "--background", world.slide).stdout)[0]["job"])

        def row():
            return next(r for r in json_lines(node.cli("--json", "job", "list").stdout) if str(r["id"]) == job)
        wait_for(lambda: row()["state"] not in ("waiting", "queued", "running"))
        equal((row()["state"], row()["kind"], row()["done_bytes"]), ("done", "import", world.slide.stat().st_size))
        done = node.cli("slide", "restore", "Modality=SM", "-o", world.folder / "later.back")
        equal((done.returncode, sha256(world.folder / "later.back")), (0, sha256(world.slide)), done.stderr)


def case_another_node_that_holds_the_study_can_restore(world):
    with Node(world.folder / "node") as one, Node(world.folder / "other") as other:
        files = world.folder / "node" / "objects"
        done = one.cli("send", f"VITRINE@127.0.0.1:{other.port}", files)
        equal(done.returncode, 0, done.stderr)
        done = other.cli("slide", "restore", "Modality=SM", "-o", world.folder / "other.back")
        equal(done.returncode, 0, done.stderr)
        equal(sha256(world.folder / "other.back"), sha256(world.slide))
        got = world.folder / "got"
        done = other.cli("get", f"VITRINE@127.0.0.1:{other.port}", "-o", got, "Modality=SM", "--level", "series")
        equal(done.returncode, 0, done.stderr)
        world.ok("slide", "restore", got, "-o", world.folder / "got.back")
        equal(sha256(world.folder / "got.back"), sha256(world.slide))


def case_a_watched_folder_takes_slides_that_lie_still(world):
    scanner = world.folder / "scanner"
    scanner.mkdir()
    options = [f"slides.watch={scanner}", "slides.settle=300ms", "slides.every=100ms"]
    with Node(world.folder / "watching", options) as node:
        (scanner / "bad.svs").write_bytes(world.slide.read_bytes()[:50000])
        (scanner / "good.json").write_text(json.dumps({"PatientID": "W1"}))
        (scanner / "good.svs").write_bytes(world.slide.read_bytes())
        reason = scanner / "failed/bad.svs.reason.txt"
        wait_for(lambda: (scanner / "done/good.svs").exists() and reason.exists())
        if "bad.svs" not in reason.read_text():
            raise AssertionError(reason.read_text())
        equal(sorted(p.name for p in scanner.glob("*")), ["done", "failed"])
        equal(sorted(p.name for p in (scanner / "done").glob("*")), ["good.json", "good.svs"])
        equal([row["PatientID"] for row in json_lines(node.cli("--json", "study", "list").stdout)], ["W1"])


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)


def case_a_slide_of_more_than_four_gigabytes_passes(world):
    if not LONG:
        return
    slide = slides.pyramid(world.folder / "huge.svs", big=True, gap=4400 << 20)
    node = world.folder / "huge-node"
    row = json_lines(world.ok("--json", "import", slide, archive=node).stdout)[0]
    equal((row["verified"], row["bytes"] > 1 << 32), (True, True))
    world.ok("slide", "restore", "Modality=SM", "-o", world.folder / "huge.back", archive=node)
    equal(sha256(world.folder / "huge.back"), sha256(slide))


def main():
    with work_folder("slide") as folder:
        world = World(folder)
        return cases.run(globals(), world)


if __name__ == "__main__":
    sys.exit(main())
