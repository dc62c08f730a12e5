#!/usr/bin/python3
"""An instance for a receiver that does not take it as it is stored: made by DCMTK in every syntax, sent by C-MOVE to receivers that
accept one syntax each, decoded there by DCMTK and GDCM. C-GET alike. Lossy only where the peer's row allows it."""
import os
import pathlib
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pydicom
import rawdicom as raw
import rawget
import samples
from cases import equal, run
from node import Node, work_folder
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, SecondaryCaptureImageStorage

JPEG, LOSSLESS, JPEG_LS, JPEG_2000, RLE = (f"1.2.840.10008.1.2.{s}" for s in ("4.50", "4.70", "4.80", "4.90", "5"))
HTJ2K = "1.2.840.10008.1.2.4.201"
# Word in transcode_to, what the receiver accepts, who turns it back into Explicit VR LE.
RECEIVERS = {
    "IMPLICIT": ("", raw.IMPLICIT, ["dcmconv", "+te"]),
    "BIG": ("big-endian", raw.BIG_ENDIAN, ["dcmconv", "+te"]),
    "DEFLATED": ("deflated", raw.DEFLATED, ["dcmconv", "+te"]),
    "LOSSLESS": ("jpeg-lossless", LOSSLESS, ["dcmdjpeg", "+te"]),
    "LS": ("jpeg-ls", JPEG_LS, ["dcmdjpls", "+te"]),
    "J2K": ("1.2.840.10008.1.2.4.90", JPEG_2000, ["gdcmconv", "--raw"]),
    "RLE": ("rle", RLE, ["dcmdrle", "+te"]),
}
KINDS = {"plain": ["dcmconv", "+te"], "implicit": ["dcmconv", "+ti"], "lossless": ["dcmcjpeg", "+e1"], "ls": ["dcmcjpls"],
         "rle": ["dcmcrle"], "deflated": ["dcmconv", "+td"]}


def tool(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, errors="replace", timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))} gave {done.returncode}:\n{done.stdout}{done.stderr}")


def make(folder, number, kind, colour):
    """A smooth image, several frames of 12 bits or one in colour, in that syntax."""
    ds = samples._study(number, "Transcode^Test", f"T{number}", "OT", kind)
    ds.ConversionType = "SYN"
    samples._image(ds, SecondaryCaptureImageStorage if colour else MultiFrameGrayscaleWordSecondaryCaptureImageStorage, 1, 48, 40,
                   8 if colour else 16, frames=1 if colour else 3)
    if colour:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = bytes((x + y + 40 * s) & 0xff for y in range(48) for x in range(40) for s in range(3))
    else:
        ds.BitsStored, ds.HighBit = 12, 11
        ds.PixelData = b"".join(struct.pack("<H", (x * 9 + y * 5 + f * 300) & 0xfff) for f in range(3) for y in range(48)
                                for x in range(40))
    ds["PixelData"].VR = "OB" if colour else "OW"
    plain = samples._write(folder, f"{number}-source.dcm", ds, ExplicitVRLittleEndian)
    path = pathlib.Path(folder) / f"{number}-{kind}.dcm"
    tool(*KINDS.get(kind, ["dcmcjpeg", "+eb", "+un"]), plain, path)
    return path


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.sinks, options = {}, []
        for name, (words, syntax, _) in RECEIVERS.items():
            self.add(options, name, syntax, words)
        self.add(options, "JPEG", JPEG, "jpeg", lossy=True)
        self.add(options, "STRICT", JPEG, "jpeg")
        self.add(options, "NEVER", raw.IMPLICIT, "never")
        self.node = Node(self.folder / "archive", options)
        self.instances = {}
        for i, kind in enumerate([*KINDS, "jpeg"]):
            for colour in (False, True):
                if kind != "jpeg" or colour:
                    self.instances[kind, colour] = make(self.folder, 10 + 2 * i + colour, kind, colour)

    def add(self, options, name, syntax, words, lossy=False):
        sink = self.sinks[name] = rawget.StorageScp(accept=lambda abstract, offered: syntax if syntax in offered else None)
        options += [f"peer.{name}.host=127.0.0.1", f"peer.{name}.port={sink.port}", f"peer.{name}.transcode_to={words}",
                    f"peer.{name}.lossy={'yes' if lossy else 'no'}"]

    def move(self, path, destination):
        """(status, final command, what the receiver got or None)."""
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        sink = self.sinks[destination]
        sink.instances.clear()
        with raw.Association(self.node.port, contexts=[(raw.STUDY_MOVE, [raw.EXPLICIT])]) as a:
            status, final, _ = rawget.move(a, destination, rawget.keys("STUDY", study=ds.StudyInstanceUID))
        return status, final, next(iter(sink.instances.items()), None)


def pixels_of(world, path, back=None):
    if back:
        plain = world.folder / "plain.dcm"
        tool(back[0], *back[1:], path, plain)
        path = plain
    ds = pydicom.dcmread(path)
    return ds, bytes(ds.PixelData)


def case_every_stored_syntax_is_accepted_from_dcmtk(world):
    tool("dcmsend", "-aec", "VITRINE", "127.0.0.1", world.node.port, *world.instances.values())


def case_each_lossless_way_gives_the_same_pixels(world):
    for (kind, colour), path in world.instances.items():
        if kind == "jpeg":
            continue
        source, expected = pixels_of(world, world.folder / f"{path.name.split('-')[0]}-source.dcm")
        for name, (_, syntax, back) in RECEIVERS.items():
            status, final, got = world.move(path, name)
            equal(status, 0, f"{kind} to {name}: {raw.comment_of(final)}")
            equal(got[0], source.SOPInstanceUID, "SOP Instance UID")
            arrived = world.folder / "arrived.dcm"
            arrived.write_bytes(raw.part10(got[1][1], syntax, source.SOPClassUID, source.SOPInstanceUID))
            again, pixels = pixels_of(world, arrived, back)
            if colour and again.PlanarConfiguration == 1:
                third = len(pixels) // 3
                pixels = bytes(pixels[s * third + i] for i in range(third) for s in range(3))
            equal(pixels == expected, True, f"{kind} to {name}: the same pixels")
            equal(again.PatientName, source.PatientName)
            equal("LossyImageCompression" in again, False, "nothing was lost")


def case_a_lossy_instance_is_decoded_and_says_what_it_was(world):
    path = world.instances["jpeg", True]
    source = pydicom.dcmread(path, stop_before_pixels=True)
    status, final, got = world.move(path, "IMPLICIT")
    equal(status, 0, raw.comment_of(final))
    arrived = world.folder / "arrived.dcm"
    arrived.write_bytes(raw.part10(got[1][1], raw.IMPLICIT, source.SOPClassUID, source.SOPInstanceUID))
    again, pixels = pixels_of(world, arrived)
    _, expected = pixels_of(world, path, ["dcmdjpeg", "+te"])
    equal(again.PhotometricInterpretation, "RGB")
    equal(pixels == expected, True, "the pixels that dcmdjpeg makes of it")
    equal(again.LossyImageCompression, "01")
    equal(again.SOPInstanceUID, source.SOPInstanceUID)


def case_information_is_lost_only_where_the_row_allows_it(world):
    path = world.instances["plain", True]
    source, expected = pixels_of(world, path)
    status, final, got = world.move(path, "STRICT")
    equal((status, got), (0xA702, None))
    if "takes no" not in raw.comment_of(final):
        raise AssertionError(raw.comment_of(final))
    status, final, got = world.move(path, "JPEG")
    equal(status, 0, raw.comment_of(final))
    equal(got[0] == source.SOPInstanceUID, False, "a derived instance has a UID of its own")
    arrived = world.folder / "arrived.dcm"
    arrived.write_bytes(raw.part10(got[1][1], JPEG, source.SOPClassUID, got[0]))
    again, pixels = pixels_of(world, arrived, ["dcmdjpeg", "+te"])
    equal(again.SOPInstanceUID, got[0])
    equal(again.SourceImageSequence[0].ReferencedSOPInstanceUID, source.SOPInstanceUID)
    equal((again.LossyImageCompression, again.LossyImageCompressionMethod, again.ImageType[0]), ("01", "ISO_10918_1", "DERIVED"))
    far = max(abs(a - b) for a, b in zip(pixels, expected))
    if not 0 < far < 60:
        raise AssertionError(f"the farthest sample is {far} off")
    equal(world.move(path, "JPEG")[2][0], got[0], "the same UID the second time")


def case_a_row_can_forbid_transcoding(world):
    status, _, got = world.move(world.instances["plain", False], "NEVER")
    equal((status, got), (0xA702, None))


def case_what_cannot_be_decoded_fails_alone_and_by_name(world):
    ds = pydicom.dcmread(world.instances["rle", False])
    ds.SOPInstanceUID, ds.SeriesInstanceUID = ds.SOPInstanceUID + ".9", ds.SeriesInstanceUID + ".9"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    path = world.folder / "htj2k.dcm"
    pydicom.dcmwrite(path, ds, write_like_original=False)
    data = raw.split_part10(path.read_bytes())[3]          # its frames are RLE: nobody here looks
    with raw.Association(world.node.port, contexts=[(str(ds.SOPClassUID), [HTJ2K])]) as a:
        equal(a.store(str(ds.SOPClassUID), ds.SOPInstanceUID, data)[0], 0)
    status, final, got = world.move(path, "IMPLICIT")
    equal((status, raw.us(final, 0x1021), raw.us(final, 0x1022)), (0xB000, 1, 1))
    equal(raw.text(raw.elements_of(final["identifier"]), 0x00080058), ds.SOPInstanceUID)
    if "High-Throughput" not in raw.comment_of(final):
        raise AssertionError(raw.comment_of(final))
    equal(got is not None, True, "the other one went")


def case_c_get_transcodes_alike(world):
    for kind, syntax in (("rle", raw.IMPLICIT), ("plain", JPEG_2000), ("jpeg", raw.EXPLICIT)):
        source = pydicom.dcmread(world.instances[kind, True], stop_before_pixels=True)
        contexts = [(raw.STUDY_GET, [raw.EXPLICIT]), (str(source.SOPClassUID), [syntax])]
        with raw.Association(world.node.port, contexts=contexts, roles=[str(source.SOPClassUID)]) as a:
            status, found, final, _ = rawget.get(a, rawget.keys("STUDY", study=source.StudyInstanceUID))
        equal((status, list(found)), (0, [source.SOPInstanceUID]), f"{kind}: {raw.comment_of(final)}")


if __name__ == "__main__":
    with work_folder("transcode") as work:
        scene = World(work)
        with scene.node:
            sys.exit(run(globals(), scene))
