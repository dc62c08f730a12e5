#!/usr/bin/python3
"""A sync fails: the archive is read-only from then on. What would change it by DICOMweb is answered 503 with a sentence, what reads it
goes on; after a start nothing that was promised is missing."""
import io
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenarios"))
import pydicom  # noqa: E402
from cases import equal, run  # noqa: E402
from dicomweb_store_test import store  # noqa: E402
from dicomweb_test import AS_STORED, ROOT, World, instance_path, multipart, value  # noqa: E402
from node import BIN, work_folder  # noqa: E402


def stow(world, *paths):
    body, kind = multipart([("application/dicom", p.read_bytes()) for p in paths])
    status, _, answer = world.web("/studies", "POST", body, Content_Type=kind)
    return status, json.loads(answer)


def case_before_all_is_stored(world):
    equal(stow(world, *world.made["ct"], world.made["mr"][0])[0], 200)


def case_the_store_whose_sync_fails_is_refused(world):
    world.mark.touch()
    status, answer = stow(world, world.made["mr"][1])
    equal((status, "00081199" in answer), (503, False), answer)
    item, = answer["00081198"]["Value"]
    equal((value(item, "00081197") & 0xFF00, len(value(item, "00000902")) > 10), (0xA700, True), item)
    world.mark.unlink()   # the disk says that all is well again: it is not believed


def case_what_changes_is_answered_503_with_a_sentence(world):
    for _ in range(2):
        status, answer = stow(world, world.made["mr"][1], world.made["mr"][2])
        equal((status, [value(i, "00081197") for i in answer["00081198"]["Value"]]), (503, [0xA701] * 2), answer)
        assert "read-only" in value(answer["00081198"]["Value"][0], "00000902"), answer
    ds = pydicom.dcmread(world.made["mr"][1])
    metadata = ds.to_json_dict(bulk_data_threshold=10, bulk_data_element_handler=lambda e: "p")
    status, _, _, error = store(world, [metadata], [("application/octet-stream", "p", ds.PixelData)])
    equal((status, "read-only" in str(error)), (503, True), error)
    for place in (f"/studies/{ROOT}.1", f"/studies/{ROOT}.1/series/{ROOT}.1.1", instance_path(world.made["ct"][0])):
        status, _, body = world.web(place, "DELETE")
        equal((status, "read-only" in json.loads(body)["error"]), (503, True), body)


def case_what_reads_goes_on(world):
    study, = world.search(f"/studies?StudyInstanceUID={ROOT}.1")
    equal(value(study, "00201208"), len(world.made["ct"]))
    equal(world.search("/studies?PatientID=NOBODY"), [])
    path = instance_path(world.made["ct"][0])
    for place, accept in (("", AS_STORED), ("/metadata", "*/*"), ("/frames/1", "*/*"), ("/rendered", "image/png"), ("/bulkdata/7FE00010", "*/*")):
        equal(world.web(path + place, Accept=accept)[0], 200, place)
    status = json.loads(world.ask("/api/status")[2])["rows"][0]
    assert "read" in json.dumps(status), status


def case_after_a_start_it_takes_and_deletes_again(world):
    world.node.stop()
    world.node.lines.clear()
    world.node.start()
    equal(len(json.loads(world.web(f"/studies/{ROOT}.1/metadata")[2])), len(world.made["ct"]))
    equal(stow(world, world.made["mr"][1], world.made["mr"][2])[0], 200)
    status, _, body = world.web(instance_path(world.made["ct"][0]), "DELETE")
    equal(status, 204, body)
    equal(len(json.loads(world.web(f"/studies/{ROOT}.1/metadata")[2])), len(world.made["ct"]) - 1)
    done = world.node.cli("verify")
    equal(done.returncode, 0, done.stdout + done.stderr)
    out = io.BytesIO(world.web(instance_path(world.made["mr"][1]), Accept="application/dicom")[2])
    equal(pydicom.dcmread(out).PixelData, pydicom.dcmread(world.made["mr"][1]).PixelData)


if __name__ == "__main__":
    with work_folder("web-read-only") as work:
        scene = World(work)
        scene.mark = pathlib.Path(work) / "fail"
        scene.node.environment.update(LD_PRELOAD=str(BIN / "libfailsync.so"), VT_SHIM_FAIL=str(scene.mark))
        os.environ.pop("LD_PRELOAD", None)
        with scene.node:
            sys.exit(run(globals(), scene))
