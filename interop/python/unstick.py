#!/usr/bin/env python3
"""The unstick protocol, version 1: framing, messages and files. One file that needs only the
standard library.

Written from spec.md alone, without looking at any other implementation; the comments name its
requirements (HDR-2) and sections (7.4). To encode, and to decode whole frames:

    >>> wire = encode(KINDS["text"], b"hello") + encode(KINDS["binary"], b"")
    >>> [(frame.kind, frame.payload) for frame in frames([wire[:10], wire[10:]])]
    [(1, b'hello'), (2, b'')]

`Decoder` is the receiver of chapter 7, with skip, resync and reset; `read_datagram` and
`encode_datagram` are chapter 8; `FORMATS`, `Layout` and `format_named` are Annex A up to A.4,
`framing_named` and `receiver` the rest of it: checks, and frames that end with a mark. `decode_message`
and `encode_message` are chapter 13, `Session` is chapters 14 and 15; `Client` sends and receives
over a socket.
`python3 unstick.py --conform` answers the requests of `unstick conform`.
"""

import hashlib
import json
import select
import socket
import ssl
import sys
import time
from collections import namedtuple

MAGIC, VERSION = 0xF5, 0x01
DEFAULT_LIMIT = 1_048_576  # LIM-3
DEFAULT_DATAGRAM_LIMIT = 1_200  # DGM-10

# KND-3
KINDS = {
    "text": 0x01, "binary": 0x02, "ping": 0x03, "pong": 0x04, "close": 0x05,
    "file-open": 0x10, "file-data": 0x11, "file-done": 0x12, "file-status": 0x13,
    "file-cancel": 0x14, "hello": 0x80, "file-attributes": 0x90,
}

# ERR-8
CODES = {
    "no-error": 0x0000, "bad-magic": 0x0001, "unsupported-version": 0x0002,
    "invalid-kind": 0x0003, "bad-check": 0x0004, "oversize": 0x0005, "truncated": 0x0006,
    "unknown-kind": 0x0007, "frame-timeout": 0x0008, "idle-timeout": 0x0009,
    "bad-length": 0x000A, "refused-datagram": 0x000B, "unsynchronized": 0x000C,
    "bad-frame": 0x000D,
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

    def finish(self):
        """The end of stream as a list of events."""
        return [self.end()]

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
    decoder, assembler = receiver(format, limit), Assembler()
    for chunk in chunks:
        for event in decoder.feed(chunk)[1]:
            event = assembler.take(event)
            if isinstance(event, Error):
                raise StreamError(event)
            if event is not None:
                yield event
    for event in map(assembler.take, decoder.finish()):
        if isinstance(event, Error):
            raise StreamError(event)
        if isinstance(event, Frame):
            yield event


# ------------------------------------------------------------- checks after a payload, Annex A.13


_ORDERS = {"be": "big", "le": "little"}


def _crc(width, poly, init, reflect, xorout):
    """A CRC by its parameters, bit by bit (A.13)."""
    top, mask = 1 << (width - 1), (1 << width) - 1

    def mirror(value, count):
        return int(format(value, "0%db" % count)[::-1], 2)

    def value(data):
        register = init
        for byte in data:
            register ^= (mirror(byte, 8) if reflect else byte) << (width - 8)
            for _ in range(8):
                register = ((register << 1) ^ poly if register & top else register << 1) & mask
        return (mirror(register, width) if reflect else register) ^ xorout

    return width // 8, value


def _fletcher(modulus):
    def value(data):
        low = high = 0
        for byte in data:
            low = (low + byte) % modulus
            high = (high + low) % modulus
        return high << 8 | low

    return 2, value


def _xor(data):
    value = 0
    for byte in data:
        value ^= byte
    return value


# FMT-48: the name, the length in bytes, and the value of the bytes that it covers.
CHECKS = {
    "sum8": (1, lambda data: sum(data) & 0xFF),
    "xor8": (1, _xor),
    "lrc8": (1, lambda data: -sum(data) & 0xFF),
    "fletcher8": _fletcher(256),
    "fletcher16": _fletcher(255),
    "crc8-smbus": _crc(8, 0x07, 0, False, 0),
    "crc16-ibm3740": _crc(16, 0x1021, 0xFFFF, False, 0),
    "crc16-mcrf4xx": _crc(16, 0x1021, 0xFFFF, True, 0),
    "crc16-modbus": _crc(16, 0x8005, 0xFFFF, True, 0),
    "crc16-x25": _crc(16, 0x1021, 0xFFFF, True, 0xFFFF),
    "crc32": _crc(32, 0x04C11DB7, 0xFFFFFFFF, True, 0xFFFFFFFF),
    "crc32c": _crc(32, 0x1EDC6F41, 0xFFFFFFFF, True, 0xFFFFFFFF),
}


class Check:
    """A check as it stands in the stream: its algorithm, the order of its bytes, and the number of
    header bytes that it leaves out (None: all of them).

    >>> Check("crc32c", "big").trailer(b"", b"123456789").hex()
    'e3069283'
    """

    def __init__(self, name, order="big", start=0):
        if name not in CHECKS or order not in _ORDERS.values():
            raise Rejected("no such check: %r" % name)
        self.size, self._value = CHECKS[name]
        self.order, self.start = order, start

    def trailer(self, header, payload):
        """What must stand after the payload."""
        covered = b"" if self.start is None else bytes(header[self.start:])
        return self._value(covered + bytes(payload)).to_bytes(self.size, self.order)


class EndBytes:
    """Constant bytes that stand after every payload (FMT-48)."""

    def __init__(self, content):
        if not 1 <= len(content) <= 255:
            raise Rejected("1 to 255 bytes stand after a payload")
        self.size, self._content = len(content), content

    def trailer(self, _, __):
        """The same for every payload."""
        return self._content


def _first_four(trailer):
    return int.from_bytes(trailer[:4], "big")


# ---------------------------------------------- headers with a check after the payload, A.5, A.6, A.14


class Fixed:
    """A.5: every payload has `length` bytes, and there is no header."""

    def __init__(self, length):
        if length < 1:
            raise Rejected("a fixed length is at least 1")  # FMT-14
        self.greatest = self.length = length

    def encode_header(self, length, kind=None, header=None):
        """No bytes, if the length is the right one (FMT-15)."""
        if length != self.length or kind is not None or header is not None:
            raise Rejected("every payload has %d bytes" % self.length)
        return b""


class Version2(Version1):
    """The header of A.14."""

    name = "v2"

    def judge(self, header):
        """See above."""
        if len(header) == 2:  # FMT-49
            return None if header[1] == 0x02 else ("unsupported-version", {"found": header[1]})
        return super().judge(header)

    def encode_header(self, length, kind=None, header=None):
        """As version 1, with another version and so another check."""
        start = MAGIC, 0x02, *super().encode_header(length, kind, header)[2:7]
        return bytes(start) + bytes((check(start),))


class Checked:
    """Frames of a format with a check after each payload, or with none (A.5 alone)."""

    def __init__(self, format, check=None):
        self.format, self.check = format, check
        self.size = 0 if check is None else check.size
        self.greatest = format.greatest

    def trailer(self, header, payload):
        """What must stand after the payload."""
        return b"" if self.check is None else self.check.trailer(header, payload)

    def judge(self, start):
        """The header at the front of these bytes: (its length, what `judge` of the format says)."""
        if isinstance(self.format, Fixed):
            return 0, ("header", None, self.format.length)
        for count in range(1, len(start) + 1):
            verdict = self.format.judge(start[:count])
            if verdict is not None:
                return count, verdict
        return len(start), None

    def decoder(self, limit):
        """A receiver."""
        return CheckedDecoder(self, limit)

    def encode(self, payload, limit, kind=None, header=None):
        """A frame, or `Rejected`."""
        if len(payload) > min(limit, self.greatest):
            raise Rejected("a payload of %d bytes is too long" % len(payload))
        start = self.format.encode_header(len(payload), kind, header)
        return start + payload + self.trailer(start, payload)


class CheckedDecoder:
    """A receiver of A.5, A.6 and A.14. It keeps the bytes of the current frame, so that it can search
    in them (FMT-22); a receiver that needs no search does not have to."""

    def __init__(self, format, limit=None):
        self.format, self.limit = format, _checked_limit(limit)
        self.reset()

    def reset(self):
        """Begins a new stream (ERR-7)."""
        self.offset = 0  # bytes that were consumed
        self.error = None
        self._kept = bytearray()  # the current frame; or, in a search, from the first candidate on
        self._first = 0  # the offset of the first kept byte
        self._again = bytearray()  # consumed bytes after those, which have yet to be looked at
        self._due = None  # how many bytes the frame has, once its header is complete
        self._skip = 0  # bytes to discard
        self._from = None  # the `at` of the error that a search started from

    def feed(self, data):
        """Consumes bytes; returns how many, and a list of events."""
        data = bytes(data)
        events, used = [], 0
        while True:
            waiting = bool(self._again) or used < len(data)
            if self.error is None and waiting and not self._kept and not self._skip:
                self._without_header(events)
            if self.error is not None:
                if waiting and not (events and events[-1] is self.error):
                    events.append(self.error)  # ERR-4
                break
            if not waiting:
                break
            if self._again:
                byte = self._again.pop(0)
            else:
                byte = data[used]
                used += 1
                self.offset += 1
            self._take(byte, events)
        return used, events

    def _without_header(self, events):
        """FMT-16: the header has no byte, so it is complete before the frame's first byte."""
        if isinstance(self.format.format, Fixed) and self._from is None:
            if self.format.greatest > self.limit:
                self._refuse("oversize", events, length=self.format.greatest, limit=self.limit)

    def _refuse(self, name, events, **values):
        self.error = Error(name, self._first, values)
        events.append(self.error)

    def _take(self, byte, events):
        if self._skip:
            self._skip -= 1
            self._first += 1
            return
        self._kept.append(byte)
        if self._from is not None:
            self._search(events)
            return
        count, verdict = self.format.judge(self._kept)
        if verdict is None:
            return
        if verdict[0] != "header":
            self._refuse(verdict[0], events, **verdict[1])
            return
        _, kind, length = verdict
        if self.limit < length:  # at the complete header
            self._refuse("oversize", events, length=length, limit=self.limit)
            return
        if len(self._kept) == max(count, 1):
            events.append(Begin(self._first, kind, length, bytes(self._kept[:count]), False))
        self._due = count + length + self.format.size
        if len(self._kept) > count and len(self._kept) <= count + length:
            done = len(self._kept) == self._due
            events.append(Data(bytes((byte,)), done))
        if len(self._kept) < self._due:
            return
        body = bytes(self._kept[count:count + length])
        expected = self.format.trailer(self._kept[:count], body)
        found = bytes(self._kept[count + length:])
        if found != expected:  # FMT-19
            self._refuse("bad-check", events, found=_first_four(found),
                         expected=_first_four(expected))
            return
        if self.format.size or not length:
            events.append(Data(b"", True))  # FMT-18
        self._first += self._due
        self._kept, self._due = bytearray(), None

    def _whole(self):
        """Whether a whole valid frame stands at the front of the kept bytes: its length, 0 if it
        does not, None if it can still become one."""
        count, verdict = self.format.judge(self._kept)
        if verdict is None:
            return None
        if verdict[0] != "header" or verdict[2] > self.limit:
            return 0
        total = count + verdict[2] + self.format.size
        if len(self._kept) < total:
            return None
        body = self._kept[count:count + verdict[2]]
        good = self.format.trailer(self._kept[:count], body) == self._kept[total - self.format.size:total]
        return total if good else 0

    def _search(self, events):
        """FMT-22, FMT-23."""
        while self._kept:
            total = self._whole()
            if total is None:
                return
            if total:
                events.append(Found(self._first - self._from))
                self._from = None
                self._again = self._kept + self._again
                self._kept = bytearray()
                return
            del self._kept[0]
            self._first += 1

    def finish(self):
        """The end of stream: a list of events, the last of them `End` or an `Error`."""
        events = self.feed(b"")[1]
        if self._from is not None and self.error is None:
            self.error = Error("unsynchronized", self.offset, {"skipped": self.offset - self._from})
        if self.error is not None:
            return events if events and events[-1] is self.error else events + [self.error]
        if not self._kept and not self._skip:
            return events + [End()]
        if self._skip or self._due is not None:
            missing, exact = self._skip or self._due - len(self._kept), True  # FMT-20
        else:
            missing, exact = self.format.format.missing(len(self._kept)), False
        self.error = Error("truncated", self.offset, {"missing": missing, "exact": exact})
        return events + [self.error]

    def _asked(self):
        if self.error is None:
            raise Rejected("there is no error")
        return self.error.name

    def skip(self):
        """FMT-21."""
        name = self._asked()
        if name == "oversize":
            self._skip = self.error.values["length"] + self.format.size
        elif name != "bad-check" or self._due is None:
            return self.error
        self._first += len(self._kept)
        self._kept, self._due, self.error = bytearray(), None, None
        return None

    def resync(self):
        """FMT-22."""
        if self._asked() in ("truncated", "unsynchronized"):
            return self.error
        if self.format.check is None:  # FMT-2
            return self.error
        self._from = self.error.at
        self._skip = 0 if self._kept else 1
        self._again = self._kept[1:] + self._again
        self._first += 1 if self._kept else 0
        self._kept, self._due, self.error = bytearray(), None, None
        return None


# --------------------------------------------------------------------- frames that end with a mark
#
# A mark is a machine: step(state, byte) returns the next state, the content that the byte brings, and
# a verdict: None, "end", "idle", or (why, values, whether the frame ended with the byte). The state
# before a frame's first byte is None. rest(state) is the content that the end of the stream brings,
# if it stands for the mark. The content of a frame is its payload and its check.


class Lines:
    """A.8."""

    def __init__(self, crlf=False, or_end=False):
        self.crlf, self.or_end = crlf, or_end

    def step(self, held, byte):
        """The state is whether a CR is held back."""
        if byte == 0x0A:
            return None, b"", "end"
        content = b"\r" if held else b""
        if byte == 0x0D:
            return True, content, None
        return False, content + bytes((byte,)), None

    def rest(self, held):
        """A CR at the end is content (FMT-31)."""
        return b"\r" if held else b""

    def encode(self, content):
        """FMT-35."""
        if b"\n" in content or (content.endswith(b"\r") and not self.crlf):
            raise Rejected("the line has an end inside")
        return content + (b"\r\n" if self.crlf else b"\n")


class Delimited:
    """A.9: one delimiter."""

    def __init__(self, mark, or_end=False):
        if not 1 <= len(mark) <= 255:
            raise Rejected("a delimiter has 1 to 255 bytes")  # FMT-36
        self.mark, self.or_end = mark, or_end

    def step(self, held, byte):
        """The state is what is held back: the longest beginning of the delimiter that ends here."""
        held = (held or b"") + bytes((byte,))
        if held == self.mark:
            return None, b"", "end"
        start = 0
        while not self.mark.startswith(held[start:]):
            start += 1
        return held[start:], held[:start], None

    def rest(self, held):
        """A delimiter's beginning at the end is content (FMT-31)."""
        return held

    def encode(self, content):
        """FMT-37."""
        wire = content + self.mark
        if wire.find(self.mark) != len(content):
            raise Rejected("the payload completes a delimiter")
        return wire


class AnyDelimiter:
    """A.9: any one of several bytes."""

    def __init__(self, marks, or_end=False):
        if not marks:
            raise Rejected("at least one delimiter")
        self.marks, self.or_end = marks, or_end

    def step(self, _, byte):
        """The state says nothing."""
        return (None, b"", "end") if byte in self.marks else ((), bytes((byte,)), None)

    def rest(self, _):
        """Nothing is held back."""
        return b""

    def encode(self, content):
        """FMT-38."""
        if any(byte in self.marks for byte in content):
            raise Rejected("the payload contains a delimiter")
        return content + self.marks[:1]


class Cobs:
    """A.10."""

    or_end = False

    def step(self, state, byte):
        """The state: bytes left in the block, and whether a zero follows it."""
        if state is None:
            return (None, b"", "idle") if byte == 0 else ((byte - 1, byte < 0xFF), b"", None)
        left, zero = state
        if left:
            if byte == 0:  # FMT-41
                return None, b"", ("cut short", {"missing": left}, True)
            return (left - 1, zero), bytes((byte,)), None
        if byte == 0:
            return None, b"", "end"
        return (byte - 1, byte < 0xFF), b"\0" if zero else b"", None

    def encode(self, content):
        """FMT-40."""
        wire = b""
        parts = content.split(b"\0")
        for place, part in enumerate(parts):
            while len(part) >= 254:
                wire += b"\xff" + part[:254]
                part = part[254:]
                if not part and place == len(parts) - 1:
                    return wire + b"\0"
            wire += bytes((len(part) + 1,)) + part
        return wire + b"\0"


class Slip:
    """A.11."""

    or_end = False
    END, ESC = 0xC0, 0xDB
    AFTER = {0xDC: b"\xc0", 0xDD: b"\xdb"}

    def step(self, state, byte):
        """The state is whether an escape came before."""
        if state:
            if byte in self.AFTER:
                return False, self.AFTER[byte], None
            ended = byte == self.END
            return None if ended else False, b"", ("bad escape", {"found": byte}, ended)  # FMT-43
        if byte == self.END:
            return None, b"", "idle" if state is None else "end"
        return (True, b"", None) if byte == self.ESC else (False, bytes((byte,)), None)

    def encode(self, content):
        """FMT-44."""
        if not content:
            raise Rejected("there are no empty frames")
        return content.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Hdlc:
    """A.12, without its check."""

    or_end = False
    FLAG, ESC = 0x7E, 0x7D

    def step(self, state, byte):
        """The state is whether an escape came before."""
        if byte == self.FLAG:
            if state:
                return None, b"", ("aborted", {}, True)  # FMT-46
            return None, b"", "idle" if state is None else "end"
        if state:
            return False, bytes((byte ^ 0x20,)), None
        return (True, b"", None) if byte == self.ESC else (False, bytes((byte,)), None)

    def encode(self, content):
        """FMT-47."""
        if not content:
            raise Rejected("there are no empty frames")
        return content.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e") + b"\x7e"


class Marked:
    """A.7: frames that end with a mark, whose last bytes are a check or not."""

    greatest = (1 << 64) - 1

    def __init__(self, mark, check=None):
        self.mark, self.check = mark, check
        self.size = 0 if check is None else check.size

    def trailer(self, payload):
        """The check of a payload."""
        return b"" if self.check is None else self.check.trailer(b"", payload)

    def decoder(self, limit):
        """A receiver."""
        return MarkDecoder(self, limit)

    def encode(self, payload, limit, kind=None, header=None):
        """A frame, or `Rejected`."""
        if kind is not None or header is not None:
            raise Rejected("there is no header")
        if len(payload) > limit:
            raise Rejected("a payload of %d bytes is above the limit" % len(payload))
        return self.mark.encode(payload + self.trailer(payload))


class MarkDecoder:
    """A receiver of A.7 to A.12."""

    def __init__(self, format, limit=None):
        self.format, self.limit = format, _checked_limit(limit)
        self.reset()

    def reset(self):
        """Begins a new stream (ERR-7)."""
        self.offset = 0  # bytes that were consumed
        self.error = None
        self._machine = None  # the state of the mark
        self._at = None  # the offset of the frame's first byte; None between frames
        self._count = 0  # content bytes
        self._payload = bytearray()  # only for the check; a CRC would need a register
        self._held = bytearray()  # content that may be the check
        self._ended = False  # whether the mark of the failed frame has come
        self._drop = None  # "skip" or "search": everything is dropped through the next mark
        self._pending = []  # a search that ended with its request
        self._from = 0  # the `at` of the error that a search started from

    def feed(self, data):
        """Consumes bytes; returns how many, and a list of events."""
        data = bytes(data)
        events, used = self._pending, 0
        self._pending = []
        while used < len(data) and self.error is None:
            if self._take(data[used], events):
                used += 1
        if used < len(data) and not (events and events[-1] is self.error):
            events.append(self.error)  # ERR-4
        return used, events

    def _take(self, byte, events):
        """Whether the byte was consumed."""
        machine, content, verdict = self.format.mark.step(self._machine, byte)
        if self._drop is not None:
            self.offset += 1
            self._machine = machine
            if verdict == "end" or (isinstance(verdict, tuple) and verdict[2]):
                self._dropped(events)
            return True
        if verdict == "idle":
            self.offset += 1
            return True
        self._open(events)
        if not self._content(content, events):
            return False  # FMT-25
        self.offset += 1
        self._machine = machine
        if verdict == "end":
            self._close(events)
        elif verdict is not None:
            why, values, ended = verdict
            self._refuse(Error("bad-frame", self._at, dict(values, why=why)), ended, events)
        return True

    def _open(self, events):
        if self._at is None:
            self._at = self.offset
            self._count, self._payload, self._held = 0, bytearray(), bytearray()
            events.append(Begin(self._at, None, None, b"", False))

    def _content(self, content, events):
        """Takes content; false if it is above the limit (FMT-25)."""
        room = self.limit + self.format.size - self._count
        taken = content[:max(room, 0)]
        self._count += len(taken)
        self._held += taken
        run = bytes(self._held[:max(len(self._held) - self.format.size, 0)])  # not the check
        if run:
            del self._held[:len(run)]
            if self.format.size:
                self._payload += run
            events.append(Data(run, False))
        if len(taken) == len(content):
            return True
        self._refuse(Error("oversize", self._at, {"limit": self.limit}), False, events)
        return False

    def _close(self, events):
        """The frame ends: FMT-32."""
        found, size = bytes(self._held), self.format.size
        expected = self.format.trailer(self._payload)
        if len(found) < size:
            values = {"why": "too short", "found": len(found), "min": size}
            self._refuse(Error("bad-frame", self._at, values), True, events)
        elif found != expected:
            values = {"found": _first_four(found), "expected": _first_four(expected)}
            self._refuse(Error("bad-check", self._at, values), True, events)
        else:
            events.append(Data(b"", True))
            self._at = self._machine = None

    def _refuse(self, error, ended, events):
        self.error = error
        self._ended = ended
        events.append(error)

    def _dropped(self, events):
        """FMT-28, FMT-29: the mark has come."""
        if self._drop == "search":
            events.append(Found(self.offset - self._from))
        self._drop = self._at = self._machine = None

    def finish(self):
        """The end of stream: a list of events, the last of them `End` or an `Error`."""
        events, or_end = self.feed(b"")[1], self.format.mark.or_end
        if self.error is None and self._drop is None and self._at is not None and or_end:
            if self._content(self.format.mark.rest(self._machine), events):  # FMT-31
                self._close(events)
        elif self._drop == "skip" and or_end:
            self._dropped(events)
        if self.error is not None:
            return events if events and events[-1] is self.error else events + [self.error]
        if self._drop == "search":
            self.error = Error("unsynchronized", self.offset, {"skipped": self.offset - self._from})
        elif self._drop == "skip" or self._at is not None:
            self.error = Error("truncated", self.offset, {"missing": 1, "exact": False})  # FMT-30
        return events + [End() if self.error is None else self.error]

    def _begin_drop(self, how):
        if self.error is None:
            raise Rejected("there is no error")
        if self.error.name in ("truncated", "unsynchronized"):
            return self.error
        self._from, self.error, self._drop = self.error.at, None, how
        if self._ended:
            self._dropped(self._pending)
        return None

    def skip(self):
        """FMT-28."""
        return self._begin_drop("skip")

    def resync(self):
        """FMT-29."""
        return self._begin_drop("search")


def framing_named(name):
    """A framing of A.5 to A.14 by its name (vectors/README.md), or None."""
    first, *checks = name.split("+")
    kind, _, rest = first.partition(":")
    try:
        options = dict(part.split("=") for part in rest.split(",")) if rest else {}
        if len(checks) > 1:
            raise ValueError
        check = _check_named(checks[0]) if checks else None
        if kind == "v2" and not rest and check is None:
            return Checked(Version2(), Check("crc32c"))
        if kind == "fixed":
            made = Checked(Fixed(int(options.pop("length"))), check)
            if options:
                raise ValueError
            return made
        or_end = {"yes": True, "no": False}[options.pop("or-end", "no")]
        if kind == "lines":
            mark = Lines({"lf": False, "crlf": True}[options.pop("write", "lf")], or_end)
        elif kind == "delimited":
            mark = Delimited(bytes.fromhex(options.pop("mark")), or_end)
        elif kind == "any-delimiter":
            mark = AnyDelimiter(bytes.fromhex(options.pop("marks")), or_end)
        elif kind in ("cobs", "slip", "hdlc") and not rest:
            mark = {"cobs": Cobs, "slip": Slip, "hdlc": Hdlc}[kind]()
            if kind == "hdlc" and check is None:
                check = Check("crc16-x25", "little")
        elif check is not None:
            return Checked(format_named(first), check)
        else:
            return None
        if options:
            raise ValueError
    except (ValueError, KeyError):
        raise Rejected("no such framing: %r" % name) from None
    return Marked(mark, check)


def _check_named(name):
    """crc32c:order=be,over=frame. over: frame, payload, or from-N, which leaves out N header bytes."""
    name, _, rest = name.partition(":")
    options = dict(part.split("=") for part in rest.split(","))
    if name == "end":
        made = EndBytes(bytes.fromhex(options.pop("bytes")))
    else:
        over = options.pop("over", "frame")
        start = {"frame": 0, "payload": None}[over] if over in ("frame", "payload") else int(
            over.removeprefix("from-"))
        made = Check(name, _ORDERS[options.pop("order")], start)
    if options:
        raise ValueError
    return made


def receiver(format="v1", limit=None):
    """A receiver of any framing, by its name."""
    framing = framing_named(format) if isinstance(format, str) else None
    return Decoder(format, limit) if framing is None else framing.decoder(limit)


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
    "file-attributes": ([("transfer", 4), ("modified", 8), ("executable", 1)], None),
}
_TEXTS = ("text", "reason", "name")
_BYTES = ("payload", "key", "digest")
NO_DIGEST = bytes(32)
NO_RESUME_KEY = bytes(16)
UNKNOWN_SIZE = (1 << 64) - 1
UNKNOWN_TIME = -1 << 63
MAX_PINGS = 4  # CNV-15

# COD-2: the codes that each message can be sent with; 0x8000 and above belong to applications.
_CODES_OF = {
    "close": set(range(0x000A)) | {0x0100, 0x0101, 0x0102, 0x0103, 0x0105, 0x0106, 0x0107},
    "file-status": ({0x0105, 0x0106, 0x0107, 0x0110, 0x0111, 0x0120, 0x0121}
                    | set(range(0x0130, 0x013C))),
    "file-cancel": {0x0150, 0x0151, 0x0152},
}


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
    if name in ("file-done", "file-attributes") and length > least:
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
    if message["type"] == "file-attributes":  # MSG-15
        time = message["modified"] - ((message["modified"] >> 63) << 64)
        message["modified"] = None if time == UNKNOWN_TIME else time
        message["executable"] = bool(message["executable"] & 1)
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
        if message.get("size", 0) == UNKNOWN_SIZE:
            raise Rejected("that size means not known")  # MSG-8
        if message.get("size", 0) is None:
            message["size"] = UNKNOWN_SIZE
        if name == "file-attributes":
            time = UNKNOWN_TIME if message["modified"] is None else message["modified"]
            message["modified"] = time % (1 << 64)
            message["executable"] = int(message["executable"])
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
    messages = []
    for frame in result:
        try:
            messages.append(decode_message(frame.kind, frame.payload))
        except BadMessage as why:
            return Error(why.name, frame.at, {})
    return messages


# --------------------------------------------------------------- the conversation, chapters 14, 15


class Broken(Exception):
    """The conversation is over: a rule was broken. `name` is the code's name."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class _OpenFile:
    """The open file of one direction: its position is None before any data."""

    def __init__(self, message):
        self.transfer, self.size = message["transfer"], message["size"]
        self.has_key = message["key"] != NO_RESUME_KEY
        self.held, self.position = None, None

    def can_hold(self, offset):
        """Whether ready can have this offset (FIL-14, FIL-25)."""
        return (offset == 0 or self.has_key) and (self.size is None or offset <= self.size)

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
        self.heard = self.spoke = self.closed = self.peer_closed = self.draining = False
        self.error, self._last_words = None, None
        self._pong, self._pings = None, []  # the open pings, from the oldest
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
            self.fail(why.name)
        except Broken as why:
            self.fail(why.name)
        raise Broken(self.error)

    def fail(self, name):
        """An error from elsewhere: from the framing, or a clock."""
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
        if message["payload"] not in self._pings:  # CNV-4
            return "nothing"
        while message["payload"] in self._pings:
            self._pings.pop(0)
        return "pong"

    def _on_close(self, _):
        self.peer_closed = True
        self._pings = []
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
        elif self.draining:
            self._refuse(transfer, "shutting-down")  # CNV-16
        else:
            self._in_open = _OpenFile(message)
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

    def _on_file_attributes(self, message):  # FIL-26
        return "file-attributes" if self._is_open(message) else "nothing"

    def _on_file_status(self, message):
        transfer, code = message["transfer"], message["code"]
        if transfer not in self._unanswered:  # FIL-16
            raise Broken("bad-transfer-id")
        is_open = self._out_open is not None and self._out_open.transfer == transfer
        if code == CODES["ready"]:
            if not is_open or self._out_open.position is not None:
                return "nothing"
            if self._out_open.held is not None or not self._out_open.can_hold(message["offset"]):
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

    def skipped(self):
        """The decoder has skipped an oversize frame; `Broken` if that is not allowed (CNV-20)."""
        if self.error is None and self.peer_closed:
            self.fail("oversize")
        if self.error is not None:
            raise Broken(self.error)
        self.heard = True

    def end(self):
        """The end of stream, or a failure of the transport; `Broken` if it is not clean (CNV-8,
        CNV-19)."""
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

    def drain(self):
        """Before an ordinary close: no new files, in both directions (CNV-16)."""
        self.draining = True

    @property
    def may_close(self):
        """Whether no final status is owed or awaited."""
        return not self._owed and not self._unanswered

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
        message = self._with_room(message)
        kind, payload = encode_message(message)
        if len(payload) > self.peer_limit:  # CNV-2
            raise Rejected("the peer takes %d bytes" % self.peer_limit)
        message = decode_message(kind, payload)
        work = getattr(self, "_send_" + message["type"].replace("-", "_"), None)
        if work is not None:
            work(message)
        self.spoke = True
        return kind, payload

    def _with_room(self, message):
        """The message with a reason that fits (CNV-11), if its code can be sent (COD-2)."""
        name = message["type"]
        if name not in _CODES_OF:
            return message
        if message["code"] < 0x8000 and message["code"] not in _CODES_OF[name]:
            raise Rejected("no %s has the code 0x%04x" % (name, message["code"]))
        room = self.peer_limit - sum(size for _, size in _FIELDS[name][0])
        reason = message["reason"].encode("utf-8")[:max(room, 0)].decode("utf-8", "ignore")
        return dict(message, reason=reason)

    def _send_hello(self, message):
        if self.spoke:
            raise Rejected("a hello is the first message")
        self.own_limit = message["limit"]

    def _send_other(self, message):
        if not message["kind"] & 0x40:
            raise Rejected("the kind is reserved")

    def _send_ping(self, message):  # CNV-15
        if len(message["payload"]) > self.own_limit:
            raise Rejected("the pong would not fit")
        if len(self._pings) >= MAX_PINGS:
            raise Rejected("too many pings are open")
        if not self.peer_closed:
            self._pings.append(message["payload"])

    def _send_close(self, _):
        self.closed = True
        self._out_open = None

    def _send_file_open(self, message):
        transfer = message["transfer"]
        if self.peer_closed or self.own_limit < 46:  # CNV-7, FIL-20
            raise Rejected("there would be no answer")
        if self.peer_limit < 46:  # FIL-20
            raise Rejected("the peer has no room for a file")
        if self.draining:  # CNV-16
            raise Rejected("this side is about to close")
        if self._out_open is not None or len(self._unanswered) >= 64:  # FIL-3
            raise Rejected("another file first")
        if transfer <= self._out_last:  # FIL-1
            raise Rejected("the id is not above the last")
        self._out_last = transfer
        self._unanswered[transfer] = False
        self._out_open = _OpenFile(message)

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

    def _send_file_attributes(self, message):  # FIL-26
        self._own(message)

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
            if not opened.can_hold(message["offset"]):
                raise Rejected("there can be no such part")
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
        return (self.error is None and not self.closed and not self.peer_closed and not self.draining
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

    It reads while it waits for something or writes, so it suits short conversations. Files that the
    peer offers are refused. After `quiet` seconds without a message it sends a ping, if it waits.
    """

    _NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

    def __init__(self, sock, *, name="unstick.py", limit=DEFAULT_LIMIT, quiet=20.0):
        self.socket, self.session, self._decoder = sock, Session(), Decoder(limit=limit)
        self._assembler, self._arrived = Assembler(), []
        self._out, self._reads, self._ended = bytearray(), 0, False
        self._quiet, self._wrote_at = quiet, time.monotonic()
        sock.setblocking(False)
        self._send({"type": "hello", "limit": limit, "name": name})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _put(self, message):
        """To be written by the next step."""
        self._out += encode(*self.session.send(message), limit=0xFFFFFFFF)

    def _send(self, message):
        self._put(message)
        self._flush()

    def _flush(self):
        while self._out:
            self._step()

    def _step(self, wait=float("inf")):
        """Waits until there is something to read or room to write, at most for `wait` seconds, and
        does it: reading never waits for writing (CNV-17)."""
        pending = bool(getattr(self.socket, "pending", int)())
        quiet_at = self._wrote_at + self._quiet
        timeout = 0 if pending else min(max(quiet_at - time.monotonic(), 0), wait)
        readable, writable, _ = select.select(
            [] if self._ended else [self.socket], [self.socket] if self._out else [], [], timeout)
        if writable:
            self._write()
        if readable or pending:
            self._receive()
        if not self._out and time.monotonic() >= quiet_at:  # CNV-21
            try:
                self._put({"type": "ping", "payload": b""})
            except Rejected:
                pass
            self._wrote_at = time.monotonic()

    def _write(self):
        try:
            del self._out[:self.socket.send(self._out[:65_536])]
            self._wrote_at = time.monotonic()
        except self._NOT_NOW:
            pass

    def _receive(self):
        self._reads += 1
        try:
            data = self.socket.recv(65_536)
        except self._NOT_NOW:
            return
        except OSError:
            self._ended = True
            self.session.end()  # CNV-19
            return
        try:
            self._take(data)
        except (Broken, StreamError):
            self._end()
            raise

    def _take(self, data):
        if not data:
            self._ended = True
            end = self._decoder.end()
            if isinstance(end, Error):
                self.session.fail(end.name)
                raise StreamError(end)
            self.session.end()
            return
        for event in self._decoder.feed(data)[1]:
            event = self._assembler.take(event)
            if isinstance(event, Error):
                self.session.fail(event.name)
                raise StreamError(event)
            if not isinstance(event, Frame):
                continue
            self._handle(*self.session.receive(event.kind, event.payload))
            self._say()

    def _handle(self, event, message):
        """Handles an event. `peer.py` overrides it to receive files."""
        if event == "file-open":
            self._put(status(message["transfer"], "not-accepted"))
        elif event != "nothing":
            self._arrived.append((event, message))

    def _say(self):
        for frame in self.session.says():
            self._out += encode(*frame)

    def _end(self):
        """Writes the close of an error after what was accepted before, and reads on for a while, so
        that a reset does not overtake it (CNV-10, CNV-18)."""
        self._say()
        self._arrived = []
        until, open_way = time.monotonic() + 5, True
        try:
            while (open_way or not self._ended) and time.monotonic() < until:
                if not self._out and open_way:
                    self.socket.shutdown(socket.SHUT_WR)
                    open_way = False
                    continue
                readable, writable, _ = select.select(
                    [] if self._ended else [self.socket], [self.socket] if self._out else [], [], 1)
                if writable:
                    self._write()
                if readable:
                    self._ended = not self.socket.recv(65_536)
        except OSError:
            pass
        self._ended = True

    def _read(self):
        """Reads once. False at the end of the stream."""
        before = self._reads
        while self._reads == before and not self._ended:
            self._step()
        self._flush()
        return not self._ended

    def events(self):
        """What has arrived since the last call: (event, message)."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def text(self, text):
        """Sends a text."""
        self._send({"type": "text", "text": text})

    def ping(self, payload=b"ping"):
        """Sends a ping, and waits until it is answered."""
        self._send({"type": "ping", "payload": payload})
        self._wait(lambda name, message: name == "pong" and message["payload"] == payload)

    def wait(self, *names):
        """Waits for the next event with one of these names, such as `text` or `close`, and returns
        its message."""
        return self._wait(lambda name, _: name in names)[1]

    def _wait(self, wanted):
        """Reads until there is a wanted event, and removes it from those that have arrived."""
        while True:
            for place, (name, message) in enumerate(self._arrived):
                if wanted(name, message):
                    return self._arrived.pop(place)
            if not self._read():
                raise Broken("unclosed")

    def _digest(self, content):
        """The digest of a part; reads and pings meanwhile (FIL-23)."""
        digest = hashlib.sha256()
        for at in range(0, len(content), 1 << 20):
            digest.update(content[at:at + (1 << 20)])
            self._step(wait=0)
        return digest.digest()

    def file(self, name, content, *, key=None):
        """Sends a file and waits for its final status. With a `key` it resumes an earlier try with
        this key (15.7): 16 random bytes, `os.urandom(16)`, kept for this file."""
        digest = self._digest(content)
        transfer = self.session.next_transfer
        self._send({"type": "file-open", "transfer": transfer, "key": key or NO_RESUME_KEY,
                    "size": len(content), "name": name})
        mine = lambda name, message: (name in ("file-ready", "file-end")
                                      and message["transfer"] == transfer)
        position = 0
        if key is not None:
            event, message = self._wait(mine)
            if event == "file-end":
                return message
            held = message["offset"]
            own = self._digest(content[:held]) if held <= len(content) else None
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
        """Drains, sends close, and reads on until the peer's end (14.4). Returns the events."""
        self.session.drain()
        while not self.session.may_close and self._read():
            pass
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
        self.decoder = receiver(request["format"], self.number(request.get("limit")))
        self.assembler = Assembler()
        return {"ok": True}

    def do_bytes(self, request):
        consumed, events = self.decoder.feed(bytes.fromhex(request["bytes"]))
        return {"consumed": consumed, "events": self.events(events)}

    def do_end(self, _):
        return {"events": self.events(self.decoder.finish())}

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
            return {"answer": "begun", "events": self.events(self.decoder.feed(b"")[1])}
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
        framing = framing_named(request["format"])
        if framing is not None:
            other = request.get("header")
            return {"bytes": framing.encode(
                payload, _checked_limit(self.number(request.get("limit"))), request.get("kind"),
                None if other is None else bytes.fromhex(other)).hex()}
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

    def do_skipped(self, _):
        return self.happened(lambda: self.session.skipped() or "nothing")

    def do_tick(self, request):
        self.session.tick()
        return self.said({}, request.get("hold", False))

    def do_drain(self, request):
        self.session.drain()
        return self.said({}, request.get("hold", False))

    def do_send(self, request):
        frame = self.session.send(self.message_in(request["message"]))
        return {"ok": True, "writes": self.message_out(decode_message(*frame))}


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
