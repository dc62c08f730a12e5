#!/usr/bin/python3
"""The console of a VM: a picture of it in a file, and the relay for a viewer on this machine, driven by a VNC client that others wrote
(vncsnapshot) and by bytes. Over TLS, on every host of the pool; the picture is read with Pillow."""
import os
import shutil
import signal
import socket
import subprocess
import sys

import cases
from cases import equal
from pool_cli_test import DONE, FAILED, USAGE, VITRINE, World

BARS = [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (32, 32, 32)]


def bars_of(path):
    from PIL import Image
    with Image.open(path) as image:
        image.load()
        image = image.convert("RGB")
        equal(image.size, (320, 200))
        return [image.getpixel((40 * i + 20, 100)) for i in range(8)]


def start(world, *words):
    return subprocess.Popen([VITRINE, "-c", world.conf, "vm", "console", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "VITRINE_CONF": ""})


def port_of(process):
    line = process.stdout.readline().decode()
    equal(line.startswith("waiting for a viewer on vnc://127.0.0.1:"), True, line)
    return int(line.rsplit(":", 1)[1])


def end(process):
    try:
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, errors.decode()


def case_a_picture_of_each_running_vm_is_written(world):
    running = world.rows("vm", "list", "--state", "running")
    equal(len({vm["host"] for vm in running}), 3)
    for vm in running[:4]:
        for ending in ("png", "ppm"):
            file = world.folder / f"{vm['name']}.{ending}"
            done = world.ok("vm", "console", vm["name"], "--screenshot", str(file))
            equal(done.stdout, f"{file}: 320 by 200\n")
            equal(bars_of(file), BARS, file)


def case_what_has_no_console_is_said(world):
    halted = world.rows("vm", "list", "--state", "halted")[0]["name"]
    world.fails(FAILED, "vm", "console", halted, "--screenshot", str(world.folder / "x.png"), say=f"{halted}: it has no console now")
    running = world.rows("vm", "list", "--state", "running")[0]["name"]
    world.fails(USAGE, "vm", "console", running, "--screenshot", str(world.folder / "x.gif"), say="an image is .png or .ppm")
    world.fails(USAGE, "vm", "console", running, "--stdio", "--listen", "0", say="at a time")
    world.fails(USAGE, "vm", "console", running, "--listen", "0.0.0.0:5900", say="a port of this machine")
    world.fails(FAILED, "vm", "console", "nobody", "--stdio", say="has no VM 'nobody'")


def case_a_foreign_viewer_sees_the_screen_through_the_relay(world):
    if not shutil.which("vncsnapshot"):
        print("vncsnapshot is not installed: passed over")
        return
    process = start(world, "ws-0001")
    port = port_of(process)
    file = world.folder / "foreign.jpg"
    done = subprocess.run(["vncsnapshot", "-quality", "100", f"127.0.0.1::{port}" if port < 5900 else f"127.0.0.1:{port - 5900}", str(file)],
                          capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, done.stderr)
    near = [all(abs(a - b) < 12 for a, b in zip(x, y)) for x, y in zip(bars_of(file), BARS)]
    equal(near, [True] * 8)
    equal(end(process)[0], DONE)


def hello(receive, send):
    equal(receive(12), b"RFB 003.008\n")
    send(b"RFB 003.008\n")
    equal(receive(2), b"\1\1")
    send(b"\1")
    equal(receive(4), b"\0\0\0\0")
    send(b"\1")
    equal(receive(4), b"\x01\x40\x00\xc8")


def case_standard_input_and_output_are_a_viewer(world):
    process = start(world, "ws-0002", "--stdio")

    def send(data):
        process.stdin.write(data)
        process.stdin.flush()
    hello(process.stdout.read, send)
    status, _, errors = end(process)
    equal((status, errors), (DONE, ""))


def case_a_socket_in_a_folder_serves_its_owner_once(world):
    path = world.folder / "console.sock"
    process = start(world, "ws-0001", "--listen", str(path))
    process.stdout.readline()
    equal(path.stat().st_mode & 0o777, 0o700)
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.settimeout(30)
        viewer.connect(str(path))
        file = viewer.makefile("rb")
        hello(file.read, viewer.sendall)
        equal(path.exists(), False)
        file.close()
    equal(end(process)[0], DONE)


def case_the_relay_ends_when_somebody_interrupts(world):
    process = start(world, "ws-0002")
    with socket.create_connection(("127.0.0.1", port_of(process)), timeout=30) as viewer:
        file = viewer.makefile("rb")
        hello(file.read, viewer.sendall)
        process.send_signal(signal.SIGINT)
        equal(end(process)[0], FAILED)
        file.close()
    waiting = start(world, "ws-0002")
    port_of(waiting)
    waiting.send_signal(signal.SIGINT)
    equal(end(waiting)[0], FAILED)


def prepare(folder):
    world = World(folder)
    world.ok("vm", "list")
    return world


if __name__ == "__main__":
    sys.exit(cases.main(globals(), prepare))
