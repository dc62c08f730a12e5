"""What a power cut leaves, out of a trace of tests/faults/powercut.c.

The strict rule, which no real file system is harsher than: a file has the bytes, and a folder has the names, of its last finished
sync that began after them; everything else is gone. A file that was made without a sync of its folder vanishes, a rename without
one reverts, so does a truncation. One mercy: a rename from one folder to another is one step, as on every journaling file system,
so a sync of either folder makes both names last, with the folders that the new one stands in. A kinder cut keeps a random part:
names up to some moment, any subset of writes, torn ones too.

    disk = Disk(root)
    for event in disk.replay(trace): ...   # yields ("answer", fd, bytes, whole size), ("sync", ...), in order
    disk.leave(folder, seed=None)          # the tree as a power cut at this moment leaves it
"""
import os
import pathlib
import random
import struct

BLOCK = 16384
SECTOR = 512
HEAD = struct.Struct("<IIqqqII")
(OPEN, CLOSE, DUP, WRITE, TRUNCATE, ALLOCATE, RENAME, UNLINK, MKDIR, RMDIR, LINK, SYNC_BEGIN, SYNC_END, ANSWER, MAP) = range(1, 16)
O_CREAT, O_TRUNC, O_TMPFILE, O_DIRECTORY = os.O_CREAT, os.O_TRUNC, 0o20200000, os.O_DIRECTORY
SYNC_FILE_SYSTEM, SYNC_ALL = 2, 3
RENAME_EXCHANGE = 2
LOGS = "logs"
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


class Gap(Exception):
    """The trace holds what this model cannot follow."""


class Content:
    """Bytes of a file, sparse: blocks that are not all zero."""
    def __init__(self, size=0, blocks=None):
        self.size, self.blocks = size, blocks if blocks is not None else {}

    def copy(self):
        return Content(self.size, {n: bytearray(b) for n, b in self.blocks.items()})

    def write(self, offset, data, length):
        """`data` empty: zeros."""
        at, end = offset, offset + length
        while at < end:
            number, inside = divmod(at, BLOCK)
            step = min(BLOCK - inside, end - at)
            if data:
                block = self.blocks.get(number)
                if block is None:
                    block = self.blocks[number] = bytearray(BLOCK)
                block[inside:inside + step] = data[at - offset:at - offset + step]
            elif step == BLOCK:
                self.blocks.pop(number, None)
            elif number in self.blocks:
                self.blocks[number][inside:inside + step] = bytes(step)
            at += step
        self.size = max(self.size, end)

    def truncate(self, size):
        if size < self.size:
            last = size // BLOCK
            for number in [n for n in self.blocks if n > last]:
                del self.blocks[number]
            if last in self.blocks:
                self.blocks[last][size % BLOCK:] = bytes(BLOCK - size % BLOCK)
        self.size = size

    def apply(self, change):
        kind, a, b, data = change
        if kind == WRITE:
            self.write(a, data, b)
        else:
            self.truncate(a)

    def save(self, path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(fd, self.size)
            for number, block in self.blocks.items():
                at = number * BLOCK
                os.pwrite(fd, block[:max(0, min(BLOCK, self.size - at))], at)
        finally:
            os.close(fd)

    def read(self, at, size):
        out = b""
        while len(out) < size:
            number, inside = divmod(at + len(out), BLOCK)
            out += (self.blocks.get(number) or bytes(BLOCK))[inside:inside + size - len(out)]
        return bytes(out)

    def equals(self, path):
        if os.path.getsize(path) != self.size:
            return False
        with open(path, "rb") as file:
            for number in range((self.size + BLOCK - 1) // BLOCK):
                real = file.read(BLOCK)
                ours = self.blocks.get(number)
                if real != (bytes(len(real)) if ours is None else bytes(ours[:len(real)])):
                    return False
        return True


class File:
    def __init__(self, path):
        self.path, self.folder = path, False           # the path of birth, for reports
        self.durable, self.pending, self.size = Content(), [], 0

    def change(self, sequence, change):
        self.pending.append((sequence, change))
        if change[0] == WRITE:
            self.size = max(self.size, change[1] + change[2])
        else:
            self.size = change[1]

    def sync(self, before):
        kept = []
        for sequence, change in self.pending:
            if sequence < before:
                self.durable.apply(change)
            else:
                kept.append((sequence, change))
        self.pending = kept


class Folder:
    def __init__(self, path):
        self.path, self.folder = path, True
        self.names, self.durable, self.pending = {}, {}, []
        self.parent = None

    def change(self, sequence, name, node, tied=None):
        """node None: the name goes. tied: the other folder of a rename."""
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node
            if node.folder:
                node.parent = self
        self.pending.append((sequence, name, node, tied))

    @staticmethod
    def apply(names, name, node):
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node

    def sync(self, before):
        done = [change for change in self.pending if change[0] < before]
        self.pending = [change for change in self.pending if change[0] >= before]
        for sequence, name, node, tied in done:
            self.apply(self.durable, name, node)
            if tied:
                tied.sync_step(sequence)

    def sync_step(self, step):
        """The other half of a rename that lasts now: what happened to the same name before it, and the folders above."""
        names = {name for sequence, name, _, _ in self.pending if sequence == step}
        due = [c for c in self.pending if c[1] in names and c[0] <= step]
        self.pending = [c for c in self.pending if c not in due]
        for sequence, name, node, tied in due:
            self.apply(self.durable, name, node)
            if tied and sequence != step:
                tied.sync_step(sequence)
        child, parent = self, self.parent
        while parent:
            made = [c for c in parent.pending if c[2] is child]
            parent.pending = [c for c in parent.pending if c[2] is not child]
            for _, name, node, _ in made:
                self.apply(parent.durable, name, node)
            child, parent = parent, parent.parent


class Disk:
    """ignore: function of (class of sync, stack text) -> True when that sync shall count as not made. A mutation of the program
    under test, without building it again."""
    def __init__(self, root, ignore=None):
        self.root, self.ignore = str(root).rstrip("/"), ignore or (lambda kind, stack: False)
        self.top = Folder("")
        self.descriptors, self.syncs, self.sequence = {}, {}, 0
        self.nodes = [self.top]
        self.ignored, self.seen = 0, {}                 # seen: (class, stack) -> count

    # ---- names ----

    def node_of(self, path):
        relative = path[len(self.root):].strip("/")
        node = self.top
        for part in relative.split("/") if relative else []:
            node = node.names.get(part) if node.folder else None
            if node is None:
                return None
        return node

    def place_of(self, path):
        parent, _, name = path.rstrip("/").rpartition("/")
        folder = self.node_of(parent)
        if folder is None or not folder.folder:
            raise Gap(f"no folder for {path}")
        return folder, name

    def add(self, node):
        self.nodes.append(node)
        return node

    # ---- the trace ----

    def load(self, folder):
        """What was there before the trace began."""
        places = {str(folder): self.top}
        for path, folders, names in os.walk(folder):
            for name in folders + names:
                whole = os.path.join(path, name)
                node = self.add((Folder if name in folders else File)(self.root + whole[len(str(folder)):]))
                if node.folder:
                    places[whole], node.parent = node, places[path]
                else:
                    data = pathlib.Path(whole).read_bytes()
                    node.durable.write(0, data, len(data))
                    node.size = len(data)
                places[path].names[name] = places[path].durable[name] = node

    def records(self, trace, end=None):
        with open(trace, "rb") as file:
            while end is None or file.tell() < end:
                head = file.read(HEAD.size)
                if len(head) < HEAD.size:
                    return
                op, _, a, b, c, size1, size2 = HEAD.unpack(head)
                yield op, a, b, c, file.read(size1), file.read(size2)

    def replay(self, trace, end=None):
        """Up to that size of the trace: a moment that was noted."""
        for op, a, b, c, one, two in self.records(trace, end):
            self.sequence += 1
            if op == ANSWER:
                yield "answer", a, one, b
            elif op == SYNC_END:
                event = self.end_sync(a, b)
                if event:
                    yield event
            elif op == CLOSE:
                self.descriptors.pop(a, None)
                yield "close", a, None, None
            else:
                self.effect(op, a, b, c, one, two)

    def effect(self, op, a, b, c, one, two):
        if op == OPEN:
            self.open(a, b, one.decode())
        elif op == DUP:
            self.descriptors[b] = self.descriptors[a]
        elif op == WRITE:
            self.file(a).change(self.sequence, (WRITE, b, c, one))
        elif op == TRUNCATE:
            self.file(a).change(self.sequence, (TRUNCATE, b, 0, b""))
        elif op == ALLOCATE:
            self.allocate(self.file(a), b, c, struct.unpack("<q", one)[0])
        elif op == RENAME:
            self.rename(one.decode(), two.decode(), a)
        elif op in (UNLINK, RMDIR):
            folder, name = self.place_of(one.decode())
            folder.change(self.sequence, name, None)
        elif op == MKDIR:
            folder, name = self.place_of(one.decode())
            folder.change(self.sequence, name, self.add(Folder(one.decode())))
        elif op == LINK:
            self.link(a, one.decode(), two.decode())
        elif op == SYNC_BEGIN:
            self.begin_sync(a, b, c, two.decode())
        elif op == MAP:
            node = self.descriptors.get(a)
            if node is None or not node.path.endswith("-shm"):      # SQLite's shared index is rebuilt, never trusted
                raise Gap(f"a shared writable mapping of {node.path if node else a}")
        else:
            raise Gap(f"unknown record {op}")

    def file(self, fd):
        node = self.descriptors.get(fd)
        if node is None or node.folder:
            raise Gap(f"descriptor {fd} is no file of ours")
        return node

    def open(self, fd, flags, path):
        if flags & O_TMPFILE == O_TMPFILE:
            self.descriptors[fd] = self.add(File(path + "/(nameless)"))
            return
        node = self.node_of(path)
        if node is None:
            if not flags & O_CREAT:
                raise Gap(f"{path} was opened but never made")
            node = self.add(File(path))
            folder, name = self.place_of(path)
            folder.change(self.sequence, name, node)
        elif flags & O_TRUNC and not node.folder and node.size:
            node.change(self.sequence, (TRUNCATE, 0, 0, b""))
        self.descriptors[fd] = node

    def allocate(self, node, mode, offset, length):
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            if offset < node.size or not mode & KEEP_SIZE:
                end = offset + length if not mode & KEEP_SIZE else min(node.size, offset + length)
                node.change(self.sequence, (WRITE, offset, max(0, end - offset), b""))
        elif not mode & KEEP_SIZE and offset + length > node.size:
            node.change(self.sequence, (TRUNCATE, offset + length, 0, b""))

    def rename(self, old, new, flags):
        from_folder, from_name = self.place_of(old)
        to_folder, to_name = self.place_of(new)
        node, other = from_folder.names.get(from_name), to_folder.names.get(to_name)
        if node is None:
            raise Gap(f"rename of unknown {old}")
        if node is other:
            return
        across = from_folder is not to_folder
        from_folder.change(self.sequence, from_name, other if flags & RENAME_EXCHANGE else None, to_folder if across else None)
        to_folder.change(self.sequence, to_name, node, from_folder if across else None)

    def link(self, fd, old, new):
        if old.startswith("/proc/self/fd/"):
            node = self.descriptors.get(int(old.rsplit("/", 1)[1]))
        else:
            node = self.descriptors.get(fd) if old == "" else self.node_of(old)
        if node is None:
            raise Gap(f"link from unknown {old}")
        folder, name = self.place_of(new)
        folder.change(self.sequence, name, node)

    # ---- syncs ----

    def class_of(self, kind, node):
        if kind in (SYNC_FILE_SYSTEM, SYNC_ALL):
            return "syncfs"
        relative = node.path[len(self.root):].strip("/")
        first, last = relative.split("/")[0] if relative else "root", relative.rsplit("/")[-1]
        if last.startswith(("index.db", "state.db")):
            return last.split(".")[0] + ("-log" if last.endswith("-wal") else "")
        return f"{first}-folder" if node.folder else f"{first}-file"

    def begin_sync(self, number, kind, fd, stack):
        node = self.descriptors.get(fd)
        if kind not in (SYNC_FILE_SYSTEM, SYNC_ALL) and node is None:
            raise Gap(f"sync of unknown descriptor {fd}")
        self.syncs[number] = (self.sequence, kind, node, self.class_of(kind, node), stack)

    def end_sync(self, number, result):
        began, kind, node, name, stack = self.syncs.pop(number)
        if result != 0:
            return None
        self.seen[name, stack] = self.seen.get((name, stack), 0) + 1
        if self.ignore(name, stack):
            self.ignored += 1
            return None
        for one in self.nodes if kind in (SYNC_FILE_SYSTEM, SYNC_ALL) else [node]:
            if one.pending:
                one.sync(began)
        return "sync", name, stack, None

    # ---- what is left ----

    def leave(self, folder, seed=None):
        """Writes the tree; with a seed, a random part of what was not synced survives; with LOGS, what was written to SQLite's
        logs survives, and nothing of their databases. Returns the number of files."""
        if seed == LOGS:
            return self._leave_folder(self.top, pathlib.Path(folder), LOGS, 0, set())
        rng = random.Random(seed) if seed is not None else None
        moment = rng.randint(0, self.sequence) if rng else 0
        return self._leave_folder(self.top, pathlib.Path(folder), rng, moment, set())

    def _leave_folder(self, node, folder, rng, moment, above):
        if id(node) in above:           # a rename whose halves came to differ: a folder cannot hold itself
            return 0
        names = node.durable
        if rng and rng != LOGS:
            names = dict(names)
            for sequence, name, child, _ in node.pending:
                if sequence <= moment:
                    node.apply(names, name, child)
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        for name, child in names.items():
            if child.folder:
                count += self._leave_folder(child, folder / name, rng, moment, above | {id(node)})
            else:
                self._content(child, rng).save(folder / name)
                count += 1
        return count

    @staticmethod
    def _content(node, rng):
        if not rng or not node.pending or (rng == LOGS and not node.path.endswith("-wal")):
            return node.durable
        content = node.durable.copy()
        if rng == LOGS:
            for _, change in node.pending:
                content.apply(change)
            return content
        keep = rng.choice((0.0, 0.5, 0.9, 1.0))
        for _, (kind, a, b, data) in node.pending:
            if rng.random() >= keep:
                continue
            if kind == WRITE and rng.random() < 0.2:        # torn: whole sectors of its beginning
                b = b * rng.randint(0, 8) // 8 // SECTOR * SECTOR
                data = data[:b]
                if b == 0:
                    continue
            content.apply((kind, a, b, data))
        return content

    def differences(self, folder):
        """Where the end of the trace and the real tree differ: proof that the shim saw everything. Ends the replay."""
        for node in self.nodes:
            node.sync(self.sequence + 1)
        found = []
        self._compare(self.top, pathlib.Path(folder), found)
        return found

    def _compare(self, node, folder, found):
        real = {e.name: e for e in os.scandir(folder)}
        for name in sorted(set(real) | set(node.durable)):
            path, child = folder / name, node.durable.get(name)
            if name.endswith("-shm") or (name in real and not (real[name].is_file() or real[name].is_dir())):
                continue
            if child is None or name not in real:
                found.append(f"{path}: " + ("not in the trace" if child is None else "not on the disk"))
            elif child.folder:
                self._compare(child, path, found)
            elif not child.durable.equals(path):
                found.append(f"{path}: other bytes than in the trace")
