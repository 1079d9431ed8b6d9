#!/usr/bin/env python3
"""Records what the reference prints for the bitmaps of cases.tsv, on a v1.2 member, on stdout.

  tests/vm/run-guest tests/golden/examine-bitmap/record.py > tests/golden/examine-bitmap/reference.txt

Each case: a line `#### name`, stdout, lines of stderr behind `E: `, `rc N`. The device is always /dev/loop2.
"""
import os, struct, subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.environ.get("MDADM_REFERENCE", os.path.expanduser("~/.cache/mdadm-rs/ref/mdadm"))
os.environ["MDADM_NO_UDEV"] = "1"
os.chdir("/mnt")


def run(*args):
    return subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def superblock(c):
    cluster = "" if c["cluster_name"] == "-" else c["cluster_name"]
    n = lambda key: int(c[key])
    return struct.pack("<II16sQQQIIIIII64s", 0x6D746962, n("version"), bytes(range(16)), n("events"), n("events_cleared"),
                       n("sync_size"), n("state"), n("chunksize"), n("daemon_sleep"), n("write_behind"), 0, n("nodes"),
                       cluster.encode()).ljust(256, b"\0")


for i in (0, 1):
    with open(f"d{i}", "wb") as f:
        f.truncate(320 << 20)
    run("losetup", f"/dev/loop{i}", f"d{i}")
# The reference sees a bitmap only where its uuid is the array's.
run(REFERENCE, "-CR", "/dev/md0", "-l1", "-n2", "-e1.2", "--bitmap=internal", "--assume-clean",
    "--uuid=00010203:04050607:08090a0b:0c0d0e0f", "/dev/loop0", "/dev/loop1")
run(REFERENCE, "-S", "/dev/md0")
base = open("d0", "rb").read(8192)
lines = open(os.path.join(HERE, "cases.tsv")).read().splitlines()
keys = lines[0].lstrip("# ").split("\t")
for line in lines[1:]:
    c = dict(zip(keys, line.split("\t")))
    size, percent = map(int, c["bytes:percent of 0xff"].split(":"))
    with open("image", "wb") as f:
        f.truncate(320 << 20)
        f.write(base + superblock(c) + bytes(0xFF if i * 7 % 100 < percent else 0 for i in range(size)))
        if int(c["node stride"]):
            for node in range(1, int(c["nodes"])):
                f.seek(8192 + node * int(c["node stride"]))
                f.write(superblock(c) + b"\xff" * node)
    run("losetup", "/dev/loop2", "image")
    p = run(REFERENCE, "-X", *([] if c["options"] == "-" else c["options"].split()), "/dev/loop2")
    print(f"#### {c['name']}\n{p.stdout}" + "".join(f"E: {l}\n" for l in p.stderr.splitlines()) + f"rc {p.returncode}")
    run("losetup", "-d", "/dev/loop2")
