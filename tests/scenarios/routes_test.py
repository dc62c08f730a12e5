#!/usr/bin/python3
"""What moves between archives by itself and on demand: `vitrine fetch` from dcmqrscp, Orthanc and a second Vitrine by C-MOVE and C-GET,
routes to Orthanc and storescp, prefetched priors, and the notification that a study is complete."""
import io
import json
import pathlib
import subprocess
import time
import urllib.request

import pydicom
import rawdicom as raw
import rawget
import samples
from cases import equal, run
from jobs_test import job, jobs, until
from node import Node, free_port, json_lines, object_files, work_folder

PRIORS = "1.2.3.88"


class Peer:
    """A server program of other people's."""
    def __init__(self, command):
        self.process = subprocess.Popen([str(w) for w in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.kill()
        self.process.wait()


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "samples").mkdir()
        self.samples = samples.make(self.folder / "samples")
        self.ports = {name: free_port() for name in ("orthanc", "http", "qr", "keep")}
        self.told = rawget.StorageScp()
        ours = free_port()
        self.peers = []
        self.other = Node(self.folder / "other", ["dicom.ae_title=OTHER", "peer.VITRINE.host=127.0.0.1", f"peer.VITRINE.port={ours}"])
        options = ["jobs.back_off=300ms", "jobs.quiet=300ms", "jobs.study_idle=500ms",
                   "peer.ORTHANC.host=127.0.0.1", f"peer.ORTHANC.port={self.ports['orthanc']}", "peer.ORTHANC.fetch=get",
                   "peer.QR.host=127.0.0.1", f"peer.QR.port={self.ports['qr']}",
                   "peer.OTHER.host=127.0.0.1", f"peer.OTHER.port={self.other.port}", "peer.OTHER.query_through=always",
                   "peer.KEEP.host=127.0.0.1", f"peer.KEEP.port={self.ports['keep']}",
                   "peer.TOLD.host=127.0.0.1", f"peer.TOLD.port={self.told.port}", "peer.TOLD.notify=yes",
                   "route.CT.match=PatientID=PAT1", "route.CT.modality=CT", "route.CT.to=ORTHANC KEEP",
                   "route.BYNAME.from=SCAN*", "route.BYNAME.to=KEEP",
                   "prefetch.OLD.from=MODALITY", "prefetch.OLD.peer=OTHER", "prefetch.OLD.priors=2"]
        self.node = Node(self.folder / "archive", options)
        self.node.options[self.node.options.index(f"dicom.port={self.node.port}")] = f"dicom.port={ours}"
        self.node.command = [self.node.command[0], *self.node.options]
        self.node.port = ours
        self.start_peers()

    def start_peers(self):
        kept, files, storage = (self.folder / name for name in ("kept", "qr", "orthanc"))
        for path in (kept, files, storage):
            path.mkdir()
        self.kept = kept
        settings = {"StorageDirectory": str(storage), "IndexDirectory": str(storage), "HttpPort": self.ports["http"],
                    "DicomPort": self.ports["orthanc"], "DicomAet": "ORTHANC", "DicomCheckCalledAet": False, "Plugins": [],
                    "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True,
                    "DicomAlwaysAllowMove": True, "AuthenticationEnabled": False, "RemoteAccessAllowed": False,
                    "DicomModalities": {"vitrine": ["VITRINE", "127.0.0.1", self.node.port]}}
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        (self.folder / "qr.cfg").write_text(
            f"NetworkTCPPort = {self.ports['qr']}\nMaxPDUSize = 131072\nMaxAssociations = 16\nHostTable BEGIN\n"
            f"ours = (VITRINE, 127.0.0.1, {self.node.port})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nQR {files} RW (500, 1024mb) ANY\nAETable END\n")
        self.peers = [Peer(["/usr/sbin/Orthanc", self.folder / "orthanc.json"]), Peer(["dcmqrscp", "-c", self.folder / "qr.cfg"]),
                      Peer(["storescp", "--accept-all", "-od", kept, self.ports["keep"]])]
        for name in ("ORTHANC", "QR", "KEEP"):
            until(lambda name=name: self.node.cli("echo", name).returncode == 0, f"an echo of {name}")

    def orthanc(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}{path}", timeout=30) as answer:
            return json.load(answer)

    def close(self):
        for peer in self.peers:
            peer.close()
        self.told.close()


def held(world):
    return set(object_files(world.node.path))


def status_of(association, sop_uid, data_set):
    """Of a C-STORE."""
    return association.store(raw.SECONDARY_CAPTURE, sop_uid, data_set)[0]


def uids_of(paths):
    return {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in paths}


def case_a_study_comes_from_dcmqrscp_by_c_move(world):
    equal(world.node.cli("send", "QR", *world.samples["mr"]).returncode, 0, "sent to dcmqrscp")
    done = world.node.cli("fetch", "QR", "PatientID=PAT2")
    equal(done.returncode, 0, done.stdout + done.stderr)
    assert "3 instances fetched, 0 failed" in done.stdout, done.stdout
    assert uids_of(world.samples["mr"]) <= held(world)


def case_a_study_comes_from_orthanc_by_c_get(world):
    equal(world.node.cli("send", "ORTHANC", *world.samples["deflated"]).returncode, 0, "sent to Orthanc")
    done = world.node.cli("fetch", "ORTHANC", "PatientID=PAT6")
    equal(done.returncode, 0, done.stdout + done.stderr)
    assert uids_of(world.samples["deflated"]) <= held(world)


def case_what_is_held_is_not_fetched_again_and_what_is_missing_comes(world):
    equal(world.other.cli("import", *world.samples["ct"]).returncode, 0, "import there")
    equal(world.node.cli("import", *world.samples["ct"][:5]).returncode, 0, "import of five here")
    sent = json_lines(world.other.cli("status", "--json").stdout)[-1]["instances_sent"]
    done = world.node.cli("fetch", "OTHER", "PatientID=PAT1")
    equal(done.returncode, 0, done.stdout + done.stderr)
    equal(json_lines(world.other.cli("status", "--json").stdout)[-1]["instances_sent"] - sent, 3, "instances that were sent")
    assert uids_of(world.samples["ct"]) <= held(world)
    equal(world.node.cli("fetch", "OTHER", "PatientID=NOBODY").returncode, 1, "nothing there")


def case_a_route_forwards_what_it_matches_to_each_of_its_peers(world):
    wanted = uids_of(world.samples["ct"])
    until(lambda: len(list(world.kept.iterdir())) == 8, "eight instances at storescp")
    until(lambda: len(world.orthanc("/instances")) == 9, "eight instances more at Orthanc")
    equal({str(pydicom.dcmread(p, force=True).SOPInstanceUID) for p in world.kept.iterdir()}, wanted, "at storescp")
    routed = [j for j in jobs(world.node, "--all") if j["who"] == "route CT"]
    equal(sum(j["instances"] for j in routed), 16, "instances of the jobs")


def case_a_route_knows_who_sent_it(world):
    before = len(list(world.kept.iterdir()))
    for title, number in (("SCAN7", 1), ("OTHERS", 2)):
        data_set = raw.instance(f"1.2.3.55.{number}", f"1.2.3.5{number}", f"1.2.3.5{number}.1", patient_id="ROUTED")
        association = raw.Association(world.node.port, calling=title, contexts=[(raw.SECONDARY_CAPTURE, [raw.EXPLICIT])])
        equal(status_of(association, f"1.2.3.55.{number}", data_set), 0, "stored")
        association.release()
    until(lambda: len(list(world.kept.iterdir())) == before + 1, "one more at storescp")
    time.sleep(1)
    equal(len(list(world.kept.iterdir())), before + 1, "files at storescp")


def case_arrivals_are_routed_after_a_kill_in_the_quiet_time(world):
    before = len(list(world.kept.iterdir()))
    data_set = raw.instance("1.2.3.66.1", "1.2.3.66", "1.2.3.66.2", patient_id="KILLED")
    association = raw.Association(world.node.port, calling="SCAN9", contexts=[(raw.SECONDARY_CAPTURE, [raw.EXPLICIT])])
    equal(status_of(association, "1.2.3.66.1", data_set), 0, "stored")
    world.node.kill()
    world.node.start()
    until(lambda: len(list(world.kept.iterdir())) == before + 1, "the instance at storescp")
    time.sleep(1)
    equal(len(list(world.kept.iterdir())), before + 1, "files at storescp")


def case_the_newest_priors_come_when_a_study_arrives(world):
    folder = world.folder / "priors"
    folder.mkdir()
    for number, date in ((1, "20200101"), (2, "20230101"), (3, "20220101")):
        uid = f"{PRIORS}.{number}.1"
        data_set = raw.instance(uid, f"{PRIORS}.{number}", f"{PRIORS}.{number}.0", patient_id="PRIOR").replace(b"20240102", date.encode())
        (folder / uid).write_bytes(raw.part10(data_set, raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    equal(world.other.cli("import", folder).returncode, 0, "import there")
    association = raw.Association(world.node.port, calling="MODALITY", contexts=[(raw.SECONDARY_CAPTURE, [raw.EXPLICIT])])
    data_set = raw.instance(f"{PRIORS}.9.1", f"{PRIORS}.9", f"{PRIORS}.9.0", patient_id="PRIOR")
    equal(status_of(association, f"{PRIORS}.9.1", data_set), 0, "stored")
    association.release()
    until(lambda: {f"{PRIORS}.2.1", f"{PRIORS}.3.1"} <= held(world), "two priors")
    until(lambda: all(j["state"] == "done" for j in jobs(world.node, "--kind", "fetch")), "fetches that are done")
    assert f"{PRIORS}.1.1" not in held(world)


def case_peers_that_want_it_are_told_when_a_study_is_complete(world):
    def told():
        with world.told.lock:
            return [(values, data) for values, data in world.told.instances.values()
                    if raw.us(values, 0x0100) == 0x0140 and f"{PRIORS}.9.1".encode() in data]
    values, data = until(told, "a notification")[0]
    equal(raw.text(values, 0x0002), "1.2.840.10008.5.1.4.33", "SOP class")
    found = pydicom.dcmread(io.BytesIO(raw.part10(data, raw.EXPLICIT, raw.SECONDARY_CAPTURE, "1.2.3")))
    equal(str(found.StudyInstanceUID), f"{PRIORS}.9", "study")
    equal(len(found.ReferencedPerformedProcedureStepSequence), 0, "procedure steps")
    item = found.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    equal((str(item.ReferencedSOPInstanceUID), item.InstanceAvailability, item.RetrieveAETitle),
          (f"{PRIORS}.9.1", "ONLINE", "VITRINE"), "the instance")


def case_peers_are_told_what_was_deleted_and_restored(world):
    def last():
        """The availabilities of the last notification about that study, by instance."""
        with world.told.lock:
            told = [data for values, data in world.told.instances.values()
                    if raw.us(values, 0x0100) == 0x0140 and f"{PRIORS}.9".encode() in data]
        found = pydicom.dcmread(io.BytesIO(raw.part10(told[-1], raw.EXPLICIT, raw.SECONDARY_CAPTURE, "1.2.3")))
        return {str(item.ReferencedSOPInstanceUID): item.InstanceAvailability for series in found.ReferencedSeriesSequence
                for item in series.ReferencedSOPSequence}
    equal(world.node.cli("study", "delete", f"{PRIORS}.9").returncode, 0, "deleted")
    until(lambda: last() == {f"{PRIORS}.9.1": "UNAVAILABLE"}, "that it is gone")
    equal(world.node.cli("study", "restore", f"{PRIORS}.9").returncode, 0, "restored")
    until(lambda: last() == {f"{PRIORS}.9.1": "ONLINE"}, "that it is back")


def case_a_fetch_goes_on_after_kill_minus_9(world):
    folder = world.folder / "many"
    folder.mkdir()
    uids = {f"1.2.3.99.1.{i}" for i in range(1, 401)}
    for uid in uids:
        data_set = raw.instance(uid, "1.2.3.99", "1.2.3.99.1", patient_id="MANY", number=int(uid.split(".")[-1]), pixels=bytes(40000))
        (folder / uid).write_bytes(raw.part10(data_set, raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    equal(world.other.cli("import", folder).returncode, 0, "import there")
    equal(world.node.cli("fetch", "OTHER", "PatientID=MANY", "--background").returncode, 0, "queued")
    number = next(j["id"] for j in jobs(world.node, "--kind", "fetch"))
    until(lambda: len(uids & held(world)) > 20, "the first instances")
    world.node.kill()
    world.node.start()
    until(lambda: job(world.node, number)["state"] == "done", "the end of the fetch")
    equal(uids & held(world), uids, "what is held")
    equal(world.node.cli("verify").returncode, 0, "verify")


def case_what_only_the_archive_behind_has_is_found_and_fetched_on_retrieve(world):
    folder = world.folder / "behind"
    folder.mkdir()
    for number in (1, 2, 3):
        uid = f"1.2.3.44.{number}"
        data_set = raw.instance(uid, "1.2.3.44", "1.2.3.44.0", patient_id="BEHIND", number=number)
        (folder / uid).write_bytes(raw.part10(data_set, raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    equal(world.other.cli("import", folder).returncode, 0, "import there")
    found = json_lines(world.node.cli("find", f"VITRINE@127.0.0.1:{world.node.port}", "PatientID=BEHIND", "--json").stdout)
    equal([f["0020000D"]["Value"] for f in found], [["1.2.3.44"]], "the study")
    equal(found[0]["00080054"]["Value"], ["VITRINE"], "who it is retrieved from")
    out = world.folder / "out"
    out.mkdir()
    equal(subprocess.run(["getscu", "-aec", "VITRINE", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.44",
                          "-od", str(out), "127.0.0.1", str(world.node.port)], timeout=60, capture_output=True, check=False).returncode, 0,
          "C-GET")
    equal(len(list(out.iterdir())), 3, "instances that came")
    equal({f"1.2.3.44.{n}" for n in (1, 2, 3)} - held(world), set(), "what is held now")
    found = json_lines(world.node.cli("find", f"VITRINE@127.0.0.1:{world.node.port}", "PatientID=NOWHERE", "--json").stdout)
    equal(found, [], "what nobody has")


def case_what_is_here_and_behind_is_answered_once(world):
    folder = world.folder / "both"
    folder.mkdir()
    for number in (1, 2):
        uid = f"1.2.3.45.{number}.1"
        data_set = raw.instance(uid, f"1.2.3.45.{number}", f"1.2.3.45.{number}.0", patient_id="BOTH")
        (folder / uid).write_bytes(raw.part10(data_set, raw.EXPLICIT, raw.SECONDARY_CAPTURE, uid))
    equal(world.other.cli("import", folder).returncode, 0, "two studies there")
    equal(world.node.cli("import", folder / "1.2.3.45.1.1").returncode, 0, "one of them here")
    found = json_lines(world.node.cli("find", f"VITRINE@127.0.0.1:{world.node.port}", "PatientID=BOTH", "--json").stdout)
    equal(sorted(f["0020000D"]["Value"][0] for f in found), ["1.2.3.45.1", "1.2.3.45.2"], "each study once")


def case_a_fetch_through_the_archive_behind_does_not_go_in_circles(world):
    association = raw.Association(world.node.port, calling="OTHER", contexts=[(raw.STUDY_FIND, [raw.IMPLICIT])])
    keys = raw.implicit_element(0x00080052, b"STUDY ") + raw.implicit_element(0x00100020, b"PAT5")
    status, matches, _ = association.find(keys)
    association.release()
    equal((status, matches), (0, []), "a query of the archive behind itself")


def main():
    if not pathlib.Path("/usr/sbin/Orthanc").exists():
        print("Debian's orthanc is not installed")
        return 77
    with work_folder("routes") as folder:
        world = World(folder)
        try:
            with world.other, world.node:
                return run(globals(), world)
        finally:
            world.close()


if __name__ == "__main__":
    raise SystemExit(main())
