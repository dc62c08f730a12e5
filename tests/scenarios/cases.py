"""Runs the functions of a script whose names begin with case_, in order, with what the script hands them; each is a sentence that is
false when the node is wrong. Prints one line for each; the exit status is 0 when all held."""
import os
import tempfile
import time
import traceback


def run(module, *arguments):
    names = [name for name in module if name.startswith("case_")]
    failed = 0
    for name in names:
        begun = time.monotonic()
        try:
            module[name](*arguments)
            word = "ok  "
        except Exception:                    # a failure of any kind is the case's, and the others still run
            traceback.print_exc()
            failed, word = failed + 1, "FAIL"
        print(f"{word} {name[5:].replace('_', ' ')} ({time.monotonic() - begun:.2f} s)", flush=True)
    print(f"{len(names) - failed} of {len(names)} held")
    return 1 if failed else 0


def equal(a, b, what=""):
    if a != b:
        raise AssertionError(f"{what}: {a!r} is not {b!r}")


def until(condition, what, seconds=90):
    """Waits for a condition, generously; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"in {seconds} s it did not come to: {what}")


def main(space, make, *arguments, **options):
    """A scenario as a program: make(folder, ...) builds its world, the cases in space (globals()) run, world.close() takes it down.
    With VT_VERBOSE set what the world has logged is printed."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        world = make(folder, *arguments, **options)
        try:
            return run(space, world)
        finally:
            world.close()
            print(f"{time.monotonic() - begun:.1f} s")
            if os.environ.get("VT_VERBOSE") and hasattr(world, "log"):
                print(world.log())
