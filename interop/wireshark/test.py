#!/usr/bin/env python3
"""Runs tshark with the dissector next to this file over captures that this program writes.

    interop/wireshark/test.py target/release/unstick [TEST …]

It needs tshark, and only the standard library. The vectors in `vectors/` define the expected result for a
stream, a datagram, a payload or a conversation. Tests for what only a capture can have (segments out of order,
packets that were cut when they were captured) are here. Captures of real conversations come from the command.
"""

import collections
import json
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DISSECTOR = HERE / "unstick.lua"
PORT = 7000
STUCK = 240  # seconds: nothing here takes this long, unless it hangs

COMMAND = None
SCRATCH = None
# The names of the expert infos that were seen: at the end all of them have to be here.
SEEN = set()

ANY = "any"

TEXT, BINARY, PING, PONG, CLOSE = 1, 2, 3, 4, 5
OPEN, DATA, DONE, STATUS, CANCEL, HELLO, ATTRIBUTES = 0x10, 0x11, 0x12, 0x13, 0x14, 0x80, 0x90

ERRORS = {
    1: "bad-magic", 2: "unsupported-version", 3: "invalid-kind", 4: "bad-check", 5: "oversize",
    6: "truncated", 7: "unknown-kind", 12: "unsynchronized", 0x100: "bad-message",
    0x101: "misplaced-message", 0x102: "bad-transfer-id", 0x103: "too-many-transfers", 0x131: "bad-name",
    0x132: "second-open", 0x133: "bad-offset", 0x134: "excess", 0x135: "wrong-total",
    0x105: None,  # the open is right, and its receiver is about to close
}
# With these errors the frame is still shown, together with the error.
OF_A_WHOLE_FRAME = {name for code, name in ERRORS.items() if code == 7 or code >= 0x100}

PAYLOAD_FIELDS = {
    "unstick." + name
    for name in (
        "payload limit application text binary ping pong code reason transfer resume_key size name offset "
        "data total digest modified flags"
    ).split()
}


def check(seven):
    r = 0xFF
    for byte in seven:
        r ^= byte
        for _ in range(8):
            r = (r << 1 & 0xFF) ^ (0x2F if r & 0x80 else 0)
    return r ^ 0xFF


def header(kind, length, version=1):
    seven = struct.pack(">BBBI", 0xF5, version, kind, length)
    return seven + bytes([check(seven)])


def crc32c(data):
    r = 0xFFFFFFFF
    for byte in data:
        r ^= byte
        for _ in range(8):
            r = r >> 1 ^ (0x82F63B78 if r & 1 else 0)
    return r ^ 0xFFFFFFFF


def frame2(kind, payload=b""):
    """A frame of version 2."""
    covered = header(kind, len(payload), 2) + payload
    return covered + struct.pack(">I", crc32c(covered))


def frame(kind, payload=b""):
    return header(kind, len(payload)) + payload


def file_open(transfer, name, size=(1 << 64) - 1, key=bytes(16)):
    return frame(OPEN, struct.pack(">I16sQ", transfer, key, size) + name)


def file_data(transfer, offset, data):
    return frame(DATA, struct.pack(">IQ", transfer, offset) + data)


def file_done(transfer, total, digest=bytes(32)):
    return frame(DONE, struct.pack(">IQ32s", transfer, total, digest))


def file_status(transfer, code, offset=0, reason=b""):
    return frame(STATUS, struct.pack(">IHQ32s", transfer, code, offset, bytes(32)) + reason)


def unhex(text):
    out = b""
    for word in text.split():
        byte, star, times = word.partition("*")
        out += bytes.fromhex(byte) * (int(times) if star else 1)
    return out


class Capture:
    """A capture file: IPv4 without a link layer."""

    def __init__(self):
        self.packets = []  # (bytes, bytes on the wire)

    def ip(self, protocol, ours, payload, snap=None):
        addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2]) if ours else bytes([10, 0, 0, 2, 10, 0, 0, 1])
        start = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), len(self.packets) % 65536, 0, 64, protocol, 0)
        packet = start + addresses + payload
        self.packets.append((packet[:snap], len(packet)))
        return len(self.packets)

    def udp(self, payload, ours=True, source=40000, port=PORT, snap=None):
        """`snap` is how many of the payload's bytes the capture has."""
        ports = (source, port) if ours else (port, source)
        packet = struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload
        return self.ip(17, ours, packet, None if snap is None else 28 + snap)

    def save(self):
        path = pathlib.Path(tempfile.mkstemp(suffix=".pcap", dir=SCRATCH)[1])
        with path.open("wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
            for i, (packet, length) in enumerate(self.packets):
                out.write(struct.pack("<IIII", 1_000_000 + i // 1000, i % 1000 * 1000, len(packet), length))
                out.write(packet)
        return path


class Tcp:
    """A connection in a capture, with the numbers of its packets."""

    FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

    def __init__(self, capture, source, port=PORT, handshake=True, start=1000):
        self.capture, self.ports = capture, (source, port)
        self.next = {True: start, False: 5000}
        self.numbers = {True: [], False: []}
        if handshake:
            self.segment(b"", flags=self.SYN, seq=start - 1)
            self.segment(b"", ours=False, flags=self.SYN | self.ACK, seq=4999)
            self.segment(b"")

    def segment(self, data, ours=True, flags=16, seq=None, snap=None):
        if seq is None:
            seq = self.next[ours]
            self.next[ours] += len(data) + (flags & self.FIN)
        ports = self.ports if ours else self.ports[::-1]
        head = struct.pack(">HHIIBBHHH", *ports, seq, self.next[not ours], 0x50, flags, 65535, 0, 0)
        number = self.capture.ip(6, ours, head + data, None if snap is None else 40 + snap)
        self.numbers[ours].append(number)
        return number

    def send(self, *pieces, ours=True):
        """Each piece in a segment of its own, if it fits."""
        for piece in pieces:
            for start in range(0, len(piece), 65_000):
                self.segment(piece[start : start + 65_000], ours, self.PSH | self.ACK)

    def fin(self, data=b"", ours=True):
        return self.segment(data, ours, self.FIN | self.ACK)


def tshark(path, *options):
    args = ["tshark", "-n", "-X", f"lua_script:{DISSECTOR}", "-r", str(path), *options]
    done = subprocess.run(args, capture_output=True, text=True, timeout=STUCK, check=False)
    assert done.returncode == 0 and "Lua" not in done.stderr, done.stderr
    assert "Lua Error" not in done.stdout, re.findall(".*Lua Error.*", done.stdout)[:3]
    return done.stdout


class Item:
    """A field of the tree, with those below it."""

    def __init__(self, element):
        self.name = element.get("name")
        self.show, self.text = element.get("show") or "", element.get("showname") or ""
        self.value = element.get("value") or ""
        self.items = [Item(child) for child in element]

    def all(self):
        yield self
        for item in self.items:
            yield from item.all()

    def find(self, name):
        return [item.show for item in self.all() if item.name == "unstick." + name]

    def below(self, name):
        """The first such field directly below this one."""
        return next((item.show for item in self.items if item.name == "unstick." + name), None)

    def number(self, name):
        found = self.below(name)
        return None if found is None else int(found, 0)


def dissect(capture, *options, ports=True):
    """The trees of the protocol, by the packet's number. `ports`: tshark is called with the ports."""
    path = capture if isinstance(capture, pathlib.Path) else capture.save()
    if ports:
        options = ("-d", f"tcp.port=={PORT},unstick", "-d", f"udp.port=={PORT},unstick", *options)
    # Lua errors are found in every case.
    found = collections.defaultdict(list)
    packets = 0
    for packet in ET.fromstring(tshark(path, "-T", "pdml", "-J", "unstick", *options)):
        packets += 1
        for proto in packet:
            if proto.get("name") == "unstick":
                found[packets].append(Item(proto))
    for tree in (tree for trees in found.values() for tree in trees):
        for item in tree.all():
            if item.name.startswith("unstick.expert."):
                SEEN.add(item.name)
    return found


def error_of(item):
    code = item.number("error")
    return None if code is None else ERRORS[code]


def payload_of(item):
    return bytes.fromhex("".join(child.value for child in item.items if child.name in PAYLOAD_FIELDS))


def events(found, numbers):
    """What the dissector shows for a stream, or for a datagram: frames, errors, ends of searches."""
    out = []
    for tree in (tree for number in numbers for tree in found[number]):
        for item in tree.items:
            if item.name == "unstick.frame" and item.number("at") is not None:
                out.append(("frame", item.number("at"), item.number("kind"), payload_of(item)))
            codes = [ERRORS[int(child.show, 0)] for child in item.items if child.name == "unstick.error"]
            places = [int(child.show) for child in item.items if child.name == "unstick.error.at"]
            for error, at in zip(codes, places):
                if error in OF_A_WHOLE_FRAME:
                    out.append(("fault", error, at))
                else:
                    out.append(("error", error, at, item.number("missing")))
            if item.name == "unstick.skipped":
                out.append(("found", int(item.show)))
        if error_of(tree):
            out.append(("error", error_of(tree), tree.number("error.at"), tree.number("missing")))
    return out


def vectors(*files, version=1):
    for name in files:
        for vector in json.loads((ROOT / "vectors" / f"{name}.json").read_text())["vectors"]:
            if vector["format"] == f"v{version}":
                yield vector


# Vectors do not say which version a stream begins with.
ONLY_1 = ("-o", "unstick.version:1")


def cuts_of(data, rng):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))] if len(data) < 100 else [data[:3], data[3:9], data[9:]]
    for _ in range(2):
        places = sorted(rng.randrange(len(data) + 1) for _ in range(3))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)])]
        yield [piece for piece in pieces if piece]


def expected_of_stream(steps):
    """The events, and whether nothing follows: the dissector skips after oversize, and searches after other errors."""
    out, last = [], None
    for step in steps:
        if "frame" in step:
            it = step["frame"]
            out.append(("frame", it["at"], it["kind"], unhex(it["payload"])))
        elif "error" in step:
            it = last = step["error"]
            out.append(("error", it["name"], it["at"], it.get("missing")))
        elif "found" in step:
            out.append(("found", step["found"]["skipped"]))
        elif "end" in step:
            return out, True
        elif step["request"] == "reset":
            return out, False
        elif step["answer"] == "begun":
            usual = "skip" if last and last["name"] == "oversize" else "resync"
            if step["request"] != usual:
                return out, False
    return out, bool(last) and last["name"] in ("truncated", "unsynchronized")


def without_faults(found):
    return [event for event in found if event[0] != "fault"]


class Vectors(unittest.TestCase):
    def test_streams(self):
        files = vectors("header", "limits", "streams", "skip", "resync")
        self.assertGreater(self.compare_streams(files, ONLY_1), 500)

    def test_streams_of_version_2(self):
        for options in ((), ("-o", "unstick.version:2")):
            # Without the option a stream whose first header is of version 1 has that version.
            named = [vector for vector in vectors("framings-v2", version=2) if options or vector["id"] != "A.14-version-1"]
            self.assertGreater(self.compare_streams(named, options), 60)

    def compare_streams(self, files, more):
        """Compares what is shown of each stream, in several cuts, with what the vector expects."""
        rng = random.Random(1)
        by_limit = collections.defaultdict(list)
        for vector in files:
            if vector["test"] == "stream":
                by_limit[vector.get("limit")].append(vector)
        compared = 0
        for limit, group in by_limit.items():
            capture, runs = Capture(), []
            for vector in group:
                resets = [step["after"] for step in vector["expect"] if step.get("request") == "reset"]
                data = unhex(vector["bytes"])[: min(resets, default=None)]
                for i, pieces in enumerate(cuts_of(data, rng)):
                    tcp = Tcp(capture, 20000 + len(runs))
                    if i % 2 and pieces and len(pieces[-1]) < 65_000:
                        tcp.send(*pieces[:-1])
                        tcp.fin(pieces[-1])
                    else:
                        tcp.send(*pieces)
                        tcp.fin()
                    runs.append((vector, len(pieces), tcp))
            # LIM-6: no limit above what a length can hold.
            options = [] if limit is None else ["-o", f"unstick.limit:{min(int(limit), 0xFFFFFFFF)}"]
            found = dissect(capture, *more, *options)
            for vector, pieces, tcp in runs:
                expected, is_all = expected_of_stream(vector["expect"])
                came = without_faults(events(found, tcp.numbers[True]))
                with self.subTest(vector["id"], pieces=pieces):
                    self.assertEqual(came if is_all else came[: len(expected)], expected)
                compared += 1
        return compared

    def test_datagrams(self):
        groups = collections.defaultdict(list)
        left_out = []
        for vector in vectors("datagrams"):
            # A capture does not show a cut by a receiver's buffer nor, in Wireshark, datagrams without a byte.
            if vector.get("cut") or not unhex(vector["bytes"]):
                left_out.append(vector["id"])
            else:
                groups[vector.get("limit"), tuple(vector["known"])].append(vector)
        self.assertEqual(left_out, ["8-empty", "8-cut", "8-cut-empty", "8-cut-garbage"])
        for (limit, known), group in groups.items():
            capture = Capture()
            numbers = [capture.udp(unhex(vector["bytes"])) for vector in group]
            options = [*ONLY_1, "-o", "unstick.known:" + ",".join(map(str, known))]
            found = dissect(capture, *options, *([] if limit is None else ["-o", f"unstick.limit:{limit}"]))
            for vector, number in zip(group, numbers):
                with self.subTest(vector["id"]):
                    (tree,) = found[number]
                    refused = vector["expect"].get("refused")
                    if refused:
                        (item,) = [item for item in tree.items if item.name == "unstick.refused"]
                        came = (item.show, item.number("error.at"), item.number("missing"))
                        self.assertEqual(came, (refused["name"], refused["at"], refused.get("missing")))
                        self.assertEqual(error_of(item), refused["name"] if "code" in refused else None)
                        continue
                    self.assertEqual(tree.find("refused"), [])
                    # An unknown kind that may be skipped is shown, and not delivered.
                    came = [e for e in events(found, [number]) if e[2] < 0x80 or e[2] in known]
                    wanted = [("frame", f["at"], f["kind"], unhex(f["payload"])) for f in vector["expect"]["frames"]]
                    self.assertEqual(came, wanted)

    def test_messages_of_datagrams(self):
        """A message that cannot be read refuses its datagram, after every other cause."""
        group = [vector for vector in vectors("conversations") if vector["test"] == "datagram-messages"]
        self.assertGreater(len(group), 5)
        self.assertEqual({tuple(vector["known"]) for vector in group}, {(64,)})
        capture = Capture()
        numbers = [capture.udp(unhex(vector["bytes"])) for vector in group]
        found = dissect(capture, "-o", "unstick.known:64")
        for vector, number in zip(group, numbers):
            with self.subTest(vector["id"]):
                (tree,) = found[number]
                causes = [item.show for item in tree.items if item.name == "unstick.refused"]
                refused = vector["expect"].get("refused")
                self.assertEqual(causes, [refused["name"]] if refused else [])

    def test_messages(self):
        capture, runs = Capture(), []
        for vector in vectors("messages", "attributes"):
            if vector["test"] == "message":
                tcp = Tcp(capture, 20000 + len(runs))
                payload = unhex(vector["payload"])
                tcp.send(frame(vector["kind"], payload))
                runs.append((vector, payload, tcp.numbers[True][-1]))
        found = dissect(capture)
        for vector, payload, number in runs:
            with self.subTest(vector["id"]):
                came = events(found, [number])
                self.assertEqual(came[0], ("frame", 0, vector["kind"], payload))
                expect = vector["expect"]
                faults = [event[1:] for event in came[1:]]
                if "refused" in expect:
                    refused = expect["refused"]
                    self.assertEqual(faults, [(refused["name"], refused["at"])])
                    continue
                self.assertEqual([fault for fault in faults if fault[0] in ("bad-message", "bad-name")], [])
                (tree,) = found[number]
                self.compare(tree, expect["message"])

    def compare(self, tree, message):
        """The fields of a message with those of the vector."""
        names = {"name": "application" if message["type"] == "hello" else "name", "key": "resume_key"}
        for name, value in message.items():
            if name in ("type", "kind"):
                continue
            field = names.get(name, name)
            if name == "payload":
                field = {"file-data": "data", "other": "payload"}.get(message["type"], message["type"])
            came = tree.find(field)
            if name == "size" and value is None:
                self.assertEqual(came, [str((1 << 64) - 1)])
                self.assertIn(tree.find("size.known"), (["0"], ["False"]))
            elif name == "modified" and value is None:
                self.assertEqual(came, [str(-(1 << 63))])
            elif name == "executable":
                self.assertIn(came, (["1"], ["True"]) if value else (["0"], ["False"]))
            elif name in ("payload", "key", "digest"):
                self.assertEqual("".join(came).replace(":", ""), unhex(value).hex())
            elif name in ("text", "reason", "name"):
                if message["type"] == "close" and not came:
                    self.assertEqual((message["code"], value), (0, ""))
                else:
                    # tshark escapes what a terminal cannot show.
                    self.assertEqual(len(came), 1)
                    if all(ord(c) >= 0x20 for c in value):
                        self.assertEqual(came[0], value)
            elif message["type"] == "close" and not came:
                self.assertEqual((name, value), ("code", 0))
            else:
                self.assertEqual([int(number, 0) for number in came], [int(value)], name)

    def test_conversations(self):
        """No error while the rules are kept; the vector's error at the first message that breaks one."""
        by_known = collections.defaultdict(list)
        for vector in vectors("conversations", "attributes"):
            # A frame that was skipped is not in the vector.
            if vector["test"] == "conversation" and not any("skipped" in act for act in vector["expect"]):
                by_known[tuple(vector.get("known", []))].append(vector)
        seen = collections.Counter()
        for known, group in by_known.items():
            capture, runs = Capture(), []
            for vector in group:
                tcp = Tcp(capture, 20000 + len(runs))
                expected = []
                for act in vector["expect"]:
                    if "receive" in act:
                        fault = act.get("error", {}).get("name")
                        says = act.get("says", [])
                        if act.get("event") == "file-refused":
                            # If the status is sent later, this act does not name it. That a side takes no files
                            # is no fault of the other.
                            fault = ERRORS.get(says[0]["code"]) if len(says) == 1 else ANY
                        elif act.get("event") == "nothing" and act["receive"].get("kind") == OPEN:
                            fault = "bad-name"  # it is discarded, and shown all the same
                        tcp.send(encode(act["receive"]), ours=False)
                        expected.append((tcp.numbers[False][-1], fault))
                        if "error" in act:
                            break
                    elif act.get("answer") == "ok":
                        sent = act.get("writes", act["send"])
                        tcp.send(encode(sent))
                        critical = sent["type"] == "other" and sent["kind"] < 0x80
                        fault = "unknown-kind" if critical and sent["kind"] not in known else None
                        expected.append((tcp.numbers[True][-1], fault))
                    for message in act.get("says", []):
                        tcp.send(encode(message))
                        expected.append((tcp.numbers[True][-1], None))
                runs.append((vector, expected))
            found = dissect(capture, "-o", "unstick.known:" + ",".join(map(str, known)))
            for vector, expected in runs:
                with self.subTest(vector["id"]):
                    for number, fault in expected:
                        faults = [event[1] for event in events(found, [number]) if event[0] == "fault"]
                        if not faults and "unopened" in experts({number: found[number]}):
                            # A capture may begin after the open, so that is only a note.
                            faults = ["bad-transfer-id"]
                        if fault == ANY:
                            self.assertEqual(len(faults), 1)
                        elif fault:
                            self.assertIn(fault, faults)
                        else:
                            self.assertEqual(faults, [])
                        seen.update([fault])
        for fault in ("misplaced-message", "bad-transfer-id", "too-many-transfers", "second-open", "bad-offset"):
            self.assertIn(fault, seen)


def encode(message):
    """A message of a vector, or a kind and a payload, as a frame."""
    if "kind" in message:
        return frame(message["kind"], unhex(message["payload"]))
    kind, get = message["type"], message.get
    text = (get("text") or get("reason") or get("name") or "").encode()
    payload = unhex(get("payload", ""))
    if kind in ("text", "binary", "ping", "pong"):
        return frame({"text": TEXT, "binary": BINARY, "ping": PING, "pong": PONG}[kind], text or payload)
    if kind == "close":
        empty = not get("code") and not text
        return frame(CLOSE, b"" if empty else struct.pack(">H", get("code")) + text)
    if kind == "hello":
        return frame(HELLO, struct.pack(">I", get("limit")) + text)
    transfer = get("transfer")
    if kind == "file-open":
        size = (1 << 64) - 1 if get("size") is None else int(get("size"))
        return file_open(transfer, text, size, unhex(get("key")))
    if kind == "file-data":
        return file_data(transfer, int(get("offset")), payload)
    if kind == "file-done":
        return file_done(transfer, int(get("total")), unhex(get("digest")))
    if kind == "file-status":
        head = struct.pack(">IHQ", transfer, get("code"), int(get("offset")))
        return frame(STATUS, head + unhex(get("digest")) + text)
    if kind == "file-attributes":
        modified = -1 << 63 if get("modified") is None else int(get("modified"))
        return frame(ATTRIBUTES, struct.pack(">IqB", transfer, modified, get("executable")))
    assert kind == "file-cancel", kind
    return frame(CANCEL, struct.pack(">IH", transfer, get("code")) + text)


# A conversation with a frame of every kind.
EVERY_KIND = [
    frame(HELLO, struct.pack(">I", 65536) + b"py"),
    frame(TEXT, "粘包".encode()),
    frame(BINARY, bytes(range(256)) * 8),
    frame(PING, b"1234"),
    frame(PONG),
    file_open(7, "粘.bin".encode(), 5, bytes(range(16))),
    file_data(7, 0, b"ab"),
    file_data(7, 2, b"cde"),
    file_done(7, 5, bytes(range(32))),
    file_open(8, b"second"),
    frame(CANCEL, struct.pack(">IH", 8, 0x0150) + b"why not"),
    frame(0x40, b"critical"),
    frame(0xC1, b"skippable"),
    frame(0x81),
    frame(CLOSE, struct.pack(">H", 0x0105) + b"so long"),
]
STREAM = b"".join(EVERY_KIND)


def frames_of(found, numbers):
    return [event[1:] for event in events(found, numbers) if event[0] == "frame"]


def experts(found):
    return {
        item.name.removeprefix("unstick.expert.")
        for trees in found.values() for tree in trees for item in tree.all()
        if item.name.startswith("unstick.expert.")
    }


class Streams(unittest.TestCase):
    def expected(self):
        out, at = [], 0
        for each in EVERY_KIND:
            out.append((at, each[2], each[8:]))
            at += len(each)
        return out

    def test_every_kind(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(*EVERY_KIND)
        tcp.send(file_status(8, 0x0110), file_status(7, 0x0120, 5, b"done"), ours=False)
        tcp.fin()
        found = dissect(capture)
        self.assertEqual(frames_of(found, tcp.numbers[True]), self.expected())
        self.assertEqual(experts(found), set())
        trees = [found[number][0] for number in tcp.numbers[True] if found[number]]
        fields = {}
        for tree in trees:
            (item,) = tree.items
            kind = item.number("kind")
            fields.setdefault(kind, {i.name.removeprefix("unstick."): i.show for i in item.all()})
            self.assertEqual((item.number("magic"), item.number("version"), item.number("check.status")), (0xF5, 1, None))
            check = next(i for i in item.items if i.name == "unstick.check")
            self.assertEqual((int(check.show, 0), check.number("check.status")), (EVERY_KIND[trees.index(tree)][7], 1))
        self.assertEqual((fields[HELLO]["limit"], fields[HELLO]["application"]), ("65536", "py"))
        self.assertEqual((fields[TEXT]["text"], fields[TEXT]["len"]), ("粘包", "6"))
        self.assertEqual(fields[OPEN]["name"], "粘.bin")
        self.assertEqual((fields[OPEN]["transfer"], fields[OPEN]["size"]), ("7", "5"))
        self.assertEqual((fields[DATA]["offset"], fields[DATA]["opened_in"]), ("0", str(tcp.numbers[True][7])))
        self.assertEqual(fields[DONE]["total"], "5")
        self.assertEqual((int(fields[CANCEL]["code"], 0), fields[CANCEL]["reason"]), (0x150, "why not"))
        self.assertEqual((int(fields[CLOSE]["code"], 0), fields[CLOSE]["reason"]), (0x105, "so long"))
        for kind, skippable, application in ((TEXT, 0, 0), (0x40, 0, 1), (0xC1, 1, 1), (0x81, 1, 0)):
            bits = [{"0": 0, "False": 0, "1": 1, "True": 1}[fields[kind][name]] for name in ("kind.skippable", "kind.application")]
            self.assertEqual(bits, [skippable, application], hex(kind))
        self.assertEqual(fields[0x40]["payload"].replace(":", ""), b"critical".hex())
        (status,) = found[tcp.numbers[False][-1]][0].items
        self.assertEqual(status.below("opened_in"), str(tcp.numbers[True][7]))
        self.assertEqual((status.number("code"), status.below("reason")), (0x120, "done"))

        lines = tshark(capture.save(), "-d", f"tcp.port=={PORT},unstick", "-T", "fields", "-e", "_ws.col.Info").splitlines()
        info = [line for line in lines if "[" not in line]
        self.assertEqual(info, [
            'hello "py" 6 B', "text 6 B", "binary 2048 B", "ping 4 B", "pong", 'file-open 7 "粘.bin" 35 B',
            "file-data 7 at 0 14 B", "file-data 7 at 2 15 B", "file-done 7 44 B", 'file-open 8 "second" 34 B',
            "file-cancel 8 given-up 13 B", "kind 0x40 8 B", "kind 0xc1 9 B", "kind 0x81", "close shutting-down 9 B",
            "file-status 8 ready 46 B", "file-status 7 stored 50 B",
        ])

    def test_filters(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(*EVERY_KIND)
        path = capture.save()
        names = [f"{transfer}" for transfer in (7, 8)]
        came = [
            tshark(path, "-d", f"tcp.port=={PORT},unstick", "-Y", filter_, "-T", "fields", "-e", "frame.number").split()
            for filter_ in [f"unstick.transfer == {name}" for name in names]
            + ["unstick.kind == 1", "unstick.len > 2000", 'unstick.name contains "bin"', "unstick.code == 0x0105"]
        ]
        numbers = [str(number) for number in tcp.numbers[True][2:]]
        self.assertEqual(came, [numbers[5:9], numbers[9:11], numbers[1:2], numbers[2:3], numbers[5:6], numbers[-1:]])

    def test_any_cut(self):
        rng = random.Random(2)
        capture, runs = Capture(), []
        for i in range(60):
            tcp = Tcp(capture, 20000 + i)
            n = rng.choice([1, 2, 5, 20, 60])
            places = sorted(rng.randrange(len(STREAM)) for _ in range(n)) if i else range(1, len(STREAM))
            tcp.send(*[STREAM[a:b] for a, b in zip([0, *places], [*places, len(STREAM)]) if a < b])
            tcp.fin()
            runs.append(tcp)
        found = dissect(capture)
        for tcp in runs:
            self.assertEqual(events(found, tcp.numbers[True]), [("frame", *each) for each in self.expected()])

    def test_many_frames_in_a_segment(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(frame(PING) * 8000)
        found = dissect(capture)
        self.assertEqual(len(frames_of(found, tcp.numbers[True])), 8000)
        lines = tshark(capture.save(), "-d", f"tcp.port=={PORT},unstick", "-T", "fields", "-e", "_ws.col.Info")
        self.assertEqual(lines.splitlines()[-1], "ping, " * 7 + "ping and 7992 more")

    def test_one_frame_over_many_segments(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        payload = random.Random(3).randbytes(1 << 20)
        data = frame(BINARY, payload) + frame(TEXT, b"hi")
        tcp.send(*[data[a : a + 1460] for a in range(0, len(data), 1460)])
        expected = [(0, BINARY, payload), (8 + len(payload), TEXT, b"hi")]
        self.assertEqual(frames_of(dissect(capture), tcp.numbers[True]), expected)

    def test_two_passes_and_one_say_the_same(self):
        rng = random.Random(4)
        capture = Capture()
        for i in range(40):
            tcp = Tcp(capture, 20000 + i)
            data = bytearray(STREAM)
            if i % 2:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            places = sorted(rng.randrange(len(data)) for _ in range(12))
            tcp.send(*[bytes(data[a:b]) for a, b in zip([0, *places], [*places, len(data)]) if a < b])
            tcp.fin()
        path = capture.save()
        once, twice = dissect(path), dissect(path, "-2")

        def told(found):
            # The second pass has more information from TCP: from which packets a frame was reassembled.
            return {
                number: [[(i.name, i.show, i.text) for i in tree.all() if i.name.startswith("unstick")] for tree in trees]
                for number, trees in found.items() if any(tree.items for tree in trees)
            }

        self.assertEqual(told(twice), told(once))
        self.assertIn("found", experts(once))

    def test_out_of_order_and_sent_again(self):
        pieces = [STREAM[a : a + 300] for a in range(0, len(STREAM), 300)]
        for order in ([0, 2, 1, 3, 4], [0, 1, 1, 0, 2, 3, 3, 4], [0, 3, 2, 1, 4, 4], [0, 1, 3, 2, 3, 4]):
            order += range(5, len(pieces))
            capture = Capture()
            tcp = Tcp(capture, 20000)
            for i in order:
                tcp.segment(pieces[i], seq=1000 + 300 * i)
            found = dissect(capture, "-o", "tcp.reassemble_out_of_order:TRUE")
            came = sorted(frames_of(found, tcp.numbers[True]))
            with self.subTest(order=order):
                self.assertEqual([each[1:] for each in came], [each[1:] for each in self.expected()])

    def test_both_directions_know_themselves(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        other = Tcp(capture, 20001)
        tcp.send(STREAM[:700])
        tcp.send(frame(TEXT, b"hello")[:6], ours=False)
        other.send(STREAM[:9])
        tcp.send(STREAM[700:])
        tcp.send(frame(TEXT, b"hello")[6:], ours=False)
        other.send(STREAM[9:])
        found = dissect(capture)
        self.assertEqual(frames_of(found, tcp.numbers[True]), self.expected())
        self.assertEqual(frames_of(found, other.numbers[True]), self.expected())
        self.assertEqual(frames_of(found, tcp.numbers[False]), [(0, TEXT, b"hello")])

    def test_ports_that_are_used_again(self):
        for options in ([], ["-2"]):
            capture = Capture()
            first = Tcp(capture, 20000)
            first.send(STREAM, frame(TEXT, b"hi")[:9])
            first.fin()
            second = Tcp(capture, 20000, start=1_000_000)
            second.send(STREAM)
            second.fin()
            found = dissect(capture, *options)
            wanted = [("frame", *each) for each in self.expected()]
            self.assertEqual(events(found, second.numbers[True]), wanted)
            at = len(STREAM) + 9
            wanted.append(("error", "truncated", at, 1))
            self.assertEqual(events(found, first.numbers[True]), wanted)

    def test_the_end_inside_a_frame(self):
        hi = frame(TEXT, b"hi!")
        cases = [
            ([hi[:3]], None, ("error", "truncated", 3, 5)),
            ([hi[:2], hi[2:5]], None, ("error", "truncated", 5, 3)),
            ([hi[:9]], None, ("error", "truncated", 9, 2)),
            ([hi[:9], hi[9:10]], None, ("error", "truncated", 10, 1)),
            ([hi[:8]], hi[8:10], ("error", "truncated", 10, 1)),
            ([], hi[:8], ("error", "truncated", 8, 3)),
            ([hi, hi[:4]], None, ("error", "truncated", 15, 4)),
            ([hi], None, None),
            ([], hi, None),
            ([hi[:5]], hi[5:], None),
        ]
        for reset in (False, True):
            capture, runs = Capture(), []
            for pieces, last, expected in cases:
                tcp = Tcp(capture, 20000 + len(runs))
                tcp.send(*pieces)
                if last is not None:
                    tcp.fin(last)
                elif reset:
                    tcp.segment(b"", flags=Tcp.RST | Tcp.ACK)
                else:
                    tcp.fin()
                    tcp.segment(b"", flags=Tcp.FIN | Tcp.ACK, seq=tcp.next[True] - 1)
                runs.append((tcp, pieces, expected))
            for options in ([], ["-2"]):
                found = dissect(capture, *options)
                for tcp, pieces, expected in runs:
                    with self.subTest(reset=reset, pieces=pieces, options=options):
                        came = [event for event in events(found, tcp.numbers[True]) if event[0] == "error"]
                        self.assertEqual(came, [expected] if expected else [])

    def test_an_oversize_payload_is_skipped_piece_by_piece(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        data = frame(TEXT, b"a") + frame(BINARY, frame(TEXT, b"inside") * 20) + frame(TEXT, b"b")
        tcp.send(*[data[a : a + 50] for a in range(0, len(data), 50)])
        found = dissect(capture, "-o", "unstick.limit:100")
        at = len(data) - 9
        wanted = [("frame", 0, TEXT, b"a"), ("error", "oversize", 9, None), ("frame", at, TEXT, b"b")]
        self.assertEqual(events(found, tcp.numbers[True]), wanted)
        tcp = Tcp(capture := Capture(), 20000)
        tcp.send(data[:50])
        tcp.fin()
        came = events(dissect(capture, "-o", "unstick.limit:100"), tcp.numbers[True])
        self.assertEqual(came[-1], ("error", "truncated", 50, 9 + 8 + 280 - 50))

    def test_a_capture_that_begins_in_the_middle(self):
        capture = Capture()
        tcp = Tcp(capture, 20000, handshake=False)
        start = STREAM.index(EVERY_KIND[6]) + 3
        tcp.send(STREAM[start : start + 30], STREAM[start + 30 :])
        found = dissect(capture)
        came = [each[1:] for each in frames_of(found, tcp.numbers[True])]
        self.assertEqual(came, [each[1:] for each in self.expected()[7:]])
        self.assertIn("unopened", experts(found))

    def test_packets_that_the_capture_cut(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        long = frame(BINARY, bytes(500))
        tcp.segment(long + frame(PING), snap=100)
        tcp.segment(frame(TEXT, b"hi"))
        tcp.segment(long[:400], snap=60)
        tcp.segment(long[400:] + frame(TEXT, b"ho"))
        tcp.segment(frame(TEXT, b"cut"), snap=4)
        tcp.segment(frame(TEXT, b"on"))
        found = dissect(capture)
        came = [each[1:] for each in frames_of(found, tcp.numbers[True])]
        self.assertEqual(came, [(TEXT, b"hi"), (TEXT, b"ho"), (TEXT, b"on")])
        self.assertEqual([e for e in events(found, tcp.numbers[True]) if e[0] != "frame"], [])
        self.assertEqual(experts(found), {"not_captured"})

    def test_without_reassembly(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        hi = frame(TEXT, b"hi")
        tcp.send(hi + hi[:9], hi[9:] + hi + hi[:3], hi[3:], hi)
        found = dissect(capture, "-o", "tcp.desegment_tcp_streams:FALSE")
        self.assertEqual([each[0] for each in frames_of(found, tcp.numbers[True])], [0, 20, 40])
        self.assertEqual(experts(found), {"not_reassembled"})

    def test_a_peer_of_another_protocol(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(b"GET / HTTP/1.1\r\n\r\n")
        found = dissect(capture)
        self.assertEqual(events(found, tcp.numbers[True]), [("error", "bad-magic", 0, None)])

    def test_a_bad_check_says_what_was_expected(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(unhex("F5 01 01 00 00 00 02 F3 68 69"))
        (tree,) = dissect(capture)[tcp.numbers[True][-1]]
        (item,) = [i for i in tree.all() if i.name == "unstick.check"]
        self.assertEqual((int(item.show, 0), item.number("check.status"), item.number("check.expected")), (0xF3, 0, 0xF2))


class Version2(unittest.TestCase):
    """Frames with a check after the payload."""

    FRAMES = [
        frame2(TEXT, "粘包".encode()), frame2(BINARY, bytes(range(256)) * 8), frame2(PING, b"1234"), frame2(PONG),
        frame2(CLOSE), frame2(HELLO, b"any"), frame2(0x41, b"x"),
    ]
    STREAM = b"".join(FRAMES)

    def expected(self):
        out, at = [], 0
        for each in self.FRAMES:
            out.append(("frame", at, each[2], each[8:-4]))
            at += len(each)
        return out

    def crcs(self, found, numbers):
        """The check of each frame: found, whether it is right, and what is right if not."""
        items = [i for n in numbers for tree in found[n] for i in tree.all() if i.name == "unstick.crc"]
        return [(int(i.show, 0), i.number("crc.status"), i.number("crc.expected")) for i in items]

    def test_every_check_is_shown(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        tcp.send(self.STREAM)
        tcp.fin()
        found = dissect(capture)
        # Rules of Part 2, which this stream breaks, are those of version 1.
        self.assertEqual(events(found, tcp.numbers[True]), self.expected())
        self.assertEqual(experts(found), set())
        wanted = [(int.from_bytes(each[-4:], "big"), 1, None) for each in self.FRAMES]
        self.assertEqual(self.crcs(found, tcp.numbers[True]), wanted)
        for tree in found[tcp.numbers[True][-2]]:
            self.assertEqual(set(tree.find("version")), {"2"})
        self.assertEqual([tree.find("text") for tree in found[tcp.numbers[True][-2]]], [["粘包"]])

    def test_any_cut(self):
        rng = random.Random(7)
        capture, runs = Capture(), []
        for i in range(40):
            tcp = Tcp(capture, 20000 + i)
            places = sorted(rng.randrange(len(self.STREAM)) for _ in range(rng.choice([1, 2, 5, 20, 60])))
            places = places if i else range(1, len(self.STREAM))
            pieces = [self.STREAM[a:b] for a, b in zip([0, *places], [*places, len(self.STREAM)]) if a < b]
            tcp.send(*pieces)
            tcp.fin()
            runs.append(tcp)
        for options in ([], ["-2"]):
            found = dissect(capture, *options)
            for tcp in runs:
                self.assertEqual(events(found, tcp.numbers[True]), self.expected())

    def test_a_wrong_check_is_reported_and_the_next_frame_found(self):
        rng = random.Random(8)
        first, second, third = (frame2(TEXT, text * 9) for text in (b"first", b"second", b"third"))
        capture, runs = Capture(), []
        for bit in range(8 * len(second)):
            damaged = bytearray(second)
            damaged[bit // 8] ^= 1 << bit % 8
            data = first + damaged + third
            tcp = Tcp(capture, 20000 + bit)
            places = sorted(rng.randrange(len(data)) for _ in range(4))
            tcp.send(*[bytes(data[a:b]) for a, b in zip([0, *places], [*places, len(data)]) if a < b])
            tcp.fin()
            runs.append((bit // 8, bytes(damaged), tcp))
        found = dissect(capture)
        for byte, damaged, tcp in runs:
            came = events(found, tcp.numbers[True])
            error = {0: "bad-magic", 1: "unsupported-version"}.get(byte, "bad-check")
            if damaged[2] == 0:
                error = "invalid-kind"
            self.assertEqual(came, [
                ("frame", 0, TEXT, b"first" * 9),
                ("error", error, len(first), None),
                ("found", len(second)),
                ("frame", len(first) + len(second), TEXT, b"third" * 9),
            ], byte)
            if byte >= 8:
                shown, right = int.from_bytes(damaged[-4:], "big"), crc32c(damaged[:-4])
                self.assertIn((shown, 0, right), self.crcs(found, tcp.numbers[True]))
        self.assertIn("bad_check", experts(found))

    def test_the_end_inside_a_frame(self):
        capture, runs = Capture(), []
        whole, cut = frame2(TEXT, b"whole"), frame2(TEXT, b"hi")
        for n in range(1, len(cut)):
            tcp = Tcp(capture, 20000 + n)
            tcp.send(whole + cut[:n])
            tcp.fin()
            runs.append((n, tcp))
        found = dissect(capture)
        for n, tcp in runs:
            missing = 8 - n if n < 8 else len(cut) - n
            error = ("error", "truncated", len(whole) + n, missing)
            self.assertEqual(events(found, tcp.numbers[True]), [("frame", 0, TEXT, b"whole"), error], n)

    def test_a_stream_has_one_version(self):
        one, two = frame(TEXT, b"hi"), frame2(TEXT, b"hi")
        capture, runs = Capture(), []
        for i, (data, options) in enumerate([(one + two, None), (two + one, None), (two, 1), (one, 2)]):
            tcp = Tcp(capture, 20000 + i)
            tcp.send(data)
            runs.append((tcp, options, i))
        for version in (None, 1, 2):
            found = dissect(capture, *([] if version is None else ["-o", f"unstick.version:{version}"]))
            for tcp, options, i in runs:
                if options != version:
                    continue
                at = [len(one), len(two), 0, 0][i]
                came = [event for event in events(found, tcp.numbers[True]) if event[0] == "error"]
                self.assertEqual(came, [("error", "unsupported-version", at, None)], i)

    def test_recognition_and_datagrams(self):
        capture = Capture()
        tcp = Tcp(capture, 20000, 4321)
        tcp.send(self.STREAM[:700], self.STREAM[700:])
        good, bad = frame2(TEXT, b"one") + frame2(PING), bytearray(frame2(TEXT, b"one") + frame2(TEXT, b"two"))
        bad[-5] ^= 1
        numbers = [capture.udp(data, port=4322) for data in (good, bytes(bad), frame2(TEXT, b"cut")[:-1])]
        whole = capture.udp(frame2(TEXT, b"cut by the capture"), port=4322, snap=24)
        found = dissect(capture, ports=False)
        self.assertEqual(events(found, tcp.numbers[True]), self.expected())
        refused = [found[number][0].find("refused") for number in [*numbers, whole]]
        self.assertEqual(refused, [[], ["bad-check"], ["truncated"], []])
        self.assertEqual(events(found, numbers[:1]), [("frame", 0, TEXT, b"one"), ("frame", 15, PING, b"")])
        self.assertEqual(found[numbers[2]][0].find("missing"), ["1"])

    def test_a_large_payload(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        payload = random.Random(9).randbytes(1 << 20)
        data = frame2(BINARY, payload) + frame2(TEXT, b"hi")
        tcp.send(*[data[a : a + 1460] for a in range(0, len(data), 1460)])
        expected = [(0, BINARY, payload), (12 + len(payload), TEXT, b"hi")]
        found = dissect(capture)
        self.assertEqual(frames_of(found, tcp.numbers[True]), expected)
        self.assertEqual(experts(found), set())

    def test_an_oversize_payload_is_skipped_with_its_check(self):
        capture = Capture()
        tcp = Tcp(capture, 20000)
        data = frame2(TEXT, b"a") + frame2(BINARY, frame2(TEXT, b"inside") * 20) + frame2(TEXT, b"b")
        tcp.send(*[data[a : a + 50] for a in range(0, len(data), 50)])
        found = dissect(capture, "-o", "unstick.limit:100")
        at = len(data) - 13
        wanted = [("frame", 0, TEXT, b"a"), ("error", "oversize", 13, None), ("frame", at, TEXT, b"b")]
        self.assertEqual(events(found, tcp.numbers[True]), wanted)


class Datagrams(unittest.TestCase):
    def test_frames(self):
        capture = Capture()
        number = capture.udp(frame(TEXT, b"two,") + frame(PING) + frame(0x42, b"x"))
        found = dissect(capture)
        self.assertEqual(events(found, [number]), [("frame", 0, 1, b"two,"), ("frame", 12, 3, b""), ("frame", 20, 0x42, b"x")])
        self.assertEqual(experts(found), set())

    def test_a_bad_payload_refuses_all_of_it(self):
        capture = Capture()
        number = capture.udp(frame(TEXT, b"good") + frame(TEXT, b"a\xff"))
        found = dissect(capture)
        self.assertEqual(found[number][0].find("refused"), ["bad-message"])
        self.assertEqual(events(found, [number])[-1], ("fault", "bad-message", 1))
        self.assertIn("refused_datagram", experts(found))

    def test_cut_by_the_capture(self):
        capture = Capture()
        data = frame(TEXT, b"good") + frame(TEXT, b"also good")
        numbers = [capture.udp(data, snap=snap) for snap in range(len(data))]
        found = dissect(capture)
        for number in numbers[1:]:
            self.assertEqual(found[number][0].find("refused"), [])
            self.assertEqual(found[number][0].find("error"), [])
        self.assertEqual(experts(found), {"not_captured"})

    def test_no_datagram_changes_the_next(self):
        capture = Capture()
        numbers = []
        for bad in (b"\xf5", frame(TEXT, b"hi")[:9], b"x", header(BINARY, 5)):
            capture.udp(bad)
            numbers.append(capture.udp(frame(TEXT, b"hi")))
        found = dissect(capture)
        self.assertEqual(events(found, numbers), [("frame", 0, 1, b"hi")] * 4)


class Recognition(unittest.TestCase):
    """Which packets are recognised as this protocol without a setting."""

    def test_by_the_first_header(self):
        capture = Capture()
        tcp = Tcp(capture, 20000, 4321)
        tcp.send(STREAM[:600], STREAM[600:])
        numbers = [capture.udp(frame(TEXT, b"hi"), port=4322), capture.udp(b"garbage", port=4322)]
        found = dissect(capture, ports=False)
        self.assertEqual(len(frames_of(found, tcp.numbers[True])), len(EVERY_KIND))
        # All packets of a recognised conversation are dissected, whatever they hold.
        self.assertEqual([found[number][0].find("refused") for number in numbers], [[], ["bad-magic"]])

    def test_nothing_without_a_right_check(self):
        capture = Capture()
        rng = random.Random(5)
        good = frame(TEXT, b"hi")
        for i in range(64):
            bad = bytearray(good)
            bad[i // 8] ^= 1 << i % 8
            Tcp(capture, 20000 + i, 4321).send(bytes(bad))
            capture.udp(bytes(bad), source=20000 + i, port=4322)
        for i in range(500):
            bad = b"\xf5" + rng.randbytes(20)
            Tcp(capture, 21000 + i, 4321).send(bad)
            capture.udp(bad, source=21000 + i, port=4322)
        capture.udp(good[:7], port=4323)
        self.assertEqual(dissect(capture, ports=False), {})

    def test_by_the_port_in_the_preferences(self):
        capture = Capture()
        tcp = Tcp(capture, 20000, 4321)
        tcp.send(b"F", b"G")
        number = capture.udp(b"\xf5", port=4325)
        other = capture.udp(b"\xf5", port=4326)
        found = dissect(capture, "-o", "unstick.ports:4321,4323-4325", ports=False)
        self.assertEqual(events(found, tcp.numbers[True])[0], ("error", "bad-magic", 0, None))
        self.assertEqual(found[number][0].find("refused"), ["truncated"])
        self.assertEqual(found[other], [])


class Robustness(unittest.TestCase):
    def test_mutated_captures(self):
        """No Lua error (`tshark` looks for them), no hang, and something is found in all of that."""
        rng = random.Random(6)
        statuses = file_status(7, 0x0110) + file_status(8, 0x0120, 3, b"no") + frame(CLOSE)

        def mutated(data):
            data = bytearray(data)
            for _ in range(rng.choice([0, 1, 1, 2, 5])):
                at = rng.randrange(len(data))
                action = rng.randrange(5)
                if action == 0:
                    data[at] ^= 1 << rng.randrange(8)
                elif action == 1:
                    data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xF5, 0xFF])
                elif action == 2:
                    del data[at : at + rng.randrange(1, 30)]
                elif action == 3:
                    data[at:at] = rng.randbytes(rng.randrange(1, 12))
                else:
                    start = rng.randrange(len(data))
                    data[at:at] = data[start : start + rng.randrange(1, 60)]
                data = data or bytearray(b"\xf5")
            return bytes(data)

        def payload():
            """A frame with a right header and any payload."""
            kind = rng.choice([e[2] for e in EVERY_KIND] + [STATUS, rng.randrange(1, 256)])
            length = rng.choice([0, 1, 2, 5, 6, 12, 13, 27, 28, 29, 44, 45, 46, 47, 64, 65, 300])
            return frame(kind, rng.randbytes(length))

        for limit in (1 << 20, 20, 0):
            capture = Capture()
            for i in range(1500):
                data = mutated(rng.choice([*EVERY_KIND, STREAM, Version2.STREAM, payload() + payload()]))[:60000]
                snap = rng.randrange(len(data) + 1) if rng.random() < 0.2 else None
                capture.udp(data, ours=i % 3 > 0, snap=snap)
            for i in range(300):
                tcp = Tcp(capture, 20000 + i, handshake=rng.random() < 0.8)
                for ours, data in ((True, rng.choice([STREAM, Version2.STREAM, b"".join(payload() for _ in range(9))])), (False, statuses)):
                    data = mutated(data)
                    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(12)))
                    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)]) if a < b]
                    for piece in pieces:
                        snap = rng.randrange(len(piece) + 1) if rng.random() < 0.05 else None
                        seq = tcp.next[ours] + rng.randrange(-50, 50) if rng.random() < 0.05 else None
                        flags = Tcp.ACK | (Tcp.FIN if rng.random() < 0.03 else 0)
                        tcp.segment(piece, ours, flags, seq, snap)
                    if rng.random() < 0.5:
                        tcp.fin(ours=ours)
            path = capture.save()
            for options in (["-o", "tcp.reassemble_out_of_order:TRUE"], ["-2"]):
                found = dissect(path, "-o", f"unstick.limit:{limit}", *options)
                self.assertGreater(len(found), 1500)
            # The tree and the list as people see them, and without the port.
            tshark(path, "-V", "-d", f"tcp.port=={PORT},unstick")
            tshark(path)


class Real(unittest.TestCase):
    """Captures of what the command sends."""

    def unstick(self, *args, **more):
        return subprocess.run([COMMAND, *args], capture_output=True, text=True, timeout=STUCK, **more)

    def test_the_demo(self):
        path = pathlib.Path(SCRATCH) / "demo.pcap"
        done = self.unstick("demo", "--messages", "400", "--seed", "3", "--json", "--pcap", str(path))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        told = {event["event"] + event.get("name", ""): event for event in map(json.loads, done.stdout.splitlines())}
        # The relay may cut the first header, and only a complete one is recognised.
        port = told["transportTCP"]["port"]
        found = dissect(path, "-d", f"tcp.port=={port},unstick", ports=False)
        is_udp = {}
        lines = tshark(path, "-T", "fields", "-e", "frame.number", "-e", "udp.length", "-E", "separator=/t")
        for line in lines.splitlines():
            number, length = line.split("\t")
            is_udp[int(number)] = int(length) if length else None
        tcp = [number for number, length in is_udp.items() if length is None]
        came = events(found, tcp)
        self.assertEqual({event[0] for event in came}, {"frame"})
        self.assertEqual(len(came), told["transportTCP"]["arrived"])
        self.assertEqual(sum(8 + len(event[3]) for event in came), told["transportTCP"]["bytes"])
        self.assertEqual(sorted(len(event[3]) for event in came)[-2:], [1 << 20] * 2)
        for event in came:
            if event[2] == TEXT:
                event[3].decode()
        # Datagrams: what the receiver refused is refused here too. Datagrams without a byte are not shown.
        empty = sum(length == 8 for length in is_udp.values())
        datagrams = [number for number, length in is_udp.items() if length is not None and length > 8]
        refused = [number for number in datagrams if not found[number] or found[number][0].find("refused")]
        self.assertEqual(len(refused) + empty, told["udp"]["refused"])
        self.assertEqual(len(datagrams) - len(refused), told["udp"]["taken"])

    def test_the_demo_says_when_it_cannot_write(self):
        path = pathlib.Path(SCRATCH) / "nowhere" / "demo.pcap"
        done = self.unstick("demo", "--messages", "3", "--pcap", str(path))
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)

    def test_files(self):
        """Files over loopback, through a relay that records what it reads."""
        folder = pathlib.Path(SCRATCH) / "files"
        inbox = folder / "inbox"
        inbox.mkdir(parents=True)
        sizes = {"empty": 0, "small": 3, "large": 300_000}
        for name, size in sizes.items():
            (folder / name).write_bytes(random.Random(size).randbytes(size))
        listener = subprocess.Popen(
            [COMMAND, "listen", "127.0.0.1:0", "--dir", str(inbox)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=folder,
        )
        # A listener that prints nothing is ended, and with it its output.
        stuck = threading.Timer(STUCK, listener.kill)
        stuck.start()
        try:
            line = ""
            while not (match := re.search(r"127\.0\.0\.1:(\d+)", line)):
                line = listener.stdout.readline() or self.fail("the listener ended")
            capture = Capture()
            tcp = Tcp(capture, 20000)
            port, relayed = relay(int(match.group(1)), tcp)
            done = self.unstick("send", f"127.0.0.1:{port}", *sizes, cwd=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            relayed.join(STUCK)
            self.assertFalse(relayed.is_alive())
        finally:
            stuck.cancel()
            listener.kill()
            listener.communicate(timeout=STUCK)
        for options in ([], ["-2"]):
            found = dissect(capture, *options)
            self.assertEqual(experts(found), set())
            items = [item for number in tcp.numbers[True] for tree in found[number] for item in tree.items]
            opens = [item for item in items if item.number("kind") == OPEN]
            self.assertEqual({i.below("name"): i.number("size") for i in opens}, sizes)
            for item in opens:
                data = [i for i in items if i.number("kind") == DATA and i.number("transfer") == item.number("transfer")]
                whole = bytes.fromhex("".join(c.value for i in data for c in i.items if c.name == "unstick.data"))
                self.assertEqual(whole, (folder / item.below("name")).read_bytes())
            answers = [item for number in tcp.numbers[False] for tree in found[number] for item in tree.items]
            stored = [i for i in answers if i.number("kind") == STATUS and i.number("code") == 0x120]
            self.assertEqual({i.number("transfer") for i in stored}, {i.number("transfer") for i in opens})
            self.assertTrue(all(i.below("opened_in") for i in stored))


def relay(port, tcp):
    """Passes one connection on to `port`, and records what it reads as segments of `tcp`."""
    server = socket.create_server(("127.0.0.1", 0))
    lock = threading.Lock()

    def passes(source, target, ours):
        while data := source.recv(16_000):
            with lock:
                tcp.send(data, ours=ours)
            target.sendall(data)
        with lock:
            tcp.fin(ours=ours)
        target.shutdown(socket.SHUT_WR)

    def run():
        client, _ = server.accept()
        with server, client, socket.create_connection(("127.0.0.1", port)) as upstream:
            back = threading.Thread(target=passes, args=(upstream, client, False))
            back.start()
            passes(client, upstream, True)
            back.join()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return server.getsockname()[1], thread


def field_names():
    args = ["tshark", "-G", "fields", "-X", f"lua_script:{DISSECTOR}"]
    done = subprocess.run(args, capture_output=True, text=True, timeout=STUCK, check=True)
    return set(re.findall(r"\t(unstick\.[\w.]+)\t", done.stdout))


class ZLast(unittest.TestCase):
    """Runs after the others, and checks what they saw."""

    def test_every_expert_info_was_seen(self):
        names = {name for name in field_names() if name.startswith("unstick.expert.")}
        self.assertGreater(len(names), 20)
        # Wireshark passes no datagram without a byte to a dissector.
        self.assertEqual(names - SEEN, {"unstick.expert.empty"})

    def test_every_field_is_documented(self):
        names = field_names()
        self.assertGreater(len(names), 50)
        self.assertLessEqual({"unstick.crc", "unstick.crc.status", "unstick.crc.expected"}, names)
        text = (HERE / "README.md").read_text()
        documented = set(re.findall(r"`(unstick\.[\w.]+)`", text))
        self.assertEqual(names - documented, set())
        preferences = {"unstick.limit", "unstick.known", "unstick.ports", "unstick.lua"}
        self.assertEqual(documented - names - preferences, set())


def main():
    global COMMAND, SCRATCH
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit("usage: test.py PATH-TO-UNSTICK [TEST …]: the command is built by `cargo build --release`")
    if not shutil.which("tshark"):
        sys.exit("tshark is missing: on Debian it is the package tshark")
    COMMAND = os.path.abspath(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as SCRATCH:
        unittest.main()


if __name__ == "__main__":
    main()
