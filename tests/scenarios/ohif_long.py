#!/usr/bin/python3
"""The OHIF viewer (npm @ohif/app, made ready by the commands of docs/operator.md) in headless Chromium against a real node: it draws a CT and
multi-frames by our DICOMweb, under our policy, and asks nobody else. Not part of ./check: it fetches 46 MB, once. Screenshots stay in the build
folder, console/."""
import base64
import hashlib
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import console_test
import pydicom
import samples
from cases import equal, run
from node import SKIPPED, SOURCE, Node, work_folder
from pydicom.uid import (CTImageStorage, ExplicitVRLittleEndian, MultiFrameGrayscaleByteSecondaryCaptureImageStorage, generate_uid)

OHIF = console_test.WORK / "ohif"
SHA512 = "0kuF66Mq9c9dMD++bUsTjMrJpXJwaZhz9B4uS244DawAjSkTwIYFU93pxPuRUQixaRi7QAHlF3Fe1qudBlZrmA=="
SIZE, SLICES, FRAMES = 128, 12, 10


def fetch():
    """By the words of the guide, so that they are true; again when they change."""
    words = next(block for block in re.findall(r"```\n(.*?)```", (SOURCE / "docs/operator.md").read_text(encoding="utf-8"), re.DOTALL)
                 if "@ohif/app@" in block)
    done = OHIF / "done"
    if done.exists() and done.read_text() == words:
        return
    shutil.rmtree(OHIF, ignore_errors=True)
    OHIF.mkdir(parents=True)
    subprocess.run(["sh", "-ec", words], cwd=OHIF, check=True, timeout=600, env=dict(os.environ, npm_config_loglevel="error"))
    package = next(OHIF.glob("ohif-app-*.tgz"))
    equal(base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode(), SHA512, package.name)
    done.write_text(words)


def ct(folder):
    """A cylinder that leans from slice to slice, in Hounsfield units, with its place in space."""
    paths, frame_of_reference = [], generate_uid()
    for i in range(SLICES):
        ds = samples._study(21, "Slices^Sara", "OHIF1", "CT", "Cylinder")
        samples._image(ds, CTImageStorage, i + 1, SIZE, SIZE, 16)
        ds.BitsStored, ds.HighBit, ds.RescaleIntercept, ds.RescaleSlope, ds.WindowCenter, ds.WindowWidth = 12, 11, -1024, 1, 40, 2000
        ds.PixelSpacing, ds.SliceThickness, ds.ImageOrientationPatient = [0.5, 0.5], 2, [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient, ds.FrameOfReferenceUID, ds.ImageType = [0, 0, 2 * i], frame_of_reference, ["ORIGINAL", "PRIMARY", "AXIAL"]
        values = [24 + 8 * (x + y) if (x - 40 - 4 * i) ** 2 + (y - 64) ** 2 < 1500 else 24 for y in range(SIZE) for x in range(SIZE)]
        ds.PixelData = struct.pack(f"<{SIZE * SIZE}H", *values)
        paths.append(samples._write(folder, f"slice{i}.dcm", ds, ExplicitVRLittleEndian))
    return paths


def multi_frame(folder, number, name):
    """A bar that moves over a ramp."""
    ds = samples._study(number, name, f"OHIF{number}", "OT", "Moving bar")
    samples._image(ds, MultiFrameGrayscaleByteSecondaryCaptureImageStorage, 1, SIZE, SIZE, 8, frames=FRAMES)
    ds.PixelData = bytes(255 if 0 <= x - 12 * f < 12 else x + y for f in range(FRAMES) for y in range(SIZE) for x in range(SIZE))
    return samples._write(folder, f"frames{number}.dcm", ds, ExplicitVRLittleEndian)


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.node = Node(self.folder / "archive", [f"http.ohif={OHIF / 'package/dist'}"])

    def fill(self):
        plain, packed = multi_frame(self.folder, 22, "Frames^Fred"), multi_frame(self.folder, 23, "Packed^Paul")
        subprocess.run(["dcmcjpls", packed, packed], check=True, timeout=60)
        equal(pydicom.dcmread(packed).file_meta.TransferSyntaxUID.name, "JPEG-LS Lossless Image Compression")
        done = self.node.cli("import", *ct(self.folder), plain, packed)
        equal(done.returncode, 0, done.stdout + done.stderr)

    def show(self, number, name):
        console_test.run_node("ohif.mjs", f"http://127.0.0.1:{self.node.http_port()}", console_test.WORK, shutil.which("chromium"),
                              f"{samples.ROOT}.{number}", name)


def case_a_ct_is_drawn_and_scrolls(world):
    world.show(21, "ohif-ct")


def case_a_multi_frame_is_drawn_and_scrolls(world):
    world.show(22, "ohif-frames")


def case_stored_jpeg_ls_is_decoded_in_the_page(world):
    world.show(23, "ohif-jpegls")


if __name__ == "__main__":
    if not shutil.which("npm") or not shutil.which("chromium"):
        sys.exit(SKIPPED)
    console_test.install()
    fetch()
    with work_folder("ohif") as work:
        scene = World(work)
        with scene.node:
            scene.fill()
            result = run(dict(globals()), scene)
    sys.exit(result)
