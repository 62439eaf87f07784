#!/usr/bin/env python3
"""The unstick protocol, version 1, part 1: framing. One file, nothing but the standard library.

Written from spec.md alone, without a look at any other implementation; the comments name its
requirements (HDR-2) and sections (7.4). Encode, and decode whole frames:

    >>> wire = encode(KINDS["text"], b"hello") + encode(KINDS["binary"], b"")
    >>> [(frame.kind, frame.payload) for frame in frames([wire[:10], wire[10:]])]
    [(1, b'hello'), (2, b'')]

`Decoder` is the receiver of chapter 7, with skip, resync and reset; `read_datagram` and
`encode_datagram` are chapter 8; `FORMATS`, `Layout` and `format_named` are Annex A.
`python3 unstick.py --conform` answers the requests of `unstick conform`.
"""

import json
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
        """Its number; None for what is only a cause of refused-datagram."""
        return CODES.get(self.name)

    def __str__(self):
        values = "".join(" %s %s" % item for item in self.values.items())
        return "%s at byte %s%s" % (self.name, self.at, values)


class Rejected(Exception):
    """The caller asked for what cannot be: "rejected" in 7.4, or an encoder that has to refuse."""


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
# judge(header) is asked with each longer run of header bytes, and answers None (more bytes),
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
        """The least number of bytes that `count` header bytes still lack (END-2)."""
        return 8 - count

    def encode_header(self, length, kind=None, header=None):
        """The one header (HDR-10)."""
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
        # Behind how many bytes of the header the sign is known (FMT-6).
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
        """At least one byte, however many there were (FMT-3)."""
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


FORMATS = {"v1": Version1(), "varint": Varint(), "u8": Layout(1, 0, 1)}
for _width in (2, 3, 4, 8):
    FORMATS["u%dbe" % (8 * _width)] = Layout(_width, 0, _width, "big")
    FORMATS["u%dle" % (8 * _width)] = Layout(_width, 0, _width, "little")
FORMATS["i32be"] = Layout(4, 0, 4, "big", signed=True)
FORMATS["i32le"] = Layout(4, 0, 4, "little", signed=True)


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
    """The header of a frame; `Rejected` for what must not be written (HDR-11, LIM-5, FMT-4)."""
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
    """The receiver of chapter 7, a byte stream in, events out.

    `feed` stops right behind what an error refuses: offer the bytes it did not consume again after
    a `skip` or a `resync`.
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
        """Takes bytes; returns how many were consumed, and a list of events (table 7.3)."""
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
        """7.2: whether nothing in the window contradicts a header that keeps the limit."""
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
        """Passes over an oversize payload: None, or the same error; else `Rejected` (7.4)."""
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
    """Puts events together to whole frames; everything else passes through."""

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
    """The frames of a stream that comes in chunks; `StreamError` where it goes wrong.

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
    """The frames of a datagram, or the `Error` that is the cause why all of it is refused.

    `known` are the application kinds that are known; `cut` says that the transport reported the
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


# ------------------------------------------------------------- what `unstick conform` asks


class _Conform:
    """Answers requests of the conformance protocol: one object in, one object out."""

    def __init__(self):
        self.decoder = self.assembler = None

    @staticmethod
    def number(value):
        """Numbers beyond 2^53 come as strings of digits."""
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

    def do_datagram(self, request):
        result = read_datagram(
            bytes.fromhex(request["bytes"]), limit=self.number(request.get("limit")),
            known=request["known"], cut=request["cut"])
        if isinstance(result, Error):
            return {"refused": self.error(result)}
        return {"frames": [self.frame(frame) for frame in result]}

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
