#!/usr/bin/env python3
"""Compares the C decoder with the Rust one: the same bytes in the same pieces have to give the same
frames, errors and searches.

    fuzz.py UNSTICK FRAMES [--seconds S] [--seed N]

UNSTICK is the command of this project and FRAMES the program of frames.c. Each case is a random
stream, with valid frames and damaged ones, and random cuts. `unstick inspect` reads it from a pipe,
into which each piece is written when the one before it has been read.
"""

import argparse
import fcntl
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

KINDS = {
    "text": 1, "binary": 2, "ping": 3, "pong": 4, "close": 5, "file-open": 16, "file-data": 17, "file-done": 18,
    "file-status": 19, "file-cancel": 20, "hello": 128, "file-attributes": 144,
}


def check(header):
    register = 0xFF
    for byte in header:
        register ^= byte
        for _ in range(8):
            register = (register << 1 & 0xFF) ^ (0x2F if register & 0x80 else 0)
    return register ^ 0xFF


def header(kind, length):
    begun = bytes([0xF5, 1, kind]) + struct.pack(">I", length)
    return begun + bytes([check(begun)])


def part(rng):
    """Some bytes of a stream."""
    kind = rng.choice([1, 2, 3, 0x20, 0x40, 0xC1, rng.randrange(1, 256)])
    payload = rng.randbytes(rng.choice([0, 1, 2, rng.randrange(40), rng.randrange(700)]))
    frame = bytearray(header(kind, len(payload)) + payload)
    match rng.randrange(12):
        case 0:  # one bit
            bit = rng.randrange(8 * min(len(frame), 12))
            frame[bit // 8] ^= 1 << bit % 8
        case 1:  # a beginning
            del frame[rng.randrange(len(frame)):]
        case 2:  # an end
            del frame[: rng.randrange(len(frame))]
        case 3:  # what can begin a header, and overlaps one
            frame = bytearray(rng.choices([0xF5, 0x01, 0x00, 0x02], k=rng.randrange(1, 20)))
        case 4:
            frame = bytearray(rng.randbytes(rng.randrange(1, 30)))
        case 5:  # a length without its payload
            frame = bytearray(header(kind, rng.choice([5, 300, 70_000, 2**31, 2**32 - 1])))
        case 6:  # a frame inside a payload
            inner = header(1, 2) + b"hi"
            frame = bytearray(header(kind, len(inner)) + inner)
        case 7:  # kind 0, another version or another magic, with the right check
            begun = bytearray(frame[:7])
            begun[rng.randrange(3)] = rng.choice([0, 2, 0xFF])
            frame[:8] = begun + bytes([check(begun)])
    return bytes(frame)


def expected(lines, payload_limit=65536):
    """The lines of frames.c for what `unstick inspect --json` printed."""
    for line in lines:
        event = json.loads(line)
        if event["event"] == "frame":
            kind = KINDS.get(event["kind"]) or int(event["kind"], 16)
            payload = event["text"].encode().hex() if "text" in event else event.get("hex", "?")
            yield f"frame {event['at']} {kind:02x} {event['len']} {event['arrived']} {payload}"
        elif event["event"] == "resync":
            found = "none" if event["found"] is None else event["found"]
            yield f"resync {found} {event['skipped']}"
        elif event["event"] == "error":
            code, message = event["code"], event["message"]
            value = dict.fromkeys(["found", "expected", "length", "limit", "missing"], 0)
            exact = 0

            def find(pattern):
                found = re.search(pattern, message)
                assert found, message
                return [int(number, 0) for number in found.groups()]

            if code == 1:
                [value["found"]] = find(r"found (0x\w\w)")
            elif code == 2:
                [value["found"]] = find(r"version (0x\w\w)")
            elif code == 4:
                value["found"], value["expected"] = find(r"check is (0x\w\w) and should be (0x\w\w)")
            elif code == 5:
                value["length"], value["limit"] = find(r"of (\d+) bytes? and the limit is (\d+)")
            elif code == 6:
                [value["missing"]] = find(r"(\d+) bytes? (?:is|are) missing")
                exact = int("at least" not in message)
            values = " ".join(f"{name} {number}" for name, number in value.items())
            yield f"error {event['at']} {event['byte']} {code} {values} exact {exact}"


def rust(command, pieces):
    """Runs a command that gets the pieces one by one, and returns its lines."""
    read, write = os.pipe()
    process = subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = []
    reader = threading.Thread(target=lambda: output.extend(process.stdout))
    reader.start()
    for piece in pieces:
        os.write(write, piece)
        # Until it is read; a command that has ended reads no more.
        while process.poll() is None and struct.unpack("i", fcntl.ioctl(read, termios.FIONREAD, b"\0" * 4))[0]:
            time.sleep(0)
    os.close(write)
    os.close(read)
    reader.join()
    process.wait()
    process.stdout.close()
    return output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("unstick")
    parser.add_argument("frames")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}")
    rng = random.Random(seed)
    end = time.monotonic() + options.seconds
    cases = compared = 0
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "stream")
        while time.monotonic() < end:
            stream = b"".join(part(rng) for _ in range(rng.choice([1, 2, 5, 40])))
            limit = rng.choice([0, 1, 5, 255, 1_048_576, 2**32 - 1])
            resync, skip = rng.random() < 0.7, rng.random() < 0.5
            cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice([0, 1, 3, 12])))
            cuts = sorted(set(cuts) - {0, len(stream)})
            with open(file, "wb") as out:
                out.write(stream)
            pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)]) if a != b]
            command = [options.unstick, "inspect", "--json", "--limit", str(limit)]
            command += ["--resync"] * resync + ["--skip-oversize"] * skip
            want = list(expected(rust(command, pieces)))
            command = [options.frames, str(limit), *["resync"] * resync, *["skip"] * skip, file, *map(str, cuts)]
            result = subprocess.run(command, capture_output=True, text=True)
            got = result.stdout.splitlines()
            # Of a long payload inspect shows only the beginning, as text.
            got = [re.sub(r" \w*$", " ?", g) if w.endswith(" ?") else g for g, w in zip(got, want)] + got[len(want):]
            if result.returncode != 0 or got != want:
                print(f"case {cases} differs: {' '.join(command[1:])}\nstream {stream.hex()}", file=sys.stderr)
                print("\n".join(["Rust:", *want, "C:", *got, result.stderr]), file=sys.stderr)
                sys.exit(1)
            cases += 1
            compared += len(want)
    print(f"{cases} streams, {compared} frames, errors and searches: the same")
    if compared == 0:
        sys.exit("nothing was compared")


if __name__ == "__main__":
    main()
