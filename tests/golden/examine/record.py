#!/usr/bin/env python3
"""Records what the reference prints for the images of images.txt and for damaged copies of them, on stdout:

  tests/golden/examine/record.py > tests/golden/examine/reference.txt

A damaged copy is a line `variant NAME BASE OFFSET:HEX ...`: bytes put over those of the image BASE, the checksum made right again
unless it was changed itself. Each case is a line `$ WORDS`, stdout, lines of stderr behind `E: `, `rc N`, and for --zero-superblock
the ranges that were zeroed as `zeroed OFFSET LENGTH`. It needs no root and no kernel; seed and time zone are fixed.
"""
import os, random, struct, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REFERENCE = os.environ.get("MDADM_REFERENCE", os.path.expanduser("~/.cache/mdadm-rs/ref/mdadm"))
ENV = dict(os.environ, TZ="EST5EDT,M3.2.0,M11.1.0")
R = random.Random(5)


def load():
    images, name = {}, None
    for line in open(os.path.join(HERE, "images.txt")):
        first, rest = line.split(" ", 1)
        if first == "image":
            name, size = rest.split()
            images[name] = bytearray(int(size))
            continue
        at = int(first, 16)
        if "*" in rest:
            byte, count = rest.split("*")
            images[name][at:at + int(count)] = bytes([int(byte, 16)]) * int(count)
        else:
            data = bytes.fromhex(rest)
            images[name][at:at + len(data)] = data
    return images


def place(image):
    end = len(image) // 512
    for sector in ((end - 16) & ~7, 0, 8):
        if image[sector * 512:sector * 512 + 8] == bytes.fromhex("fc4e2ba901000000"):
            return sector * 512


def checksum(sb):
    roles = min(struct.unpack_from("<I", sb, 220)[0], 1920)
    data = bytearray(sb[:256 + 2 * roles])
    data[216:220] = bytes(4)
    data += bytes(-len(data) % 4)
    total = sum(struct.unpack(f"<{len(data) // 4}I", data))
    return (total + (total >> 32)) & 0xFFFFFFFF


U32, U64 = "<I", "<Q"
FIELDS = [
    (8, U32, [2, 4, 6, 8, 0x10, 0x12, 0x40, 0x44, 0x64, 0x1000, 0x200, 0x400, 0x800]),
    (32, "32s", [b"", b"abc", b"host9:abc", b"x" * 31, b"a:b:c", b":x", b"a:", "h:größe".encode()]),
    (64, U64, [0, 1, 1 << 39, (1 << 40) + 5, 1690000000]),
    (72, "<i", [0, 1, 4, 5, 6, 10, -1, -4, 77]),
    (76, U32, [0, 1, 2, 3, 5, 8, 10, 17, 20, 0x102, 0x201, 0x10201, 0x303, 0x101]),
    (80, U64, [0, 8, 9998, 10000, 47104, 100000, 1 << 33, 1 << 42]),
    (88, U32, [0, 1, 8, 128, 2048]),
    (92, U32, [1, 2, 3, 5, 20, 384]),
    (100, "<i", [0, 1, 5, 6, 10]),
    (104, U64, [0, 960, 20000, 1 << 34]),
    (112, "<i", [0, 1, -1, -2]),
    (116, U32, [0, 2, 3, 18, 0x102, 0x201]),
    (120, U32, [0, 128, 1024]),
    (124, "<i", [0, 100, -8]),
    (128, U64, [0, 4, 72, 2048, 50000]),
    (136, U64, [0, 1000, 47104, 47112, 1 << 40]),
    (152, U64, [0, 3072, 1 << 50]),
    (160, U32, [0, 1, 2, 3, 127, 128, 5000]),
    (184, "B", [0, 1, 2, 3, 4, 255]),
    (186, "<H", [0, 1, 8, 100, 101]),
    (188, "<i", [0, 16, -8]),
    (192, U64, [0, 1 << 31, 1 << 39]),
    (200, U64, [0, 1 << 33, (1 << 64) - 1]),
    (208, U64, [0, 1000, (1 << 64) - 1]),
    (216, U32, [0, 12345]),
    (220, U32, [0, 1, 2, 31, 129, 1920]),
    (224, U32, [0, 512, 4096]),
]


def variants(images):
    members = [n for n in sorted(images) if place(images[n]) is not None and "lockless" not in n]
    for number in range(160):
        base = R.choice(members)
        at = place(images[base])
        sb = bytearray(images[base][at:at + 4096])
        changes = {}
        for offset, form, values in R.sample(FIELDS, R.randint(1, 3)):
            changes[offset] = struct.pack(form, R.choice(values))
        for _ in range(R.choice([0, 0, 1, 3])):
            changes[256 + 2 * R.randint(0, 5)] = struct.pack("<H", R.choice([0, 1, 2, 3, 4, 0xFFFF, 0xFFFE, 0xFFFD, 0xFF01]))
        for offset, data in changes.items():
            sb[offset:offset + len(data)] = data
        # The reference clears the bit of a bitmap that it cannot read, and dies of raid10 layout 0.
        if sb[8] & 1 != images[base][at + 8] & 1 or (sb[72] == 10 and 0 in (sb[76], sb[77])):
            continue
        if 216 not in changes:
            changes[216] = struct.pack(U32, checksum(sb))
        yield f"v{number}", base, [(at + o, d) for o, d in sorted(changes.items())]


def run(words, cwd):
    done = subprocess.run([REFERENCE, *words.split()], stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, env=ENV)
    return done if done.returncode >= 0 else None


def record(words, done, zeroed=()):
    if done is None:
        return
    print("$", words)
    out, err = done.stdout.decode(), done.stderr.decode()
    print(out, end="")
    for line in err.splitlines():
        print("E:", line)
    print("rc", done.returncode)
    for offset, length in zeroed:
        print("zeroed", offset, length)


def zeroed(before, after):
    ranges = []
    for at in range(0, len(before), 512):
        if before[at:at + 512] != after[at:at + 512]:
            assert after[at:at + 512] == bytes(512)
            if ranges and sum(ranges[-1]) == at:
                ranges[-1][1] += 512
            else:
                ranges.append([at, 512])
    return ranges


def main():
    images = load()
    os.umask(0o22)
    with tempfile.TemporaryDirectory() as cwd:
        def write(name, data):
            with open(os.path.join(cwd, name), "wb") as f:
                f.truncate(len(data))
                for at in range(0, len(data), 4096):
                    if any(data[at:at + 4096]):
                        f.seek(at)
                        f.write(data[at:at + 4096])

        for name, data in images.items():
            write(name, data)
        one = [n for n in images if n != "ddf-0" and "lockless" not in n]
        for name in one:
            for words in ("-E", "-E --export", "-Q", "--examine-badblocks", "-E -e 1.2"):
                words = f"{words} {name} --homehost=host9" if words == "-E" else f"{words} {name}"
                record(words, run(words, cwd))
        for name in one:
            if name.startswith("old"):
                record(f"-E --homehost=(none) {name}", run(f"-E --homehost=(none) {name}", cwd))
        names = " ".join(one)
        for words in ("-E --brief", "-E --brief -v", "-E --scan", "-Es -v", "-Eb -q", "-E --scan --export"):
            record(f"{words} {names}", run(f"{words} {names}", cwd))
        for words in ("-E nothing", "-E --brief nothing raid5-0", "-E --scan nothing", "-Q nothing", "-E", "-E --brief",
                      "--examine-badblocks nothing", "-E -e 1.1 raid5-0", "-E -b -e 1.1 raid5-0", "-E -e 1.0 raid1-1.0-0"):
            record(words, run(words, cwd))
        for name in one:
            for words in ("", " --force", " -e 1.2", " -q -e 1.0", " -e 1.1 --force", " -e 0.90"):
                if name not in ("raid1-1.0-0", "raid1-1.1-0", "raid1-1.2-0", "raid1-0.90-0", "raid5-reshape-0", "old-raid5-0"):
                    continue
                words = f"--zero-superblock {name}{words}"
                done = run(words, cwd)
                after = open(os.path.join(cwd, name), "rb").read()
                record(words, done, zeroed(images[name], after))
                write(name, images[name])
        for name, base, changes in variants(images):
            data = bytearray(images[base])
            for at, new in changes:
                data[at:at + len(new)] = new
            write(name, data)
            done = [(w, run(f"{w} {name}", cwd)) for w in ("-E", "-E -Y", "-Eb -v", "-Q", "--examine-badblocks")]
            print("variant", name, base, *(f"{at}:{new.hex()}" for at, new in changes))
            for words, result in done:
                record(f"{words} {name}", result)
            os.unlink(os.path.join(cwd, name))


main()
