"""The servers that are measured: ours and Debian's, each started in a fresh folder with TCP_NODELAY=1, ended by its own pid."""
import json
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenarios"))
from node import BIN, free_port  # noqa: E402
from rawdicom import IMPLICIT, VERIFICATION, Aborted, Association, Closed, Rejected  # noqa: E402

START_SECONDS = 30
WARM_BYTES = 6 << 30


def warm_memory():
    """The first touch of a page that the virtual machine had given back costs more than writing it."""
    mmap.mmap(-1, WARM_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


class Server:
    """One start of a peer. `called` is its AE title; `first_echo` the seconds from start to the first C-ECHO answered."""
    name, called = "", "ANY"

    def __init__(self, folder, scp_port=0):
        self.folder, self.port, self.scp_port = pathlib.Path(folder), free_port(), scp_port
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process, self.first_echo = None, None
        self.environment = dict(os.environ, TCP_NODELAY="1")

    def command(self):
        raise NotImplementedError

    def start(self):
        log = open(self.folder / "log", "ab")
        begun = time.monotonic()
        self.process = subprocess.Popen(self.command(), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)
        log.close()
        while True:
            try:
                with Association(self.port, called=self.called, calling="BENCHSTART", timeout=5,
                                 contexts=((VERIFICATION, (IMPLICIT,)),)) as a:
                    a.echo()
                    self.first_echo = time.monotonic() - begun
                return self
            except (OSError, Rejected, Aborted, Closed):
                if self.process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                    self.stop()
                    raise RuntimeError(f"{self.name} did not start: " + self.log()) from None
                time.sleep(0.001)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-500:].strip()

    def rss(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def spend(self):
        """Gives the blocks back, but keeps the inodes: ext4 walks past inodes that were freed a moment ago, which would slow
        down whoever is measured next. The bench removes the folders when all is done."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.path.getsize(path) > 65536:
                    os.truncate(path, 0)
        os.sync()


class Vitrine(Server):
    name, called = "vitrine", "VITRINE"
    options = ()

    def command(self):
        words = [f"archive.path={self.folder / 'archive'}", f"dicom.port={self.port}", *self.options]
        if self.scp_port:
            words += [f"peer.BENCHSCP.{w}" for w in ("ae_title=BENCHSCP", "host=127.0.0.1", f"port={self.scp_port}")]
        return [str(BIN / "vitrined"), *(part for word in words for part in ("-o", word))]


class VitrineTls(Vitrine):
    """The same node, measured on its port for TLS."""
    name = "vitrine by tls"

    def command(self):
        self.tls_port = free_port()
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key),
                        "-out", str(certificate)], check=True, capture_output=True)
        self.options = (f"dicom.tls_port={self.tls_port}", f"dicom.tls_certificate={certificate}", f"dicom.tls_key={key}",
                        "dicom.tls_verify=none")
        return super().command()


class Orthanc(Server):
    """As Debian ships it, but for ports, folders and permissions."""
    name, called = "orthanc", "ORTHANC"
    settings = {}

    def command(self):
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        settings = {"Name": "bench", "StorageDirectory": str(storage), "IndexDirectory": str(storage), "HttpServerEnabled": False,
                    "DicomPort": self.port, "DicomAet": "ORTHANC", "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True,
                    "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True,
                    "DicomAlwaysAllowMove": True, "AuthenticationEnabled": False, "Plugins": [],
                    "DicomModalities": {"bench": ["BENCHSCP", "127.0.0.1", self.scp_port or 1]}, **self.settings}
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings))
        return ["/usr/sbin/Orthanc", str(path)]


class OrthancTuned(Orthanc):
    """Syncs nothing, hashes nothing, more threads, large PDUs."""
    name = "orthanc tuned"
    settings = {"SyncStorageArea": False, "StoreMD5ForAttachments": False, "StorageCompression": False, "DicomThreadsCount": 16,
                "MaximumPduLength": 131072, "SaveJobs": False}


class Storescp(Server):
    name, called = "storescp", "STORESCP"

    def command(self):
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        return ["storescp", "--fork", "--bit-preserving", "--accept-all", "--promiscuous", "-pdu", "131072",
                "--output-directory", str(files), str(self.port)]


class Dcmqrscp(Server):
    name, called = "dcmqrscp", "BENCHQR"

    def command(self):
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        config = self.folder / "dcmqrscp.cfg"
        config.write_text(f"NetworkTCPPort = {self.port}\nMaxPDUSize = 131072\nMaxAssociations = 128\n"
                          f"HostTable BEGIN\nbench = (BENCHSCP, 127.0.0.1, {self.scp_port or 1})\nHostTable END\n"
                          f"VendorTable BEGIN\nVendorTable END\n"
                          f"AETable BEGIN\nBENCHQR {files} RW (500, 1024mb) ANY\nAETable END\n")
        return ["dcmqrscp", "-c", str(config)]


class Folders:
    """Fresh folders for every start; removed at the very end. On ext4 each lies in block groups of its own (chattr +T spreads the
    folders below by their names): where inodes were freed in the last minutes, making a file costs up to a millisecond."""
    def __init__(self, base):
        self.base, self.count = pathlib.Path(base), 0
        subprocess.run(["chattr", "+T", str(base)], stderr=subprocess.DEVNULL, check=False)

    def fresh(self, server, **options):
        self.count += 1
        return server(self.base / f"{self.count:03}-{server.name.replace(' ', '-')}-{os.urandom(6).hex()}", **options)

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)
