"""The rows of the table: what is measured, against whom, and the bar. Each function takes the bench and yields rows. Peers take
turns within a round, so that a slow minute of the machine hurts all alike."""
import dataclasses
import pathlib
import subprocess
import time

from peers import Dcmqrscp, Orthanc, OrthancTuned, Storescp, Vitrine, VitrineTls, warm_memory
from node import free_port
from rawdicom import CT, EXPLICIT, instance, part10

MB = 1e6
SENT_FILES = 200
ECHO_IDLE, ECHO_SILENT = 64, 50
LOAD_RUN = 77


@dataclasses.dataclass
class Row:
    work: str
    ours: str
    peers: str = ""
    ratio: str = ""
    bar: str = ""
    aim: str = ""
    verdict: str = ""


def judge(row, value, bar, aim, larger=True):
    """ "aim", "bar" or "below"."""
    if value is None:
        row.verdict = "no result"
    elif aim is not None and (value >= aim if larger else value <= aim):
        row.verdict = "aim"
    elif value >= bar if larger else value <= bar:
        row.verdict = "bar"
    else:
        row.verdict = "below"
    return row


def number(value, unit=""):
    if value is None:
        return "none"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text + unit


def ratio_row(work, ours, theirs, bar, aim, unit, peer, more=""):
    """More is better."""
    ratio = ours / theirs if ours and theirs else None
    row = Row(work, number(ours, unit) + more, f"{peer} {number(theirs, unit)}", f"{ratio:.1f}x" if ratio else "", f"{bar}x", f"{aim}x")
    return judge(row, ratio, bar, aim)


# ---- store ----

def store_rounds(bench, kind, associations, servers):
    """{server name: [results]}"""
    results = {server.name: [] for server in servers}
    for _ in range(bench.rounds):
        for server in servers:
            warm_memory()
            with bench.folders.fresh(server) as one:
                results[server.name].append(bench.dicombench("store", one, "--set", kind, "-c", associations, "--seconds", bench.seconds,
                                                             "--warmup", 1))
            one.spend()
    return results


def store_rows(bench, kind, unit, cases):
    """cases: associations -> [(server, bar, aim)]"""
    for associations, against in cases.items():
        servers = [Vitrine] + [server for server, _, _ in against]
        results = store_rounds(bench, kind, associations, servers)
        ours = bench.median(results["vitrine"], "per_second")
        fine = [r for r in results["vitrine"] if r]
        more = f" (p50 {bench.median(fine, 'latency_p50_ms'):.2f}, p99 {bench.median(fine, 'latency_p99_ms'):.1f} ms, " \
               f"{bench.median(fine, 'cpu_ms_each'):.2f} ms CPU, {bench.median(fine, 'rss_peak') / MB:.0f} MB)" if fine else ""
        for server, bar, aim in against:
            theirs = bench.median(results[server.name], "per_second")
            work = f"store {kind}, {associations} associations"
            if bar is None:
                yield Row(work, number(ours, unit), f"{server.name} {number(theirs, unit)}",
                          f"{ours / theirs:.1f}x" if ours and theirs else "", verdict="told")
            else:
                yield ratio_row(work, ours, theirs, bar, aim, unit, server.name, more)
            more = ""


def store_ct(bench):
    yield from store_rows(bench, "ct", "/s", {
        1: [(Orthanc, None, None), (OrthancTuned, None, None), (Storescp, None, None)],
        4: [(Orthanc, 3, 4), (OrthancTuned, 1.8, 2.5), (Storescp, None, None), (Dcmqrscp, None, None)],
        16: [(Orthanc, 4, 6), (OrthancTuned, 2.2, 3), (Storescp, None, None)]})


def store_tls(bench):
    """TLS against plain, in turns."""
    results = {server.name: [] for server in (Vitrine, VitrineTls)}
    for _ in range(bench.rounds):
        for server in (Vitrine, VitrineTls):
            warm_memory()
            with bench.folders.fresh(server) as one:
                more = ["--tls", "--port", one.tls_port] if server is VitrineTls else []
                results[server.name].append(bench.dicombench("store", one, "--set", "ct", "-c", 4, "--seconds", bench.seconds, "--warmup", 1,
                                                             *more))
            one.spend()
    plain, tls = (bench.median(results[s.name], "per_second") for s in (Vitrine, VitrineTls))
    ratio = tls / plain if tls and plain else None
    cpu = [bench.median([r for r in results[s.name] if r], "cpu_ms_each") for s in (Vitrine, VitrineTls)]
    row = Row("store ct, 4 associations, over TLS", number(tls, "/s") + (f" ({cpu[1]:.2f} ms CPU)" if cpu[1] else ""),
              f"plain {number(plain, '/s')}" + (f" ({cpu[0]:.2f} ms CPU)" if cpu[0] else ""), f"{ratio:.2f}" if ratio else "", ">= 0.6", ">= 0.8")
    yield judge(row, ratio, 0.6, 0.8)


def store_tiny(bench):
    yield from store_rows(bench, "tiny", "/s", {
        16: [(Orthanc, 8, 15), (Storescp, None, None)],
        64: [(Orthanc, 12, 20), (Storescp, None, None)]})


def store_wsi(bench):
    results = store_rounds(bench, "wsi", 4, [Vitrine, Orthanc, Storescp])
    ours = bench.median(results["vitrine"], "per_second")
    yield ratio_row("store 60 MB slides, 4 associations", ours, bench.median(results["orthanc"], "per_second"), 4, 4.5, "/s", "orthanc")
    yield Row("the same", number(ours, "/s"), f"storescp {number(bench.median(results['storescp'], 'per_second'), '/s')}", verdict="told")
    fine = [r for r in results["vitrine"] if r]
    grown = max((r["rss_peak"] - r["rss_before"] for r in fine), default=None)
    orthanc = max((r["rss_peak"] for r in results["orthanc"] if r), default=0)
    yield judge(Row("memory growth, 60 MB slides", number(grown and grown / MB, " MB"), f"orthanc peak {orthanc / MB:.0f} MB", "", "<= 32 MB",
                    "<= 16 MB"), grown and grown / MB, 32, 16, larger=False)


def huge(bench):
    """2 GB in one multi-frame instance, in and out."""
    size = 2 << 30
    with bench.folders.fresh(Vitrine) as server:
        stored = bench.dicombench("store", server, "--set", "huge", "--size", size, "--count", 1, "--run", LOAD_RUN)
        fetched = bench.dicombench("get", server, "--set", "huge", "--stored", 1, "--run", LOAD_RUN, "--seconds", 10, "--warmup", 0)
    server.spend()
    for word, result in (("stored", stored), ("retrieved by C-GET", fetched)):
        grown = (result["rss_peak"] - result["rss_before"]) / MB if result and result["done"] else None
        yield judge(Row(f"2 GB multi-frame instance {word}: memory growth", number(grown, " MB"), "", "", "<= 32 MB", "<= 16 MB"), grown,
                    32, 16, larger=False)


def sent_files(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(SENT_FILES):
        sop = f"1.2.826.99.{int(time.time())}.{i}"
        data = instance(sop, "1.2.826.98", "1.2.826.97", CT, number=i + 1, pixels=bytes(range(256)) * 2048, rows=512)
        (folder / f"{i:04}.dcm").write_bytes(part10(data, EXPLICIT, CT, sop))


def nagle(bench):
    """Debian's own senders, with their Nagle on."""
    base = pathlib.Path(bench.folders.base)
    for program, words in (("dcmsend", ["--scan-directories"]), ("storescu", ["--scan-directories"])):
        took = {}
        for server in (Vitrine, Orthanc, Storescp):
            times = []
            for i in range(bench.rounds):
                files = base / f"{program}-{server.name}-{i}"
                sent_files(files)
                with bench.folders.fresh(server) as one:
                    begun = time.monotonic()
                    done = subprocess.run([program, "-aec", one.called, *words, "127.0.0.1", str(one.port), str(files)], check=False,
                                          capture_output=True, text=True, timeout=300)
                    if done.returncode == 0:
                        times.append((time.monotonic() - begun) * 1e3 / SENT_FILES)
                    else:
                        print(f"  {program} to {server.name}: {(done.stdout + done.stderr).strip()[-200:]}", flush=True)
                one.spend()
            took[server.name] = sorted(times)[len(times) // 2] if times else None
        row = Row(f"stock {program} with its Nagle on, 525 KB files", number(took["vitrine"], " ms a file"),
                  ", ".join(f"{n} {number(took[n], ' ms')}" for n in ("orthanc", "storescp")), "", "<= 3 ms", "<= 1.5 ms")
        yield judge(row, took["vitrine"], 3, 1.5, larger=False)


# ---- find ----

QUERIES = (("study", "StudyInstanceUID"), ("patient", "PatientID"), ("accession", "AccessionNumber"), ("date", "a range of dates"),
           ("prefix", "a name prefix"), ("instances", "the instances of a series"))


def find_results(bench, server, stored):
    """{query: result}; the date range is as long as gives about 20 studies at any size."""
    days = max(1, 20 * 7000 * 50 // stored)
    out = {}
    for query, _ in (*QUERIES, ("smith", ""), ("infix", "")):
        seconds = max(bench.seconds / 2, 2)
        out[query] = bench.dicombench("find", server, "--set", "tiny", "--run", LOAD_RUN, "--stored", stored, "--query", query, "--days", days,
                                      "--seconds", seconds, "--warmup", 0.5)
    return out


def each_match_us(result):
    """Time for a match behind the first, from means of whole runs."""
    if not result or result["matches"] <= result["done"]:
        return None
    more = result["matches"] / result["done"] - 1
    return (result["latency_p50_ms"] - result["first_p50_ms"]) / more * 1e3


def find(bench):
    sizes = [10_000, 100_000] + ([1_000_000] if bench.full else [])
    ours, theirs, tuned = {}, {}, None
    with bench.folders.fresh(Vitrine) as server:
        have = 0
        for size in sizes:
            loaded = bench.dicombench("store", server, "--set", "tiny", "-c", 16, "--run", LOAD_RUN, "--first", have, "--count", size - have)
            have = size
            if loaded and loaded["done"]:
                yield Row(f"load to {size:,} tiny instances, 16 associations", number(loaded["per_second"], "/s"), verdict="told")
            ours[size] = find_results(bench, server, size)
    with bench.folders.fresh(OrthancTuned) as tuned:
        have = 0
        for size in sizes[:2]:
            bench.dicombench("store", tuned, "--set", "tiny", "-c", 16, "--run", LOAD_RUN, "--first", have, "--count", size - have)
            have = size
            theirs[size] = find_results(bench, tuned, size)
    yield from find_rows(sizes, ours, theirs)


def find_rows(sizes, ours, theirs):
    largest = sizes[-1]
    for query, words in QUERIES:
        mine = ours[largest][query]
        first = mine["first_p95_ms"] if mine else None
        row = Row(f"C-FIND by {words}, {largest:,} instances: first response p95", number(first, " ms"),
                  ", ".join(f"ours at {s:,} {number(ours[s][query] and ours[s][query]['first_p95_ms'], ' ms')}" for s in sizes[:-1]), "",
                  "<= 1 ms", "")
        yield judge(row, first, 1, None, larger=False)
        each = each_match_us(mine)
        if each is not None:
            yield judge(Row("the same: each further match", number(each, " us"), "", "", "<= 20 us", ""), each, 20, None, larger=False)
        size = 100_000
        a, b = ours[size][query], theirs[size][query]
        if a and b:
            # slower is worse: the ratio of the medians of whole queries
            ratio = b["latency_p50_ms"] / a["latency_p50_ms"] if a["latency_p50_ms"] else None
            row = Row(f"C-FIND by {words}, 100,000 instances: whole query p50", number(a["latency_p50_ms"], " ms"),
                      f"orthanc tuned {number(b['latency_p50_ms'], ' ms')}", f"{ratio:.0f}x", "50x", "100x")
            yield judge(row, ratio, 50, 100)
    infix = ours[largest]["infix"]
    first = infix["first_p95_ms"] if infix else None
    yield judge(Row(f"C-FIND `*MIT*`, {largest:,} instances: first response p95", number(first, " ms"), "", "", "<= 5 ms", "<= 2 ms"), first,
                5, 2, larger=False)
    smith = ours[largest]["smith"]
    if smith and smith["done"]:
        yield Row(f"C-FIND `SMITH*`, {largest:,} instances, {smith['matches'] / smith['done']:.0f} matches",
                  f"first p95 {number(smith['first_p95_ms'], ' ms')}, {number(each_match_us(smith), ' us')} a match", verdict="told")


# ---- retrieve, echo, start ----

def retrieve(bench):
    results = {}
    servers = (Vitrine, Orthanc, Dcmqrscp)
    for _ in range(bench.rounds):
        for server in servers:
            port = free_port()
            with bench.folders.fresh(server, scp_port=port) as one:
                bench.dicombench("store", one, "--set", "ct", "--run", LOAD_RUN, "--count", 300)
                for mode, words in (("get", ()), ("move", ("--scp-port", port, "--scp-title", "BENCHSCP"))):
                    result = bench.dicombench(mode, one, "--set", "ct", "--run", LOAD_RUN, "--stored", 300, "--seconds", bench.seconds, *words,
                                              timeout=bench.seconds + 120)
                    results.setdefault((mode, server.name), []).append(result)
            one.spend()
    for mode, words in (("get", "C-GET"), ("move", "C-MOVE")):
        ours = bench.median(results[mode, "vitrine"], "per_second")
        for server in servers[1:]:
            yield ratio_row(f"{words} of a CT of 300", ours, bench.median(results[mode, server.name], "per_second"), 1.5, 2, "/s", server.name)


def echo(bench):
    results = {}
    for server in (Vitrine, OrthancTuned):
        with bench.folders.fresh(server) as one:
            for fresh in (False, True):
                words = ["--idle", ECHO_IDLE, "--silent", ECHO_SILENT, "--per-title", 16, "--seconds",
                         bench.seconds] + (["--fresh"] if fresh else [])
                results[server.name, fresh] = bench.dicombench("echo", one, *words, timeout=bench.seconds + 90)
    for fresh, words in ((False, "on an open association"), (True, "association, echo and release")):
        mine, other = results["vitrine", fresh], results["orthanc tuned", fresh]
        value = mine["latency_p95_ms"] if mine and mine["done"] else None
        peer = number(other["latency_p50_ms"], " ms") if other and other["done"] else f"no answer in {bench.seconds + 90:.0f} s"
        yield judge(Row(f"C-ECHO beside {ECHO_IDLE} idle associations and {ECHO_SILENT} silent connections, {words}: p95",
                        number(value, " ms"), f"orthanc tuned {peer}", "", "<= 5 ms", "<= 1 ms"), value, 5, 1, larger=False)


def start(bench):
    times, memory = {}, {}
    for server in (Vitrine, Orthanc, Dcmqrscp):
        one = bench.folders.fresh(server)
        for i in range(1 + 2 * bench.rounds):       # the first makes the folders
            with one:
                if i:
                    times.setdefault(server.name, []).append(one.first_echo * 1e3)
                time.sleep(0.3)
                memory[server.name] = one.rss() / MB
    others = ", ".join(f"{n} {min(times[n]):.0f} ms, {memory[n]:.0f} MB" for n in ("orthanc", "dcmqrscp"))
    best = sorted(times["vitrine"])[len(times["vitrine"]) // 2]
    yield judge(Row("start to first echo after a clean stop", number(best, " ms"), others, "", "<= 50 ms", "<= 30 ms"), best, 50, 30,
                larger=False)
    yield judge(Row("idle memory", number(memory["vitrine"], " MB"), "", "", "<= 20 MB", "<= 16 MB"), memory["vitrine"], 20, 16, larger=False)
    one, size = bench.folders.fresh(Vitrine), 1_000_000 if bench.full else 100_000
    with one:
        bench.dicombench("store", one, "--set", "tiny", "-c", 16, "--run", LOAD_RUN, "--count", size)
    samples = []
    for _ in range(3):
        with one:
            samples.append(one.first_echo * 1e3)
            time.sleep(0.3)
            rss = one.rss() / MB
    yield judge(Row(f"start to first echo with {size:,} instances", number(sorted(samples)[1], " ms"), f"{rss:.0f} MB", "", "<= 50 ms",
                    "<= 30 ms"), sorted(samples)[1], 50, 30, larger=False)


def slide(bench):
    import slide_rows      # wants Pillow and numpy
    yield from slide_rows.slide(bench)


ALL = {"start": start, "echo": echo, "nagle": nagle, "store-ct": store_ct, "tls": store_tls, "store-tiny": store_tiny, "store-wsi": store_wsi, "huge": huge,
       "retrieve": retrieve, "find": find, "slide": slide}
