#!/usr/bin/python3
"""Slides that tests and the README make themselves: Aperio's layout (.svs), JPEG tiles with or without JPEGTables, TIFF or BigTIFF.

    slides.py FILE.svs [--megabytes N] [--big]

A slide is a list of pages; `write` lays them out as scanners do: the tiles of a page, then its directory."""
import argparse
import io
import pathlib
import struct
import sys

from PIL import Image, ImageDraw

SHORT, LONG, ASCII, UNDEFINED, LONG8 = 3, 4, 2, 7, 16
SIZES = {SHORT: 2, LONG: 4, ASCII: 1, UNDEFINED: 1, LONG8: 8}
DESCRIPTION = ("Aperio Image Library v11.2.1 \r\n{w}x{h} [0,0 {w}x{h}] ({t}x{t}) JPEG/RGB Q=70|AppMag = 20|StripeWidth = 2040|ScanScope ID = VITRINE"
               "|Filename = made|Date = 01/02/26|Time = 03:04:05|MPP = 0.4990|Left = 25.6|Top = 23.4|Barcode = S26-1001|Title = made by a test")


class Page:
    """Tiles or strips as bytes (repeated ones may be the same object), and the tags that go with them."""

    def __init__(self, width, height, pieces, tile=None, rows_per_strip=None, compression=7, photometric=2, description=None, subfile=0,
                 tables=None, subsampling=None, extra=()):
        self.__dict__.update(locals())


def drawn(width, height, seed=0):
    """Something with structure, cheap to make."""
    image = Image.new("RGB", (width, height), (236, 222, 232))
    draw = ImageDraw.Draw(image)
    for i in range(40):
        x, y, r = (seed * 131 + i * 97) % width, (seed * 57 + i * 61) % height, 4 + (seed + i * 7) % 23
        draw.ellipse((x - r, y - r, x + r, y + r), fill=((90 + i * 3) % 256, (40 + seed * 5) % 256, (120 + i * 5) % 256))
    return image


def noisy(width, height, seed=0):
    """What does not compress well: tiles as large as a scanner's."""
    import numpy
    noise = numpy.random.default_rng(seed).integers(-28, 28, (height, width, 3))
    return Image.fromarray((numpy.asarray(drawn(width, height, seed)).astype(int) + noise).clip(0, 255).astype("uint8"))


def segments(stream):
    """[(marker, bytes)] of a JPEG stream up to its scan; the rest."""
    at, found = 2, []
    while True:
        marker, length = stream[at + 1], struct.unpack(">H", stream[at + 2:at + 4])[0]
        if marker == 0xDA:
            return found, stream[at:]
        found.append((marker, stream[at:at + 2 + length]))
        at += 2 + length


def jpeg(image, quality=70, rgb=True, abbreviated=True):
    """(stream, tables). rgb: components are red, green and blue, with no marker that tells, as Aperio writes them."""
    out = io.BytesIO()
    if rgb:   # Pillow turns RGB into YCbCr; bytes that it takes for YCbCr go in as they are.
        image = Image.frombytes("YCbCr", image.size, image.tobytes())
    image.save(out, "JPEG", quality=quality, subsampling=0)
    head, scan = segments(out.getvalue())
    tables = b"".join(s for m, s in head if m in (0xDB, 0xC4))
    kept = b"".join(s for m, s in head if m not in (0xE0, 0xE1, 0xEE) and (not abbreviated or m not in (0xDB, 0xC4)))
    return b"\xff\xd8" + kept + scan, b"\xff\xd8" + tables + b"\xff\xd9" if abbreviated else None


def tiled(image, tile=240, quality=70, abbreviated=True):
    """Row by row; the last ones are filled with the edge colour."""
    pieces, tables = [], None
    for y in range(0, image.height, tile):
        for x in range(0, image.width, tile):
            piece, tables = jpeg(image.crop((x, y, x + tile, y + tile)), quality, True, abbreviated)
            pieces.append(piece)
    return pieces, tables


def write(path, pages, big=False, gap=0, gap_before=1):
    """gap: so many bytes of nothing before page gap_before: a sparse file."""
    with open(path, "wb") as f:
        f.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
        link = f.tell() - (8 if big else 4)
        for number, page in enumerate(pages):
            if gap and number == gap_before:
                f.seek(gap, 1)
            link = write_page(f, page, big, link)
        f.truncate()
    return path


def write_page(f, page, big, link):
    offsets = []
    for piece in page.pieces:
        offsets.append(f.tell())
        f.write(piece)
    wide = LONG8 if big else LONG
    tags = {254: (LONG, [page.subfile]), 256: (LONG, [page.width]), 257: (LONG, [page.height]), 258: (SHORT, [8, 8, 8]),
            259: (SHORT, [page.compression]), 262: (SHORT, [page.photometric]), 277: (SHORT, [3]), 284: (SHORT, [1])}
    if page.description:
        tags[270] = (ASCII, (page.description if isinstance(page.description, bytes) else page.description.encode()) + b"\0")
    if page.tile:
        tags.update({322: (LONG, [page.tile]), 323: (LONG, [page.tile]), 324: (wide, offsets), 325: (LONG, [len(p) for p in page.pieces])})
    else:
        tags.update({273: (wide, offsets), 278: (LONG, [page.rows_per_strip or page.height]), 279: (LONG, [len(p) for p in page.pieces])})
    if page.tables:
        tags[347] = (UNDEFINED, page.tables)
    if page.subsampling:
        tags[530] = (SHORT, list(page.subsampling))
    tags.update(dict(page.extra))
    entries, room = [], 8 if big else 4
    for tag in sorted(tags):
        kind, values = tags[tag]
        raw = values if isinstance(values, bytes) else struct.pack("<%d%s" % (len(values), {SHORT: "H", LONG: "I", LONG8: "Q"}[kind]), *values)
        if len(raw) > room:
            f.write(b"\0" * (f.tell() % 2))
            place = f.tell()
            f.write(raw)
            raw = struct.pack("<Q" if big else "<I", place)
        count = len(values)
        entries.append(struct.pack("<HHQ8s" if big else "<HHI4s", tag, kind, count, raw))
    f.write(b"\0" * (f.tell() % 2))
    directory = f.tell()
    f.write(struct.pack("<Q" if big else "<H", len(entries)) + b"".join(entries))
    after = f.tell()
    f.write(struct.pack("<Q" if big else "<I", 0))
    f.seek(link)
    f.write(struct.pack("<Q" if big else "<I", directory))
    f.seek(0, 2)
    return after


def strips(image, quality=80):
    piece, tables = jpeg(image, quality, True, True)
    return [piece], tables


def associated(width, height, tile):
    """Thumbnail, label, macro as Aperio has them."""
    thumb, label, macro = drawn(320, max(1, 320 * height // width), 3), drawn(180, 200, 5), drawn(400, 130, 7)
    text = DESCRIPTION.format(w=width, h=height, t=tile)
    found = []
    for image, what, kind in ((thumb, text, 0), (label, "label 180x200", 1), (macro, "macro 400x130", 9)):
        description = what if kind == 0 else "Aperio Image Library v11.2.1 \r\n" + what
        if kind == 1:
            found.append(Page(image.width, image.height, [image.tobytes()], compression=1, description=description, subfile=kind))
        else:
            pieces, tables = strips(image)
            found.append(Page(image.width, image.height, pieces, description=description, subfile=kind, tables=tables))
    return found


def pyramid(path, width=1500, height=1100, tile=240, big=False, abbreviated=True, description=None, gap=0, levels=3):
    base = drawn(width, height)
    pages = []
    for level in range(levels):
        scale = 4 ** level
        image = base if level == 0 else base.resize((max(1, width // scale), max(1, height // scale)))
        pieces, tables = tiled(image, tile, 70, abbreviated)
        text = description if level == 0 and description is not None else DESCRIPTION.format(w=image.width, h=image.height, t=tile)
        pages.append(Page(image.width, image.height, pieces, tile=tile, description=text, tables=tables))
    thumbnail, label, macro = associated(width, height, tile)
    return write(path, [pages[0], thumbnail, *pages[1:], label, macro], big, gap)


def large(path, megabytes, tile=240, big=False):
    """A base level of so many bytes, of a few dozen tiles that repeat, each time stored again; and a level a quarter as wide."""
    made = [jpeg(noisy(tile, tile, seed), 85) for seed in range(24)]
    tables = made[0][1]
    mean = sum(len(m[0]) for m in made) / len(made)
    side = max(2, int((megabytes * 1e6 * 16 / 17 / mean) ** 0.5))
    pages = []
    for scale in (1, 4):
        count = max(1, side // scale)
        pieces = [made[(x * 7 + y * 13) % len(made)][0] for y in range(count) for x in range(count)]
        size = count * tile - 17 // scale
        pages.append(Page(size, size, pieces, tile=tile, description=DESCRIPTION.format(w=size, h=size, t=tile), tables=tables))
    thumbnail, label, macro = associated(pages[0].width, pages[0].height, tile)
    return write(path, [pages[0], thumbnail, pages[1], label, macro], big)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--megabytes", type=int, default=0, help="about so large; without: a small pyramid of three levels")
    parser.add_argument("--big", action="store_true", help="BigTIFF")
    args = parser.parse_args()
    if args.megabytes:
        large(args.file, args.megabytes, big=args.big)
    else:
        pyramid(args.file, big=args.big)
    return 0


if __name__ == "__main__":
    sys.exit(main())
