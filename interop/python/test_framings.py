"""Tests of the framings of Annex A, from A.5 on: the vectors under every cut, what is delivered of a
frame before its error, and random streams against a naive reading of the whole stream.

    python3 -m unittest discover interop/python
"""

import glob
import json
import os
import random
import unittest

import unstick

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "..", "..", "vectors")


def unhex(text):
    """Bytes as the vectors have them."""
    parts = (word.partition("*") for word in text.split())
    return b"".join(bytes.fromhex(digits) * int(times or 1) for digits, _, times in parts)


def vectors(test):
    """All vectors of a kind: (the vector, its bytes)."""
    for path in sorted(glob.glob(os.path.join(VECTORS, "framings-*.json"))):
        with open(path, encoding="utf-8") as file:
            for vector in json.load(file)["vectors"]:
                if vector["test"] == test:
                    yield vector, unhex(vector.get("bytes", ""))


def limit_of(vector):
    """The limit as a number, or None."""
    return None if "limit" not in vector else int(vector["limit"])


def shown(event):
    """An event as the vectors have it, without `after`."""
    if isinstance(event, unstick.Frame):
        return ("frame", event.at, event.kind, event.payload)
    if isinstance(event, unstick.Error):
        return ("error", event.name, event.at, tuple(sorted(event.values.items())))
    return ("found", event.skipped) if isinstance(event, unstick.Found) else ("end",)


def expected(step):
    """A step of a vector, in the form of `shown`."""
    if "frame" in step:
        frame = step["frame"]
        return ("frame", frame["at"], frame.get("kind"), unhex(frame["payload"]))
    if "error" in step:
        error = {name: int(value) if isinstance(value, str) and value.isdigit() else value
                 for name, value in step["error"].items() if name != "code"}
        return ("error", error.pop("name"), error.pop("at"), tuple(sorted(error.items())))
    return ("found", step["found"]["skipped"]) if "found" in step else ("end",)


def play(vector, data, cuts):
    """Plays a stream cut at these offsets. Returns what happens, in order, with the number of bytes
    that were consumed; and the payload of the frame in which an error occurred, as far as delivered."""
    receiver = unstick.receiver(vector["format"], limit_of(vector))
    assembler, out, partial, run = unstick.Assembler(), [], [], []
    position = 0

    def take(events):
        for event in events:
            if isinstance(event, unstick.Begin):
                run.clear()
            elif isinstance(event, unstick.Data):
                run.append(event.payload)
            elif isinstance(event, unstick.Error):
                partial.append(b"".join(run))
                run.clear()
            whole = assembler.take(event)
            if whole is not None:
                run.clear()
                out.append((position, shown(whole)))

    requests = [step for step in vector["expect"] if "request" in step]
    while True:
        while requests and requests[0]["after"] == position and (
                receiver.error is not None or not needs_error(vector, requests[0])):
            step = requests.pop(0)
            answer = ask(receiver, step["request"])
            out.append((position, ("request", step["request"], answer)))
            if step["request"] == "reset":
                assembler = unstick.Assembler()
            if answer == "begun":
                take(receiver.feed(b"")[1])
        if receiver.error is not None or position == len(data):
            break
        stop = min([cut for cut in cuts if cut > position]
                   + [step["after"] for step in requests[:1] if step["after"] > position] + [len(data)])
        # An error can need a byte that it does not consume.
        used, events = receiver.feed(data[position:stop])
        if used == 0 and not events and stop < len(data):
            raise AssertionError("no progress")
        position += used
        take(events)
    if receiver.error is None:
        take(receiver.finish())
        while requests and receiver.error is not None:
            step = requests.pop(0)
            out.append((position, ("request", step["request"], ask(receiver, step["request"]))))
    assert not requests, requests
    return out, partial


def needs_error(vector, request):
    """Whether the request follows an error."""
    steps = vector["expect"]
    place = next(i for i, step in enumerate(steps) if step is request)
    return place > 0 and "error" in steps[place - 1]


def ask(receiver, what):
    """The answer to a request."""
    if what == "reset":
        receiver.reset()
        return None
    try:
        error = getattr(receiver, what)()
    except unstick.Rejected:
        return "rejected"
    return "begun" if error is None else "same-error"


def steps(vector):
    """The steps of a vector as `play` returns them, without the offsets of frames and searches, which
    depend on the cuts."""
    for step in vector["expect"]:
        if "request" in step:
            yield ("request", step["request"], step.get("answer"))
        else:
            yield expected(step)


def every_cut(length, seed):
    """In one piece, byte by byte, each single cut, and some at random."""
    yield ()
    yield tuple(range(1, length))
    if length <= 64:
        yield from ((cut,) for cut in range(1, length))
    chance = random.Random(seed)
    for _ in range(10):
        yield tuple(cut for cut in range(1, length) if chance.random() < 0.3)


class Vectors(unittest.TestCase):
    """The vectors of `vectors/framings-*.json`."""

    def test_streams_under_every_cut(self):
        """The same steps, and the same payload before an error, however the stream is cut."""
        count = 0
        for vector, data in vectors("stream"):
            first = None
            want = list(steps(vector))
            for cuts in every_cut(len(data), vector["id"]):
                with self.subTest(vector["id"], cuts=cuts):
                    out, partial = play(vector, data, cuts)
                    self.assertEqual([step for _, step in out], want)
                    first = partial if first is None else first
                    self.assertEqual(partial, first)
            count += 1
        self.assertGreater(count, 180)

    def test_steps_occur_at_their_bytes(self):
        """Byte by byte each step is reported at its `after`."""
        for vector, data in vectors("stream"):
            with self.subTest(vector["id"]):
                out, _ = play(vector, data, tuple(range(1, len(data))))
                self.assertEqual([after for after, _ in out], [s["after"] for s in vector["expect"]])

    def test_encoders(self):
        """What is written, and what is refused."""
        for vector, _ in vectors("encode"):
            with self.subTest(vector["id"]):
                framing = unstick.framing_named(vector["format"])
                payload, limit = unhex(vector["payload"]), limit_of(vector)
                limit = unstick.DEFAULT_LIMIT if limit is None else limit
                if "refused" in vector["expect"]:
                    with self.assertRaises(unstick.Rejected):
                        framing.encode(payload, limit, vector.get("kind"))
                    continue
                wire = framing.encode(payload, limit, vector.get("kind"))
                self.assertEqual(wire, unhex(vector["expect"]["bytes"]))
                for other in [wire] + [unhex(other["bytes"]) for other in vector.get("or", ())]:
                    back = list(unstick.frames([other], format=vector["format"], limit=limit))
                    self.assertEqual([frame.payload for frame in back], [payload])

    def test_set_up(self):
        """What cannot be set up is refused."""
        for vector, _ in vectors("set-up"):
            with self.subTest(vector["id"]), self.assertRaises(unstick.Rejected):
                unstick.receiver(vector["format"])

    def test_naive_reading_of_the_vectors(self):
        """The frames of every vector of marks are those of the naive reading."""
        count = 0
        for vector, data in vectors("stream"):
            if any("request" in step for step in vector["expect"]) or naive_of(vector["format"]) is None:
                continue
            with self.subTest(vector["id"]):
                limit = limit_of(vector)
                found, error = naive(vector["format"], data, 1 << 64 if limit is None else limit)
                want = [expected(step) for step in vector["expect"]]
                self.assertEqual(found, [(step[1], step[3]) for step in want if step[0] == "frame"])
                self.assertEqual(error, next((step[1] for step in want if step[0] == "error"), None))
            count += 1
        self.assertGreater(count, 80)


# ------------------------------------------------------------------------------ the naive reading
#
# A stream is divided at its marks, whole, and each part is read whole: no states, no cuts. A family
# is a function: (data, start) -> (the frame's first byte, the byte after it or None, its content). The
# content is None where the frame is not valid.


def naive_lines(data, start):
    """A.8."""
    end = data.find(b"\n", start)
    line = data[start:] if end < 0 else data[start:end]
    return start, None if end < 0 else end + 1, line[:-1] if end >= 0 and line[-1:] == b"\r" else line


def naive_delimited(mark):
    """A.9: one delimiter."""
    def read(data, start):
        end = data.find(mark, start)
        return start, None if end < 0 else end + len(mark), data[start:] if end < 0 else data[start:end]
    return read


def naive_any(marks):
    """A.9: several."""
    def read(data, start):
        ends = [data.find(bytes((mark,)), start) for mark in marks]
        end = min([end for end in ends if end >= 0], default=-1)
        return start, None if end < 0 else end + 1, data[start:] if end < 0 else data[start:end]
    return read


def between(mark, content):
    """Frames between bytes that are idle where no frame has begun."""
    def read(data, start):
        while start < len(data) and data[start] == mark:
            start += 1
        end = data.find(bytes((mark,)), start)
        inner = data[start:] if end < 0 else data[start:end]
        return start, None if end < 0 else end + 1, content(inner, end >= 0)
    return read


def naive_cobs(inner, whole):
    """A.10: replaces each code."""
    out, place = b"", 0
    while place < len(inner):
        code = inner[place]
        block = inner[place + 1:place + code]
        out += block
        if len(block) < code - 1:
            return None if whole else out
        place += code
        if code < 255 and place < len(inner):
            out += b"\0"
    return out


def naive_slip(inner, _):
    """A.11: splits at the escapes."""
    first, *rest = inner.split(b"\xdb")
    for part in rest:
        if part[:1] not in (b"\xdc", b"\xdd"):
            return None
        first += (b"\xc0" if part[:1] == b"\xdc" else b"\xdb") + part[1:]
    return first


def naive_hdlc(inner, _):
    """A.12: each escape and the byte after it."""
    out, place = b"", 0
    while place < len(inner):
        if inner[place] == 0x7D:
            if place + 1 == len(inner):
                return None
            out += bytes((inner[place + 1] ^ 0x20,))
            place += 2
        else:
            out += inner[place:place + 1]
            place += 1
    return out


def naive_of(name):
    """The reading of a family, or None if it is not one with a mark."""
    name = name.split("+")[0]
    kind, _, rest = name.partition(":")
    options = dict(part.split("=") for part in rest.split(",")) if rest else {}
    if kind == "delimited":
        return naive_delimited(bytes.fromhex(options["mark"]))
    if kind == "any-delimiter":
        return naive_any(bytes.fromhex(options["marks"]))
    return {"lines": naive_lines, "cobs": between(0, naive_cobs), "slip": between(0xC0, naive_slip),
            "hdlc": between(0x7E, naive_hdlc)}.get(kind)


def naive(name, data, limit):
    """The frames (at, payload) up to the first error, and its name or None."""
    read, framing = naive_of(name), unstick.framing_named(name)
    size, or_end = framing.size, framing.mark.or_end
    found, start = [], 0
    while start < len(data):
        at, after, content = read(data, start)
        if at == len(data):
            break
        # Too long: some beginning of the frame, without a mark, has more content for certain.
        for stop in range(at, len(data) if after is None else after):
            if len(certain(name, data[at:stop + 1], read)) > limit + size:
                return found, "oversize"
            if refused(name, data[at:stop + 1]):
                return found, "bad-frame"
        if after is None and or_end:
            if len(content) > limit + size:
                return found, "oversize"
        elif after is None:
            return found, "truncated"
        if len(content) < size:
            return found, "bad-frame"
        payload, check = content[:len(content) - size], content[len(content) - size:]
        if framing.trailer(payload) != check:
            return found, "bad-check"
        found.append((at, payload))
        start = len(data) if after is None else after
    return found, None


def refused(name, start):
    """Whether the last byte of a frame's beginning makes it invalid."""
    kind = name.partition(":")[0].split("+")[0]
    if kind == "cobs":
        return start[-1] == 0 and naive_cobs(start[:-1], True) is None
    if kind == "slip":
        before = start[:-1]
        escaped = (len(before) - len(before.rstrip(b"\xdb"))) % 2 == 1
        return escaped and start[-1] not in (0xDC, 0xDD)
    if kind == "hdlc":
        return start[-1] == 0x7E and naive_hdlc(start[:-1], True) is None
    return False


def certain(name, start, read):
    """The content that a beginning of a frame has for certain, whatever follows."""
    kind, _, rest = name.split("+")[0].partition(":")
    _, after, content = read(start, 0)
    if after is not None:
        return content or b""
    if kind == "lines":
        return content[:-1] if content[-1:] == b"\r" else content
    if kind == "delimited":
        mark = bytes.fromhex(rest.split(",")[0][5:])
        held = max(n for n in range(len(mark)) if content.endswith(mark[:n]))
        return content[:len(content) - held]
    if kind in ("slip", "hdlc"):
        escape, reading = (b"\xdb", naive_slip) if kind == "slip" else (b"\x7d", naive_hdlc)
        return reading(start, False) or (reading(start[:-1], False) if start[-1:] == escape else None) or b""
    return content or b""


def naive_front(framing, data, limit):
    """What stands at the front of all the bytes that there are: (what, its length, values)."""
    if not data:
        return "end", 0, None
    count, verdict = framing.judge(data)
    if verdict is None:
        return "truncated", 0, None
    if verdict[0] != "header":
        return verdict[0], 0, None
    body = count + verdict[2]
    if verdict[2] > limit:
        return "oversize", body + framing.size, None
    if len(data) < body + framing.size:
        return "truncated", 0, None
    payload, check = data[count:body], data[body:body + framing.size]
    good = check == framing.trailer(data[:count], payload)
    return "frame" if good else "bad-check", body + framing.size, payload


def naive_checked(name, data, limit, request):
    """All that is reported of a stream if this request is made after each error."""
    framing, start, out = unstick.framing_named(name), 0, []
    while True:
        what, size, payload = naive_front(framing, data[start:], limit)
        if what == "frame":
            out.append(("frame", start, payload))
            start += size
            continue
        if what == "end":
            return out + [("end",)]
        out.append(("error", what, len(data) if what == "truncated" else start))
        if what == "truncated" or (request == "skip" and what == "bad-length"):
            return out
        if request == "skip":
            if start + size > len(data):
                return out + [("error", "truncated", len(data))]
            start += size
            continue
        for place in range(start + 1, len(data)):
            here = naive_front(framing, data[place:], limit)[0]
            if here in ("frame", "truncated"):
                break
        else:
            here = None
        if here != "frame":
            return out + [("error", "unsynchronized", len(data))]
        out.append(("found", place - start))
        start = place


def recovered(name, data, limit, request, cuts):
    """The same from the receiver."""
    receiver, assembler, out = unstick.receiver(name, limit), unstick.Assembler(), []

    def take(events):
        for event in (event for event in map(assembler.take, events) if event is not None):
            step = shown(event)
            out.append(step[:2] + step[3:] if step[0] == "frame" else step[:3] if step[0] == "error" else step)

    def go_on():
        return receiver.error is None or getattr(receiver, request)() is None

    for piece in [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]:
        while go_on():
            used, events = receiver.feed(piece)
            take(events)
            piece = piece[used:]
            if receiver.error is None:
                break
    if go_on():
        take(receiver.finish())
    return out


class RandomStreams(unittest.TestCase):
    """Streams of a few bytes that mean something, against the naive reading."""

    ALPHABETS = {
        "lines": b"\r\na", "lines:or-end=yes": b"\r\na", "lines+sum8:order=be": b"\r\n\x01",
        "lines:or-end=yes+sum8:order=be": b"\r\n\x01", "delimited:mark=0D0A": b"\r\na",
        "delimited:mark=616162": b"abc", "delimited:mark=6162616261,or-end=yes": b"ab",
        "any-delimiter:marks=0A00": b"\n\0a", "any-delimiter:marks=0A00,or-end=yes": b"\n\0a",
        "cobs": b"\0\1\2\3", "cobs+xor8:order=be": b"\0\1\2\3", "slip": b"\xc0\xdb\xdc\xdda",
        "slip+sum8:order=be": b"\xc0\xdb\xdc\x01", "hdlc": b"\x7e\x7d\x00",
        "hdlc+xor8:order=be": b"\x7e\x7d\x01\x5d",
    }

    def test_random_streams(self):
        """The same frames, the same first error, under random cuts."""
        chance = random.Random(1)
        for name, alphabet in self.ALPHABETS.items():
            errors = set()
            for _ in range(1500):
                data = bytes(chance.choices(alphabet, k=chance.randrange(14)))
                limit = chance.choice((0, 1, 2, 3, 100))
                want, error = naive(name, data, limit)
                errors.add(error)
                cuts = sorted(chance.sample(range(len(data) + 1), min(len(data), 3)))
                with self.subTest(name, data=data.hex(), limit=limit, cuts=cuts):
                    got, failed = [], None
                    pieces = [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])]
                    try:
                        for frame in unstick.frames(pieces, format=name, limit=limit):
                            got.append((frame.at, frame.payload))
                    except unstick.StreamError as why:
                        failed = why.error.name
                    self.assertEqual((got, failed), (want, error))
            self.assertGreater(len(errors), 1, name)

    def test_checked_frames_are_found_again(self):
        """A.6 with a search, or a skip, after each error that allows it."""
        chance = random.Random(3)
        names = {"u8+sum8:order=be,over=frame": b"\0\1\2\3\5", "varint+xor8:order=be,over=payload": b"\0\1\2\x80",
                 "fixed:length=2+sum8:order=be,over=frame": b"\0\1\2", "u16be+end:bytes=00": b"\0\1\2"}
        for name, alphabet in names.items():
            seen = set()
            for _ in range(1500):
                data = bytes(chance.choices(alphabet, k=chance.randrange(16)))
                limit, request = chance.choice((1, 2, 3)), chance.choice(("skip", "resync"))
                want = naive_checked(name, data, limit, request)
                cuts = sorted(chance.sample(range(len(data) + 1), min(len(data), 3)))
                with self.subTest(name, data=data.hex(), limit=limit, request=request, cuts=cuts):
                    self.assertEqual(recovered(name, data, limit, request, cuts), want)
                seen.update(step[0] if step[0] != "error" else step[1] for step in want)
            self.assertLessEqual({"frame", "found", "end", "unsynchronized", "truncated"}, seen, name)

    def test_round_trips(self):
        """What an encoder writes comes back; what it refuses would not."""
        chance = random.Random(2)
        names = list(self.ALPHABETS) + ["v2", "u8+crc32c:order=be,over=frame", "varint+fletcher16:order=be,over=payload"]
        for name in names:
            framing = unstick.framing_named(name)
            alphabet = self.ALPHABETS.get(name, b"\0\1\xf5")
            written = 0
            for _ in range(300):
                payload = bytes(chance.choices(alphabet + b"x", k=chance.randrange(7)))
                if chance.random() < 0.05:
                    payload += b"x" * chance.randrange(200, 600)
                try:
                    wire = framing.encode(payload, 1000, 1 if name == "v2" else None)
                except unstick.Rejected:
                    if isinstance(framing, unstick.Marked) and hasattr(framing.mark, "mark"):
                        content = payload + framing.trailer(payload)
                        self.assertNotEqual((content + framing.mark.mark).find(framing.mark.mark), len(content))
                    continue
                written += 1
                with self.subTest(name, payload=payload.hex()):
                    back = list(unstick.frames([wire, wire], format=name))
                    self.assertEqual([frame.payload for frame in back], [payload, payload])
            self.assertGreater(written, 20, name)

    def test_exactly_the_limit_is_delivered(self):
        """Before the error of a frame that is too long."""
        streams = {"lines": b"abcdef", "lines+sum8:order=be": b"abcdef", "cobs": b"\x09abcdef",
                   "slip": b"abcdef", "hdlc": b"abcdefgh", "delimited:mark=6162FF": b"ababab"}
        for name, data in streams.items():
            for limit in range(3):
                for step in (1, 2, 100):
                    receiver = unstick.receiver(name, limit)
                    payload = b""
                    while receiver.error is None:
                        at = receiver.offset
                        for event in receiver.feed(data[at:at + step])[1]:
                            payload += event.payload if isinstance(event, unstick.Data) else b""
                    self.assertEqual((receiver.error.name, len(payload)), ("oversize", limit), name)


if __name__ == "__main__":
    unittest.main()
