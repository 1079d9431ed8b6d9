#!/usr/bin/env python3
"""Records where the reference puts everything on the first member of new arrays, from 512 KiB to 4 TiB, as a table on stdout.

  tests/vm/run-guest tests/golden/record-geometry.py > tests/golden/create-geometry.tsv

Columns: minor version, bytes of each device, options, fields of the superblock and of the bitmap's (or `none`), messages.
Devices are sparse files on /mnt (tmpfs).
"""
import os, struct, subprocess

fetch = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../oracle/fetch-reference")
REFERENCE = subprocess.check_output([fetch], text=True).strip()
os.environ["MDADM_NO_UDEV"] = "1"
os.chdir("/mnt")
M = 1 << 20
SIZES = [M // 2, M, M + 4096, 2 * M, 3 * M, 4 * M, 5 * M, 8 * M, 10 * M, 16 * M + 512, 20 * M, 50 * M, 64 * M, 100 * M, 128 * M,
         200 * M, 256 * M, 300 * M + 7 * 512, 512 * M, 1000 * M, 1024 * M, 4096 * M, 8192 * M, 20000 * M, 65536 * M, 100000 * M,
         262144 * M, 300000 * M, 1048576 * M, 4194304 * M]
KINDS = ["--level=1 -n2 --bitmap=none /dev/loop0 missing",
         "--level=1 -n2 --bitmap=internal /dev/loop0 missing",
         "--level=5 -n3 --bitmap=none /dev/loop0 /dev/loop1 missing",
         "--level=5 -n3 --chunk=64 --bitmap=internal /dev/loop0 /dev/loop1 missing",
         "--level=0 -n2 /dev/loop0 /dev/loop1",
         "--level=linear -n2 /dev/loop0 /dev/loop1"]


def run(*args):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.stdout


def member(minor, size):
    at = {0: (size // 512 - 16) // 8 * 8 * 512, 1: 0, 2: 4096}[minor]
    with open("d0", "rb") as f:
        f.seek(at)
        b = f.read(256)
        if struct.unpack_from("<I", b)[0] != 0xA92B4EFC:
            return "none"
        used, = struct.unpack_from("<Q", b, 80)
        bitmap_offset, = struct.unpack_from("<i", b, 96)
        data_offset, data_size, super_offset = struct.unpack_from("<QQQ", b, 128)
        log_size, log_offset = struct.unpack_from("<Hi", b, 186)
        fields = dict(size=used, bitmap_offset=bitmap_offset, data_offset=data_offset, data_size=data_size,
                      super_offset=super_offset, log_size=log_size, log_offset=log_offset)
        if struct.unpack_from("<I", b, 8)[0] & 1:
            f.seek(at + bitmap_offset * 512)
            h = f.read(256)
            fields.update(sync=struct.unpack_from("<Q", h, 40)[0], bitmap_chunk=struct.unpack_from("<I", h, 52)[0])
        return " ".join(f"{k}={v}" for k, v in fields.items())


for minor in (0, 1, 2):
    for size in SIZES:
        for kind in KINDS:
            for i in (0, 1):
                if os.path.exists(f"d{i}"):
                    os.unlink(f"d{i}")
                with open(f"d{i}", "wb") as f:
                    f.truncate(size)
                run("losetup", f"/dev/loop{i}", f"d{i}")
            said = run(REFERENCE, "--create", "/dev/md0", f"--metadata=1.{minor}", *kind.split(), "--run", "--quiet")
            run(REFERENCE, "--stop", "/dev/md0")
            print(f"1.{minor}", size, kind, member(minor, size), said.strip().replace("\n", "; "), sep="\t", flush=True)
            for i in (0, 1):
                run("losetup", "-d", f"/dev/loop{i}")
