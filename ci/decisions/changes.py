#!/usr/bin/env python3
"""Changes one decision at a time in the Python implementation, and runs the vectors.

Every change that the specification forbids has to fail a vector. Those that pass are in `ALLOWED`,
each with the reason why nothing on the wire shows it; any other that passes is an error, and so is
an entry that is not needed any more.

    ci/decisions/changes.py [PART…]           part-1, annex-a, part-2; all of them unless given
    ci/decisions/changes.py --list [PART…]    every change, without running it
"""

import ast
import json
import multiprocessing
import os
import re
import resource
import signal
import sys
import types
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "interop/python/unstick.py").read_text(encoding="utf-8")
HEX = ("bytes", "payload", "header", "key", "digest")
SECONDS = 20  # of the processor's time, so that a loaded machine changes nothing
MEMORY = 1 << 31

# The lines with which a part of the source begins, in order.
BEGINS = [
    ("MAGIC, VERSION", "part-1"),
    ("class Layout", "annex-a"),
    ("def format_named", None),  # names are of the vectors, not of the specification
    ("# ----- the encoder", "part-1"),
    ("# ----- checks after a payload", "annex-a"),
    ("def framing_named", None),
    ("# ----- datagrams", "part-1"),
    ("# COD-1", "part-2"),
    ("# ----- a client", None),
]
# The files of vectors that belong to a part. Those of the others are run after them: a change in the
# header of version 1 can also be one in that of version 2.
FILES = {
    "part-1": ("header", "streams", "limits", "skip", "resync", "datagrams", "encoders"),
    "annex-a": ("annex-a", "encoders", "framings-"),
    "part-2": ("conversations", "messages", "attributes"),
}

# For each part: the line that is changed, how many of its changes cannot be seen, and why.
ALLOWED = {
    "part-1": {
        '"no-error": 0x0000, "bad-magic": 0x0001, "unsupported-version": 0x0002,': (1, "no error of framing; the empty close has no code on the wire (MSG-4)"),
        '"unknown-kind": 0x0007, "frame-timeout": 0x0008, "idle-timeout": 0x0009,': (2, "errors of a clock, which the vectors do not have"),
        '"bad-length": 0x000A, "refused-datagram": 0x000B, "unsynchronized": 0x000C,': (1, "the vectors name the cause of a refused datagram (8.2), and not this error"),
        "for value in range(256):": (1, "entries of a table that no byte selects"),
        "if not isinstance(kind, int) or not 0x01 <= kind <= 0xFF:  # HDR-11": (2, "kinds that are no byte, which the vectors cannot express"),
        "if header is not None:": (1, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("a version 1 header has no other bytes")': (1, "a mistake of the caller, which the vectors cannot express"),
        "if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:": (4, "limits that are no number, which the vectors cannot express"),
        'raise Rejected("a limit is a number from 0")': (1, "limits that are no number, which the vectors cannot express"),
        "self._at = 0  # the frame's first byte, or the `at` of the error searched from": (1, "set again before it is read"),
        "self._held = bytearray()  # header bytes, or the window": (1, "set again before it is read"),
        "self._due = 0  # payload bytes": (1, "set again before it is read"),
        "self._due = 0": (1, "set again before it is read"),
        "self.error = None": (3, "the state says whether there is an error"),
        "if not events or events[-1] is not self.error:": (1, "after the error of a piece nothing more of it is read"),
        "self._held = bytearray()": (3, "emptied where a header begins, and where one is complete"),
        "if count > 0 and window[0] != MAGIC:": (1, "a byte that is rejected one byte later; what is found, and where, is the same"),
        "if count > 1 and window[1] != VERSION:": (1, "a byte that is rejected one byte later; what is found, and where, is the same"),
        "if count > 2 and window[2] == 0:": (1, "a byte that is rejected one byte later; what is found, and where, is the same"),
        'if not self.format.searchable or self.error.name in ("truncated", "unsynchronized"):': (1, "after the end of stream nothing but reset is requested (7.4)"),
        "del self._held[0]  # SYN-1": (1, "the failed header is rejected by the next line, for it is not valid or is above the limit"),
        "self._trim()": (1, "the next byte trims the window again"),
        "self._begin, self._runs = None, []": (2, "set again before it is read"),
        "if isinstance(event, Error):": (1, "for datagrams the end reports the error again"),
        "raise StreamError(event)": (1, "for datagrams the end reports the error again"),
        "if isinstance(event, Frame):": (1, "of framings that the end of stream can complete, which datagrams do not have"),
        "if not all(0x40 <= kind <= 0x7F or 0xC0 <= kind <= 0xFF for kind in known):": (3, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("only kinds of applications can be made known")': (1, "a mistake of the caller, which the vectors cannot express"),
        "elif frame.kind < 0x80:  # critical (KND-1)": (2, "0x80 is a hello, which was refused before"),
    },
    "annex-a": {
        'if order not in ("big", "little") or covers not in ("payload", "rest", "frame"):': (3, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("no such layout")': (1, "a mistake of the caller, which the vectors cannot express"),
        "if kind is not None:": (1, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("this format has no kind")': (1, "a mistake of the caller, which the vectors cannot express"),
        "if header is None and self.header == self.width:": (2, "every vector of A.4 has a header, and none of A.2 has one"),
        "if header is None or len(header) != self.header:": (1, "every vector of A.4 has a header"),
        "greatest = (1 << 64) - 1": (6, "a length that no limit and no memory allows; a smaller maximum is allowed (A.1)"),
        "if kind is not None or header is not None:": (6, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("a varint has neither a kind nor other bytes")': (1, "a mistake of the caller, which the vectors cannot express"),
        "if name not in CHECKS or order not in _ORDERS.values():": (3, "a mistake of the caller, which the vectors cannot express"),
        'raise Rejected("no such check: %r" % name)': (1, "a mistake of the caller, which the vectors cannot express"),
        "if not 1 <= len(content) <= 255:": (1, "A.6 has no check of more than 255 bytes, and no requirement for how it is refused"),
        "if length != self.length or kind is not None or header is not None:": (2, "a mistake of the caller, which the vectors cannot express"),
        "for count in range(1, len(start) + 1):": (1, "the same bytes once more"),
        "if self.error is None and waiting and not self._kept and not self._skip:": (2, "the same refusal again"),
        "if waiting and not (events and events[-1] is self.error):": (1, "without bytes only the end is asked for, and it reports the error itself"),
        "if self.format.size or not length:": (1, "without a check only the frames of A.5, which are not empty"),
        "if self._from is not None and self.error is None:": (1, "a search ends with its error"),
        "return events if events and events[-1] is self.error else events + [self.error]": (2, "the end alone gives no event"),
        'elif name != "bad-check" or self._due is None:': (1, "of the errors only bad-check comes with a whole frame"),
        "self._skip = 0 if self._kept else 1": (2, "a search for a fixed size above the limit accepts no position"),
        "self._first += 1 if self._kept else 0": (2, "a search for a fixed size above the limit accepts no position"),
        'return None if ended else False, b"", ("bad escape", {"found": byte}, ended)  # FMT-43': (1, "the state before a frame is set where the drop ends"),
        "if not content:": (1, "the frames of A.12 always have a check"),
        'raise Rejected("there are no empty frames")': (1, "the frames of A.12 always have a check"),
        'raise Rejected("there is no header")': (1, "a mistake of the caller, which the vectors cannot express"),
        "self._count = 0  # content bytes": (1, "set again before it is read"),
        "self._payload = bytearray()  # only for the check; a CRC would need a register": (1, "set again before it is read"),
        "self._held = bytearray()  # content that may be the check": (1, "set again before it is read"),
        "self._ended = False  # whether the mark of the failed frame has come": (1, "set again before it is read"),
        "self._from = 0  # the `at` of the error that a search started from": (1, "set again before it is read"),
        "if used < len(data) and not (events and events[-1] is self.error):": (2, "an event that is none, and the error of the same piece"),
        "if run:": (1, "a run of no bytes"),
        "if self.format.size:": (1, "the payload is kept only for a check"),
        'elif self._drop == "skip" or self._at is not None:': (1, "in a frame that is dropped both are true"),
    },
    "part-2": {
        '"too-many-transfers": 0x0103, "unclosed": 0x0104, "shutting-down": 0x0105, "busy": 0x0106,': (1, "no code that a session sends by itself; the vectors have only its number"),
        '"too-slow": 0x0107, "ready": 0x0110, "working": 0x0111, "stored": 0x0120, "exists": 0x0121,': (2, "no codes that a session sends by itself; the vectors have only their numbers"),
        '"excess": 0x0134, "wrong-total": 0x0135, "bad-digest": 0x0136, "too-large": 0x0137,': (2, "no codes that a session sends by itself; the vectors have only their numbers"),
        '"no-space": 0x0138, "quota": 0x0139, "not-accepted": 0x013A, "storage-failed": 0x013B,': (3, "no codes that a session sends by itself; the vectors have only their numbers"),
        '"given-up": 0x0150, "changed": 0x0151, "unreadable": 0x0152,': (3, "no codes that a session sends by itself; the vectors have only their numbers"),
        'raise Rejected("only kinds of applications can be made known")  # CNV-9': (1, "a mistake of the caller, before anything is sent"),
        "self.peer_limit, self.own_limit = 65_536, 65_536": (1, "without a hello of its own every ping and every status fits"),
        'opened = self._in_open if state == "asked" else None': (1, "a refusal is sent before working, and then nothing is owed"),
        "return None if self._out_open is None else self._out_open.transfer": (2, "a property for programs"),
        'if message["type"] == "close" and not payload:': (3, "the fields of no bytes are the same: code 0 and an empty reason"),
        "elif tail is not None:": (1, "adds a member without a name to messages without a tail, and nothing to the bytes"),
        'if message.get("size", 0) == UNKNOWN_SIZE:': (1, "the value for a message without a size, and every file-open has one"),
        'if message.get("size", 0) is None:': (1, "the value for a message without a size, and every file-open has one"),
        "if len(value) != size:": (1, "a key or digest of another length, which the vectors cannot express"),
        'raise Rejected("%s has %d bytes" % (field, size))': (1, "a key or digest of another length, which the vectors cannot express"),
        "if not all(0x40 <= kind <= 0x7F or 0xC0 <= kind <= 0xFF for kind in self.known):": (5, "a mistake of the caller, before anything is sent"),
        "self._in_last, self._in_open, self._owed, self._working = -1, None, {}, set()": (1, "any number below 0 is before the first id"),
        "self._out_last, self._out_open, self._unanswered = -1, None, {}": (1, "any number below 0 is before the first id"),
        "if self.error is None:": (1, "an error from elsewhere after the first one, which ends the conversation"),
        "if kind < 0x80:": (2, "0x80 is a hello, which is known"),
        "self._in_open = None": (1, "after the peer's close nothing arrives for the open transfer"),
        "if transfer in self._owed:": (1, "an open transfer is always owed a status"),
        'if message["transfer"] in self._owed:': (1, "an open transfer is always owed a status"),
        'self._working.discard(message["transfer"])': (1, "working is asked for transfers that are done, too"),
        "if 0x0110 <= code <= 0x011F:  # FIL-13": (2, "0x0110 is ready, which was handled before"),
        "elif not 0x0110 <= code <= 0x011F:": (2, "0x0110 is ready, which was handled before"),
        "if self.error is None and self.peer_closed:": (1, "after an error it is raised again either way"),
        "self.closed = True": (1, "after an error nothing is sent either way"),
        "self._last_words = None": (1, "after an error nothing is sent either way"),
        "self._working.discard(transfer)": (1, "a refusal ends the transfer, which then is not owed a working"),
        "and self._out_open is None and len(self._unanswered) < 64)": (2, "a property for programs; what may be sent is checked elsewhere"),
        "return max(self._out_last + 1, 1)": (2, "a property for programs; any id above the last is allowed"),
    },
}


def plain(value, name=None):
    """The value as a program gets it: the text of bytes is written out."""
    if isinstance(value, dict):
        return {name: plain(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(member, name) for member in value]
    if isinstance(value, str) and name in HEX:
        words = (word.partition("*") for word in value.split())
        return "".join(byte.lower() * int(times or 1) for byte, _, times in words)
    return value


def number(value):
    try:
        return None if isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return None


def fits(expected, found, name=""):
    """Whether an answer has everything that is expected; a `code` may be left out."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(fits(member, found[name], name) if name in found else name == "code"
                   for name, member in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(
            fits(one, other, name) for one, other in zip(expected, found))
    if expected is True and name == "refused":
        return found not in (None, False)
    return expected == found or number(expected) is not None and number(expected) == number(found)


def in_order(expected, found):
    """The found messages in the order of those expected, where any order is allowed."""
    rest, ordered = list(found), []
    for message in expected:
        for index, other in enumerate(rest):
            if fits(message, other, "says"):
                ordered.append(rest.pop(index))
                break
    return ordered + rest



class Mismatch(Exception):
    """An answer is not the expected one."""


class Stream:
    """Plays the steps of a stream as `unstick conform` does (cli/src/conform/play.rs)."""

    def __init__(self, program, vector, bytes_, cuts):
        self.program, self.vector, self.bytes, self.cuts = program, vector, bytes_, cuts
        self.at, self.failed, self.ended = 0, None, False

    def ask(self, request, expected):
        if not fits(expected, self.program.answer(request)):
            raise Mismatch

    def feed(self, steps):
        """Offers the next piece; returns the steps after those that it causes."""
        action = next((i for i, step in enumerate(steps) if is_action(step)), None)
        stops = list(self.cuts)
        if action is not None:
            before = steps[action - 1] if action else {}
            if not ("error" in before and before["after"] == steps[action]["after"]):
                stops.append(steps[action]["after"])
        to = min([stop for stop in stops if stop > self.at] + [len(self.bytes)])
        count, stop = 0, to
        for step in steps:
            if is_action(step) or step.get("seen", step["after"]) > to:
                break
            count += 1
            if "error" in step:
                stop, self.failed = step["after"], event(step)
                break
        expected = {"consumed": stop - self.at, "events": [event(step) for step in steps[:count]]}
        self.ask({"do": "bytes", "bytes": self.bytes[self.at:to].hex()}, expected)
        self.at = stop
        return steps[count:]

    def act(self, step, steps):
        """Makes a request, or ends the stream; returns the steps after those that it causes."""
        what, count = step.get("request"), 0
        for later in steps:
            if what == "reset" or (is_action(later) or later["after"] != self.at if what else "request" in later):
                break
            count += 1
        events = [event(later) for later in steps[:count]]
        if what is None:
            events.insert(0, event(step))
            self.ask({"do": "end"}, {"events": events})
            self.failed, self.ended = events[-1], True
            return steps[count:]
        if what == "reset":
            self.ask({"do": "reset"}, {"ok": True})
            self.failed, self.ended = None, False
            return steps
        expected = {"answer": step["answer"]}
        if step["answer"] == "same-error" and self.failed:
            expected.update(self.failed)
        elif step["answer"] == "begun":
            self.failed = next((one for one in reversed(events) if "error" in one), None)
        if events:
            expected["events"] = events
        self.ask({"do": what}, expected)
        return steps[count:]

    def play(self, steps):
        start = {"do": "start", "format": self.vector["format"]}
        if "limit" in self.vector:
            start["limit"] = self.vector["limit"]
        self.ask(start, {"ok": True})
        while steps:
            if is_action(steps[0]) and steps[0]["after"] == self.at:
                steps = self.act(steps[0], steps[1:])
            elif self.at < len(self.bytes) and self.failed is None:
                steps = self.feed(steps)
            else:
                raise Mismatch
        if self.failed is not None:  # ERR-4
            if not self.ended:
                rest = self.bytes[self.at:] or b"\0"
                self.ask({"do": "bytes", "bytes": rest.hex()}, {"consumed": 0, "events": [self.failed]})
            self.ask({"do": "end"}, {"events": [self.failed]})


def event(step):
    """What the answer to a piece, a request or the end has for a step."""
    return {name: plain(step[name], name) for name in ("frame", "found", "error", "end") if name in step}


def is_action(step):
    return "request" in step or "end" in step or "at_end" in step or (
        step.get("error", {}).get("name") in ("truncated", "unsynchronized"))


def plays_stream(program, vector, expected):
    bytes_ = bytes.fromhex(plain(vector["bytes"], "bytes"))
    for cuts in [[], list(range(1, len(bytes_))), *vector.get("cuts", [])]:
        try:
            Stream(program, vector, bytes_, cuts).play(expected)
        except Mismatch:
            return False
    return True


def plays(program, vector, expected):
    """Whether the program answers a vector as expected."""
    test = vector["test"]
    if test == "stream":
        return plays_stream(program, vector, expected)
    if test != "conversation":
        request = {"do": "start" if test == "set-up" else test, "format": vector["format"]}
        for name in ("kind", "header", "payload", "length", "datagram_limit", "frames", "message",
                     "limit", "bytes"):
            if name in vector:
                request[name] = plain(vector[name], name)
        wanted = plain(expected)
        if not test.startswith("datagram"):
            return fits(wanted, program.answer(request))
        request.update(known=vector.get("known", []), cut=vector.get("cut", False))
        other = {"do": test, "bytes": "f50101", "known": [], "cut": False}
        return (fits(wanted, program.answer(request))
                and fits({"refused": {"name": "truncated"}}, program.answer(other))  # DGM-3
                and fits(wanted, program.answer(request)))
    program.answer({"do": "conversation", "known": vector.get("known", []),
                    "files": vector.get("files", True)})
    for act in expected:
        if "receive" in act:
            request = {"do": "receive"}
            if "type" in act["receive"]:
                request["message"] = plain(act["receive"])
            else:
                request.update(plain(act["receive"]))
        elif "send" in act:
            request = {"do": "send", "message": plain(act["send"])}
        else:
            request = {"do": next((do for do in ("tick", "drain", "skipped") if do in act),
                                  "end-of-stream")}
        if act.get("hold"):
            request["hold"] = True
        wanted = {name: plain(act[name]) for name in ("event", "error", "says", "writes") if name in act}
        if "answer" in act:
            wanted["ok" if act["answer"] == "ok" else "refused"] = True
        answer = program.answer(request)
        if act.get("any_order") and isinstance(answer.get("says"), list) and "says" in act:
            answer["says"] = in_order(act["says"], answer["says"])
        if not fits(wanted, answer):
            return False
    return True


def answers(module, vector, expected):
    try:
        return plays(module._Conform(), vector, expected)
    except Exception:
        return False


def failing_vector(source, vectors):
    """The id of the first vector that this source fails; `None` if it passes all."""
    module = types.ModuleType("changed")
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        exec(compile(source, "changed", "exec"), module.__dict__)
        for vector in vectors:
            if not any(answers(module, vector, expected)
                       for expected in [vector["expect"], *vector.get("or", [])]):
                return vector["id"]
    except BaseException as error:  # a change may break anything, also the module as such
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def parts(lines):
    """The part of each line."""
    begins, out, part = list(BEGINS), [], None
    for line in lines:
        short = re.sub(r"^# -+ ", "# ----- ", line)
        if begins and short.startswith(begins[0][0]):
            part = begins.pop(0)[1]
        out.append(part)
    if begins:
        sys.exit("the source has no line that begins with %s" % begins[0][0])
    return out


def changes(lines):
    """Yields the changes: a line's number, from 0, and what stands there instead."""
    texts = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.update(range(node.lineno - 1, node.end_lineno))
    for at, line in enumerate(lines):
        code = line.strip()
        if at in texts or code.startswith(("#", "def ", "class ", "@")):
            continue
        found = re.match(r"^(\s*(?:el)?if )(.*)(:(?:\s*#.*)?)$", line)
        if found:
            begin, condition, end = found.groups()
            yield from ((at, begin + constant + end) for constant in ("False", "True"))
            pieces = re.split(r" (and|or) ", condition)
            if len(pieces) > 1 and condition.count("(") == condition.count(")"):
                for index in range(0, len(pieces), 2):
                    for constant in ("False", "True"):
                        changed = pieces[:index] + [constant] + pieces[index + 1:]
                        yield at, begin + " ".join(changed) + end
        found = re.match(r"^(.*\S if )([^#]*?)( else .*)$", line)
        if found:
            begin, condition, end = found.groups()
            yield from ((at, begin + constant + end) for constant in ("False", "True"))
        for old, new in ((" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != ")):
            if old in line:
                yield at, line.replace(old, new, 1)
        for found in re.finditer(r"(?<![\w.])(0x[0-9A-Fa-f]+|[0-9][0-9_]*)(?![\w.])", line.split("  #")[0]):
            if line[:found.start()].count('"') % 2 == 0:  # not in a text
                yield at, line[:found.start()] + str(int(found.group(1), 0) + 1) + line[found.end():]
        for old, new in (('"big"', '"little"'), ('"little"', '"big"')):
            if old in line:
                yield at, line.replace(old, new, 1)
        is_statement = re.match(r"^\s+(self\.|del |raise |out\.append|events\.append|wire \+?=|held = |used \+= )", line)
        if is_statement and re.search(r"[)\]\"'e}]$", line.split("  #")[0].rstrip()) and line.count("(") == line.count(")"):
            yield at, line[:len(line) - len(line.lstrip())] + "pass"


def read_vectors():
    """Every vector, with the name of its file."""
    out = []
    for path in sorted((ROOT / "vectors").glob("*.json")):
        if path.name != "schema.json":
            out += [(path.stem, v) for v in json.loads(path.read_text(encoding="utf-8"))["vectors"]]
    return out


def in_worker():
    signal.signal(signal.SIGVTALRM, lambda *_: sys.exit("it did not end"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def is_unseen(job):
    part, at, new = job
    lines = SOURCE.split("\n")
    return failing_vector("\n".join(lines[:at] + [new] + lines[at + 1:]), ORDERED[part]) is None


def ordered(vectors):
    """For each part all vectors, its own first."""
    def own(name, part):
        return any(name.startswith(file) for file in FILES[part])
    return {part: [v for name, v in vectors if own(name, part)] + [v for name, v in vectors if not own(name, part)]
            for part in FILES}


ORDERED = ordered(read_vectors())


def main():
    arguments = [name for name in sys.argv[1:] if name != "--list"]
    if any(name not in FILES for name in arguments):
        sys.exit(__doc__)
    chosen = arguments or list(FILES)
    lines = SOURCE.split("\n")
    of = parts(lines)
    jobs = [(of[at], at, new) for at, new in changes(lines) if new != lines[at] and of[at] in chosen]
    if "--list" in sys.argv[1:]:
        for part, at, new in jobs:
            print("%s %d: %s  =>  %s" % (part, at + 1, lines[at].strip(), new.strip()))
        return
    with multiprocessing.Pool(os.cpu_count(), in_worker) as pool:
        failed = pool.apply(failing_vector, (SOURCE, ORDERED["part-1"]))
        if failed is not None:
            sys.exit("the implementation as it is fails %s" % failed)
        unseen = {part: Counter() for part in chosen}
        for (part, at, new), passes in zip(jobs, pool.imap(is_unseen, jobs, chunksize=8)):
            if not passes:
                continue
            code = lines[at].strip()
            unseen[part][code] += 1
            if code not in ALLOWED[part]:
                print("%d: no vector notices  %s  =>  %s" % (at + 1, code, new.strip()), flush=True)
    wrong = 0
    for part in chosen:
        for code in sorted(unseen[part].keys() | ALLOWED[part].keys()):
            allowed = ALLOWED[part].get(code, (0, ""))[0]
            if unseen[part][code] != allowed:
                wrong += 1
                print("%s: %d changes cannot be seen, and %d are listed: %s"
                      % (part, unseen[part][code], allowed, code))
    print("%d changes, %d lines with changes that cannot be seen, %d mistakes"
          % (len(jobs), sum(map(len, unseen.values())), wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
