#!/usr/bin/env python3
"""Changes one decision at a time in the Python implementation of Part 2, and runs the vectors.

Every change that the specification forbids has to fail a vector. Those that pass are in `ALLOWED`,
each with the reason why nothing on the wire shows it; any other that passes is an error, and so is
an entry that is not needed any more.

    ci/decisions/changes.py            about a minute
    ci/decisions/changes.py --list     every change, without running it
"""

import ast
import json
import re
import signal
import sys
import types
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "interop/python/unstick.py").read_text(encoding="utf-8")
TESTS = ("conversation", "message", "encode-message", "datagram-messages")
HEX = ("bytes", "payload", "header", "key", "digest")
SECONDS = 20

# The line that is changed, how many of its changes cannot be seen, and why.
ALLOWED = {
    'if message["type"] == "close" and not payload:': (3, "the fields of no bytes are the same: code 0 and an empty reason"),
    "elif tail is not None:": (1, "adds a member without a name to messages without a tail, and nothing to the bytes"),
    'if message.get("size", 0) == UNKNOWN_SIZE:': (1, "the value for a message without a size, and every file-open has one"),
    'if message.get("size", 0) is None:': (1, "the value for a message without a size, and every file-open has one"),
    "if len(value) != size:": (1, "a key or digest of another length, which the vectors cannot express"),
    'raise Rejected("%s has %d bytes" % (field, size))': (1, "a key or digest of another length, which the vectors cannot express"),
    "if not all(0x40 <= kind <= 0x7F or 0xC0 <= kind <= 0xFF for kind in self.known):": (2, "a mistake of the caller, before anything is sent"),
    "self._in_last, self._in_open, self._owed, self._working = -1, None, {}, set()": (1, "any number below 0 is before the first id"),
    "self._out_last, self._out_open, self._unanswered = -1, None, {}": (1, "any number below 0 is before the first id"),
    "if self.error is None:": (1, "an error from elsewhere after the first one, which ends the conversation"),
    "if kind < 0x80:": (1, "0x80 is a hello, which is known"),
    "self._in_open = None": (1, "after the peer's close nothing arrives for the open transfer"),
    "if transfer in self._owed:": (1, "an open transfer is always owed a status"),
    'if message["transfer"] in self._owed:': (1, "an open transfer is always owed a status"),
    'self._working.discard(message["transfer"])': (1, "working is asked for transfers that are done, too"),
    "if 0x0110 <= code <= 0x011F:  # FIL-13": (1, "0x0110 is ready, which was handled before"),
    "elif not 0x0110 <= code <= 0x011F:": (1, "0x0110 is ready, which was handled before"),
    "if self.error is None and self.peer_closed:": (1, "after an error it is raised again either way"),
    "self.closed = True": (1, "after an error nothing is sent either way"),
    "self._last_words = None": (1, "after an error nothing is sent either way"),
    "self._working.discard(transfer)": (1, "a refusal ends the transfer, which then is not owed a working"),
    "and self._out_open is None and len(self._unanswered) < 64)": (2, "a property for programs; what may be sent is checked elsewhere"),
    "return max(self._out_last + 1, 1)": (2, "a property for programs; any id above the last is allowed"),
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


def plays(program, vector, expected):
    """Whether the program answers a vector as expected."""
    if vector["test"] != "conversation":
        request = {"do": vector["test"]}
        for name in ("kind", "payload", "message", "limit", "bytes"):
            if name in vector:
                request[name] = plain(vector[name], name)
        if vector["test"] == "datagram-messages":
            request.update(known=vector.get("known", []), cut=vector.get("cut", False))
        return fits(plain(expected), program.answer(request))
    program.answer({"do": "conversation", "known": vector.get("known", [])})
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


def failing_vector(source, vectors):
    """The id of the first vector that this source fails; `None` if it passes all."""
    module = types.ModuleType("changed")
    signal.alarm(SECONDS)
    try:
        exec(compile(source, "changed", "exec"), module.__dict__)
        for vector in vectors:
            if not any(answers(module, vector, expected)
                       for expected in [vector["expect"], *vector.get("or", [])]):
                return vector["id"]
    except BaseException as error:  # a change may break anything, also the module as such
        return type(error).__name__
    finally:
        signal.alarm(0)
    return None


def answers(module, vector, expected):
    try:
        return plays(module._Conform(), vector, expected)
    except Exception:
        return False


def changes(lines):
    """Yields the changes: a line's number, from 0, and what stands there instead."""
    texts = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.update(range(node.lineno - 1, node.end_lineno))
    first = next(i for i, line in enumerate(lines) if line.startswith("# COD-1"))
    last = next(i for i, line in enumerate(lines) if line.startswith("class Client"))
    for at in range(first, last):
        line, code = lines[at], lines[at].strip()
        if at in texts or code.startswith(("#", "def ", "class ", "@")):
            continue
        found = re.match(r"^(\s*(?:el)?if )(.*)(:(?:\s*#.*)?)$", line)
        if found:
            begin, condition, end = found.groups()
            yield from ((at, begin + constant + end) for constant in ("False", "True"))
            parts = re.split(r" (and|or) ", condition)
            if len(parts) > 1 and condition.count("(") == condition.count(")"):
                for index in range(0, len(parts), 2):
                    for constant in ("False", "True"):
                        changed = parts[:index] + [constant] + parts[index + 1:]
                        yield at, begin + " ".join(changed) + end
        for old, new in ((" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != ")):
            if old in line:
                yield at, line.replace(old, new, 1)
        for found in re.finditer(r"(?<![\w.])(\d+)(?![\w.])", line.split("#")[0]):
            yield at, line[:found.start()] + str(int(found.group(1)) + 1) + line[found.end():]
        is_statement = re.match(r"^\s+(self\.|del |raise |out\.append|self\._)", line)
        if is_statement and re.search(r"[)\]\"'e}]$", line.rstrip()) and line.count("(") == line.count(")"):
            yield at, line[:len(line) - len(line.lstrip())] + "pass"


def main():
    lines = SOURCE.split("\n")
    vectors = []
    for name in ("conversations", "messages", "attributes"):
        text = (ROOT / "vectors" / (name + ".json")).read_text(encoding="utf-8")
        vectors += [vector for vector in json.loads(text)["vectors"] if vector["test"] in TESTS]
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("it did not end"))
    failed = failing_vector(SOURCE, vectors)
    if failed is not None:
        sys.exit("the implementation as it is fails %s" % failed)
    all_changes = [(at, new) for at, new in changes(lines) if new != lines[at]]
    if "--list" in sys.argv[1:]:
        for at, new in all_changes:
            print("%d: %s  =>  %s" % (at + 1, lines[at].strip(), new.strip()))
        return
    unseen = Counter()
    for at, new in all_changes:
        if failing_vector("\n".join(lines[:at] + [new] + lines[at + 1:]), vectors) is None:
            code = lines[at].strip()
            unseen[code] += 1
            if code not in ALLOWED:
                print("%d: no vector notices  %s  =>  %s" % (at + 1, code, new.strip()), flush=True)
    wrong = 0
    for code in unseen.keys() | ALLOWED.keys():
        allowed = ALLOWED.get(code, (0, ""))[0]
        if unseen[code] != allowed:
            wrong += 1
            print("%d changes cannot be seen, and %d are listed: %s" % (unseen[code], allowed, code))
    print("%d changes, %d lines with changes that cannot be seen, %d mistakes"
          % (len(all_changes), len(unseen), wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
