"""A DICOM peer made of bytes, for tests that must say what no toolkit would: PS3.8 PDUs and PS3.7 commands by hand.

    with Association(port, contexts=[(VERIFICATION, [IMPLICIT])]) as a:
        assert a.echo() == 0

Nothing here checks what it sends. Every wait has a deadline. Elements and data sets are built in Explicit VR Little Endian
unless said otherwise."""
import socket
import struct
import time

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = ("1.2.840.10008.5.1.4.1.2.1." + n for n in "123")
STUDY_FIND, STUDY_MOVE, STUDY_GET = ("1.2.840.10008.5.1.4.1.2.2." + n for n in "123")

C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO, C_CANCEL = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
NO_DATA_SET = 0x0101
PDU_MAX_READ = 64 << 20
LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


class Rejected(Exception):
    """A-ASSOCIATE-RJ"""
    def __init__(self, result, source, reason):
        super().__init__(f"rejected: result {result}, source {source}, reason {reason}")
        self.result, self.source, self.reason = result, source, reason


class Aborted(Exception):
    """A-ABORT"""


class Closed(Exception):
    """The peer closed the connection."""


# ---- bytes of data sets ----

def element(tag, vr, value):
    """One element, Explicit VR Little Endian. Text is encoded and padded; bytes are taken as they are."""
    if isinstance(value, str):
        value = value.encode("latin-1")
        if len(value) % 2:
            value += b"\0" if vr == "UI" else b" "
    elif isinstance(value, int):
        value = struct.pack({"US": "<H", "UL": "<I", "SS": "<h", "SL": "<i"}[vr], value)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in LONG_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def implicit_element(tag, value):
    if isinstance(value, str):
        value = value.encode("latin-1")
        value += b"\0" * (len(value) % 2)
    elif isinstance(value, int):
        value = struct.pack("<H", value)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def instance(sop_uid, study_uid="1.2.3.4", series_uid="1.2.3.4.1", sop_class=SECONDARY_CAPTURE, patient_id="P1",
             patient_name="Test^Raw", number=1, pixels=b"\0" * 64, rows=8, extra=b""):
    """A small valid instance: 8 bit, one sample. `extra` is put before the pixels (groups above 0020)."""
    columns = max(1, len(pixels) // rows)
    return b"".join([
        element(0x00080016, "UI", sop_class), element(0x00080018, "UI", sop_uid),
        element(0x00080020, "DA", "20240102"), element(0x00080030, "TM", "101112"),
        element(0x00080050, "SH", "A" + patient_id), element(0x00080060, "CS", "OT"),
        element(0x00100010, "PN", patient_name), element(0x00100020, "LO", patient_id),
        element(0x0020000D, "UI", study_uid), element(0x0020000E, "UI", series_uid),
        element(0x00200010, "SH", "1"), element(0x00200011, "IS", "1"), element(0x00200013, "IS", str(number)),
        extra,
        element(0x00280002, "US", 1), element(0x00280004, "CS", "MONOCHROME2"),
        element(0x00280010, "US", rows), element(0x00280011, "US", columns),
        element(0x00280100, "US", 8), element(0x00280101, "US", 8), element(0x00280102, "US", 7),
        element(0x00280103, "US", 0), element(0x7FE00010, "OB", pixels)])


def part10(data_set, transfer_syntax, sop_class, sop_uid):
    """A file around a data set."""
    meta = b"".join([
        element(0x00020001, "OB", b"\0\1"), element(0x00020002, "UI", sop_class), element(0x00020003, "UI", sop_uid),
        element(0x00020010, "UI", transfer_syntax), element(0x00020012, "UI", "1.2.3.99")])
    return bytes(128) + b"DICM" + element(0x00020000, "UL", len(meta)) + meta + data_set


def split_part10(data):
    """(transfer syntax, SOP class, SOP instance, data set) of a Part 10 file; None when it is none. Group 0002 is Explicit VR."""
    if data[128:132] != b"DICM":
        return None
    at, values = 132, {}
    while at + 8 <= len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
        if group != 2:
            break
        at += 8
        if vr.decode("latin-1") in LONG_VRS:
            length, = struct.unpack_from("<I", data, at)
            at += 4
        values[number] = data[at:at + length].rstrip(b"\0 ").decode("latin-1")
        at += length
    return values.get(0x10, IMPLICIT), values.get(2, ""), values.get(3, ""), data[at:]


def elements_of(data, implicit=False):
    """{tag: value bytes} of a flat data set. Stops at what it cannot read."""
    out, at = {}, 0
    while at + 8 <= len(data):
        group, number = struct.unpack_from("<HH", data, at)
        if implicit:
            length, = struct.unpack_from("<I", data, at + 4)
            at += 8
        else:
            vr = data[at + 4:at + 6].decode("latin-1")
            if vr in LONG_VRS:
                length, = struct.unpack_from("<I", data, at + 8)
                at += 12
            else:
                length, = struct.unpack_from("<H", data, at + 6)
                at += 8
        if length == 0xFFFFFFFF:
            break
        out[group << 16 | number] = data[at:at + length]
        at += length
    return out


def text(values, tag):
    return values.get(tag, b"").rstrip(b"\0 ").decode("latin-1")


# ---- bytes of the network ----

def command(elements):
    """A command set with its group length: {element number of group 0000: int (US) or text}."""
    body = b"".join(implicit_element(number, value) for number, value in sorted(elements.items()))
    return implicit_element(0, struct.pack("<I", len(body))) + body


def pdv(context, data, is_command, last):
    return struct.pack(">IBB", len(data) + 2, context, (1 if is_command else 0) | (2 if last else 0)) + data


def pdu(kind, body, length=None):
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate_rq(called, calling, contexts, max_pdu=131072, user_items=b"", roles=()):
    """contexts: [(abstract syntax, [transfer syntaxes])], ids 1, 3, 5 ...; roles: SOP classes we take as SCP."""
    body = struct.pack(">HH", 1, 0) + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for i, (abstract, syntaxes) in enumerate(contexts):
        sub = item(0x30, abstract.encode()) + b"".join(item(0x40, ts.encode()) for ts in syntaxes)
        body += item(0x20, struct.pack(">BBBB", (2 * i + 1) % 256, 0, 0, 0) + sub)
    user = item(0x51, struct.pack(">I", max_pdu)) + item(0x52, b"1.2.3.99")
    for uid in roles:
        user += item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\1\1")
    return pdu(1, body + item(0x50, user + user_items))


class Association:
    def __init__(self, port, called="VITRINE", calling="RAWDICOM", contexts=((VERIFICATION, (IMPLICIT,)),), max_pdu=131072,
                 host="127.0.0.1", timeout=30.0, roles=(), user_items=b""):
        self.contexts, self.timeout, self.message_id = list(contexts), timeout, 0
        self.accepted, self.answers = {}, b""        # context id -> transfer syntax
        self.peer_max_pdu, self.deadline = 16384, 0
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.send(associate_rq(called, calling, self.contexts, max_pdu, user_items, roles))
            kind, body = self.receive_pdu()
            if kind == 3:
                raise Rejected(*body[1:4])
            if kind != 2:
                raise Closed(f"PDU type {kind} instead of A-ASSOCIATE-AC")
            self._read_ac(body)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.release()
        self.close()

    def _read_ac(self, body):
        at = 68
        while at + 4 <= len(body):
            kind, _, length = struct.unpack_from(">BBH", body, at)
            sub = body[at + 4:at + 4 + length]
            if kind == 0x21 and sub[2] == 0:
                size, = struct.unpack_from(">H", sub, 6)
                self.accepted[sub[0]] = sub[8:8 + size].rstrip(b"\0").decode()
            elif kind == 0x50:
                inner = 0
                while inner + 4 <= len(sub):
                    sub_kind, _, size = struct.unpack_from(">BBH", sub, inner)
                    if sub_kind == 0x51:
                        self.peer_max_pdu = struct.unpack_from(">I", sub, inner + 4)[0] or PDU_MAX_READ
                    inner += 4 + size
            at += 4 + length

    def context_of(self, abstract, transfer_syntax=None):
        """Id of the accepted context of that abstract syntax (and transfer syntax); KeyError when there is none."""
        for i, (name, _) in enumerate(self.contexts):
            accepted = self.accepted.get(2 * i + 1)
            if name == abstract and accepted and transfer_syntax in (None, accepted):
                return 2 * i + 1
        raise KeyError(f"no accepted context for {abstract} {transfer_syntax or ''}")

    # ---- bytes ----

    def send(self, data):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def _read(self, size):
        parts = []
        while size:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer")
            self.socket.settimeout(left)
            try:
                part = self.socket.recv(min(size, 1 << 20))
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not part:
                raise Closed("connection closed")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive_pdu(self, timeout=None):
        self.deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        kind, _, length = struct.unpack(">BBI", self._read(6))
        assert length <= PDU_MAX_READ, f"the peer announces a PDU of {length} bytes"
        body = self._read(length)
        if kind == 7:
            raise Aborted(f"A-ABORT source {body[2]} reason {body[3]}")
        return kind, body

    def send_message(self, context, elements, data_set=None):
        """Command and data set in one go."""
        out = pdu(4, pdv(context, command(elements), True, True))
        if data_set is not None:
            step = max(min(self.peer_max_pdu, 1 << 20) - 6, 64)
            pieces = range(0, len(data_set), step) or [0]
            out += b"".join(pdu(4, pdv(context, data_set[at:at + step], False, at + step >= len(data_set)))
                            for at in pieces)
        self.send(out)

    def receive_message(self, timeout=None):
        """(context, {element number: value bytes}, data set or None)"""
        parts, context = [b"", b""], 0
        values = None
        while True:
            kind, body = self.receive_pdu(timeout)
            if kind == 5:
                self.send(pdu(6, bytes(4)))
                raise Closed("the peer released the association")
            if kind != 4:
                raise Closed(f"PDU type {kind} instead of P-DATA-TF")
            at = 0
            while at < len(body):
                size, context, control = struct.unpack_from(">IBB", body, at)
                parts[control & 1] += body[at + 6:at + 4 + size]
                at += 4 + size
                if control == 3:
                    values = {tag & 0xFFFF: v for tag, v in elements_of(parts[1], implicit=True).items()}
                    if us(values, 0x0800) == NO_DATA_SET:
                        return context, values, None
                elif control == 2:
                    return context, values, parts[0]

    # ---- services ----

    def next_id(self):
        self.message_id = self.message_id % 65535 + 1
        return self.message_id

    def echo(self, timeout=None):
        context = self.context_of(VERIFICATION)
        self.send_message(context, {0x0002: VERIFICATION, 0x0100: C_ECHO, 0x0110: self.next_id(), 0x0800: NO_DATA_SET})
        return us(self.receive_message(timeout)[1], 0x0900)

    def store(self, sop_class, sop_uid, data_set, context=None, timeout=None):
        """(status, response command)"""
        context = context or self.context_of(sop_class)
        self.send_message(context, {0x0002: sop_class, 0x0100: C_STORE, 0x0110: self.next_id(), 0x0700: 0, 0x0800: 0,
                                    0x1000: sop_uid}, data_set)
        values = self.receive_message(timeout)[1]
        return us(values, 0x0900), values

    def find(self, identifier, abstract=STUDY_FIND, timeout=None):
        """(final status, [identifiers of the matches], final command); the identifier is in the context's encoding."""
        context, matches = self.context_of(abstract), []
        self.send_message(context, {0x0002: abstract, 0x0100: C_FIND, 0x0110: self.next_id(), 0x0700: 0, 0x0800: 0}, identifier)
        while True:
            _, values, data_set = self.receive_message(timeout)
            status = us(values, 0x0900)
            if status & 0xFF00 != 0xFF00:
                return status, matches, values
            matches.append(data_set)

    def release(self):
        try:
            self.send(pdu(5, bytes(4)))
            while self.receive_pdu(5)[0] not in (6, 7):
                pass
        except (OSError, Closed, Aborted):
            pass

    def abort(self):
        try:
            self.send(pdu(7, bytes(4)))
        except OSError:
            pass
        self.close()

    def close(self):
        self.socket.close()


def us(values, number):
    data = values.get(number, b"")
    return struct.unpack("<H", data)[0] if len(data) == 2 else None


def comment_of(values):
    """Error Comment (0000,0902)"""
    return text(values, 0x0902)
