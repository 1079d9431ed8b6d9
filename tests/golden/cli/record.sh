#!/bin/sh
# Records how the reference mdadm reads command lines: prefixes.tsv, matrix.tsv and cases.tsv beside this script.
# Usage: record.sh [REFERENCE]     (needs no devices and no root; nothing but these files is written)
# A record is: arguments as a shell would read them, exit status, stderr, stdout, parted by tabs; a line end within
# is written \n and a tab \t. The name of the program in getopt's messages is made plain "mdadm".
set -eu
ref=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/mdadm-rs/ref/mdadm}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export MDADM_NO_UDEV=1

# One record for the words in "$line".
record() {
    eval "set -- $line"
    status=0
    "$ref" "$@" <"/dev/null" >out 2>err || status=$?
    sed -i 's#^/[^ ]*/mdadm: #mdadm: #' err
    text=$(sed 's/\t/\\t/g; s/$/\\n/' err | tr -d '\n')
    said=$(sed 's/\t/\\t/g; s/$/\\n/' out | tr -d '\n')
    printf '%s\t%s\t%s\t%s\n' "$line" "$status" "$text" "$said"
}

# "mdadm --=" is ambiguous among all options, and so lists them in the order of the reference's table.
names=$("$ref" --= 2>&1 | sed -n "s/.*possibilities: //p" | tr -d "'" | tr ' ' '\n' | sed 's/^--//')

prefixes() {
    for name in $names; do
        prefix=
        rest=$name
        while [ -n "$rest" ]; do
            tail=${rest#?}
            prefix=$prefix${rest%"$tail"}
            rest=$tail
            echo "$prefix"
        done
    done | sort -u | while read -r prefix; do
        # A flag complains about its value; else an option that wants one complains that it has none, and one that may
        # have one is not valid in assemble mode. Each names the option in full. --none stops whatever is left.
        line="--$prefix=x --none"
        got=$(record)
        case $got in
        *"doesn't allow an argument"* | *"is ambiguous"*) ;;
        *) line="-A --$prefix" && got=$(record) ;;
        esac
        printf '%s\n' "$got"
    done
}

value() {
    case $1 in
    metadata | -e) echo 1.2 ;;
    layout | parity | -p) echo la ;;
    bitmap | -b) echo internal ;;
    update | -U) echo resync ;;
    uuid | -u) echo 0123456789abcdef0123456789abcdef ;;
    consistency-policy | -k) echo resync ;;
    action) echo idle ;;
    chunk | rounding | size | -c | -z) echo 64 ;;
    *) echo 2 ;;
    esac
}

# Every option in every mode; --none ends the line before anything is done.
matrix() {
    for mode in "" --assemble --build --create --monitor --grow --incremental --misc --manage --auto-detect /dev/none \
        --detail "/dev/none --add"; do
        for name in $names; do
            case $name in help | help-options | version) continue ;; esac
            # An option with a value swallows --none and says so, or not: give it one.
            if "$ref" -A "--$name" 2>&1 | grep -q "requires an argument"; then
                line="$mode --$name=$(value "$name") --none"
            else
                line="$mode --$name --none"
            fi
            record
        done
        for letter in 1 A B C D E F G I Q R S W X Y a b f o q r s t v w y N U Z c d e i k l m n p u x z H J K L M O P T; do
            line="$mode -$letter"
            case $(record) in
            *"requires an argument"*) line="$mode -$letter $(value "-$letter") --none" ;;
            *) line="$mode -$letter --none" ;;
            esac
            record
        done
    done
}

prefixes >"$here/prefixes.tsv"
matrix >"$here/matrix.tsv"
while IFS= read -r line; do
    case $line in "" | "# "*) continue ;; esac
    record
done <"$here/cases.txt" >"$here/cases.tsv"
wc -l "$here"/*.tsv
