"""One vitrined for a test: starts it on a free loopback port, waits for its `ready` line, ends it by its own pid.

    with Node(folder) as node:
        Association(node.port)...
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

SOURCE = pathlib.Path(os.environ.get("VT_SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])
BIN = pathlib.Path(os.environ.get("VT_BIN_DIR") or SOURCE / "build/release/bin")
SKIPPED = 77                     # SKIP_RETURN_CODE of ctest
START_SECONDS = 30
STOP_SECONDS = 20


def shared_data():
    """The wide test data, or None when this checkout has none."""
    folder = pathlib.Path(os.environ.get("VT_SHARED_DATA") or SOURCE.parent / "shared/data")
    return folder if folder.is_dir() else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def work_folder(prefix):
    """A fresh folder on a disk, not on a memory file system; the caller keeps the object alive."""
    return tempfile.TemporaryDirectory(prefix=f"vitrine-{prefix}-", dir="/var/tmp", ignore_cleanup_errors=True)


class Node:
    def __init__(self, path, options=(), environment=None, program="vitrined", wrap=()):
        self.path, self.port = pathlib.Path(path), free_port()
        self.path.mkdir(parents=True, exist_ok=True)
        self.options = ["-o", f"archive.path={self.path}", "-o", f"dicom.port={self.port}", "-o", "http.port=0"]
        for option in options:
            self.options += ["-o", option]
        self.command = [*wrap, str(BIN / program), *self.options]
        self.environment = dict(os.environ, **(environment or {}))
        self.process, self.lines, self.ready_seconds = None, [], None
        self._ready = threading.Event()

    def start(self):
        """Returns when the node says `ready`; RuntimeError with its words when it ends instead."""
        self._ready.clear()
        begun = time.monotonic()
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
        self._reader.start()
        while not self._ready.wait(0.002):
            if self.process.poll() is not None:
                self._reader.join(5)
                raise RuntimeError(f"vitrined ended with {self.process.returncode}: " + " | ".join(self.lines[-5:]))
            if time.monotonic() - begun > START_SECONDS:
                self.kill()
                raise RuntimeError(f"vitrined was not ready in {START_SECONDS} s: " + " | ".join(self.lines[-5:]))
        self.ready_seconds = time.monotonic() - begun
        return self

    def http_port(self):
        """Of the `ready` line."""
        for line in self.lines:
            for word in line.split():
                if word.startswith(("http=", "https=")):
                    return int(word.rpartition(":")[2])
        return None

    def _read_log(self, process):
        for line in process.stderr:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("ready") or " ready " in line:
                self._ready.set()

    def stop(self):
        """SIGTERM; its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("vitrined did not end on SIGTERM") from None
        self._reader.join(5)
        return self.process.returncode

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def rss(self, key="VmRSS"):
        """Bytes; VmHWM is the peak."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def cli(self, *words, timeout=120, options=True):
        """Runs `vitrine`; archive verbs go through control.sock while the node runs."""
        command = [str(BIN / "vitrine"), *(self.options if options else []), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if exc[0] is not None:
            print("last lines of vitrined:\n  " + "\n  ".join(self.lines[-20:]), flush=True)
        if self.alive():
            self.stop() if exc[0] is None else self.kill()


def object_files(path):
    """{SOP Instance UID: [files]} of what the archive keeps under objects/; versions (~2) count to their UID."""
    found = {}
    for folder, _, names in os.walk(pathlib.Path(path) / "objects"):
        for name in names:
            found.setdefault(name.removesuffix(".dcm").split("~")[0], []).append(os.path.join(folder, name))
    return found


def json_lines(output):
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
