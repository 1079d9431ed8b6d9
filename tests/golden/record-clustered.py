#!/usr/bin/env python3
"""Records what the reference writes for a clustered bitmap, as a table on stdout.

  tests/vm/run-guest tests/golden/record-clustered.py > tests/golden/create-clustered.tsv

The reference asks the cluster's lock manager and configuration first: libraries that agree to everything stand in for them
(their interfaces are public: dlm's libdlm.h, corosync's cmap.h). The kernel then has no md-cluster and refuses to start the
array, but the first member has been written, and it is that which is recorded.
Columns: minor version, bytes of each device, options, fields of the superblock and of the bitmaps' (or `none`), messages.
`bitmaps` is how many bitmap superblocks stand behind one another from the first on, `step` the bytes from one to the next,
`ones` the bytes of ones behind the first one's header, `others` the same of all others together.
"""
import os, struct, subprocess

fetch = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../oracle/fetch-reference")
REFERENCE = subprocess.check_output([fetch], text=True).strip()
os.environ["MDADM_NO_UDEV"] = "1"
os.chdir("/mnt")
M = 1 << 20
DLM = r"""
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>
struct dlm_lksb { int sb_status; uint32_t sb_lkid; char sb_flags; char *sb_lvbptr; };
typedef void *ls_t;
static int fd = -1;
static void (*ast)(void *), *arg;
static int queue(void) { if (fd < 0) fd = eventfd(0, EFD_NONBLOCK); return fd; }
ls_t dlm_create_lockspace(const char *n, unsigned m) { return (ls_t)1; }
ls_t dlm_new_lockspace(const char *n, unsigned m, uint32_t f) { return (ls_t)1; }
ls_t dlm_open_lockspace(const char *n) { return (ls_t)1; }
int dlm_release_lockspace(const char *n, ls_t l, int f) { return 0; }
int dlm_ls_get_fd(ls_t l) { return queue(); }
int dlm_ls_lock(ls_t l, uint32_t m, struct dlm_lksb *s, uint32_t f, const void *n, unsigned c, uint32_t p,
                void (*a)(void *), void *g, void (*b)(void *), void *r)
{ uint64_t one = 1; s->sb_status = 0; s->sb_lkid = 1; ast = a; arg = g; write(queue(), &one, 8); return 0; }
int dlm_ls_unlock(ls_t l, uint32_t id, uint32_t f, struct dlm_lksb *s, void *g)
{ uint64_t one = 1; s->sb_status = 0x10002; write(queue(), &one, 8); return 0; }
int dlm_ls_unlock_wait(ls_t l, uint32_t id, uint32_t f, struct dlm_lksb *s) { s->sb_status = 0; return 0; }
int dlm_dispatch(int f) { uint64_t v; read(f, &v, 8); if (ast) ast(arg); return 0; }
"""
CMAP = r"""
#include <stdint.h>
#include <string.h>
int cmap_initialize(uint64_t *h) { *h = 1; return 1; }
int cmap_get_string(uint64_t h, const char *k, char **v) { *v = strdup("corocluster"); return 1; }
int cmap_finalize(uint64_t h) { return 1; }
"""
SIZES = [64 * M, 300 * M + 7 * 512, 1024 * M, 20000 * M, 300000 * M, 1048576 * M]
TWO = "/dev/loop0 /dev/loop1"
KINDS = [f"--level=1 -n2 --nodes=4 --home-cluster=one {TWO}",
         f"--level=1 -n2 {TWO}",
         f"--level=1 -n2 --nodes=2 --home-cluster={'n' * 63} --assume-clean --size=32M {TWO}",
         f"--level=1 -n2 --nodes=64 --home-cluster=one {TWO}",
         f"--level=1 -n2 --nodes=1000 --home-cluster=one {TWO}",
         f"--level=10 -n2 --nodes=3 --home-cluster=one --bitmap-chunk=64M --delay=7 {TWO}",
         f"--level=10 -n2 --layout=f2 --nodes=3 --home-cluster=one {TWO}",
         f"--level=1 -n2 --nodes=2 --home-cluster=one --bitmap-chunk=64K {TWO}",
         f"--level=1 -n2 --nodes=3 --home-cluster=one --write-behind=9 /dev/loop0 --write-mostly /dev/loop1",
         f"--level=1 -n2 --nodes=3 --home-cluster=one /dev/loop0 missing",
         f"--level=5 -n2 --nodes=3 --home-cluster=one {TWO}",
         f"--level=4 -n2 --nodes=3 --home-cluster=one {TWO}",
         f"--level=0 -n2 --nodes=3 --home-cluster=one {TWO}",
         f"--level=1 -n2 --consistency-policy=bitmap --home-cluster=one {TWO}"]


def run(*args):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.stdout


def ones(b):
    return len(b) - len(b.lstrip(b"\xff"))


def bitmaps(f, at):
    """All of them, as (offset, bytes)."""
    f.seek(at)
    found, area = [], f.read(40 * M)
    for o in range(0, len(area), 4096):
        if area[o:o + 4] == b"bitm":
            found.append(o)
        elif not found or o - found[-1] > 4 * M:
            break
    return [(o, area[o:e]) for o, e in zip(found, found[1:] + [found[-1] + (found[1] - found[0] if found[1:] else 4096)])]


def member(minor, size):
    at = {0: (size // 512 - 16) // 8 * 8 * 512, 1: 0, 2: 4096}[minor]
    with open("d0", "rb") as f:
        f.seek(at)
        b = f.read(256)
        if struct.unpack_from("<I", b)[0] != 0xA92B4EFC:
            return "none"
        bitmap_offset, = struct.unpack_from("<i", b, 96)
        data_offset, data_size, super_offset = struct.unpack_from("<QQQ", b, 128)
        log_size, log_offset = struct.unpack_from("<Hi", b, 186)
        fields = dict(features=struct.unpack_from("<I", b, 8)[0], size=struct.unpack_from("<Q", b, 80)[0],
                      bitmap_offset=bitmap_offset, data_offset=data_offset, data_size=data_size,
                      super_offset=super_offset, log_size=log_size, log_offset=log_offset,
                      resync=struct.unpack_from("<q", b, 208)[0])
        all = bitmaps(f, at + bitmap_offset * 512)
        fields.update(bitmaps=len(all), step=all[1][0] if all[1:] else 0)
        h = all[0][1]
        version, = struct.unpack_from("<I", h, 4)
        sync, state, chunk, sleep, behind, reserved, nodes = struct.unpack_from("<QIIIIII", h, 40)
        fields.update(version=version, sync=sync, state=state, bitmap_chunk=chunk, sleep=sleep, behind=behind,
                      reserved=reserved, nodes=nodes, cluster=h[72:136].rstrip(b"\0").decode(),
                      same=int(all[0][1][:256] == all[-1][1][:256]), ones=ones(h[256:]),
                      others=sum(ones(b[256:]) for _, b in all[1:]))
        return " ".join(f"{k}={v}" for k, v in fields.items())


for name, text in (("libdlm_lt.so.3", DLM), ("libcmap.so.4", CMAP)):
    with open("lib.c", "w") as f:
        f.write(text)
    subprocess.check_call(["gcc", "-w", "-shared", "-fPIC", "-o", f"/usr/lib/{name}", "lib.c"])
for minor in (2,):  # the others are refused, after the first member was written
    for size in SIZES:
        for kind in KINDS:
            for i in (0, 1):
                if os.path.exists(f"d{i}"):
                    os.unlink(f"d{i}")
                with open(f"d{i}", "wb") as f:
                    f.truncate(size)
                run("losetup", f"/dev/loop{i}", f"d{i}")
            args = f"--create /dev/md0 --metadata=1.{minor} --bitmap=clustered --run --quiet".split()
            said = run(REFERENCE, *args, *kind.split())
            # the array of the row before may take a moment to go
            said = "; ".join(l for l in said.splitlines() if not l.startswith("mdadm: Fail to create md0"))
            print(f"1.{minor}", size, kind, member(minor, size), said, sep="\t", flush=True)
            for i in (0, 1):
                run("losetup", "-d", f"/dev/loop{i}")
