#!/usr/bin/env python3
"""Records what the reference and the kernel choose for bitmaps, as two tables on stdout.

  tests/vm/run-guest tests/golden/record-bitmaps.py internal  > tests/golden/bitmap-internal.tsv
  tests/vm/run-guest tests/golden/record-bitmaps.py lockless  > tests/golden/bitmap-lockless.tsv

MDADM_REFERENCE names the reference's binary. Devices are sparse files on /mnt (tmpfs), up to 100 TiB. The tables depend on
the seed only.
"""
import os, random, struct, subprocess, sys

REFERENCE = os.environ.get("MDADM_REFERENCE", os.path.expanduser("~/.cache/mdadm-rs/ref/mdadm"))
os.environ["MDADM_NO_UDEV"] = "1"
os.chdir("/mnt")
GIB = 2 << 20  # sectors


def run(*args):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


def member(minor, sectors):
    """Fields of the first member: v1.x superblock and bitmap superblock."""
    at = {0: ((sectors - 16) // 8 * 8) * 512, 1: 0, 2: 4096}[minor]
    with open("d0", "rb") as f:
        f.seek(at)
        sb = f.read(256)
        magic, _, features = struct.unpack_from("<III", sb)
        if magic != 0xA92B4EFC or not features & 1:
            return None
        size, = struct.unpack_from("<Q", sb, 80)
        offset, = struct.unpack_from("<i", sb, 96)
        log, = struct.unpack_from("<i", sb, 188)
        f.seek(at + offset * 512)
        bm = f.read(256)
    sync, _, chunk, _, _, reserved = struct.unpack_from("<QIIIII", bm, 40)
    return dict(size=size, offset=offset, log=log, sync=sync, chunk=chunk, reserved=reserved, at=at)


def create(minor, sectors, level, devices, options):
    """Creates an array, runs nothing but the start, and gives the members' fields and llbitmap/metadata."""
    loops = [f"/dev/loop{i}" for i in range(devices)]
    for i, loop in enumerate(loops):
        with open(f"d{i}", "wb") as f:
            f.truncate(sectors * 512)
        run("losetup", loop, f"d{i}")
    run(REFERENCE, "-CR", "/dev/md0", f"-l{level}", f"-n{devices}", f"-e1.{minor}", "--assume-clean", *options, *loops)
    found = member(minor, sectors)
    kernel = {}
    try:
        kernel = dict(l.rsplit(" ", 1) for l in open("/sys/block/md0/md/llbitmap/metadata").read().splitlines())
        # What the kernel takes for the sync range: the array on raid10, else a member.
        path = "/sys/block/md0/size" if level == 10 else "/sys/block/md0/md/component_size"
        kernel["sync"] = int(open(path).read()) * (1 if level == 10 else 2)
    except OSError:
        pass
    run(REFERENCE, "-S", "/dev/md0")
    for loop in loops:
        run("losetup", "-d", loop)
    return found, kernel


def internal():
    print("# minor\tdevice sectors\tlevel\tdevices\toptions\tsize\tsync_size\tasked bytes\tchunk bytes or -\tsectors taken")
    random.seed(1)
    cases = [(2, 8 * GIB, 1, 2, d * 64, 65536) for d in (30718, 30719, 30720)]
    cases += [(2, 70 << 31, 1, 2, d * 65536, 0) for d in (1046526, 1046527, 1046528)]
    cases += [(0, 16777488, 1, 2, 0, 262144), (0, 16777496, 1, 2, 0, 262144)]
    cases += [(0, 419430800, 1, 2, 0, 262144), (0, 419430808, 1, 2, 0, 262144)]
    for _ in range(60):
        level, devices = random.choice(((1, 2), (5, 3), (10, 4), (6, 4), (4, 3), (10, 3)))
        asked = random.choice((0, 0, 0, 1 << random.randrange(12, 32)))
        cases.append((random.randrange(3), int(2 ** random.uniform(14, 38)) // 8 * 8, level, devices, 0, asked))
    for minor, sectors, level, devices, size, asked in cases:
        options = ["--bitmap=internal"]
        options += [f"--bitmap-chunk={asked // 1024}"] if asked else []
        options += [f"--size={size}"] if size else []
        found, _ = create(minor, sectors, level, devices, options)
        if found is None:  # refused; what it would have been is learnt without the bitmap chunk
            found, _ = create(minor, sectors, level, devices, [o for o in options if "chunk" not in o])
            if found is None:
                continue
            found["chunk"] = found["taken"] = "-"
        else:
            found["taken"] = found["log"] - 8 if minor else -8 - found["offset"]
        print(minor, sectors, level, devices, " ".join(options), found["size"], found["sync"], asked, found["chunk"],
              found["taken"], sep="\t", flush=True)


def lockless():
    print("# device sectors\tlevel\tdevices\tkernel's sync sectors\tsectors_reserved\tkernel's chunk sectors\tkernel's chunks")
    random.seed(2)
    cases = [(s, 1, 2) for s in (16384, 600000, 4 * GIB, 8 * GIB, 8 * GIB + 270336, 9 * GIB, 20 * GIB, 100 * GIB)]
    cases += [(s, 1, 2) for s in (8192 * GIB, 16384 * GIB, 102400 * GIB)]
    for _ in range(30):
        cases.append((int(2 ** random.uniform(15, 37)) // 8 * 8, *random.choice(((1, 2), (5, 3), (6, 4), (10, 4), (10, 3)))))
    for sectors, level, devices in cases:
        found, kernel = create(2, sectors, level, devices, ["--bitmap=lockless"])
        if found and kernel:
            print(sectors, level, devices, kernel["sync"], found["reserved"], kernel["chunksize"], kernel["chunks"],
                  sep="\t", flush=True)


{"internal": internal, "lockless": lockless}[sys.argv[1]]()
