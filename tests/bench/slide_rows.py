"""The rows of slides: one of 730 MB, made here, into the archive and back, against `cp` and fsync of the same file and against Debian's
OrthancWSIDicomizer, which only writes DICOM files. Runs take turns; medians."""
import ctypes.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import slides
from peers import BIN
from rows import Row, judge, number

MEGABYTES = 730
DICOMIZER = "OrthancWSIDicomizer"


def timed(command):
    """(seconds, peak resident bytes); None when it failed."""
    begun, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, VITRINE_CONF=""))
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.002)
    return (time.monotonic() - begun, peak) if process.returncode == 0 else None


def resident(pid):
    """The peak so far, in bytes. What wait4 tells counts the memory of who started it."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def copy(source, to):
    """cp, and the copy on the disk."""
    return timed(["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", str(source), str(to)])


def dicomize(source, to):
    library = ctypes.util.find_library("openslide")
    if not shutil.which(DICOMIZER) or not library:
        return None
    to.mkdir()
    return timed([DICOMIZER, "--openslide", library, "--folder", str(to), "--max-size", "0", str(source)])


def originals(vitrine):
    """What names the slides of the archive, the smallest first."""
    listed = subprocess.run([*vitrine, "--json", "slide", "list"], capture_output=True, text=True, check=False, env=dict(os.environ, VITRINE_CONF=""))
    rows = sorted((json.loads(line) for line in listed.stdout.splitlines()), key=lambda row: row["bytes"])
    return [f"SOPInstanceUID={row['SOPInstanceUID']}" for row in rows]


def clear(*paths):
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    os.sync()


def slide(bench):
    folder = pathlib.Path(bench.folders.base) / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    source = slides.large(folder / "made.svs", MEGABYTES)
    vitrine = [str(BIN / "vitrine"), "-o", f"archive.path={folder / 'archive'}"]
    small, idle = slides.pyramid(folder / "small.svs"), {"import": None}
    times = {name: [] for name in ("cp", "import", "restore", "dicomizer")}
    for i in range(bench.rounds):
        clear(folder / "copy", folder / "archive", folder / "back.svs", folder / "dicom")
        first = timed([*vitrine, "import", str(small)])   # an archive that is there already
        idle["import"] = idle["import"] or first
        source.read_bytes()
        times["cp"].append(copy(source, folder / "copy"))
        clear(folder / "copy")
        times["import"].append(timed([*vitrine, "import", str(source)]))
        uids = originals(vitrine)
        times["restore"].append(timed([*vitrine, "slide", "restore", uids[-1], "-o", str(folder / "back.svs")]))
        if i == 0:
            idle["restore"] = timed([*vitrine, "slide", "restore", uids[0], "-o", str(folder / "small.back")])
        if i == 0:
            times["dicomizer"].append(dicomize(source, folder / "dicom"))
    size = source.stat().st_size
    clear(folder)

    def seconds(name):
        values = [t[0] for t in times[name] if t]
        return statistics.median(values) if values else None
    cp = seconds("cp")
    for name, words, bar, aim in (("import", f"slide of {size / 1e6:.0f} MB into the archive, SHA-256, fsync and proof of restore", 2.5, 1.5),
                                  ("restore", "the same slide restored", 2, 1)):
        mine = seconds(name)
        ratio = mine / cp if mine and cp else None
        yield judge(Row(words, number(mine, " s"), f"cp and fsync {number(cp, ' s')}", f"{ratio:.2f}x" if ratio else "", f"<= {bar}x",
                        f"<= {aim}x"), ratio, bar, aim, larger=False)
    mine, theirs = seconds("import"), seconds("dicomizer")
    ratio = theirs / mine if mine and theirs else None
    yield judge(Row("the same import, files only there", number(mine, " s"), f"{DICOMIZER} {number(theirs, ' s')}", f"{ratio:.1f}x" if ratio else "",
                    "3x", "5x"), ratio, 3, 5)
    for name in ("import", "restore"):
        peak = max((t[1] for t in times[name] if t), default=None)
        grown = (peak - idle[name][1]) / 1e6 if peak and idle[name] else None
        yield judge(Row(f"memory: what the {name} takes beyond that of a small slide", number(grown, " MB"),
                        f"{peak / 1e6:.0f} MB in all" if peak else "", "", "<= 32 MB", "<= 16 MB"), grown, 32, 16, larger=False)
