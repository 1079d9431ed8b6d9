complete -c mdadm -l kill-subarray -d 'delete an array of a container (sets of DDF and IMSM: only recognised)' -r
complete -c mdadm -l update-subarray -d 'change an array of a container (sets of DDF and IMSM: only recognised)' -r
complete -c mdadm -l udev-rules -d 'make udev rules of the POLICY lines of the configuration' -r
complete -c mdadm -l dump -d 'copy the metadata of members to sparse files in a folder' -r
complete -c mdadm -l restore -d 'put such copies back; or one file' -r
complete -c mdadm -l chunk -l rounding -d 'array chunk in KiB, or with K, M, G (default 512)' -r
complete -c mdadm -s l -l level -d 'linear, 0, 1, 4, 5, 6, 10, or raidN, stripe, mirror' -r -f -a "linear\t''
raid0\t''
raid1\t''
raid4\t''
raid5\t''
raid6\t''
raid10\t''"
complete -c mdadm -l layout -l parity -d 'layout within the level: raid5/6 by name, raid10 nN, fN, oN' -r
complete -c mdadm -s n -l raid-devices -l raid-disks -d 'number of active members' -r
complete -c mdadm -s x -l spare-devices -l spare-disks -d 'number of spare members' -r
complete -c mdadm -s z -l size -d 'space to use of each member, in KiB or with K, M, G, T; or max' -r
complete -c mdadm -l auto -d 'obsolete; changes nothing' -r
complete -c mdadm -s e -l metadata -d '1.2 (default), 1.1, 1.0 or 0.90' -r -f -a "1.0\t''
1.1\t''
1.2\t''"
complete -c mdadm -l bitmap -d 'none, internal, lockless, clustered, or /PATH: a file, which must be named at every start' -r -f -a "none\t''
internal\t''
lockless\t''"
complete -c mdadm -l bitmap-chunk -d 'bitmap chunk in KiB, or with K, M, G; lockless: no coarser than this, or auto; to assemble: with --update=bitmap=KIND' -r
complete -c mdadm -l write-behind -d 'writes that write-mostly members may be behind (default 256); takes a bitmap' -r
complete -c mdadm -l homehost -d 'host that the array belongs to; any for no host' -r
complete -c mdadm -l data-offset -d 'where data begins on each member, in KiB or with K, M, G; variable: behind a colon of each' -r
complete -c mdadm -l nodes -d 'with --bitmap=clustered: nodes of the cluster, each with a bitmap of its own (default 4)' -r
complete -c mdadm -l home-cluster -d 'with --bitmap=clustered: the cluster\'s name' -r
complete -c mdadm -l write-journal -d 'log writes to a raid4/5/6 on this device before they go to the members' -r
complete -c mdadm -s k -l consistency-policy -d 'resync, bitmap, journal or ppl' -r -f -a "resync\t''
bitmap\t''"
complete -c mdadm -l logical-block-size -d 'sectors of the array, larger than its members\' (Linux 6.19)' -r
complete -c mdadm -l compat-kernel -d 'the oldest kernel that is to assemble the array: hold nothing that is newer' -r
complete -c mdadm -s u -l uuid -d 'uuid of the new array' -r
complete -c mdadm -l super-minor -d 'only members with this preferred minor (0.90); dev: that of the array' -r
complete -c mdadm -s N -l name -d 'name of the new array, at most 32 bytes' -r
complete -c mdadm -l config -d 'configuration file; also none, partitions' -r
complete -c mdadm -s U -l update -d 'change the superblocks while assembling; ? lists the words' -r -f -a "uuid\t''
name\t''
homehost\t''
resync\t''"
complete -c mdadm -l action -d 'have an array check or repair its redundancy; idle ends that, frozen holds all back' -r
complete -c mdadm -l prefer -d 'prefer device names with this path component' -r
complete -c mdadm -l mail -d 'whom to mail what is bad (MAILADDR of the configuration)' -r
complete -c mdadm -l program -l alert -d 'what to run for each event (PROGRAM of the configuration)' -r
complete -c mdadm -l increment -d 'tell the progress of a rebuild in steps of this (default 20)' -r
complete -c mdadm -s d -l delay -d 'how long until clean bits of the bitmap are written' -r
complete -c mdadm -s i -l pid-file -d 'with --daemonise: the process id goes there' -r
complete -c mdadm -l backup-file -d 'where a reshape keeps copies of what it overwrites; not on the array itself' -r
complete -c mdadm -s Z -l array-size -d 'KiB of the array to offer until it is stopped, or max' -r
complete -c mdadm -l path -d 'with --fail: where the device was plugged in; a disk that comes there may take its place' -r
complete -c mdadm -l saved-metadata -d 'save metadata that is overwritten in DIR (default /var/lib/mdadm-rs); none: nowhere' -r
complete -c mdadm -l restore-saved -d 'put back what was saved in FILE before it was overwritten' -r
complete -c mdadm -l watch -d 'with --examine-bitmap: look again and again (default: every 2 seconds)' -r
complete -c mdadm -l bitmap-idle -d 'how long a block of a lockless bitmap is not written to before its chunks become clean' -r
complete -c mdadm -l metrics -d 'keep the state of the arrays in FILE, for Prometheus' -r
complete -c mdadm -l check -d 'start, continue, stop or status: check redundancy, go on where it was left, keep the results' -r
complete -c mdadm -l check-time -d 'with --check=start: pause after so long; seconds, or with m, h, d' -r
complete -c mdadm -l check-speed -d 'with --check=start: no faster than so many KiB a second' -r
complete -c mdadm -l manage -d 'act on one array, named first'
complete -c mdadm -l misc -d 'report on or act on each device named'
complete -c mdadm -s A -l assemble -d 'put an array together again from its members'
complete -c mdadm -s B -l build -d 'make an array of devices without metadata'
complete -c mdadm -s C -l create -d 'make a new array'
complete -c mdadm -s D -l detail -d 'show a running array'
complete -c mdadm -s E -l examine -d 'show the md superblock of a member'
complete -c mdadm -s F -l follow -l monitor -d 'watch arrays, and tell what happens to them'
complete -c mdadm -s G -l grow -d 'change an array while it runs'
complete -c mdadm -s I -l incremental -d 'take one device that has just been found'
complete -c mdadm -l zero-superblock -d 'wipe the md superblock of a device'
complete -c mdadm -s Q -l query -d 'say in a line what a device has to do with md'
complete -c mdadm -s X -l examine-bitmap -d 'show the bitmap of a member, or of a bitmap file'
complete -c mdadm -l auto-detect -d 'have the kernel start the arrays that it finds'
complete -c mdadm -l detail-platform -d 'say what the firmware knows of RAID; with --metadata in the exit status'
complete -c mdadm -l offroot -d 'accepted for boot scripts; changes nothing'
complete -c mdadm -l examine-badblocks -d 'list the bad blocks recorded on a member'
complete -c mdadm -s h -l help -d 'show this help; behind a mode, the help of the mode'
complete -c mdadm -l help-options -d 'show the options that every mode takes'
complete -c mdadm -s V -l version -d 'print the version, on stderr'
complete -c mdadm -s v -l verbose -d 'say more; may be given twice'
complete -c mdadm -s q -l quiet -d 'say only what is really important'
complete -c mdadm -l assume-clean -d 'take the members as in sync; no resync'
complete -c mdadm -l write-zeroes -d 'zero the members\' data first; then they are in sync'
complete -c mdadm -l write-mostly -d 'members that follow are read only when no other can be'
complete -c mdadm -l failfast -d 'I/O to members that follow fails quickly'
complete -c mdadm -l nofailfast -d 'members that follow are added without --failfast'
complete -c mdadm -l re-add -d 'let members that follow come back: by the bitmap where that is safe, else rebuilt fully'
complete -c mdadm -s s -l scan -d 'find the devices or arrays'
complete -c mdadm -l force -d 'go on where that is dangerous'
complete -c mdadm -l add -d 'add devices that follow: as members of old where that is safe, else as spares'
complete -c mdadm -l add-spare -d 'add devices that follow as spares, whatever they were'
complete -c mdadm -l add-journal -d 'make the device that follows the journal of a read-only raid4/5/6'
complete -c mdadm -l remove -d 'take members that follow out of the array: failed ones and spares'
complete -c mdadm -l fail -l set-faulty -d 'mark members that follow as faulty'
complete -c mdadm -l replace -d 'copy members that follow to a spare while they are still read'
complete -c mdadm -l with -d 'behind --replace: the spare to use'
complete -c mdadm -s R -l run -d 'start a partly assembled array'
complete -c mdadm -s S -l stop -d 'stop an array'
complete -c mdadm -s o -l readonly -d 'make an array read-only'
complete -c mdadm -s w -l readwrite -d 'make an array writable again'
complete -c mdadm -l no-degraded -d 'start no array of which members are missing that were there last time'
complete -c mdadm -l wait -d 'wait until no resync of an array runs'
complete -c mdadm -l wait-clean -d 'wait until an array is marked clean'
complete -c mdadm -l cluster-confirm -d 'answer SLOT:DEVICE to a node of a cluster (there is none in this version: refused)'
complete -c mdadm -l brief -d 'one line per array'
complete -c mdadm -l no-devices -d 'leave member devices out of brief output'
complete -c mdadm -s Y -l export -d 'print KEY=value lines'
complete -c mdadm -s t -l test -d 'with --detail: exit status tells the state of the array'
complete -c mdadm -l daemonise -l daemonize -d 'go on in the background; print the process id'
complete -c mdadm -s 1 -l oneshot -d 'look once'
complete -c mdadm -s y -l syslog -d 'tell syslog too'
complete -c mdadm -l no-sharing -d 'move no spares between arrays'
complete -c mdadm -l invalid-backup -d 'start an array in mid-reshape without the copies: what was being overwritten is lost'
complete -c mdadm -l continue -d 'go on with a reshape that was interrupted, and look after it'
complete -c mdadm -l revert -d 'have a reshape go back to where it came from; the array is stopped for a moment'
complete -c mdadm -l check-first -d 'read all members before a reshape, so that a bad sector is found while it does no harm'
complete -c mdadm -l rebuild-map -d 'make the map file anew from the arrays that are there'
complete -c mdadm -l json -d 'print JSON'
complete -c mdadm -l plan -d 'show every step that would be taken; touch nothing'
complete -c mdadm -l offline -d 'members may be plain files; only metadata is written, no kernel is asked'
complete -c mdadm -l ensure -d 'leave an array alone that is as asked for, start it if it is stopped; status 16 if it differs'
complete -c mdadm -l ensure-absent -d 'stop the array named first and clear its own members; none is fine'
complete -c mdadm -l map -d 'with --examine-bitmap: draw a lockless bitmap as a grid'
complete -c mdadm -l ranges -d 'with --examine-bitmap: list runs of chunks in the same state'
complete -c mdadm -l proactive-sync -d 'build the parity of what was never written now (raid4/5/6, lockless bitmap)'
complete -c mdadm -l allow-sector-size-change -d 'add devices with larger sectors than the array has'
complete -c mdadm -l health -d 'one line for each array, all of them unless named; status 0 well, 1 look at it, 2 act now'
complete -c mdadm -l report -d 'print all that somebody who helps needs to see: arrays, members, sysfs, kernel log'
