#!/usr/bin/env python3
"""Writes a screenshot with the 256 colours that it has most of: smaller.py SCREENSHOT OUT.

interop/wasm/page.png is `ci/page/smaller.py target/page/1280-light.png interop/wasm/page.png`."""

import collections
import struct
import sys
import zlib


def chunks(data):
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def pixels(data):
    """The rows of a PNG with 8 bits a channel, each pixel as three bytes."""
    parts = list(chunks(data))
    width, height, depth, colour = struct.unpack_from(">IIBB", dict(parts)[b"IHDR"])
    assert depth == 8 and colour in (2, 6), "not a screenshot"
    step = 3 if colour == 2 else 4
    raw = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    before = bytearray(width * step)
    for row in range(height):
        begin = row * (width * step + 1)
        line = bytearray(raw[begin + 1 : begin + 1 + width * step])
        kind = raw[begin]
        for i in range(len(line)):
            left, up = line[i - step] if i >= step else 0, before[i]
            corner = before[i - step] if i >= step else 0
            if kind == 1:
                add = left
            elif kind == 2:
                add = up
            elif kind == 3:
                add = (left + up) // 2
            elif kind == 4:
                p = left + up - corner
                add = min((left, up, corner), key=lambda value: abs(p - value))
            else:
                add = 0
            line[i] = (line[i] + add) & 255
        before = line
        yield [bytes(line[i : i + 3]) for i in range(0, len(line), step)]


def main(source, out):
    rows = list(pixels(open(source, "rb").read()))
    counts = collections.Counter(pixel for row in rows for pixel in row)
    palette = [colour for colour, _ in counts.most_common(256)]
    index = {colour: i for i, colour in enumerate(palette)}
    for colour in counts:
        if colour not in index:
            index[colour] = min(range(256), key=lambda i: sum((a - b) ** 2 for a, b in zip(palette[i], colour)))
    raw = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in rows)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(palette)),
        (b"IDAT", zlib.compress(raw, 9)),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    open(out, "wb").write(png)
    print(f"{out}: {len(png):,} bytes")


main(*sys.argv[1:])
