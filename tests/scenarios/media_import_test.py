#!/usr/bin/python3
"""Discs in: file-sets made by pydicom and by dcmmkdir, as folders, ISO images (xorriso) and ZIP files; the variants of DICOMDIR in the shared
data; and media that mean harm. What the archive has afterwards is compared with what was on the medium."""
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import zipfile

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import cases
from cases import equal
from node import BIN, Node, json_lines, shared_data, work_folder

CT = "1.2.840.10008.5.1.4.1.1.2"


def instance(patient, study, series, number):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CT
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = patient, f"Foreign^{patient}", "19500101", "F"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, "CT"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200101", "120000", "1", ""
    ds.ReferringPhysicianName = ""
    ds.SeriesNumber, ds.InstanceNumber, ds.StudyDescription = 1, number, "disc"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.FrameOfReferenceUID = generate_uid()
    ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing = [0, 0, number], [1, 0, 0, 0, 1, 0], [1, 1]
    ds.Rows = ds.Columns = 16
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 16, 12, 11, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes((i * number) & 0xff if i % 2 == 0 else 0 for i in range(512))
    ds.is_little_endian, ds.is_implicit_VR = True, False
    return ds


class World:
    """A foreign file-set of two patients, seven instances, written by pydicom."""

    def __init__(self, folder):
        self.folder, self.count = pathlib.Path(folder), 0
        self.instances = []
        fileset = FileSet()
        for patient, studies in (("A1", 1), ("B2", 2)):
            for _ in range(studies):
                study, series = generate_uid(), generate_uid()
                for number in range(1, 4 if patient == "A1" else 3):
                    self.instances.append(instance(patient, study, series, number))
                    fileset.add(self.instances[-1])
        self.disc = self.folder / "disc"
        fileset.write(self.disc)
        (self.disc / "README.TXT").write_text("not DICOM\n")

    def fresh(self):
        self.count += 1
        return self.folder / f"archive{self.count}"

    def run(self, archive, *words):
        return subprocess.run([str(BIN / "vitrine"), "-o", f"archive.path={archive}", "--json", *map(str, words)], capture_output=True,
                              text=True, errors="replace", timeout=120, stdin=subprocess.DEVNULL, check=False)

    def take(self, *words, archive=None, status=0):
        """The rows and the counts of an import."""
        done = self.run(archive or self.fresh(), "import", *words)
        equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
        rows = json_lines(done.stdout)
        return rows[:-1], rows[-1]

    def copy(self, name):
        return pathlib.Path(shutil.copytree(self.disc, self.folder / name, symlinks=True))

    def zip(self, name, *more):
        path = self.folder / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            for file in sorted(self.disc.rglob("*")):
                if file.is_file():
                    out.write(file, file.relative_to(self.disc))
            for entry, data in more:
                out.writestr(entry, data)
        return path

    def iso(self, name, *options):
        path = self.folder / name
        subprocess.run(["xorriso", "-as", "mkisofs", *options, "-o", str(path), str(self.disc)], check=True, capture_output=True, timeout=60)
        return path


def counts(result):
    return [result[key] for key in ("stored", "duplicates", "failed")]


def texts(rows):
    return " | ".join(f"{row['result']}: {row['text']}" for row in rows)


def case_a_folder_a_dicomdir_an_iso_and_a_zip_give_the_same_instances(world):
    media = [world.disc, world.disc / "DICOMDIR", world.iso("plain.iso"), world.iso("rock.iso", "-R"), world.iso("joliet.iso", "-J"),
             world.zip("disc.zip")]
    for medium in media:
        archive = world.fresh()
        rows, result = world.take(medium, archive=archive)
        equal((rows, counts(result)), ([], [7, 0, 0]), str(medium))
        equal(counts(world.take(medium, archive=archive)[1]), [0, 7, 0], f"{medium} again")
        stored = {pydicom.dcmread(path).SOPInstanceUID: path for path in archive.glob("objects/**/*.dcm")}
        for ds in world.instances:
            equal(pydicom.dcmread(stored[ds.SOPInstanceUID]), ds, str(medium))


def case_a_report_has_a_row_for_every_file(world):
    for medium in (world.disc, world.zip("report.zip")):
        rows, result = world.take(medium, "--report")
        equal(sorted(row["result"] for row in rows), ["directory", "skipped"] + 7 * ["stored"], str(medium))
        equal(result["skipped"], 2, "DICOMDIR and README.TXT")


def case_dcmmkdir_made_directories_are_whole(world):
    folder = world.copy("dcmmkdir")
    (folder / "DICOMDIR").unlink()
    subprocess.run(["dcmmkdir", "-Pgp", "+r", "+id", "."], cwd=folder, check=True, capture_output=True, timeout=60)
    rows, result = world.take(folder / "DICOMDIR")
    equal((rows, counts(result)), ([], [7, 0, 0]), "by dcmmkdir")


def case_what_the_directory_names_and_the_medium_lacks_is_told(world):
    folder = world.copy("missing")
    gone = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("DICOMDIR", "README.TXT"))
    gone.unlink()
    for path in (folder, folder / "DICOMDIR"):
        rows, result = world.take(path, status=1)
        equal(counts(result), [6, 0, 1], str(path))
        assert "not there" in texts(rows) and rows[0]["file"] == str(gone), rows


def case_links_out_of_a_medium_are_not_followed(world):
    folder = world.copy("links")
    victim = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("DICOMDIR", "README.TXT"))
    shutil.move(victim, world.folder / "outside.dcm")
    victim.symlink_to(world.folder / "outside.dcm")
    rows, result = world.take(folder / "DICOMDIR", status=1)
    equal(counts(result), [6, 0, 1], "one is a link")
    assert "link" in texts(rows), rows
    equal(world.take(folder, status=1)[1]["stored"], 6, "the folder itself")


def case_a_zip_that_climbs_out_is_refused_file_by_file(world):
    data = (world.disc / "DICOMDIR").read_bytes()
    link = zipfile.ZipInfo("LINK")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    rows, result = world.take(world.zip("climb.zip", ("../../evil.dcm", data), ("/etc/evil", data), (link, "/etc/passwd")), status=1)
    equal(counts(result), [7, 0, 3], texts(rows))
    for word in ("leads out", "absolute", "symbolic link"):
        assert word in texts(rows), rows
    assert not (world.folder / "evil.dcm").exists() and not (world.folder.parent / "evil.dcm").exists()


def case_a_zip_bomb_ends_where_it_is_noticed(world):
    path = world.folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        with open(next(p for p in world.disc.rglob("*") if p.is_file() and p.parent != world.disc), "rb") as file:
            head = file.read()
        with out.open("IM0", "w", force_zip64=True) as entry:
            entry.write(head[:-512])
            for _ in range(160):
                entry.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    rows, result = world.take(path, status=1)
    assert counts(result)[0] == 0 and counts(result)[2] >= 1, (rows, result)


def case_a_zip_whose_files_all_are_one_is_read_once(world):
    """Its directory names the same compressed bytes again and again."""
    path, data = world.folder / "overlap.zip", bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        out.writestr("IM0", data)
    whole = path.read_bytes()
    at, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    entry, count = whole[at:end], 4000
    names = [entry.replace(b"IM0", b"%03x" % i, 1) for i in range(count)]
    size = sum(map(len, names))
    path.write_bytes(whole[:at] + b"".join(names) + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, at, 0))
    rows, result = world.take(path, "--report")
    equal((counts(result), result["skipped"], len(rows)), ([0, 0, 0], 1, 1), texts(rows))


def case_a_directory_that_unpacks_without_end_is_not_read_to_its_end(world):
    path = world.folder / "directory-bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(world.disc.rglob("*")):
            if file.is_file() and file.name != "DICOMDIR":
                out.write(file, file.relative_to(world.disc))
        with out.open("DICOMDIR", "w", force_zip64=True) as entry:
            for _ in range(300):
                entry.write(bytes(1 << 20))
    rows, result = world.take(path)
    equal((counts(result), [row["result"] for row in rows]), ([7, 0, 0], ["damaged"]), texts(rows))


def case_encrypted_files_are_refused_one_by_one(world):
    path = world.zip("encrypted.zip")
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark)
        data[at + flags] |= 1
    path.write_bytes(bytes(data))
    rows, result = world.take(path, status=1)
    assert counts(result)[2] >= 1 and "encrypted" in texts(rows), (rows, result)
    assert counts(result)[0] >= 6, (rows, result)


def case_a_truncated_disc_is_told(world):
    for source in (world.iso("cut.iso", "-R"), world.zip("cut.zip")):
        data = source.read_bytes()
        source.write_bytes(data[: len(data) * 2 // 3] if source.suffix == ".zip" else data[: 36 << 10])
        rows, result = world.take(source, status=1)
        assert counts(result)[2] >= 1 and "damaged" in texts(rows), (rows, result)


def case_a_damaged_directory_falls_back_to_the_files_and_says_so(world):
    folder = world.copy("damaged")
    data = (folder / "DICOMDIR").read_bytes()
    at = data.index(b"\x04\x00\x00\x14UL\x04\x00") + 8
    (folder / "DICOMDIR").write_bytes(data[:at] + b"\x11\x11\x11\x00" + data[at + 4:])
    for path in (folder, folder / "DICOMDIR"):
        rows, result = world.take(path)
        equal(counts(result), [7, 0, 0], str(path))
        equal([row["result"] for row in rows], ["damaged"], str(path))
        assert "offset" in rows[0]["text"] and "instead" in rows[0]["text"], rows
    with zipfile.ZipFile(world.folder / "damaged.zip", "w") as out:
        for file in folder.rglob("*"):
            if file.is_file():
                out.write(file, file.relative_to(folder))
    rows, result = world.take(world.folder / "damaged.zip")
    equal((counts(result), [row["result"] for row in rows]), ([7, 0, 0], ["damaged"]), "in a ZIP file")


def case_records_that_run_in_a_loop_fall_back_to_the_files(world):
    folder = world.copy("loop")
    data = bytearray((folder / "DICOMDIR").read_bytes())
    first = data.index(b"\x04\x00\x00\x12UL\x04\x00") + 8
    changed, at = 0, data.find(b"\x04\x00\x00\x14UL\x04\x00")
    while at >= 0:
        if any(data[at + 8:at + 12]):
            data[at + 8:at + 12] = data[first:first + 4]
            changed += 1
        at = data.find(b"\x04\x00\x00\x14UL\x04\x00", at + 8)
    assert changed, "a record with a next one"
    (folder / "DICOMDIR").write_bytes(bytes(data))
    for path in (folder, folder / "DICOMDIR"):
        rows, result = world.take(path)
        equal((counts(result), [row["result"] for row in rows]), ([7, 0, 0], ["damaged"]), texts(rows))
        assert "loop" in rows[0]["text"] and "instead" in rows[0]["text"], rows


def case_a_udf_image_is_told_what_to_do_with(world):
    image = bytearray(64 << 10)
    for sector, name in ((16, b"BEA01"), (17, b"NSR03"), (18, b"TEA01")):
        image[sector * 2048 + 1:sector * 2048 + 6] = name
    path = world.folder / "udf.iso"
    path.write_bytes(image)
    rows, _ = world.take(path, status=1)
    assert "UDF" in texts(rows) and "mount" in texts(rows), rows


def case_a_private_transfer_syntax_within_a_zip_is_told(world):
    ds = instance("PRIV", generate_uid(), generate_uid(), 1)
    ds.file_meta.TransferSyntaxUID = "1.2.826.0.1.99.7"
    ds.save_as(world.folder / "private.dcm", write_like_original=False)
    path = world.zip("private.zip", ("PRIVATE", (world.folder / "private.dcm").read_bytes()))
    rows, result = world.take(path, status=1)
    equal(counts(result), [7, 0, 1], texts(rows))
    assert "1.2.826.0.1.99.7" in texts(rows) and "copy the file" in texts(rows), rows


def case_a_file_that_is_named_twice_comes_once(world):
    folder = world.copy("twice")
    directory = pydicom.dcmread(folder / "DICOMDIR")
    images = [record for record in directory.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
    images[1].ReferencedFileID = images[0].ReferencedFileID
    images[1].ReferencedSOPInstanceUIDInFile = images[0].ReferencedSOPInstanceUIDInFile
    (folder / "DICOMDIR").unlink()
    directory.save_as(folder / "DICOMDIR")
    rows, result = world.take(folder / "DICOMDIR")
    assert counts(result)[0] + counts(result)[1] in (6, 7) and counts(result)[2] == 0, (rows, result)
    equal(counts(result)[0], 6, "one was never named")


def case_patient_id_puts_what_is_new_under_a_patient_known_here_and_back(world):
    with Node(world.fresh()) as node:
        local = world.folder / "local.dcm"
        instance("LOCAL", generate_uid(), generate_uid(), 1).save_as(local, write_like_original=False)
        equal(node.cli("import", local).returncode, 0, "the local patient")
        done = node.cli("import", world.disc, "--patient-id", "NOBODY")
        assert done.returncode != 0 and "NOBODY" in done.stderr, done
        done = node.cli("--json", "import", world.disc, "--patient-id", "LOCAL")
        equal(done.returncode, 0, done.stderr)
        equal(json_lines(done.stdout)[-1]["moved"], 3, "studies")
        listed = json_lines(node.cli("--json", "study", "list").stdout)
        equal({row["PatientID"] for row in listed}, {"LOCAL"}, "where they stand")
        out = world.folder / "fetched"
        equal(node.cli("get", f"VITRINE@127.0.0.1:{node.port}", f"StudyInstanceUID={world.instances[0].StudyInstanceUID}", "-o",
                       out).returncode in (0, 2), True, "get")
        for path in out.rglob("*.dcm"):
            ds = pydicom.dcmread(path)
            equal(ds.PatientID, "LOCAL", "on the way out")
            equal(ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID, "A1", "the original")
        kept = {pydicom.dcmread(p).PatientID for p in pathlib.Path(node.path).glob("objects/**/*.dcm")}
        equal(kept, {"LOCAL", "A1", "B2"}, "the files")
        for row in json_lines(node.cli("--json", "patient", "log").stdout):
            equal(node.cli("patient", "undo", row["id"]).returncode, 0, "undo")
        listed = json_lines(node.cli("--json", "study", "list").stdout)
        equal({row["PatientID"] for row in listed}, {"LOCAL", "A1", "B2"}, "after undo")


# What import says of each variant of the shared data: is the directory damaged, how many instances come when it is named.
VARIANTS = {
    "DICOMDIR": (None, 31),
    "DICOMDIR-bigEnd": (None, 31),
    "DICOMDIR-implicit": (None, 31),
    "DICOMDIR-nooffset": ("does not fit", 31),
    "DICOMDIR-reordered": (None, 31),
    "DICOMDIR-nopatient": ("root", 31),
    "DICOMDIR-empty.dcm": (None, 0),
}


def case_each_variant_of_the_shared_directories_has_its_result(world):
    data = shared_data()
    source = data and data / "dicom/dicomdir/dicomdirtests"
    if not source or not source.is_dir():
        print("     (no shared data)")
        return
    for name, (damage, stored) in VARIANTS.items():
        rows, result = world.take(source / name)
        equal((counts(result)), [stored, 0, 0], f"{name}: {texts(rows)}")
        equal([row["result"] for row in rows], ["damaged"] if damage else [], name)
        assert not damage or damage in rows[0]["text"], rows
    folder = shutil.copytree(source, world.folder / "variants")
    for hostile, stored, failed, word in (("dicomdir_path_traversal", 28, 3, "no name inside"), ("dicomdir_record_loop", 31, 0, "loop")):
        shutil.copy(data / "dicom/synthetic" / hostile / "DICOMDIR", folder / "DICOMDIR")
        rows, result = world.take(folder / "DICOMDIR", status=1 if failed else 0)
        equal(counts(result), [stored, 0, failed], f"{hostile}: {texts(rows)}")
        assert word in texts(rows), rows


def main():
    if not shutil.which("xorriso"):
        print("xorriso is not installed")
        return 77
    with work_folder("media-import") as folder:
        return cases.run(globals(), World(folder))


if __name__ == "__main__":
    sys.exit(main())
