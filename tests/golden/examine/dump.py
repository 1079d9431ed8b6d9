#!/usr/bin/env python3
"""Prints the non-zero bytes of image files as text: `image NAME BYTES`, then per row of 32 bytes `OFFSET HEX`, runs of one
byte as `OFFSET BYTE*LENGTH`. A DDF image keeps its three headers only."""
import sys


def rows(path):
    data = open(path, "rb").read()
    keep = range(0, len(data), 32)
    if "ddf" in path:
        lba = lambda at: int.from_bytes(data[-512:][at:at + 8], "big") * 512
        keep = [o for start in (lba(96), lba(104), len(data) - 512) for o in range(start, start + 512, 32)]
    run = None
    for offset in sorted(keep):
        row = data[offset:offset + 32]
        if row == row[:1] * 32:
            if run and run[1] == row[0] and run[0] + run[2] == offset:
                run[2] += 32
                continue
            if run and run[1]:
                yield run
            run = [offset, row[0], 32]
            continue
        if run and run[1]:
            yield run
        run = None
        yield [offset, row.hex()]
    if run and run[1]:
        yield run


for path in sys.argv[1:]:
    import os
    print("image", path.removesuffix(".img"), os.path.getsize(path))
    for row in rows(path):
        print(f"{row[0]:x} {row[1]:02x}*{row[2]}" if len(row) == 3 else f"{row[0]:x} {row[1]}")
