#!/usr/bin/env python3
"""The unstick protocol, version 1: framing, messages and files. One file that needs only the
standard library.

Written from spec.md alone, without looking at any other implementation; the comments name its
requirements (HDR-2) and sections (7.4). To encode, and to decode whole frames:

    >>> wire = encode(KINDS["text"], b"hello") + encode(KINDS["binary"], b"")
    >>> [(frame.kind, frame.payload) for frame in frames([wire[:10], wire[10:]])]
    [(1, b'hello'), (2, b'')]

`Decoder` is the receiver of chapter 7, with skip, resync and reset; `read_datagram` and
`encode_datagram` are chapter 8; `FORMATS`, `Layout` and `format_named` are Annex A. `decode_message`
and `encode_message` are chapter 13, `Session` is chapters 14 and 15; `Client` sends and receives
over a socket.
`python3 unstick.py --conform` answers the requests of `unstick conform`.
"""

import hashlib
import json
import os
import socket
import sys
from collections import namedtuple

MAGIC, VERSION = 0xF5, 0x01
DEFAULT_LIMIT = 1_048_576  # LIM-3
DEFAULT_DATAGRAM_LIMIT = 1_200  # DGM-10

# KND-3
KINDS = {
    "text": 0x01, "binary": 0x02, "ping": 0x03, "pong": 0x04, "close": 0x05,
    "file-open": 0x10, "file-data": 0x11, "file-done": 0x12, "file-status": 0x13,
    "file-cancel": 0x14, "hello": 0x80,
}

# ERR-8
CODES = {
    "no-error": 0x0000, "bad-magic": 0x0001, "unsupported-version": 0x0002,
    "invalid-kind": 0x0003, "bad-check": 0x0004, "oversize": 0x0005, "truncated": 0x0006,
    "unknown-kind": 0x0007, "frame-timeout": 0x0008, "idle-timeout": 0x0009,
    "bad-length": 0x000A, "refused-datagram": 0x000B, "unsynchronized": 0x000C,
}

# What a decoder reports, in order.
Begin = namedtuple("Begin", "at kind length header complete")  # a frame begins; complete: no payload
Data = namedtuple("Data", "payload last")  # a run of its payload
Found = namedtuple("Found", "skipped")  # a search ended (SYN-4)
End = namedtuple("End", "")  # a clean end

# A whole frame. `kind` is None in the formats of Annex A; `header` is the header's bytes.
Frame = namedtuple("Frame", "at kind payload header")


class Error(namedtuple("Error", "name at values")):
    """An error of a stream, or why a datagram is refused: chapter 9. `values` is a dict."""

    __slots__ = ()

    @property
    def code(self):
        """Its number; None if it is only a cause of refused-datagram."""
        return CODES.get(self.name)

    def __str__(self):
        values = "".join(" %s %s" % item for item in self.values.items())
        return "%s at byte %s%s" % (self.name, self.at, values)


class Rejected(Exception):
    """An invalid request by the caller: "rejected" in 7.4, or an encoder that has to refuse."""


class StreamError(Exception):
    """Raised by `frames`; `error` is the `Error`."""

    def __init__(self, error):
        super().__init__(str(error))
        self.error = error


# ------------------------------------------------------------------------ the check, chapter 4


def _remainders():
    table = []
    for value in range(256):
        for _ in range(8):
            value = ((value << 1) & 0xFF) ^ 0x2F if value & 0x80 else (value << 1) & 0xFF
        table.append(value)
    return bytes(table)


_REMAINDERS = _remainders()


def check(data):
    """CRC-8/AUTOSAR (CHK-1).

    >>> hex(check(b"123456789"))
    '0xdf'
    """
    register = 0xFF
    for byte in data:
        register = _REMAINDERS[register ^ byte]
    return register ^ 0xFF


# --------------------------------------------------------------------------------- the formats
#
# judge(header) is called with each longer run of header bytes. It returns None (more bytes),
# (error name, values), or ("header", kind, payload length). searchable: resync is possible.


class Version1:
    """The header of chapter 3."""

    name = "v1"
    greatest = 0xFFFFFFFF
    searchable = True

    def judge(self, header):
        """See above."""
        count, byte = len(header), header[-1]
        if count == 1:
            return None if byte == MAGIC else ("bad-magic", {"found": byte})
        if count == 2:
            return None if byte == VERSION else ("unsupported-version", {"found": byte})
        if count == 3:
            return None if byte != 0 else ("invalid-kind", {})
        if count < 8:
            return None
        expected = check(header[:7])
        if byte != expected:
            return ("bad-check", {"found": byte, "expected": expected})
        return ("header", header[2], int.from_bytes(header[3:7], "big"))

    def missing(self, count):
        """The minimum number of bytes still missing after `count` header bytes (END-2)."""
        return 8 - count

    def encode_header(self, length, kind=None, header=None):
        """The only valid header (HDR-10)."""
        if not isinstance(kind, int) or not 0x01 <= kind <= 0xFF:  # HDR-11
            raise Rejected("a kind is a number from 1 to 255, not %r" % (kind,))
        if header is not None:
            raise Rejected("a version 1 header has no other bytes")
        start = bytes((MAGIC, VERSION, kind)) + length.to_bytes(4, "big")
        return start + bytes((check(start),))


class Layout:
    """A.4, a length field in a longer header; and A.2, where the header is the length.

    header, offset, width: bytes; order: "big" or "little"; covers: "payload", "rest" or "frame".
    """

    searchable = False  # FMT-2

    def __init__(self, header, offset, width, order="big", covers="payload", signed=False):
        if not (1 <= header <= 32 and 1 <= width <= 8 and 0 <= offset <= header - width):
            raise Rejected("no such layout")  # FMT-13
        if order not in ("big", "little") or covers not in ("payload", "rest", "frame"):
            raise Rejected("no such layout")
        self.header, self.offset, self.width, self.order = header, offset, width, order
        self.counted = {"payload": 0, "rest": header - (offset + width), "frame": header}[covers]
        self.greatest = (1 << (8 * width - (1 if signed else 0))) - 1 - self.counted
        # After how many bytes of the header the sign is known (FMT-6).
        self.sign_at = (offset + (1 if order == "big" else width)) if signed else 0

    def judge(self, header):
        """See above."""
        count = len(header)
        if count == self.sign_at and header[-1] & 0x80:
            return ("bad-length", {"why": "negative"})
        if count == self.offset + self.width or count == self.header:
            value = int.from_bytes(header[self.offset:self.offset + self.width], self.order)
            if value < self.counted:  # FMT-11
                return ("bad-length", {"why": "below the covered header"})
            if count == self.header:
                return ("header", None, value - self.counted)  # FMT-10
        return None

    def missing(self, count):
        """FMT-3."""
        return self.header - count

    def encode_header(self, length, kind=None, header=None):
        """The caller's header with only the length replaced (FMT-12)."""
        if kind is not None:
            raise Rejected("this format has no kind")
        if header is None and self.header == self.width:
            header = bytes(self.header)
        if header is None or len(header) != self.header:
            raise Rejected("give all %d bytes of the header" % self.header)
        field = (length + self.counted).to_bytes(self.width, self.order)
        return bytes(header[:self.offset]) + field + bytes(header[self.offset + self.width:])


class Varint:
    """A.3, unsigned LEB128."""

    greatest = (1 << 64) - 1
    searchable = False

    def judge(self, header):
        """See above."""
        count, byte = len(header), header[-1]
        if count == 10 and byte > 1:  # FMT-9
            return ("bad-length", {"why": "beyond 64 bits"})
        if count > 1 and byte == 0:  # FMT-8
            return ("bad-length", {"why": "overlong"})
        if byte & 0x80:
            return None
        value = 0
        for place, byte in enumerate(header):
            value |= (byte & 0x7F) << (7 * place)
        return ("header", None, value)

    def missing(self, count):
        """At least one byte, whatever `count` is (FMT-3)."""
        return 1

    def encode_header(self, length, kind=None, header=None):
        """The shortest form (FMT-7)."""
        if kind is not None or header is not None:
            raise Rejected("a varint has neither a kind nor other bytes")
        out = bytearray()
        while length > 0x7F:
            out.append(0x80 | (length & 0x7F))
            length >>= 7
        out.append(length)
        return bytes(out)


FORMATS = {
    "v1": Version1(),
    "u8": Layout(1, 0, 1),
    "u16be": Layout(2, 0, 2, "big"),
    "u16le": Layout(2, 0, 2, "little"),
    "u24be": Layout(3, 0, 3, "big"),
    "u24le": Layout(3, 0, 3, "little"),
    "u32be": Layout(4, 0, 4, "big"),
    "u32le": Layout(4, 0, 4, "little"),
    "u64be": Layout(8, 0, 8, "big"),
    "u64le": Layout(8, 0, 8, "little"),
    "i32be": Layout(4, 0, 4, "big", signed=True),
    "i32le": Layout(4, 0, 4, "little", signed=True),
    "varint": Varint(),
}


def format_named(name):
    """A format by its name; a layout is "field:header=4,offset=1,width=2,order=be,covers=frame"."""
    if not isinstance(name, str):
        return name
    if name in FORMATS:
        return FORMATS[name]
    start, _, rest = name.partition(":")
    try:
        parts = dict(part.split("=") for part in rest.split(","))
        if start != "field" or set(parts) != {"header", "offset", "width", "order", "covers"}:
            raise ValueError
        numbers = [int(parts[key]) for key in ("header", "offset", "width")]
        order = {"be": "big", "le": "little"}[parts["order"]]
    except (ValueError, KeyError):
        raise Rejected("no such format: %r" % name) from None
    return Layout(*numbers, order, parts["covers"])


# --------------------------------------------------------------------------------- the encoder


def _checked_limit(limit):
    if limit is None:
        return DEFAULT_LIMIT
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise Rejected("a limit is a number from 0")
    return limit


def encode_header(length, kind=None, *, format="v1", limit=None, header=None):
    """The header of a frame; `Rejected` if it must not be written (HDR-11, LIM-5, FMT-4)."""
    format = format_named(format)
    if length > min(_checked_limit(limit), format.greatest):
        raise Rejected("a payload of %d bytes is above the limit" % length)
    return format.encode_header(length, kind, header)


def encode(kind, payload=b"", *, limit=None):
    """A version 1 frame.

    >>> encode(1, b"hi").hex(" ")
    'f5 01 01 00 00 00 02 f2 68 69'
    """
    payload = bytes(payload)
    return encode_header(len(payload), kind, limit=limit) + payload


def encode_in(format, payload, *, limit=None, header=None):
    """A frame in a format of Annex A; a layout needs all bytes of the `header`."""
    payload = bytes(payload)
    return encode_header(len(payload), format=format, limit=limit, header=header) + payload


# ------------------------------------------------------------------------ the receiver, chapter 7


class Decoder:
    """The receiver of chapter 7: turns a byte stream into events.

    `feed` stops directly after the bytes that an error refuses. After a `skip` or a `resync`, offer
    the bytes that it did not consume again.
    """

    def __init__(self, format="v1", limit=None):
        self.format = format_named(format)
        self.limit = _checked_limit(limit)
        self.reset()

    def reset(self):
        """Begins a new stream (ERR-7)."""
        self._state = "BOUNDARY"  # 7.2
        self.offset = 0  # bytes consumed
        self._at = 0  # the frame's first byte, or the `at` of the error searched from
        self._held = bytearray()  # header bytes, or the window
        self._due = 0  # payload bytes
        self.error = None

    def feed(self, data):
        """Consumes bytes; returns how many, and a list of events (table 7.3)."""
        data = bytes(data)
        events, used = [], 0
        while used < len(data):
            if self._state == "FAILED":
                if not events or events[-1] is not self.error:
                    events.append(self.error)  # ERR-4
                break
            if self._state in ("PAYLOAD", "SKIP"):
                count = min(self._due, len(data) - used)
                self._due -= count
                self.offset += count
                if self._state == "PAYLOAD":
                    events.append(Data(data[used:used + count], self._due == 0))
                used += count
                if self._due == 0:
                    self._state = "BOUNDARY"
                continue
            byte = data[used]
            used += 1
            if self._state == "BOUNDARY":
                self._at = self.offset
                self._held = bytearray()
                self._state = "HEADER"
            self.offset += 1
            self._held.append(byte)
            if self._state == "SEARCH":
                self._search(events)
            else:
                self._judge(events)
        return used, events

    def _search(self, events):
        self._trim()
        if len(self._held) == 8:
            position = self.offset - 8
            events.append(Found(position - self._at))
            self._at = position
            self._begin(self._held[2], int.from_bytes(self._held[3:7], "big"), events)

    def _judge(self, events):
        verdict = self.format.judge(self._held)
        if verdict is None:
            return
        if verdict[0] != "header":
            events.append(self._fail(verdict[0], self._at, **verdict[1]))
            return
        _, kind, length = verdict
        if length > self.limit:
            self._due = length
            events.append(self._fail("oversize", self._at, length=length, limit=self.limit))
        else:
            self._begin(kind, length, events)

    def _begin(self, kind, length, events):
        events.append(Begin(self._at, kind, length, bytes(self._held), length == 0))
        self._held = bytearray()
        self._due = length
        self._state = "PAYLOAD" if length else "BOUNDARY"

    def _fail(self, name, at, **values):
        self._state = "FAILED"
        self.error = Error(name, at, values)
        return self.error

    def _is_open(self, window):
        """7.2: whether no byte of the window contradicts a header within the limit."""
        count = len(window)
        if count > 0 and window[0] != MAGIC:
            return False
        if count > 1 and window[1] != VERSION:
            return False
        if count > 2 and window[2] == 0:
            return False
        if count < 8:
            return True
        return window[7] == check(window[:7]) and int.from_bytes(window[3:7], "big") <= self.limit

    def _trim(self):
        while not self._is_open(self._held):
            del self._held[0]

    def end(self):
        """The end of stream: `End` or an `Error` (table 7.4)."""
        state = self._state
        if state == "BOUNDARY":
            return End()
        if state == "FAILED":
            return self.error
        if state == "HEADER":
            missing = self.format.missing(len(self._held))
            return self._fail("truncated", self.offset, missing=missing, exact=False)
        if state == "SEARCH":
            return self._fail("unsynchronized", self.offset, skipped=self.offset - self._at)
        return self._fail("truncated", self.offset, missing=self._due, exact=True)

    def skip(self):
        """Skips an oversize payload: None, or the same error; else `Rejected` (7.4)."""
        if self._state != "FAILED":
            raise Rejected("there is no error to skip")
        if self.error.name != "oversize":
            return self.error
        self.error = None
        self._held = bytearray()
        self._state = "SKIP"
        return None

    def resync(self):
        """Searches for the next header, on a lossy line only (7.8): None, or the same error; else
        `Rejected`."""
        if self._state != "FAILED":
            raise Rejected("there is no error to search from")
        if not self.format.searchable or self.error.name in ("truncated", "unsynchronized"):
            return self.error
        self._at = self.error.at
        self.error = None
        self._due = 0
        del self._held[0]  # SYN-1
        self._state = "SEARCH"
        self._trim()
        return None


class Assembler:
    """Joins events into whole frames; other events are returned unchanged."""

    def __init__(self):
        self._begin, self._runs = None, []

    def take(self, event):
        """A `Frame`, an event that is no part of one, or None."""
        if isinstance(event, Begin):
            self._begin, self._runs = event, []
            if not event.complete:
                return None
        elif isinstance(event, Data):
            self._runs.append(event.payload)
            if not event.last:
                return None
        else:
            return event
        begin, payload = self._begin, b"".join(self._runs)
        self._begin, self._runs = None, []
        return Frame(begin.at, begin.kind, payload, begin.header)


def frames(chunks, *, format="v1", limit=None):
    """The frames of a stream that arrives in chunks; `StreamError` on the first error.

    For a socket: `frames(iter(lambda: socket.recv(65536), b""))`.
    """
    decoder, assembler = Decoder(format, limit), Assembler()
    for chunk in chunks:
        for event in decoder.feed(chunk)[1]:
            event = assembler.take(event)
            if isinstance(event, Error):
                raise StreamError(event)
            if event is not None:
                yield event
    end = decoder.end()
    if isinstance(end, Error):
        raise StreamError(end)


# -------------------------------------------------------------------------- datagrams, chapter 8

# DGM-4, DGM-7
_MISPLACED = frozenset(
    KINDS[name] for name in ("hello", "close", "file-open", "file-data", "file-done",
                             "file-status", "file-cancel"))
_ALWAYS_KNOWN = frozenset(KINDS[name] for name in ("text", "binary", "ping", "pong"))


def encode_datagram(frames, *, limit=None, datagram_limit=DEFAULT_DATAGRAM_LIMIT):
    """One datagram of these (kind, payload), or `Rejected` (DGM-1, DGM-4, DGM-10)."""
    out = b""
    for kind, payload in frames:
        if kind in _MISPLACED:
            raise Rejected("kind 0x%02x has no place in a datagram" % kind)
        out += encode(kind, payload, limit=limit)
    if not out:
        raise Rejected("a datagram has at least one frame")
    if len(out) > datagram_limit:
        raise Rejected("%d bytes are above the datagram limit" % len(out))
    return out


def read_datagram(data, *, limit=None, known=(), cut=False):
    """The frames of a datagram, or the `Error` for which the whole datagram is refused.

    `known` are the application kinds that are known; `cut` is true if the transport reported the
    datagram as longer than its buffer (DGM-9).
    """
    known = frozenset(known)
    if not all(0x40 <= kind <= 0x7F or 0xC0 <= kind <= 0xFF for kind in known):
        raise Rejected("only kinds of applications can be made known")
    if cut:
        return Error("cut", None, {})
    if not data:
        return Error("empty", 0, {})
    try:
        whole = list(frames([data], limit=limit))
    except StreamError as failed:
        return failed.error
    delivered = []
    for frame in whole:
        if frame.kind in _MISPLACED:
            return Error("misplaced-kind", frame.at, {"found": frame.kind})
        if frame.kind in _ALWAYS_KNOWN or frame.kind in known:
            delivered.append(frame)
        elif frame.kind < 0x80:  # critical (KND-1)
            return Error("unknown-kind", frame.at, {"found": frame.kind})
    return delivered


# ------------------------------------------------------------------------- messages, chapter 13

# COD-1
CODES.update({
    "bad-message": 0x0100, "misplaced-message": 0x0101, "bad-transfer-id": 0x0102,
    "too-many-transfers": 0x0103, "unclosed": 0x0104, "shutting-down": 0x0105, "busy": 0x0106,
    "too-slow": 0x0107, "ready": 0x0110, "working": 0x0111, "stored": 0x0120, "exists": 0x0121,
    "cancelled": 0x0130, "bad-name": 0x0131, "second-open": 0x0132, "bad-offset": 0x0133,
    "excess": 0x0134, "wrong-total": 0x0135, "bad-digest": 0x0136, "too-large": 0x0137,
    "no-space": 0x0138, "quota": 0x0139, "not-accepted": 0x013A, "storage-failed": 0x013B,
    "given-up": 0x0150, "changed": 0x0151, "unreadable": 0x0152,
})

_KIND_NAMES = {number: name for name, number in KINDS.items()}

# Fixed fields: name, bytes; then the field after them: None, or its name.
_FIELDS = {
    "hello": ([("limit", 4)], "name"),
    "text": ([], "text"),
    "binary": ([], "payload"),
    "ping": ([], "payload"),
    "pong": ([], "payload"),
    "close": ([("code", 2)], "reason"),
    "file-open": ([("transfer", 4), ("key", 16), ("size", 8)], "name"),
    "file-data": ([("transfer", 4), ("offset", 8)], "payload"),
    "file-done": ([("transfer", 4), ("total", 8), ("digest", 32)], None),
    "file-status": ([("transfer", 4), ("code", 2), ("offset", 8), ("digest", 32)], "reason"),
    "file-cancel": ([("transfer", 4), ("code", 2)], "reason"),
}
_TEXTS = ("text", "reason", "name")
_BYTES = ("payload", "key", "digest")
NO_DIGEST = bytes(32)
UNKNOWN_SIZE = (1 << 64) - 1


class BadMessage(Exception):
    """A payload that is invalid for its kind. `name` is the code's name, `at` an offset in the
    payload; `transfer` is set if only that file is refused (MSG-11)."""

    def __init__(self, name, at, transfer=None):
        super().__init__("%s at payload byte %d" % (name, at))
        self.name, self.at, self.transfer = name, at, transfer


def _first_broken(data):
    """The offset of the first byte that belongs to no character (MSG-2), or None."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def bad_name(name):
    """The offset at which a file's name, as bytes, breaks a rule of 13.6; None if it breaks none."""
    if not name:
        return 0
    if len(name) > 255:
        return 255
    broken = _first_broken(name)
    if broken is not None:
        return broken
    text = name.decode("utf-8")
    for place, char in enumerate(text):
        if char in "/\\:" or ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F:  # MSG-13
            return len(text[:place].encode("utf-8"))
    return 0 if text in (".", "..") else None


def _judge_length(kind, length):
    name = _KIND_NAMES.get(kind)
    if name is None:
        return
    fields, _ = _FIELDS[name]
    least = sum(size for _, size in fields)
    if name in ("ping", "pong") and length > 64:  # MSG-3
        raise BadMessage("bad-message", 64)
    if name == "close" and length == 0:  # MSG-4
        return
    if length < least or (name == "file-data" and length == least):  # MSG-5
        raise BadMessage("bad-message", length)
    if name == "file-done" and length > least:
        raise BadMessage("bad-message", least)


def decode_message(kind, payload):
    """A message as a dict with its `type`, the fields of 13.1, and `payload` for bytes; `BadMessage`.

    >>> decode_message(0x05, b"\\x80\\x01bye")
    {'type': 'close', 'code': 32769, 'reason': 'bye'}
    """
    payload = bytes(payload)
    _judge_length(kind, len(payload))
    if kind not in _KIND_NAMES:
        return {"type": "other", "kind": kind, "payload": payload}
    message = {"type": _KIND_NAMES[kind]}
    fields, tail = _FIELDS[message["type"]]
    if message["type"] == "close" and not payload:
        return {"type": "close", "code": 0, "reason": ""}
    at = 0
    for name, size in fields:
        value = payload[at:at + size]
        message[name] = value if name in _BYTES else int.from_bytes(value, "big")
        at += size
    if message.get("size") == UNKNOWN_SIZE:  # MSG-8
        message["size"] = None
    rest = payload[at:]
    if message["type"] == "file-open":
        wrong = bad_name(rest)
        if wrong is not None:
            raise BadMessage("bad-name", at + wrong, message["transfer"])
    if tail in _TEXTS:
        broken = _first_broken(rest)
        if broken is not None:
            raise BadMessage("bad-message", at + broken)
        message[tail] = rest.decode("utf-8")
    elif tail is not None:
        message[tail] = rest
    return message


def encode_message(message):
    """Kind and payload of a message; `Rejected` if every receiver has to refuse it (MSG-6).

    >>> encode_message({"type": "hello", "limit": 65536, "name": "py"})
    (128, b'\\x00\\x01\\x00\\x00py')
    """
    message = dict(message)
    name = message["type"]
    if name == "other":
        kind, payload = message["kind"], bytes(message["payload"])
    else:
        kind = KINDS[name]
        fields, tail = _FIELDS[name]
        if message.get("size", 0) is None:
            message["size"] = UNKNOWN_SIZE
        out = []
        for field, size in fields:
            value = message[field]
            if isinstance(value, int):
                value = value.to_bytes(size, "big")
            if len(value) != size:
                raise Rejected("%s has %d bytes" % (field, size))
            out.append(bytes(value))
        if tail is not None:
            rest = message[tail]
            out.append(rest.encode("utf-8") if isinstance(rest, str) else bytes(rest))
        payload = b"".join(out)
        if name == "close" and payload == b"\0\0":  # MSG-4
            payload = b""
    try:
        decode_message(kind, payload)
    except BadMessage as why:
        raise Rejected(str(why)) from None
    return kind, payload


def read_datagram_messages(data, *, limit=None, known=(), cut=False):
    """The messages of a datagram, or the `Error` for which the whole datagram is refused: one of
    `read_datagram`, or bad-message (CNV-12)."""
    result = read_datagram(data, limit=limit, known=known, cut=cut)
    if isinstance(result, Error):
        return result
    try:
        return [decode_message(frame.kind, frame.payload) for frame in result]
    except BadMessage as why:
        return Error(why.name, None, {})


# --------------------------------------------------------------- the conversation, chapters 14, 15


class Broken(Exception):
    """The conversation is over: a rule was broken. `name` is the code's name."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class _OpenFile:
    """The open file of one direction: its position is None before any data."""

    def __init__(self, transfer, size):
        self.transfer, self.size = transfer, size
        self.held, self.position = None, None

    def may_be_at(self, offset):
        if self.position is None:
            return offset == 0 or offset == self.held
        return offset == self.position

    def wrong_data(self, offset, count):
        """The name of what is wrong, or None (FIL-8, FIL-9)."""
        if not self.may_be_at(offset):
            return "bad-offset"
        if offset + count > (UNKNOWN_SIZE if self.size is None else self.size):
            return "excess"
        self.position = offset + count
        return None

    def right_total(self, total):
        """FIL-10."""
        return self.may_be_at(total) and (self.size is None or self.size == total)


class Session:
    """The rules of a conversation, without a socket. `receive` and `end` handle what arrives, `send`
    is called before a message is written, and `says` returns what has to be written in addition.

    `known`: the applications' kinds that are known.
    """

    def __init__(self, known=()):
        self.known = frozenset(known)
        if not all(0x40 <= kind <= 0x7F or 0xC0 <= kind <= 0xFF for kind in self.known):
            raise Rejected("only kinds of applications can be made known")  # CNV-9
        self.peer_limit, self.own_limit = 65_536, 65_536
        self.heard = self.spoke = self.closed = self.peer_closed = False
        self.error, self._last_words = None, None
        self._pong, self._ping = None, None
        # The receiver's half (15.5): owed is transfer -> "asked", "done", or ("refused", name).
        self._in_last, self._in_open, self._owed, self._working = -1, None, {}, set()
        # The sender's half (15.4): transfer -> whether done was sent.
        self._out_last, self._out_open, self._unanswered = -1, None, {}

    # What arrives.

    def receive(self, kind, payload):
        """The event's name and the message; `Broken` from the first error on (CNV-10)."""
        if self.error is not None:
            raise Broken(self.error)
        try:
            return self._receive(kind, bytes(payload))
        except BadMessage as why:
            self._fail(why.name)
        except Broken as why:
            self._fail(why.name)
        raise Broken(self.error)

    def _fail(self, name):
        if self.error is None:
            self.error = self._last_words = name

    def _receive(self, kind, payload):
        first, self.heard = not self.heard, True
        if self.peer_closed:  # CNV-5
            raise Broken("misplaced-message")
        if kind == KINDS["hello"] and not first:  # CNV-1
            raise Broken("misplaced-message")
        if kind not in _KIND_NAMES and kind not in self.known:  # CNV-9
            if kind < 0x80:
                raise Broken("unknown-kind")
            return "nothing", None
        try:
            message = decode_message(kind, payload)
        except BadMessage as why:
            if why.transfer is None:
                raise
            return self._opened(why.transfer, None)
        work = getattr(self, "_on_" + message["type"].replace("-", "_"))
        event = work(message)
        return event, message

    def _on_hello(self, message):
        self.peer_limit = message["limit"]
        return "hello"

    def _on_text(self, _):
        return "text"

    def _on_binary(self, _):
        return "binary"

    def _on_other(self, _):
        return "application"

    def _on_ping(self, message):
        if len(message["payload"]) <= self.peer_limit:  # CNV-3
            self._pong = message["payload"]
        return "nothing"

    def _on_pong(self, message):
        if message["payload"] != self._ping:  # CNV-4
            return "nothing"
        self._ping = None
        return "pong"

    def _on_close(self, _):
        self.peer_closed = True
        if self._in_open is not None:
            self._owed.pop(self._in_open.transfer, None)
            self._in_open = None
        return "close"

    def _opened(self, transfer, message):
        """Handles an open; without a message, one with a bad name."""
        if self.peer_limit < 46:  # FIL-20
            raise Broken("misplaced-message")
        if transfer <= self._in_last:  # FIL-1
            raise Broken("bad-transfer-id")
        self._in_last = transfer
        if self.closed:  # CNV-6
            return "nothing", None
        if len(self._owed) >= 64:  # FIL-3
            raise Broken("too-many-transfers")
        self._owed[transfer] = "asked"
        if message is None:
            self._refuse(transfer, "bad-name")
        elif self._in_open is not None:
            self._refuse(transfer, "second-open")  # FIL-6
        else:
            self._in_open = _OpenFile(transfer, message["size"])
            return "file-open", message
        return "file-refused", message

    def _on_file_open(self, message):
        return self._opened(message["transfer"], message)[0]

    def _refuse(self, transfer, name):
        if transfer in self._owed:
            self._owed[transfer] = ("refused", name)
        if self._in_open is not None and self._in_open.transfer == transfer:
            self._in_open = None
        return "file-refused"

    def _is_open(self, message):
        if message["transfer"] > self._in_last:  # FIL-2
            raise Broken("bad-transfer-id")
        return self._in_open is not None and self._in_open.transfer == message["transfer"]

    def _on_file_data(self, message):
        if not self._is_open(message):  # FIL-7
            return "nothing"
        wrong = self._in_open.wrong_data(message["offset"], len(message["payload"]))
        return "file-data" if wrong is None else self._refuse(message["transfer"], wrong)

    def _on_file_done(self, message):
        if not self._is_open(message):
            return "nothing"
        if not self._in_open.right_total(message["total"]):
            return self._refuse(message["transfer"], "wrong-total")
        self._in_open = None
        if message["transfer"] in self._owed:
            self._owed[message["transfer"]] = "done"
            self._working.discard(message["transfer"])
        return "file-done"

    def _on_file_cancel(self, message):
        if not self._is_open(message):
            return "nothing"
        self._refuse(message["transfer"], "cancelled")  # FIL-11
        return "file-cancel"

    def _on_file_status(self, message):
        transfer, code = message["transfer"], message["code"]
        if transfer not in self._unanswered:  # FIL-16
            raise Broken("bad-transfer-id")
        is_open = self._out_open is not None and self._out_open.transfer == transfer
        if code == CODES["ready"]:
            if not is_open or self._out_open.position is not None:
                return "nothing"
            if self._out_open.held is not None:
                raise Broken("misplaced-message")
            self._out_open.held = message["offset"]
            return "file-ready"
        if code == CODES["stored"] and not self._unanswered[transfer]:
            raise Broken("misplaced-message")
        if 0x0110 <= code <= 0x011F:  # FIL-13
            return "file-working"
        del self._unanswered[transfer]
        if is_open:
            self._out_open = None
        return "file-end"

    def end(self):
        """The end of stream; `Broken` if it is not clean (CNV-8)."""
        if self.error is None and not self.peer_closed:
            self.error = "unclosed"  # local: not sent
        if self.error is not None:
            raise Broken(self.error)

    def tick(self):
        """To be called every few seconds (FIL-19)."""
        for transfer, state in self._owed.items():
            opened = self._in_open if state == "asked" else None
            if state == "done" or (opened and opened.held is None and opened.position is None):
                self._working.add(transfer)

    # What is sent.

    def says(self):
        """The (kind, payload) that this side has to write by itself, in order."""
        out = []
        if self.closed:
            return out
        if self.error is not None:
            if self._last_words is not None:
                self.closed = True
                if self.peer_limit >= 2:  # CNV-11
                    out.append(encode_message(
                        {"type": "close", "code": CODES[self._last_words], "reason": ""}))
            self._last_words = None
            return out
        if self._pong is not None:
            out.append(encode_message({"type": "pong", "payload": self._pong}))
            self._pong = None
        for transfer, state in sorted(self._owed.items()):
            if isinstance(state, tuple):
                out.append(encode_message(status(transfer, state[1])))
                del self._owed[transfer]
                self._working.discard(transfer)
        for transfer in sorted(self._working & set(self._owed)):
            out.append(encode_message(status(transfer, "working")))
        self._working.clear()
        self.spoke = self.spoke or bool(out)
        return out

    def send(self, message):
        """Kind and payload to be written; `Rejected` if the message is not allowed now."""
        if self.closed or self.error is not None:
            raise Rejected("the conversation is closed")  # CNV-5
        kind, payload = encode_message(message)
        if len(payload) > self.peer_limit:  # CNV-2
            raise Rejected("the peer takes %d bytes" % self.peer_limit)
        message = decode_message(kind, payload)
        work = getattr(self, "_send_" + message["type"].replace("-", "_"), None)
        if work is not None:
            work(message)
        self.spoke = True
        return kind, payload

    def _send_hello(self, message):
        if self.spoke:
            raise Rejected("a hello is the first message")
        self.own_limit = message["limit"]

    def _send_other(self, message):
        if not message["kind"] & 0x40:
            raise Rejected("the kind is reserved")

    def _send_ping(self, message):
        self._ping = message["payload"]

    def _send_close(self, _):
        self.closed = True

    def _send_file_open(self, message):
        transfer = message["transfer"]
        if self.peer_closed or self.own_limit < 46:  # CNV-7, FIL-20
            raise Rejected("there would be no answer")
        if self._out_open is not None or len(self._unanswered) >= 64:  # FIL-3
            raise Rejected("another file first")
        if transfer <= self._out_last:  # FIL-1
            raise Rejected("the id is not above the last")
        self._out_last = transfer
        self._unanswered[transfer] = False
        self._out_open = _OpenFile(transfer, message["size"])

    def _own(self, message):
        if self._out_open is None or self._out_open.transfer != message["transfer"]:
            raise Rejected("it is not the open file")  # FIL-4
        return self._out_open

    def _send_file_data(self, message):
        wrong = self._own(message).wrong_data(message["offset"], len(message["payload"]))
        if wrong is not None:
            raise Rejected(wrong)

    def _send_file_done(self, message):
        if not self._own(message).right_total(message["total"]):
            raise Rejected("wrong-total")
        self._unanswered[message["transfer"]] = True
        self._out_open = None

    def _send_file_cancel(self, message):
        self._own(message)
        self._out_open = None

    def _send_file_status(self, message):
        transfer, code = message["transfer"], message["code"]
        state = self._owed.get(transfer)
        if state is None or isinstance(state, tuple):
            raise Rejected("no answer is owed")  # FIL-5
        opened = self._in_open
        if opened is not None and opened.transfer != transfer:
            opened = None
        if code == CODES["ready"]:  # FIL-14
            if opened is None or opened.held is not None or opened.position is not None:
                raise Rejected("too late for ready")
            if opened.size is not None and message["offset"] > opened.size:
                raise Rejected("the part is larger than the file")
            opened.held = message["offset"]
        elif code == CODES["stored"] and state != "done":  # FIL-15
            raise Rejected("it is not done")
        elif not 0x0110 <= code <= 0x011F:
            del self._owed[transfer]
            if opened is not None:
                self._in_open = None

    @property
    def may_open(self):
        """Whether a file can be opened now."""
        return (self.error is None and not self.closed and not self.peer_closed
                and self._out_open is None and len(self._unanswered) < 64)

    @property
    def next_transfer(self):
        """The id for the next open."""
        return max(self._out_last + 1, 1)

    @property
    def open_transfer(self):
        """The transfer that this side has open, or None."""
        return None if self._out_open is None else self._out_open.transfer


def status(transfer, name, offset=0, digest=NO_DIGEST, reason=""):
    """A file-status, by the name of its code."""
    return {"type": "file-status", "transfer": transfer, "code": CODES[name], "offset": offset,
            "digest": digest, "reason": reason}


# ------------------------------------------------------------------------------------ a client


class Client:
    """Text and files over a socket, and the messages of the peer.

        with Client(socket.create_connection(("localhost", 7000))) as client:
            client.text("hello")
            print(client.file("report.pdf", open("report.pdf", "rb").read()))
            for event, message in client.close():
                print(event, message)

    It reads only while it waits for something, so it suits short conversations. Files that the peer
    offers are refused.
    """

    def __init__(self, sock, *, name="unstick.py", limit=DEFAULT_LIMIT):
        self.socket, self.session, self._decoder = sock, Session(), Decoder(limit=limit)
        self._assembler, self._arrived = Assembler(), []
        self._send({"type": "hello", "limit": limit, "name": name})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _send(self, message):
        self.socket.sendall(encode(*self.session.send(message), limit=0xFFFFFFFF))

    def _read(self):
        """Reads once. False at the end of the stream."""
        data = self.socket.recv(65_536)
        if not data:
            end = self._decoder.end()
            if isinstance(end, Error):
                raise StreamError(end)
            self.session.end()
            return False
        for event in self._decoder.feed(data)[1]:
            event = self._assembler.take(event)
            if isinstance(event, Error):
                raise StreamError(event)
            if not isinstance(event, Frame):
                continue
            try:
                name, message = self.session.receive(event.kind, event.payload)
                if name == "file-open":
                    self._send(status(message["transfer"], "not-accepted"))
                elif name != "nothing":
                    self._arrived.append((name, message))
            finally:
                for frame in self.session.says():
                    self.socket.sendall(encode(*frame))
        return True

    def events(self):
        """What has arrived since the last call: (event, message)."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def text(self, text):
        """Sends a text."""
        self._send({"type": "text", "text": text})

    def _wait(self, wanted):
        """Reads until there is a wanted event, and removes it from those that have arrived."""
        while True:
            for place, (name, message) in enumerate(self._arrived):
                if wanted(name, message):
                    return self._arrived.pop(place)
            if not self._read():
                raise Broken("unclosed")

    def file(self, name, content, *, key=None):
        """Sends a file and waits for its final status. With a `key` it resumes an earlier try
        (15.7)."""
        digest = hashlib.sha256(content).digest()
        transfer = self.session.next_transfer
        self._send({"type": "file-open", "transfer": transfer, "key": key or os.urandom(16),
                    "size": len(content), "name": name})
        mine = lambda name, message: (name in ("file-ready", "file-end")
                                      and message["transfer"] == transfer)
        position = 0
        if key is not None:
            event, message = self._wait(mine)
            if event == "file-end":
                return message
            held = message["offset"]
            own = hashlib.sha256(content[:held]).digest() if held <= len(content) else None
            position = held if own == message["digest"] else 0  # FIL-17
        step = min(self.session.peer_limit, 65_536) - 12
        while position < len(content) and self.session.open_transfer == transfer:
            run = content[position:position + step]
            self._send({"type": "file-data", "transfer": transfer, "offset": position,
                        "payload": run})
            position += len(run)
        if self.session.open_transfer == transfer:
            self._send({"type": "file-done", "transfer": transfer, "total": len(content),
                        "digest": digest})
        return self._wait(lambda name, message: name == "file-end" and mine(name, message))[1]

    def close(self):
        """Sends close, and reads on until the peer's end (14.4). Returns the events."""
        self._send({"type": "close", "code": 0, "reason": ""})
        self.socket.shutdown(socket.SHUT_WR)
        while self._read():
            pass
        return self.events()


# ------------------------------------------------------------- what `unstick conform` asks


class _Conform:
    """Answers requests of the conformance protocol: one object in, one object out."""

    def __init__(self):
        self.decoder = self.assembler = self.session = None

    @staticmethod
    def number(value):
        """Numbers beyond 2^53 arrive as strings of digits."""
        return None if value is None else int(value)

    @staticmethod
    def error(error):
        out = {"name": error.name}
        if error.code is not None:
            out["code"] = error.code
        if error.at is not None:
            out["at"] = error.at
        out.update(error.values)
        return out

    @staticmethod
    def frame(frame):
        out = {"at": frame.at, "payload": frame.payload.hex(), "header": frame.header.hex()}
        if frame.kind is not None:
            out["kind"] = frame.kind
        return out

    def events(self, events):
        out = []
        for event in events:
            event = self.assembler.take(event)
            if isinstance(event, Frame):
                out.append({"frame": self.frame(event)})
            elif isinstance(event, Found):
                out.append({"found": {"skipped": event.skipped}})
            elif isinstance(event, End):
                out.append({"end": True})
            elif isinstance(event, Error):
                out.append({"error": self.error(event)})
        return out

    def answer(self, request):
        """The answer to one request."""
        work = getattr(self, "do_" + request["do"].replace("-", "_"), None)
        if work is None:
            return {"unsupported": "no request " + request["do"]}
        try:
            return work(request)
        except Rejected as why:
            return {"refused": str(why)}

    def do_start(self, request):
        self.decoder = Decoder(request["format"], self.number(request.get("limit")))
        self.assembler = Assembler()
        return {"ok": True}

    def do_bytes(self, request):
        consumed, events = self.decoder.feed(bytes.fromhex(request["bytes"]))
        return {"consumed": consumed, "events": self.events(events)}

    def do_end(self, _):
        return {"events": self.events([self.decoder.end()])}

    def do_reset(self, _):
        self.decoder.reset()
        self.assembler = Assembler()
        return {"ok": True}

    def ask(self, request):
        try:
            error = request()
        except Rejected:
            return {"answer": "rejected"}
        if error is None:
            return {"answer": "begun"}
        return {"answer": "same-error", "error": self.error(error)}

    def do_skip(self, _):
        return self.ask(self.decoder.skip)

    def do_resync(self, _):
        return self.ask(self.decoder.resync)

    def received(self, request, read, what, shown):
        result = read(
            bytes.fromhex(request["bytes"]), limit=self.number(request.get("limit")),
            known=request["known"], cut=request["cut"])
        if isinstance(result, Error):
            return {"refused": self.error(result)}
        return {what: [shown(one) for one in result]}

    def do_datagram(self, request):
        return self.received(request, read_datagram, "frames", self.frame)

    def do_datagram_messages(self, request):
        return self.received(request, read_datagram_messages, "messages", self.message_out)

    def header(self, request, length):
        other = request.get("header")
        return encode_header(
            length, request.get("kind"), format=request["format"],
            limit=self.number(request.get("limit")),
            header=None if other is None else bytes.fromhex(other))

    def do_encode(self, request):
        payload = bytes.fromhex(request["payload"])
        return {"bytes": (self.header(request, len(payload)) + payload).hex()}

    def do_encode_header(self, request):
        return {"bytes": self.header(request, self.number(request["length"])).hex()}

    def do_encode_datagram(self, request):
        limit = self.number(request.get("datagram_limit"))
        content = [(f["kind"], bytes.fromhex(f["payload"])) for f in request["frames"]]
        return {"bytes": encode_datagram(
            content, limit=self.number(request.get("limit")),
            datagram_limit=DEFAULT_DATAGRAM_LIMIT if limit is None else limit).hex()}

    # Messages are objects with their `type`; bytes are hexadecimal.

    @staticmethod
    def message_in(message):
        out = {}
        for name, value in message.items():
            if name in _BYTES:
                value = bytes.fromhex(value)
            elif name not in _TEXTS + ("type",) and isinstance(value, str):
                value = int(value)
            out[name] = value
        return out

    @staticmethod
    def message_out(message):
        return {name: value.hex() if isinstance(value, bytes) else value
                for name, value in message.items()}

    def do_message(self, request):
        try:
            message = decode_message(request["kind"], bytes.fromhex(request["payload"]))
        except BadMessage as why:
            refused = {"name": why.name, "code": CODES[why.name], "at": why.at}
            if why.transfer is not None:
                refused["transfer"] = why.transfer
            return {"refused": refused}
        return {"message": self.message_out(message)}

    def do_encode_message(self, request):
        kind, payload = encode_message(self.message_in(request["message"]))
        return {"kind": kind, "payload": payload.hex()}

    def do_conversation(self, request):
        self.session = Session(request.get("known", ()))
        return {"ok": True}

    def said(self, answer, hold=False):
        if not hold:
            answer["says"] = [self.message_out(decode_message(*frame))
                              for frame in self.session.says()]
        return answer

    def happened(self, work, hold=False):
        try:
            answer = {"event": work()}
        except Broken as why:
            answer = {"error": {"name": why.name, "code": CODES[why.name]}}
        return self.said(answer, hold)

    def do_receive(self, request):
        if "message" in request:
            frame = encode_message(self.message_in(request["message"]))
        else:
            frame = request["kind"], bytes.fromhex(request["payload"])
        return self.happened(lambda: self.session.receive(*frame)[0], request.get("hold", False))

    def do_end_of_stream(self, _):
        return self.happened(lambda: self.session.end() or "clean")

    def do_tick(self, _):
        self.session.tick()
        return self.said({})

    def do_send(self, request):
        self.session.send(self.message_in(request["message"]))
        return {"ok": True}


def _main(arguments):
    if arguments != ["--conform"]:
        print("usage: unstick.py --conform (see vectors/README.md)", file=sys.stderr)
        return 2
    conform = _Conform()
    for line in sys.stdin:
        print(json.dumps(conform.answer(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
