# Sourced by build-kernel and fetch-reference: packages of another Debian suite, without touching the system's apt.
# A private apt configuration is derived from the machine's own: same mirror, same keyring, another suite.

# private_apt DIR SUITE: prepares DIR and defines the function `papt` (apt-get with that configuration) and `pcache` (apt-cache).
private_apt() {
    local dir=$1 suite=$2 uri keyring
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    uri=$(cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] *)?([^ ]+) .*/\2/p' | grep -E '/debian/?$|debian\.list$' | head -n 1) || true
    [ -n "$uri" ] || { echo "private-apt: no Debian mirror in /etc/apt: this needs a Debian machine" >&2; return 1; }
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do [ -f "$keyring" ] && break; done
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite" >"$dir/sources.list"
    PRIVATE_APT=(-o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
        -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
    papt -qq update >&2
}
papt() { apt-get "${PRIVATE_APT[@]}" "$@"; }
pcache() { apt-cache "${PRIVATE_APT[@]}" "$@"; }

# install_missing PACKAGE...: plain apt-get of the machine itself, and only for what is not there.
install_missing() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}\n' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}" >&2
    [ "$(id -u)" = 0 ] || { echo "not root: please run: apt-get install ${missing[*]}" >&2; return 1; }
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >&2 </dev/null || {
        apt-get -qq update >&2
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >&2 </dev/null
    }
}
