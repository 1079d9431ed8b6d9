#!/bin/bash
# Makes members of every kind with the reference and prints their metadata as text (see dump.py), on stdout:
#   tests/vm/run-guest tests/golden/examine/images.sh > tests/golden/examine/images.txt
# The guest has a tmpfs at /mnt; times and uuids differ from run to run, so reference.txt is recorded anew after it.
here=$(dirname "$(readlink -f "$0")")
M=${MDADM_REFERENCE:-$HOME/.cache/mdadm-rs/ref/mdadm}
export MDADM_NO_UDEV=1 TZ=UTC
exec 3>&1 >/dev/null 2>&1
cd /mnt; mkdir img out
n=0
disk() { # size -> loop
  truncate -s $1 d$n; [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; losetup /dev/loop$n d$n; n=$((n+1)); }
for i in $(seq 0 15); do disk 24M; done
L() { for i in "$@"; do echo -n "/dev/loop$i "; done; }
save() { # name idx...
  name=$1; shift; sync
  for i in "$@"; do cp --sparse=always d$i img/$name-$i.img
    fallocate -d img/$name-$i.img; done; }
wipe() { $M -S /dev/md0; $M -S /dev/md1; for i in $(seq 0 15); do dd if=/dev/zero of=/dev/loop$i bs=1M count=24 oflag=direct; done; }
mk() { # name members... -- args
  echo 0 > /proc/sys/dev/raid/speed_limit_min
  $M --create /dev/md0 "$@" </dev/null; udevadm settle; sleep 0.2; }
Y="--run --homehost=host1"
for e in 1.0 1.1 1.2; do mk --level=1 -n2 $(L 0 1) -e $e $Y --bitmap=internal --name=v$e; $M -W /dev/md0; $M -S /dev/md0; save raid1-$e 0 1; wipe; done
mk --level=0 -n2 $(L 0 1) $Y --name=r0;  $M -S /dev/md0; save raid0 0 1; wipe
truncate -s 40M d15; losetup -c /dev/loop15
mk --level=0 -n2 $(L 0 15) $Y --name=r0u;  $M -S /dev/md0; save raid0-uneven 0 15; wipe
mk --level=linear -n2 $(L 0 1) $Y --name=lin;  $M -S /dev/md0; save linear 0 1; wipe
mk --level=4 -n3 -x1 $(L 0 1 2 3) $Y --name=r4;  $M -S /dev/md0; save raid4 0 2 3; wipe
mk --level=5 -n3 $(L 0 1 2) $Y --name=r5 -c 64; save raid5-recovering 0 2; $M -W /dev/md0; $M -S /dev/md0; save raid5 0 ; wipe
mk --level=5 -n3 $(L 0 1 2) $Y --name=r5 --layout=ddf-N-restart; $M -S /dev/md0; save raid5-layout 0 ; wipe
mk --level=5 -n3 --force $(L 0 1 2) $Y --name=r5 --consistency-policy=ppl; $M -W /dev/md0; save raid5-ppl-active 0; $M -S /dev/md0; save raid5-ppl 0 1; wipe
mk --level=5 -n3 $(L 0 1 2) $Y --name=r5j --write-journal /dev/loop3; $M -W /dev/md0; $M -S /dev/md0; save raid5-journal 0 3; wipe
mk --level=6 -n4 $(L 0 1 2 3) $Y --name=r6; $M /dev/md0 --fail /dev/loop1;sleep 0.3; $M -S /dev/md0; save raid6-degraded 0 1; wipe
for l in n2 f2 o2 n3; do mk --level=10 -n4 --layout=$l $(L 0 1 2 3) $Y --name=r10$l; $M -W /dev/md0; $M -S /dev/md0; save raid10-$l 0 3; wipe; done
mk --level=1 -n2 $(L 0 1) $Y --name=rep --assume-clean; $M /dev/md0 --add /dev/loop2; echo 1 > /proc/sys/dev/raid/speed_limit_max; $M /dev/md0 --replace /dev/loop0 --with /dev/loop2; sleep 0.5; save raid1-replacing 0 1 2; echo 200000 > /proc/sys/dev/raid/speed_limit_max; sleep 1;$M -W /dev/md0; $M -S /dev/md0; save raid1-replaced 0 2; wipe
mk --level=5 -n3 $(L 0 1 2) $Y --name=grow --assume-clean -c 64; $M /dev/md0 --add /dev/loop3; echo 10 > /proc/sys/dev/raid/speed_limit_max; $M --grow /dev/md0 -n4; sleep 1; echo frozen > /sys/block/md0/md/sync_action; $M -S /dev/md0; save raid5-reshape 0 3; echo 200000 > /proc/sys/dev/raid/speed_limit_max; wipe
mk --level=6 -n4 $(L 0 1 2 3) $Y --name=shrink --assume-clean -c 64 ; echo 10 > /proc/sys/dev/raid/speed_limit_max; $M --grow /dev/md0 --chunk=128 --backup-file=/run/bk; sleep 1; echo frozen > /sys/block/md0/md/sync_action; $M -S /dev/md0; save raid6-rechunk 0 ; echo 200000 > /proc/sys/dev/raid/speed_limit_max; wipe
mk --level=10 -n4 --layout=n2 $(L 0 1 2 3) $Y --name=r10g --assume-clean; echo 10 > /proc/sys/dev/raid/speed_limit_max;$M /dev/md0 --add $(L 4 5);  $M --grow /dev/md0 -n6; sleep 1; echo frozen > /sys/block/md0/md/sync_action; $M -S /dev/md0; save raid10-reshape 0 4; echo 200000 > /proc/sys/dev/raid/speed_limit_max; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=bb --assume-clean; echo 100 8 > /sys/block/md0/md/dev-loop0/bad_blocks; echo 4000 1 > /sys/block/md0/md/dev-loop0/bad_blocks; echo 9000 600 > /sys/block/md0/md/dev-loop0/bad_blocks; sleep .5; dd if=/dev/zero of=/dev/md0 bs=4k count=1 seek=2000 oflag=direct; sleep .5; $M -S /dev/md0; save raid1-badblocks 0 1; wipe
mk --level=1 -n2 --write-mostly $(L 0 1) $Y --failfast --name=flags --assume-clean; $M -S /dev/md0; save raid1-flags 0 1; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=dirty --assume-clean; dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct; save raid1-active 0; wipe
mk --level=1 -n3 /dev/loop0 missing /dev/loop1 $Y --name=miss; $M -S /dev/md0; save raid1-missing 0; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=ll --bitmap=lockless; dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct; $M -S /dev/md0; save raid1-lockless 0 1; wipe
mk --level=5 -n3 $(L 0 1 2) $Y --name=ll5 --bitmap=lockless --assume-clean;  $M -S /dev/md0; save raid5-lockless 0; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=a-name-of-thirty-one-characters --data-offset=1M; $M -S /dev/md0; save raid1-name 0; wipe
mk --level=1 -e 0.90 -n2 $(L 0 1) $Y ; $M -S /dev/md0; save raid1-0.90 0; wipe
for i in 0 1; do losetup -d /dev/loop$i; losetup -b 4096 /dev/loop$i d$i; done; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=4k --bitmap=internal; $M -S /dev/md0; save raid1-4k 0; wipe
mk --level=1 -n2 $(L 0 1) $Y --name=4k -e 1.0; $M -S /dev/md0; save raid1-4k-1.0 0; wipe
# version 0.90
old() { $M --create /dev/md0 -e 0.90 --run "$@" </dev/null; sleep 0.2; }
old -l0 -n2 $(L 2 3); $M -S /dev/md0; save old-raid0 2; wipe
old -llinear -n2 $(L 2 3); $M -S /dev/md0; save old-linear 3; wipe
old -l1 -n2 -x1 $(L 2 3 4) --bitmap=internal; $M -W /dev/md0; save old-raid1-active 2; $M -S /dev/md0; save old-raid1 4; wipe
old -l5 -n3 $(L 2 3 4) -c 64; $M -W /dev/md0; $M /dev/md0 -f /dev/loop3; sleep .3; $M /dev/md0 -r /dev/loop3; $M -S /dev/md0; save old-raid5 2 3; wipe
old -l4 -n3 $(L 2 3 4); $M -W /dev/md0; $M -S /dev/md0; save old-raid4 2; wipe
old -l6 -n4 $(L 2 3 4) missing; $M -S /dev/md0; save old-raid6 2; wipe
old -l10 -n4 --layout=f2 $(L 2 3 4 5); $M -S /dev/md0; save old-raid10 2; wipe
old -l5 -n3 $(L 2 3 4) -c 64 --assume-clean; $M /dev/md0 -a /dev/loop5; echo 10 > /proc/sys/dev/raid/speed_limit_max; $M --grow /dev/md0 -n4 --backup-file=/run/x; sleep 1; echo frozen > /sys/block/md0/md/sync_action; $M -S /dev/md0; save old-reshape 2 5; wipe
for i in 0 1; do losetup -d /dev/loop$i; truncate -s 64M d$i; losetup /dev/loop$i d$i; done
$M --create /dev/md/ddf -e ddf -n2 -R $(L 0 1); $M -S /dev/md/ddf
save ddf 0
cd img
exec python3 "$here/dump.py" *.img >&3
