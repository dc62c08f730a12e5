#!/usr/bin/python3
"""Single frames by C-GET and C-MOVE (PS3.4 Annex Y, Composite Instance Root Retrieve): a client made of bytes asks, pydicom reads what comes. Frames are
bit-identical to those of the stored instance, in new instances that say what they were taken from."""
import io
import pathlib
import struct
import subprocess
import sys

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_pixel_data_frame
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import cases
import rawdicom as raw
import slides
from cases import equal
from node import BIN, Node, json_lines, work_folder
from rawget import StorageScp, get, move

ROOT_MOVE, ROOT_GET = "1.2.840.10008.5.1.4.1.2.4.2", "1.2.840.10008.5.1.4.1.2.4.3"
GREY_BYTES = "1.2.840.10008.5.1.4.1.1.7.2"
SIMPLE, CALCULATED, TIME_RANGE = 0x00081161, 0x00081162, 0x00081163


def numbers(tag, *values):
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UL", 4 * len(values)) + struct.pack("<%dI" % len(values), *values)


def ask(level, uid, *lists):
    return raw.element(0x00080018, "UI", uid) + raw.element(0x00080052, "CS", level) + b"".join(lists)


def plain(frames=5):
    """A multi-frame image of plain pixels with functional groups: frame i is filled with i."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = GREY_BYTES
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID, ds.PatientName, ds.Modality = generate_uid(), generate_uid(), "F1", "Frames", "OT"
    ds.NumberOfFrames, ds.Rows, ds.Columns, ds.SamplesPerPixel = frames, 3, 5, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.PhotometricInterpretation = 8, 8, 7, 0, "MONOCHROME2"
    groups = []
    for i in range(frames):
        group, content = Dataset(), Dataset()
        content.FrameComments = f"frame {i + 1}"
        group.FrameContentSequence = [content]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.PixelData = b"".join(bytes([i + 1]) * 15 for i in range(frames)) + b"\0" * (15 * frames % 2)
    ds["PixelData"].VR = "OB"
    ds.is_little_endian, ds.is_implicit_VR = True, False
    return ds


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.sink = StorageScp()
        self.node = Node(self.folder / "node", [f"peer.SINK.port={self.sink.port}", "peer.SINK.host=127.0.0.1"])
        self.node.start()
        slide = slides.pyramid(self.folder / "made.svs")
        done = subprocess.run([BIN / "vitrine", "slide", "convert", slide, "-o", self.folder / "dicom"], capture_output=True, text=True, check=False)
        equal(done.returncode, 0, done.stderr)
        self.level = pydicom.dcmread(self.folder / "dicom/level-0.dcm")
        self.plain = plain()
        self.plain.save_as(self.folder / "dicom/plain.dcm", write_like_original=False)
        done = self.node.cli("import", self.folder / "dicom")
        equal(done.returncode, 0, done.stderr)

    def get(self, identifier, syntaxes=(raw.JPEG_BASELINE,), sop_class=raw.SLIDE):
        contexts = [(ROOT_GET, [raw.EXPLICIT]), (sop_class, list(syntaxes))]
        with raw.Association(self.node.port, contexts=contexts, roles=[sop_class]) as a:
            status, instances, values, _ = get(a, identifier, abstract=ROOT_GET)
            return status, {uid: read(data, a.accepted[where]) for uid, (where, data) in instances.items()}, values


def read(data, transfer_syntax):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = transfer_syntax
    return pydicom.dcmread(io.BytesIO(raw.part10(data, transfer_syntax, raw.SLIDE, "1.2")), force=True)


def frames_of(ds):
    return list(generate_pixel_data_frame(ds.PixelData, int(ds.NumberOfFrames)))


def only(instances):
    equal(len(instances), 1, "instances")
    return next(iter(instances.items()))


def check_slide(ds, level, wanted):
    all_frames = frames_of(level)
    equal(frames_of(ds), [all_frames[n - 1] for n in wanted])
    equal((ds.NumberOfFrames, ds.DimensionOrganizationType, ds.SOPClassUID), (len(wanted), "TILED_SPARSE", level.SOPClassUID))
    equal((ds.StudyInstanceUID, ds.SeriesInstanceUID), (level.StudyInstanceUID, level.SeriesInstanceUID))
    across = -(-level.TotalPixelMatrixColumns // level.Columns)
    equal(len(ds.PerFrameFunctionalGroupsSequence), len(wanted))
    for n, group in zip(wanted, ds.PerFrameFunctionalGroupsSequence):
        column, row = (n - 1) % across, (n - 1) // across
        place = group.PlanePositionSlideSequence[0]
        equal((place.ColumnPositionInTotalImagePixelMatrix, place.RowPositionInTotalImagePixelMatrix), (column * level.Columns + 1, row * level.Rows + 1))
        equal(list(group.FrameContentSequence[0].DimensionIndexValues), [row + 1, column + 1])
        # The row runs along -y, the column along -x (rotated by 180 degrees on the glass).
        origin = level.TotalPixelMatrixOriginSequence[0]
        spacing = float(level.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0])
        equal(round(float(place.YOffsetInSlideCoordinateSystem), 5), round(float(origin.YOffsetInSlideCoordinateSystem) - column * level.Columns * spacing, 5))
        equal(round(float(place.XOffsetInSlideCoordinateSystem), 5), round(float(origin.XOffsetInSlideCoordinateSystem) - row * level.Rows * spacing, 5))
    equal(ds.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue, "109105")


def case_a_simple_list_gives_those_tiles_in_a_new_instance(world):
    status, instances, _ = world.get(ask("FRAME", world.level.SOPInstanceUID, numbers(SIMPLE, 2, 9, 35)))
    equal(status, 0)
    uid, ds = only(instances)
    equal(ds.SOPInstanceUID, uid)
    if uid == world.level.SOPInstanceUID:
        raise AssertionError("the new instance has the old UID")
    check_slide(ds, world.level, [2, 9, 35])
    equal((ds.FrameExtractionSequence[0].MultiFrameSourceSOPInstanceUID, list(ds.FrameExtractionSequence[0].SimpleFrameList)),
          (world.level.SOPInstanceUID, [2, 9, 35]))
    # Again, the same one; from it, a part, which says both.
    equal(list(world.get(ask("FRAME", world.level.SOPInstanceUID, numbers(SIMPLE, 2, 9, 35)))[1]), [uid])


def case_what_was_taken_out_is_valid(world):
    status, instances, _ = world.get(ask("FRAME", world.level.SOPInstanceUID, numbers(SIMPLE, 1, 8)))
    equal(status, 0)
    _, ds = only(instances)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(world.folder / "taken.dcm", write_like_original=False)
    done = subprocess.run(["dciodvfy", "-new", world.folder / "taken.dcm"], capture_output=True, text=True, errors="replace", check=False)
    # The one of 2022 counts the tiles of the whole grid for TILED_SPARSE too, which need not have them all (PS3.3 C.7.6.17.3).
    equal([line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error") and "tiled total pixel matrix" not in line], [])
    stored = world.node.cli("import", world.folder / "taken.dcm")
    equal(stored.returncode, 0, stored.stderr)
    status, instances, _ = world.get(ask("FRAME", ds.SOPInstanceUID, numbers(SIMPLE, 2)))
    equal(status, 0)
    _, second = only(instances)
    equal(frames_of(second), frames_of(ds)[1:])
    equal([item.MultiFrameSourceSOPInstanceUID for item in second.FrameExtractionSequence], [world.level.SOPInstanceUID, ds.SOPInstanceUID])
    equal(second.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0].DimensionIndexValues,
          ds.PerFrameFunctionalGroupsSequence[1].FrameContentSequence[0].DimensionIndexValues)


def case_a_calculated_list_counts_from_first_to_last_by_a_step(world):
    status, instances, _ = world.get(ask("FRAME", world.level.SOPInstanceUID, numbers(CALCULATED, 1, 9, 4, 30, 0xFFFFFFFF, 2)))
    equal(status, 0)
    total = int(world.level.NumberOfFrames)
    check_slide(only(instances)[1], world.level, [1, 5, 9, *range(30, total + 1, 2)])


def case_plain_pixels_and_functional_groups_are_cut_alike(world):
    status, instances, _ = world.get(ask("FRAME", world.plain.SOPInstanceUID, numbers(SIMPLE, 2, 4, 99)), [raw.EXPLICIT], GREY_BYTES)
    equal(status, 0)
    _, ds = only(instances)
    equal(ds.PixelData, bytes([2]) * 15 + bytes([4]) * 15)
    equal([g.FrameContentSequence[0].FrameComments for g in ds.PerFrameFunctionalGroupsSequence], ["frame 2", "frame 4"])
    equal("DimensionOrganizationType" in ds, False)
    odd = only(world.get(ask("FRAME", world.plain.SOPInstanceUID, numbers(SIMPLE, 3)), [raw.EXPLICIT], GREY_BYTES)[1])[1]
    equal(odd.PixelData, bytes([3]) * 15 + b"\0")


def case_another_syntax_is_transcoded(world):
    status, instances, _ = world.get(ask("FRAME", world.level.SOPInstanceUID, numbers(SIMPLE, 3)), [raw.EXPLICIT])
    equal(status, 0)
    _, ds = only(instances)
    equal(len(ds.PixelData), 240 * 240 * 3)


def case_the_level_image_gives_whole_instances_by_uid(world):
    status, instances, _ = world.get(ask("IMAGE", world.level.SOPInstanceUID))
    equal(status, 0)
    uid, ds = only(instances)
    equal((uid, ds.PixelData), (world.level.SOPInstanceUID, world.level.PixelData))
    equal(world.get(ask("IMAGE", "1.2.3.4"))[:2], (0, {}))


def case_what_cannot_be_done_has_a_status_of_its_own(world):
    uid = world.level.SOPInstanceUID
    for identifier, wanted in ((ask("FRAME", uid, numbers(SIMPLE, 5000)), 0xAA00), (ask("FRAME", "1.2.3", numbers(SIMPLE, 1)), 0xAA00),
                               (ask("FRAME", uid), 0xAA04), (ask("FRAME", uid, numbers(SIMPLE, 3, 2)), 0xAA04), (ask("FRAME", uid, numbers(SIMPLE, 0)), 0xAA04),
                               (ask("FRAME", uid, numbers(SIMPLE, 1), numbers(CALCULATED, 1, 2, 1)), 0xAA04), (ask("FRAME", uid, numbers(CALCULATED, 1, 2)), 0xAA04),
                               (ask("FRAME", uid, numbers(CALCULATED, 1, 2, 0)), 0xAA04), (ask("FRAME", uid, numbers(CALCULATED, 1, 5, 1, 4, 9, 1)), 0xAA04),
                               (ask("FRAME", uid, struct.pack("<HH2sHdd", 8, 0x1163, b"FD", 16, 0.0, 1.0)), 0xAA03),
                               (ask("STUDY", uid), 0xA900), (raw.element(0x00080052, "CS", "IMAGE"), 0xA900)):
        status, instances, values = world.get(identifier)
        equal((hex(status), instances), (hex(wanted), {}), raw.comment_of(values))
    label = pydicom.dcmread(world.folder / "dicom/thumbnail.dcm", stop_before_pixels=True)
    equal(hex(world.get(ask("FRAME", label.SOPInstanceUID, numbers(SIMPLE, 2)))[0]), hex(0xAA00))


def case_c_move_sends_the_frames_to_a_third(world):
    with raw.Association(world.node.port, contexts=[(ROOT_MOVE, [raw.EXPLICIT])]) as a:
        status, values, _ = move(a, "SINK", ask("FRAME", world.level.SOPInstanceUID, numbers(SIMPLE, 4, 6)), abstract=ROOT_MOVE)
    equal((status, raw.us(values, 0x1021)), (0, 1))
    uid, (_, data) = only(world.sink.instances)
    ds = read(data, raw.JPEG_BASELINE)
    equal(ds.SOPInstanceUID, uid)
    check_slide(ds, world.level, [4, 6])


def case_a_corrected_patient_goes_out_with_the_frames(world):
    done = world.node.cli("patient", "correct", "F1", "PatientName=Corrected^Name With Many Letters")
    equal(done.returncode, 0, done.stderr)
    status, instances, _ = world.get(ask("FRAME", world.plain.SOPInstanceUID, numbers(SIMPLE, 5)), [raw.EXPLICIT], GREY_BYTES)
    equal(status, 0)
    _, ds = only(instances)
    equal((str(ds.PatientName), ds.PixelData), ("Corrected^Name With Many Letters", bytes([5]) * 15 + b"\0"))


def main():
    with work_folder("frames") as folder:
        world = World(folder)
        try:
            return cases.run(globals(), world)
        finally:
            world.node.stop()
            world.sink.close()


if __name__ == "__main__":
    sys.exit(main())
