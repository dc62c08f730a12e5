#!/usr/bin/python3
"""vitrine-poold as a service: who gets in, what each may, what a hostile or slow caller can do, a second daemon, its death in the middle
of a verb, a start while no master answers, where the password is and is not."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import cases
import poold
from cases import equal
from poold import Events, read_all, until

NOBODY = 65534
ASK = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1])\n"
       "try: s.sendall(sys.argv[2].encode()+b'\\n')\nexcept OSError: pass\n"
       "d=b''\ntry:\n while True:\n  p=s.recv(65536)\n  if not p: break\n  d+=p\nexcept ConnectionResetError: pass\nprint(d.decode())")


def as_nobody(world, verb, *args, **more):
    """The same question from another uid; None when this test may not change it."""
    if os.geteuid() != 0:
        return None
    line = json.dumps({"do": verb, "args": list(args), "json": True, **more})
    done = subprocess.run([sys.executable, "-c", ASK, str(world.socket), line], capture_output=True, text=True, timeout=60, check=False,
                          user=NOBODY, group=NOBODY, extra_groups=[])
    return [json.loads(text) for text in done.stdout.splitlines() if text]


def error(answers):
    return next((a["error"] for a in answers if "error" in a), {"code": "", "text": ""})


def reconfigure(world, text):
    base = world.daemon_conf.read_text().split("# test\n")[0]
    world.daemon_conf.write_text(base + "# test\n" + text)
    world.daemon.send_signal(1)
    until(lambda: world.log().count("pool.reloaded") > world.reloads, "the reload")
    world.reloads += 1


# ---- SIGHUP ----

def case_a_changed_password_is_taken_over_by_a_reload(world):
    logins = world.status()["MAIN"]["logins"]
    password = world.password.read_text()
    world.password.write_text("wrong\n")
    reconfigure(world, "[pool]\nconsole_user = none\n")
    world.ctl("expire-sessions")
    until(lambda: not world.answers(), "the daemon is refused with the new password")
    equal("password" in world.status()["MAIN"]["reason"].lower() or "AUTHENTICATION" in world.status()["MAIN"]["reason"], True,
          world.status())
    world.password.write_text(password)
    reconfigure(world, "[pool]\nconsole_user = none\n")
    until(world.answers, "the daemon logs in with the right one")
    equal(world.status()["MAIN"]["logins"] > logins, True)


def case_a_reload_with_a_mistake_changes_nothing_and_says_so(world):
    def failures():
        return world.log().count("pool.reload-failed")
    text = world.daemon_conf.read_text()
    for mistake, seconds in (("[pool]\nconsole_per_minute = many\n", 30), ("[log]\nlevel = loud\n", 30)):
        before = failures()
        world.daemon_conf.write_text(text + mistake)
        world.daemon.send_signal(1)
        until(lambda: failures() > before, "the mistake is in the log", seconds)
    before = failures()
    world.daemon_conf.write_text(text)
    world.password.chmod(0o640)
    world.daemon.send_signal(1)
    until(lambda: failures() > before, "a password that others can read is refused")
    world.password.chmod(0o600)
    equal(world.answers(), True)
    equal(len(world.rows("vm", "list")), 12)


def case_a_pool_that_moved_wants_a_restart(world):
    text = world.daemon_conf.read_text()
    world.daemon_conf.write_text(text.replace("https://127.0.0.1:", "https://127.0.0.2:"))
    world.daemon.send_signal(1)
    until(lambda: "pool.restart-wanted" in world.log(), "the log")
    until(lambda: world.log().count("pool.reloaded") > world.reloads, "the reload")
    world.reloads += 1
    equal((world.answers(), len(world.rows("vm", "list"))), (True, 12))
    world.daemon_conf.write_text(text)
    reconfigure(world, "")


def case_a_workstation_is_known_behind_a_reload(world):
    wanted = {"do": "vm.wake", "args": ["ws-0002"], "json": True}
    reconfigure(world, "[pool]\nconsole_user = nobody\n")
    refused = as_nobody(world, wanted["do"], *wanted["args"])
    if refused is None:
        return
    equal("no [workstation]" in error(refused)["text"], True, refused)
    reconfigure(world, '[pool]\nconsole_user = nobody\n[workstation "TWO"]\nvm = ws-0002\n')
    equal(as_nobody(world, wanted["do"], *wanted["args"])[-1], {"result": {"status": 0}})
    reconfigure(world, "[pool]\nconsole_user = none\n")


# ---- who may ----

def case_another_user_is_refused_before_a_byte_is_read(world):
    answers = as_nobody(world, "vm.list")
    if answers is not None:
        equal(error(answers)["code"], "denied", answers)
        equal("pool.caller-refused uid=65534" in world.log(), True)


def case_the_consoles_user_looks_and_wakes_workstations_only(world):
    reconfigure(world, "[pool]\nconsole_user = nobody\n")
    answers = as_nobody(world, "vm.list")
    if answers is None:
        return
    equal(len([a for a in answers if "row" in a]), 12)
    equal("console_verbs" in error(as_nobody(world, "vm.suspend", "ws-0001", user="alice"))["text"], True)
    equal("console_verbs" in error(as_nobody(world, "vm.screen", world.vm("ws-0001")["uuid"], user="alice"))["text"], True)
    equal(error(as_nobody(world, "pool.join", "127.0.0.4", user="alice"))["code"], "denied")
    equal("no [workstation]" in error(as_nobody(world, "vm.wake", "ws-0002"))["text"], True)
    equal(world.state("ws-0003"), "Halted")
    equal(as_nobody(world, "vm.wake", "ws-0003")[-1], {"result": {"status": 0}})
    equal(world.state("ws-0003"), "Running")
    equal(as_nobody(world, "vm.wake", "ws-0003")[0]["row"]["outcome"], "runs already")


def case_the_console_changes_in_a_persons_name_and_not_too_often(world):
    reconfigure(world, "[pool]\nconsole_user = nobody\nconsole_verbs = yes\nconsole_per_minute = 3\n")
    answers = as_nobody(world, "vm.suspend", "ws-0003")
    if answers is None:
        return
    equal("the person" in error(answers)["text"], True, answers)
    equal(as_nobody(world, "vm.suspend", "ws-0003", user="alice")[-1], {"result": {"status": 0}})
    refused = [error(as_nobody(world, "vm.resume", "nobody-has-this", user="alice"))["code"] for _ in range(4)]
    equal("busy" in refused, True, refused)
    lines = [json.loads(line) for line in (world.folder / "state" / "audit.log").read_text().splitlines()]
    mine = [line for line in lines if line["who"] == "nobody for alice" and line["outcome"] == "done"]
    equal([(line["verb"], line["args"]) for line in mine], [("vm.suspend", ["ws-0003"])], lines)
    world.ok("vm", "resume", "ws-0003")
    reconfigure(world, "[pool]\nconsole_user = none\n")


# ---- what a caller can do ----

def case_what_is_no_request_is_answered_and_closed(world):
    deep = b'{"do":' + b"[" * 100000 + b"]" * 100000 + b"}\n"
    for line in (b"\n", b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"{}\n", b'{"do":7}\n', b'{"do":"vm.list","args":"x"}\n', b'{"do":"vm.list","args":[1]}\n',
                 b'{"do":"vm.list","options":[]}\n', b'{"do":"vm.list","options":{"state":{}}}\n', b'{"do":"vm.list","pool":3}\n',
                 b'{"do":"vm.list","do":"vm.list"}\n', b'{"do":"vm.\xff"}\n', deep, b'{"do":"vm.list","args":[' + b'"x",' * 5000 + b'"x"]}\n'):
        answers = world.raw(line)
        equal((len(answers), error(answers)["code"] in ("protocol", "invalid")), (1, True), line[:60])
    equal(error(world.ask("vm.fly"))["text"] != "", True)
    equal(error(world.ask("rocket.start"))["code"], "unsupported")
    equal(error(world.ask("vm.list", options={"warp": True}))["code"], "invalid")
    equal(error(world.ask("vm.list", pool="OTHER"))["code"], "unsupported")
    equal(error(world.ask("vm.list", url="https://10.9.9.9"))["code"], "unsupported")
    equal(error(world.raw(b"x" * (2 << 20)))["code"], "limit")


def case_silent_callers_hold_a_place_for_seconds_only(world):
    silent = [world.connect() for _ in range(80)]
    for s in silent[::2]:
        s.sendall(b'{"do":"vm.')
    begun = time.monotonic()
    equal(len(world.rows("vm", "list")), 12)
    equal(time.monotonic() - begun < 50, True)
    equal(error(read_all(silent[0]))["code"], "timeout")
    for s in silent:
        s.close()
    memory = world.status()["vitrine-poold"]["resident_bytes"]
    equal(memory < 400 << 20, True, memory)      # a sanitizer multiplies it


def case_who_hangs_up_or_cancels_ends_what_he_began(world):
    world.ctl("delay", "0")
    running = world.rows("vm", "list", "--state", "running")[0]["name"]
    with world.connect() as s:
        s.sendall(json.dumps({"do": "vm.suspend", "args": [running], "json": True}).encode() + b"\n" + b'{"cancel":true}\n')
        answers = read_all(s)
    equal("row" in answers[0] or "row" in answers[1] or error(answers)["code"] == "cancelled", True, answers)
    until(lambda: world.status()["MAIN"]["tasks"] == 0, "no task is left")
    if world.state(running) == "Suspended":
        world.ok("vm", "resume", running)


def case_a_change_is_told_to_who_reads_the_events(world):
    events = Events(world)
    time.sleep(0.3)
    running = world.rows("vm", "list", "--state", "running")[0]
    world.ok("vm", "pause", running["name"])
    event = events.wait_for("vm.changed", lambda e: e["detail"]["power_state"] == "Paused")
    equal((event["subject"], event["pool"], event["detail"]["name_label"]), (running["uuid"], "MAIN", running["name"]))
    events.wait_for("task.changed")
    world.ok("vm", "unpause", running["name"])
    events.close()


def case_a_reader_that_takes_nothing_costs_bounded_memory_and_nobody_waits_for_it(world):
    before = world.status()["vitrine-poold"]["resident_bytes"]
    slow = [world.connect() for _ in range(6)]
    for s in slow:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b'{"do":"events"}\n')
    names = [row["name"] for row in world.rows("vm", "list", "--state", "running")]
    for _ in range(10):                                   # hundreds of events for each; thousands: tests/hypervisor/client_test.c
        world.ok("vm", "pause", *names)
        world.ok("vm", "unpause", *names)
    begun = time.monotonic()
    equal(len(world.rows("vm", "list")), 12)
    equal(time.monotonic() - begun < 10, True)
    grown = world.status()["vitrine-poold"]["resident_bytes"] - before
    sanitizer = b"__asan" in poold.POOLD.read_bytes() or b"__tsan" in poold.POOLD.read_bytes()      # keeps what was freed
    equal(grown < (400 if sanitizer else 64) << 20, True, grown)
    for s in slow[1:]:
        s.close()
    slow[0].settimeout(poold.WAIT)                        # what was kept for it still comes
    equal("event" in json.loads(slow[0].makefile("r").readline()), True)
    slow[0].close()


def case_callers_that_take_no_list_keep_no_change_waiting(world):
    slow = []
    for _ in range(8):
        s = world.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        s.sendall(json.dumps({"do": "vm.list", "args": [], "json": True}).encode() + b"\n")
        slow.append(s)
    world.ok("vm", "pause", world.rows("vm", "list", "--state", "running")[0]["name"])    # a change needs the picture's other lock
    world.ok("vm", "unpause", world.rows("vm", "list", "--state", "paused")[0]["name"])
    for s in slow:
        s.close()


# ---- its life ----

def case_a_second_daemon_is_refused(world):
    for options, say in (((), "keeps "), (("-o", f"pool.state={world.folder}/other"), "listens at")):
        other = subprocess.run([poold.POOLD, "-c", world.daemon_conf, *options], capture_output=True, text=True, timeout=60, check=False)
        equal((other.returncode, say in other.stderr), (1, True), other.stderr)
    equal(len(world.rows("vm", "list")), 12)


def case_the_password_is_in_its_file_only(world):
    secret = "a-secret-that-is-nowhere"
    bad = world.folder / "secret"
    bad.write_text(secret + "\n")
    bad.chmod(0o600)
    world.end()
    world.begin("-o", f"pool.password_file={bad}")      # a wrong one: the pool stays away, and says why
    equal("check pool.user and pool.password_file" in world.log() or "SESSION_AUTHENTICATION_FAILED" in world.log(), True)
    process = pathlib.Path(f"/proc/{world.daemon.pid}")
    found = [name for name in ("cmdline", "environ") if secret.encode() in (process / name).read_bytes()]
    found += [p.name for p in world.folder.rglob("*") if p.is_file() and p != bad and secret in p.read_text(errors="replace")]
    equal(found, [])
    equal("0" in (process / "limits").read_text().split("Max core file size")[1].split("\n")[0].split()[0], True)
    world.end()
    bad.chmod(0o640)
    refused = subprocess.run([poold.POOLD, "-c", world.daemon_conf, "-o", f"pool.password_file={bad}"], capture_output=True, text=True, timeout=60,
                             check=False)
    equal((refused.returncode, "chmod 600" in refused.stderr), (2, True), refused.stderr)
    world.begin()


def case_killed_in_the_middle_of_a_verb_it_starts_again_and_knows_what_became_of_it(world):
    running = world.rows("vm", "list", "--state", "running")[0]["name"]
    cli = subprocess.Popen([poold.pool_cli_test.VITRINE, "-c", world.conf, "vm", "suspend", running], stderr=subprocess.PIPE, text=True)
    until(lambda: world.status()["MAIN"]["tasks"] > 0 or cli.poll() is not None, "the task")
    world.end(9)
    said = cli.communicate(timeout=60)[1]
    equal(cli.returncode == 0 or "ended before it was done" in said, True, said)
    world.begin()
    until(lambda: world.state(running) == "Suspended", "the VM is as the pool has it")
    world.ok("vm", "resume", running)


def case_it_ends_cleanly_while_callers_wait(world):
    events, silent = Events(world), world.connect()
    equal(world.end(), 0)
    events.close()
    silent.close()
    equal(world.socket.exists(), False)
    world.begin()


def case_started_without_a_master_it_finds_the_pool_when_one_answers(world):
    hosts = [row["name"] for row in world.rows("host", "list")]
    world.end()
    for host in hosts:
        world.ctl("fail-host", host)
    world.begin()
    equal(world.answers(), False)
    equal(len(world.rows("vm", "list")), 12)          # the last picture
    for host in hosts:
        world.ctl("restore-host", host)
    until(world.answers, "the daemon finds the pool", 90)
    equal(world.status()["MAIN"]["away_since"], None)
    halted = world.rows("vm", "list", "--state", "halted")[0]["name"]
    world.ok("vm", "start", halted)
    equal(world.state(halted), "Running")


def case_it_starts_without_a_master_and_shows_the_picture_with_its_age(world):
    before = world.rows("vm", "list")
    world.end()
    world.stop()
    world.begin()
    done = world.ok("vm", "list", "--json")
    equal([json.loads(line) for line in done.stdout.splitlines()], before)
    equal("this is how it was at" in done.stderr, True, done.stderr)
    members = {row["name"]: row["state"] for row in world.rows("pool", "emergency")}
    equal(set(members.values()), {"silent"}, members)


def prepare(folder):
    os.chmod(folder, 0o755)
    world = poold.Daemon(folder, "-o", "workstation.READ1.vm=ws-0003", user="none")
    world.reloads = 0
    return world


if __name__ == "__main__":
    sys.exit(cases.main(globals(), prepare))
