#!/usr/bin/python3
"""Every route that the console serves is in docs/openapi.yaml, and every operation there is served. Routes are read from the tables of console/*.c
({ "METHOD", PATH, ROLE, ...), their path macros put together; the role must be named in the summary."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)\s+((?:\w+|\"[^\"]*\")(?:\s+(?:\w+|\"[^\"]*\"))*)\s*$", re.M)
ROUTE = re.compile(r"\{\s*\"(GET|POST|PUT|DELETE)\",\s*((?:\w+|\"[^\"]*\")(?:\s+(?:\w+|\"[^\"]*\"))*),\s*VT_USER_(\w+)")
PAGES = {"/**", "/", "/app.js", "/app.css"}   # not an interface


def put_together(words: str, macros: dict) -> str:
    out = ""
    for word in re.findall(r"\w+|\"[^\"]*\"", words):
        out += word[1:-1] if word.startswith('"') else put_together(macros[word], macros)
    return out


def served() -> dict:
    """{(method, path with * for each part): role}"""
    shared = dict(DEFINE.findall((ROOT / "console/console_inside.h").read_text(encoding="utf-8")))
    found = {}
    for source in sorted((ROOT / "console").glob("*.c")):
        text = source.read_text(encoding="utf-8")
        macros = {**shared, **dict(DEFINE.findall(text))}
        if source.name == "pages.c":
            continue
        for method, words, role in ROUTE.findall(text):
            found[method, re.sub(r"\*+", "*", put_together(words, macros))] = role.lower()
    return found


def described() -> dict:
    """{(method, path with * for each part): text of the operation}"""
    found, path, method = {}, None, None
    for line in (ROOT / "docs/openapi.yaml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"^  (/\S*):\s*$", line):
            path = re.sub(r"\{\w+\}", "*", match[1])
        elif path and (match := re.match(r"^    (get|post|put|delete):(.*)$", line)):
            method = match[1].upper()
            found[method, path] = match[2]
        elif path and method and (method, path) in found:
            found[method, path] += " " + line.strip()
    return found


def main() -> int:
    routes, operations = served(), described()
    faults = [f"{m} {p} is served but not in docs/openapi.yaml" for m, p in sorted(set(routes) - set(operations))]
    faults += [f"{m} {p} is in docs/openapi.yaml but not served" for m, p in sorted(set(operations) - set(routes))]
    for key in sorted(set(routes) & set(operations)):
        if routes[key] != "nobody" and f"({routes[key]})" not in operations[key]:
            faults.append(f"{' '.join(key)}: docs/openapi.yaml does not say that it needs the role ({routes[key]})")
        if (routes[key] == "nobody") != ("security: []" in operations[key]):
            faults.append(f"{' '.join(key)}: 'security: []' is for routes that need no login")
    print("\n".join(faults) or f"{len(routes)} routes, all described")
    return 1 if faults or len(routes) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
