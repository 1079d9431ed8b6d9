# Sourced by before and after, inside the guest.
set -euo pipefail
say() { printf '\n\033[1m--- %s\033[0m\n' "$*"; }
# run COMMAND: shows it, then runs it
run() {
    printf '\n\033[32m$ %s\033[0m\n' "$*"
    bash -c "$*" 2>&1
}
# What the pages of a demo need not show twice: the kernel log is printed when something goes wrong.
echo 100000 >/proc/sys/dev/raid/speed_limit_min
mkdir -p /mnt/array
