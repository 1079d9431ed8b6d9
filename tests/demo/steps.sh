# Sourced by before and after, inside the guest.
set -euo pipefail
say() { printf '\n%s--- %s%s\n' "${GUEST_BOLD:-}" "$*" "${GUEST_PLAIN:-}"; }
# run COMMAND: shows it, then runs it
run() {
    printf '\n%s$ %s%s\n' "${GUEST_GREEN:-}" "$*" "${GUEST_PLAIN:-}"
    bash -c "$*" 2>&1
}
echo 100000 >/proc/sys/dev/raid/speed_limit_min
mkdir -p /mnt/array
