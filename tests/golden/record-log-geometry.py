#!/usr/bin/env python3
"""Records where the reference puts everything on members of new arrays with a PPL or a journal, as a table on stdout.

  tests/vm/run-guest tests/golden/record-log-geometry.py > tests/golden/create-log-geometry.tsv

Columns: minor version, bytes of each member, bytes of the journal (0: a PPL instead), options, fields of the first
member's superblock, of the journal's, messages. Devices are sparse files on /mnt (tmpfs).
"""
import os, struct, subprocess

fetch = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../oracle/fetch-reference")
REFERENCE = subprocess.check_output([fetch], text=True).strip()
os.environ["MDADM_NO_UDEV"] = "1"
os.chdir("/mnt")
M = 1 << 20
SIZES = [M, 2 * M, 3 * M, 4 * M, 5 * M, 8 * M, 10 * M, 16 * M + 512, 20 * M, 50 * M, 64 * M, 128 * M, 200 * M,
         300 * M + 7 * 512, 1000 * M, 8192 * M, 65536 * M, 262144 * M, 4194304 * M]
PPL = ["", "--chunk=64", "--chunk=2048", "--size=8M", "--data-offset=4M"]
JOURNALS = [M, 2 * M, 4 * M, 5 * M, 8 * M, 64 * M, 1024 * M, 65536 * M]
MEMBERS = [4 * M, 16 * M, 64 * M, 1024 * M, 65536 * M]
JOURNAL = ["", "--chunk=64", "--size=8M"]


def run(*args):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.stdout


def member(path, minor, size):
    at = {0: (size // 512 - 16) // 8 * 8 * 512, 1: 0, 2: 4096}[minor]
    with open(path, "rb") as f:
        f.seek(at)
        b = f.read(512)
    if len(b) < 512 or struct.unpack_from("<I", b)[0] != 0xA92B4EFC:
        return "none"
    used, = struct.unpack_from("<Q", b, 80)
    ppl_offset, ppl_size = struct.unpack_from("<hH", b, 96)
    data_offset, data_size, super_offset = struct.unpack_from("<QQQ", b, 128)
    log_size, log_offset = struct.unpack_from("<Hi", b, 186)
    fields = dict(size=used, ppl_offset=ppl_offset, ppl_size=ppl_size, data_offset=data_offset, data_size=data_size,
                  super_offset=super_offset, log_size=log_size, log_offset=log_offset)
    return " ".join(f"{k}={v}" for k, v in fields.items())


def record(minor, sizes, journal, kind):
    for i, size in enumerate(sizes):
        if os.path.exists(f"d{i}"):
            os.unlink(f"d{i}")
        with open(f"d{i}", "wb") as f:
            f.truncate(size)
        run("losetup", f"/dev/loop{i}", f"d{i}")
    said = run(REFERENCE, "--create", "/dev/md0", f"--metadata=1.{minor}", "--level=5", "-n3", *kind.split(), "/dev/loop0",
               "/dev/loop1", "missing", "--run", "--quiet")
    run(REFERENCE, "--stop", "/dev/md0")
    print(f"1.{minor}", sizes[0], journal, kind, member("d0", minor, sizes[0]),
          member("d2", minor, journal) if journal else "none", said.strip().replace("\n", "; "), sep="\t", flush=True)
    for i in range(len(sizes)):
        run("losetup", "-d", f"/dev/loop{i}")


for minor in (0, 1, 2):
    for size in SIZES:
        for kind in PPL:
            record(minor, [size, size], 0, f"--consistency-policy=ppl {kind}".strip())
for minor in (0, 1, 2):
    for size in MEMBERS:
        for journal in JOURNALS:
            for kind in JOURNAL:
                record(minor, [size, size, journal], journal, f"--write-journal=/dev/loop2 {kind}".strip())
