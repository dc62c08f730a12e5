"""C-GET and C-MOVE by hand, and a storage SCP made of bytes, on top of rawdicom.py."""
import socket
import struct
import threading

import rawdicom as raw


def get(association, identifier, abstract=raw.STUDY_GET, on_instance=None, cancel_after=None, status=0):
    """Asks, takes what comes, answers each with `status`. Returns (final status, {SOP UID: (context id, data set)}, final command,
    [pending commands])."""
    context, instances, pendings = association.context_of(abstract), {}, []
    asked = association.next_id()
    association.send_message(context, {0x0002: abstract, 0x0100: raw.C_GET, 0x0110: asked, 0x0700: 0, 0x0800: 0}, identifier)
    while True:
        where, values, data_set = association.receive_message()
        field = raw.us(values, 0x0100)
        if field == raw.C_STORE:
            uid = raw.text(values, 0x1000)
            instances[uid] = (where, data_set)
            if on_instance:
                on_instance(uid, values)
            if cancel_after is not None and len(instances) == cancel_after:
                association.send_message(context, {0x0100: raw.C_CANCEL, 0x0120: asked, 0x0800: raw.NO_DATA_SET})
            association.send_message(where, {0x0002: raw.text(values, 0x0002), 0x0100: 0x8001, 0x0120: raw.us(values, 0x0110),
                                             0x0800: raw.NO_DATA_SET, 0x0900: status, 0x1000: uid})
        elif raw.us(values, 0x0900) in (0xFF00, 0xFF01):
            pendings.append(values)
        else:
            values["identifier"] = data_set
            return raw.us(values, 0x0900), instances, values, pendings


def move(association, destination, identifier, abstract=raw.STUDY_MOVE, cancel_after=None):
    """(final status, final command, [pending commands])"""
    context, pendings = association.context_of(abstract), []
    asked = association.next_id()
    association.send_message(context, {0x0002: abstract, 0x0100: raw.C_MOVE, 0x0110: asked, 0x0600: destination, 0x0700: 0,
                                       0x0800: 0}, identifier)
    while True:
        _, values, data_set = association.receive_message()
        if raw.us(values, 0x0900) not in (0xFF00, 0xFF01):
            values["identifier"] = data_set
            return raw.us(values, 0x0900), values, pendings
        pendings.append(values)
        if cancel_after is not None and len(pendings) == cancel_after:
            association.send_message(context, {0x0100: raw.C_CANCEL, 0x0120: asked, 0x0800: raw.NO_DATA_SET})


def keys(level, **uids):
    """An identifier: keys(“STUDY”, study="1.2", patient="P1", series=..., sop=...)."""
    tags = {"patient": (0x00100020, "LO"), "study": (0x0020000D, "UI"), "series": (0x0020000E, "UI"), "sop": (0x00080018, "UI"),
            "name": (0x00100010, "PN")}
    parts = {0x00080052: raw.element(0x00080052, "CS", level)}
    for key, value in uids.items():
        tag, vr = tags[key]
        parts[tag] = raw.element(tag, vr, value)
    return b"".join(parts[tag] for tag in sorted(parts))


class StorageScp:
    """Accepts one association after another, every context with its first syntax, and takes C-STOREs. `on_store(values)` gives the
    status; it may sleep. `instances` is {SOP UID: (command, data set)}."""

    def __init__(self, on_store=None, accept=None):
        self.on_store = on_store or (lambda values: 0)
        self.accept = accept or (lambda abstract, syntaxes: syntaxes[0])
        self.instances, self.associations, self.lock = {}, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.closing = False
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def close(self):
        self.closing = True
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _listen(self):
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        peer = raw.Association.__new__(raw.Association)
        peer.socket, peer.timeout, peer.contexts, peer.peer_max_pdu, peer.deadline = connection, 60.0, [], 16384, 0
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, body = peer.receive_pdu()
            peer.send(self._acknowledge(body))
            with self.lock:
                self.associations += 1
            while True:
                context, values, data_set = peer.receive_message()
                uid = raw.text(values, 0x1000)
                status = self.on_store(values)
                with self.lock:
                    self.instances[uid] = (values, data_set)
                peer.send_message(context, {0x0002: raw.text(values, 0x0002), 0x0100: 0x8001, 0x0120: raw.us(values, 0x0110),
                                            0x0800: raw.NO_DATA_SET, 0x0900: status, 0x1000: uid})
        except (OSError, raw.Closed, raw.Aborted, TimeoutError):
            pass
        finally:
            connection.close()

    def _acknowledge(self, body):
        out, at = body[:68] + raw.item(0x10, b"1.2.840.10008.3.1.1.1"), 68
        while at + 4 <= len(body):
            kind, _, length = struct.unpack_from(">BBH", body, at)
            if kind == 0x20:
                out += self._context(body[at + 4:at + 4 + length])
            at += 4 + length
        user = raw.item(0x51, struct.pack(">I", 131072)) + raw.item(0x52, b"1.2.3.99")
        return raw.pdu(2, out + raw.item(0x50, user))

    def _context(self, sub):
        at, abstract, syntaxes = 4, "", []
        while at + 4 <= len(sub):
            kind, _, length = struct.unpack_from(">BBH", sub, at)
            value = sub[at + 4:at + 4 + length].rstrip(b"\0").decode()
            if kind == 0x30:
                abstract = value
            else:
                syntaxes.append(value)
            at += 4 + length
        chosen = self.accept(abstract, syntaxes)
        result = 0 if chosen else 4
        return raw.item(0x21, bytes([sub[0], 0, result, 0]) + raw.item(0x40, (chosen or syntaxes[0]).encode()))
