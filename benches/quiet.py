#!/usr/bin/env python3
"""Says whether the machine is quiet enough to measure on.

    benches/quiet.py before    waits until it is, for at most WAIT seconds (600), and fails if it is not
    benches/quiet.py after     adds what happened since, and says whether the run counts as quiet

Both write target/unstick-bench/quiet.json, which the report shows. Steal is the part of the processors'
time that the host gave to others; busy is what other programs here have used before the run.
"""
import json
import os
import pathlib
import sys
import time

MAX_BUSY, MAX_STEAL = 5.0, 3.0  # percent
SAMPLE = 5  # seconds
ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE = ROOT / "target" / "unstick-bench" / "quiet.json"


def ticks():
    """Returns the ticks since the start of the machine: all, idle, steal."""
    numbers = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
    return [sum(numbers), numbers[3] + numbers[4], numbers[7]]


def shares(begin, end):
    """Returns busy and steal between two moments, in percent."""
    total, idle, steal = (later - earlier for earlier, later in zip(begin, end))
    total = max(total, 1)
    return round(100 * (total - idle - steal) / total, 1), round(100 * steal / total, 1)


def before():
    deadline = time.monotonic() + float(os.environ.get("WAIT", 600))
    while True:
        begin = ticks()
        time.sleep(SAMPLE)
        busy, steal = shares(begin, ticks())
        if busy <= MAX_BUSY and steal <= MAX_STEAL:
            break
        if time.monotonic() > deadline:
            sys.exit(f"the machine is not quiet: {busy} % busy, {steal} % stolen in {SAMPLE} s; "
                     f"at most {MAX_BUSY} and {MAX_STEAL} % are allowed. Stop other programs, or use --quick")
        print(f"waiting for a quiet machine: {busy} % busy, {steal} % stolen")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    FILE.write_text(json.dumps({"busy_before": busy, "steal_before": steal, "load_before": round(load, 2),
                                "begin": ticks(), "quiet": False}))


def after():
    found = json.loads(FILE.read_text())
    _, found["steal_during"] = shares(found["begin"], ticks())
    found["quiet"] = found["steal_during"] <= MAX_STEAL
    FILE.write_text(json.dumps(found))
    print(f"{'quiet' if found['quiet'] else 'NOT quiet'}: {found['steal_during']} % stolen during the run")


if __name__ == "__main__":
    {"before": before, "after": after}[sys.argv[1]]()
