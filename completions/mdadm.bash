_mdadm() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="mdadm"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        mdadm)
            opts="-A -B -C -D -E -F -G -I -Q -X -h -V -v -q -l -n -x -z -e -k -u -N -s -U -R -S -o -w -Y -t -d -1 -i -y -Z --manage --misc --assemble --build --create --detail --examine --monitor --follow --grow --incremental --zero-superblock --query --examine-bitmap --auto-detect --detail-platform --kill-subarray --update-subarray --udev-rules --offroot --examine-badblocks --dump --restore --help --help-options --version --verbose --quiet --rounding --chunk --level --parity --layout --raid-disks --raid-devices --spare-disks --spare-devices --size --auto --assume-clean --write-zeroes --metadata --bitmap --bitmap-chunk --write-behind --write-mostly --failfast --nofailfast --re-add --homehost --data-offset --nodes --home-cluster --write-journal --consistency-policy --logical-block-size --compat-kernel --uuid --super-minor --name --config --scan --force --update --add --add-spare --add-journal --remove --set-faulty --fail --replace --with --run --stop --readonly --readwrite --no-degraded --wait --wait-clean --action --cluster-confirm --brief --no-devices --export --test --prefer --mail --alert --program --increment --delay --daemonize --daemonise --oneshot --pid-file --syslog --no-sharing --backup-file --invalid-backup --array-size --continue --revert --check-first --rebuild-map --path --json --plan --offline --saved-metadata --restore-saved --ensure --ensure-absent --map --ranges --watch --bitmap-idle --proactive-sync --allow-sector-size-change --metrics --health --report --check --check-time --check-speed"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --kill-subarray)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --update-subarray)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --udev-rules)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --dump)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --restore)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --chunk)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --rounding)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --level)
                    COMPREPLY=($(compgen -W "linear raid0 raid1 raid4 raid5 raid6 raid10" -- "${cur}"))
                    return 0
                    ;;
                -l)
                    COMPREPLY=($(compgen -W "linear raid0 raid1 raid4 raid5 raid6 raid10" -- "${cur}"))
                    return 0
                    ;;
                --layout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --parity)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --raid-devices)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --raid-disks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -n)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --spare-devices)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --spare-disks)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -x)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -z)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --auto)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metadata)
                    COMPREPLY=($(compgen -W "1.0 1.1 1.2" -- "${cur}"))
                    return 0
                    ;;
                -e)
                    COMPREPLY=($(compgen -W "1.0 1.1 1.2" -- "${cur}"))
                    return 0
                    ;;
                --bitmap)
                    COMPREPLY=($(compgen -W "none internal lockless" -- "${cur}"))
                    return 0
                    ;;
                --bitmap-chunk)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --write-behind)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --homehost)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --data-offset)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --nodes)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --home-cluster)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --write-journal)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --consistency-policy)
                    COMPREPLY=($(compgen -W "resync bitmap" -- "${cur}"))
                    return 0
                    ;;
                -k)
                    COMPREPLY=($(compgen -W "resync bitmap" -- "${cur}"))
                    return 0
                    ;;
                --logical-block-size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --compat-kernel)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --uuid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -u)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --super-minor)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -N)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --update)
                    COMPREPLY=($(compgen -W "uuid name homehost resync" -- "${cur}"))
                    return 0
                    ;;
                -U)
                    COMPREPLY=($(compgen -W "uuid name homehost resync" -- "${cur}"))
                    return 0
                    ;;
                --action)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --prefer)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --mail)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --program)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --alert)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --increment)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --delay)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -d)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pid-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -i)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --backup-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --array-size)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -Z)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --saved-metadata)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --restore-saved)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --watch)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --bitmap-idle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --check)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --check-time)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --check-speed)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _mdadm -o nosort -o bashdefault -o default mdadm
else
    complete -F _mdadm -o bashdefault -o default mdadm
fi
