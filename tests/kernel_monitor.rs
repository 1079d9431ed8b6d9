//! The monitor at work: what it must tell, what it must not, and whom it tells.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "vm/mod.rs"]
mod vm;

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vm::{MIB, attr, disks, mdadm, run, sh, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A monitor that runs beside the test.
struct Monitor(Child);

impl Monitor {
    fn start(args: &str) -> Monitor {
        Monitor::with(args, |c| c)
    }

    fn with(args: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Monitor {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdadm"));
        command.arg("--monitor").args(args.split_whitespace()).stdin(Stdio::null());
        command.stdout(File::create("/mnt/out").unwrap()).stderr(File::create("/mnt/err").unwrap());
        Monitor(more(&mut command).spawn().unwrap())
    }

    fn out() -> String {
        fs::read_to_string("/mnt/out").unwrap()
    }

    #[track_caller]
    fn tells(what: &str) {
        wait_until(LONG, &format!("{what} is told; {}", Monitor::out()), || Monitor::out().contains(what));
    }

    fn ended(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|s| s.code().unwrap_or(-1))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of a running array, as the reference says it.
fn uuid_of(array: &str) -> String {
    let export = vm::reference(&format!("--detail --export {array}")).ok().stdout;
    export.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap().to_owned()
}

fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Mail goes to /mnt/mails.
fn mail_sink() {
    fs::write("/usr/sbin/sendmail", "#!/bin/bash\n{ echo \"args $*\"; cat; } >>/mnt/mails\n").unwrap();
    sh("chmod +x /usr/sbin/sendmail; touch /mnt/mails");
}

/// All keys are in docs/json.md, and all that a table has there are keys.
#[track_caller]
fn is_documented(json: &serde_json::Value) {
    let schema = json["schema"].as_str().unwrap();
    let docs = include_str!("../docs/json.md");
    let section = docs.split(&format!("\n## {schema}\n")).nth(1).and_then(|s| s.split("\n## ").next()).unwrap();
    let words: Vec<&str> = section.split('`').skip(1).step_by(2).collect();
    let mut values = vec![json];
    while let Some(value) = values.pop() {
        values.extend(value.as_array().into_iter().flatten());
        for (key, inner) in value.as_object().into_iter().flatten() {
            assert!(key == "schema" || words.contains(&key.as_str()), "{schema}: {key} is not in docs/json.md");
            // what the device tells of itself has no fixed keys
            values.extend((key != "identity").then_some(inner));
        }
    }
    for cell in section.lines().filter_map(|l| l.strip_prefix("| `")?.split('|').next()) {
        for key in format!("`{cell}").split('`').skip(1).step_by(2) {
            assert!(json.get(key).is_some(), "{schema}: {key} is in docs/json.md only");
        }
    }
}

#[test]
fn what_is_no_fault_is_not_told_as_one() {
    mail_sink();
    let d = disks(10, 24 * MIB);
    mdadm(&format!("--create /dev/md9 --run --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    // a link that goes, and one of that name that leads elsewhere
    let uuid = mdadm("--detail --export /dev/md9").ok().stdout;
    let uuid = uuid.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap();
    fs::write("/etc/mdadm.conf", format!("ARRAY /dev/md/named UUID={uuid}\n")).unwrap();
    sh("mkdir -p /dev/md; ln -s ../md9 /dev/md/named");
    let _monitor = Monitor::start("--scan --mail=root --delay=1 --metrics=/mnt/prom");
    wait_until(LONG, "it has looked", || fs::exists("/mnt/prom").unwrap());
    sh("rm -r /dev/md; mkdir /dev/md; ln -s ../md0 /dev/md/named");
    // an initial build: degraded as the kernel counts
    vm::sync_speed(1000, 4000);
    mdadm(&format!("--create /dev/md0 --run -b none -l5 -n3 {} {} {}", d[2], d[3], d[4])).ok();
    Monitor::tells("RebuildStarted event detected on md device /dev/md0");
    assert_eq!(attr("md0", "degraded"), "1");
    vm::wait_sync("md0");
    Monitor::tells("SpareActive event detected on md device /dev/md0");
    // an initial resync, stopped and held back
    vm::sync_speed(1000, 4000);
    mdadm(&format!("--create /dev/md1 --run -b none -l1 -n2 {} {}", d[5], d[6])).ok();
    Monitor::tells("RebuildStarted event detected on md device /dev/md1");
    vm::set_attr("md1", "sync_action", "frozen");
    wait_until(LONG, "it is held back", || vm::mdstat().contains("resync=PENDING"));
    vm::set_attr("md1", "sync_action", "idle");
    vm::wait_sync("md1");
    Monitor::tells("RebuildFinished event detected on md device /dev/md1");
    // a check, and a replacement
    vm::set_attr("md1", "sync_action", "check");
    vm::wait_sync("md1");
    mdadm(&format!("/dev/md1 --add {}", d[7])).ok();
    vm::sync_speed(1000, 8000);
    mdadm(&format!("/dev/md1 --replace {} --with {}", d[5], d[7])).ok();
    wait_until(LONG, "it is replaced", || vm::mdstat().contains("(R)"));
    // long enough for a look
    std::thread::sleep(Duration::from_millis(1200));
    vm::wait_sync("md1");
    Monitor::tells(&format!("SpareActive event detected on md device /dev/md1, component device {}", d[7]));
    if !vm::lockless_is_refused() {
        let lockless = disks(3, 24 * MIB);
        mdadm(&format!("--create /dev/md2 --run -b lockless -l5 -n3 {}", lockless.join(" "))).ok();
        Monitor::tells("NewArray event detected on md device /dev/md2");
        // the resync at the start, that finds nothing to do, may be told
        vm::wait_sync("md2");
        std::thread::sleep(Duration::from_millis(1200));
        let told = || Monitor::out().matches("md device /dev/md2").count();
        let before = told();
        vm::sync_speed(1000, 8000);
        vm::write_pattern("/dev/md2", 0, 4 * MIB, 1);
        wait_until(LONG, "its parity is built", || vm::mdstat().contains("UU_"));
        std::thread::sleep(Duration::from_millis(1200));
        vm::wait_sync("md2");
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(told(), before, "{}", Monitor::out());
        let chunks = "mdadm_array_lockless_chunks{array=\"/dev/md2\",device=\"md2\",state=\"need sync\"} 0\n";
        assert!(fs::read_to_string("/mnt/prom").unwrap().contains(chunks));
    }
    let out = Monitor::out();
    assert!(!out.contains("named"), "{out}");
    for word in ["Fail", "Degraded", "Disappeared", "Missing"] {
        assert!(!out.contains(word), "{out}");
    }
    assert_eq!(fs::read_to_string("/mnt/mails").unwrap(), "");
}

#[test]
fn without_mail_and_program_it_stays_and_tells_at_once_and_keeps_no_array_busy() {
    let d = disks(3, 16 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 -x1 {}", d.join(" "))).ok();
    let mut monitor = Monitor::start("--scan");
    Monitor::tells("NewArray");
    let before = Instant::now();
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    Monitor::tells(&format!("mdadm: Fail event detected on md device /dev/md0, component device {}\n", d[1]));
    // by the kernel's notice, not by the delay of a minute
    assert!(before.elapsed() < Duration::from_secs(20));
    Monitor::tells("SpareActive");
    assert_eq!(monitor.ended(), None);
    mdadm("--stop /dev/md0").ok();
    Monitor::tells("DeviceDisappeared");
    wait_until(LONG, "nothing is left to watch", || monitor.ended() == Some(0));
    assert!(fs::read_to_string("/mnt/err").unwrap().contains("No array with redundancy detected, stopping"));
    assert!(!fs::exists("/sys/block/md0").unwrap(), "the array was made anew");
    // what is said with -q is not more than without
    assert_eq!(mdadm("--monitor --scan --oneshot -q --program=/bin/true").ok().stderr, "");
}

#[test]
fn a_degraded_array_at_the_start_is_told_with_who_is_missing() {
    mail_sink();
    let d = disks(3, 16 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l5 -n3 {}", d.join(" "))).ok();
    // it is seen whole once
    assert!(mdadm("--monitor --scan --oneshot").ok().stdout.contains("NewArray"));
    mdadm("--stop /dev/md0").ok();
    mdadm(&format!("--assemble --run /dev/md0 {} {}", d[0], d[2])).ok();
    let told = mdadm("--monitor --oneshot --mail=root /dev/md0").ok();
    assert_eq!(told.stdout, "mdadm: DegradedArray event detected on md device /dev/md0\n");
    let missing = format!("/dev/md0: slot 1 is missing: last held by {}, loop_file /mnt/disk1, seen ", d[1]);
    assert!(told.stderr.contains(&missing), "{}", told.stderr);
    let mails = fs::read_to_string("/mnt/mails").unwrap();
    assert!(mails.starts_with(
        "args -t\nFrom: mdadm monitoring <root@guest>\nTo: root\nSubject: DegradedArray event on /dev/md0:guest\n\n"
    ));
    assert!(mails.contains(&missing), "{mails}");
    let json: serde_json::Value =
        serde_json::from_str(&mdadm("--monitor --oneshot --json /dev/md0").ok().stdout).unwrap();
    assert_eq!(json["schema"], "mdadm-rs/event/1");
    is_documented(&json);
    assert_eq!((&json["event"], &json["severity"]), (&"DegradedArray".into(), &"critical".into()));
    assert_eq!((&json["missing"][0]["slot"], &json["missing"][0]["path"]), (&1.into(), &d[1].as_str().into()));
    // --detail knows which disk is missing, and of those that are there what is on their labels
    let was = format!("        Slot 1 Was : {}, loop_file /mnt/disk1, last seen ", d[1]);
    let detail = mdadm("--detail /dev/md0").ok().stdout;
    assert!(detail.contains(&was), "{detail}");
    let json: serde_json::Value = serde_json::from_str(&mdadm("--detail --json /dev/md0").ok().stdout).unwrap();
    let members = &json[0]["members"];
    assert_eq!(members[0]["identity"]["loop_file"], "/mnt/disk0");
    assert_eq!(
        (&members[1]["last_device"], &members[1]["identity"]["loop_file"]),
        (&d[1].as_str().into(), &"/mnt/disk1".into())
    );
    // all of it for somebody who helps, but for whom mail goes to
    fs::write("/etc/mdadm.conf", "MAILADDR somebody@example.org\nARRAY /dev/md0 metadata=1.2\n").unwrap();
    let report = mdadm(&format!("--report {}", d[1])).ok().stdout;
    for part in [
        "\n== /proc/mdstat\n",
        "\nARRAY /dev/md0 metadata=1.2\n",
        "\n== mdadm --detail /dev/md0\n",
        "\ndegraded: 1\n",
        was.as_str(),
        &format!("\n== mdadm --examine {}\n", d[1]),
        "   Device Role : Active device 1\n",
        "\n== /sys/block/md0/md/dev-loop0\n",
        "/dev/md0: critical: ",
        "(exit status: 2)",
        "md/raid:md0: raid level 5 active with 2 out of 3 devices",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(!report.contains("example.org"), "{report}");
    fs::remove_file("/etc/mdadm.conf").unwrap();
    // A rebuild does not hide it: that slot had its data once. Told by a monitor that starts while it runs.
    vm::sync_speed(100, 1000);
    sh(&format!("wipefs -aq {}", d[1]));
    mdadm(&format!("/dev/md0 --add {}", d[1])).ok();
    wait_until(LONG, "it is rebuilt", || vm::mdstat().contains("recovery"));
    let told = mdadm("--monitor --oneshot --scan").ok().stdout;
    assert!(told.contains("DegradedArray") && told.contains("RebuildStarted"), "{told}");
    // A repeated state is not repeated.
    vm::sync_speed(100, 1000);
    let _monitor = Monitor::start("--scan --delay=1");
    Monitor::tells("RebuildStarted");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    Monitor::tells("FailSpare");
    Monitor::tells("RebuildFinished");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(Monitor::out().matches("DegradedArray").count(), 1, "{}", Monitor::out());
}

#[test]
fn a_program_that_hangs_or_fails_and_a_mail_program_that_is_missing_keep_nothing_from_being_told() {
    let d = disks(4, 16 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n4 {}", d.join(" "))).ok();
    let _ = fs::remove_file("/usr/sbin/sendmail");
    let script = "#!/bin/bash\nenv | grep ^MD_ | LC_ALL=C sort >/mnt/env-$1\necho \"$#: $*\" >>/mnt/program\n[ $1 != Fail ] || exit 3\n";
    fs::write("/mnt/run", script).unwrap();
    sh("chmod +x /mnt/run");
    // Whether they arrive is what a test is for.
    let tried = mdadm("--monitor --scan --oneshot --test -v --mail=root --program=/mnt/run").ok();
    assert!(tried.stderr.contains("\nmdadm: TestMessage of /dev/md0: /mnt/run was run\n"), "{}", tried.stderr);
    assert!(tried.stderr.contains("\nmdadm: mail to root was not sent: "), "{}", tried.stderr);
    mail_sink();
    let tried = mdadm("--monitor --scan --oneshot --test -v --mail=root").ok();
    let taken = "\nmdadm: TestMessage of /dev/md0: /usr/sbin/sendmail took the mail to root\n";
    assert!(tried.stderr.contains(taken), "{}", tried.stderr);
    sh("rm /usr/sbin/sendmail /mnt/program");
    // The name of a program is no command for a shell.
    let bad = "--program=/mnt/run;touch /mnt/x";
    let tried = run(env!("CARGO_BIN_EXE_mdadm"), &["--monitor", "--scan", "--oneshot", "--test", bad], "").ok();
    let why = "mdadm: /mnt/run;touch /mnt/x: TestMessage of /dev/md0: cannot be run: No such file or directory\n";
    assert!(tried.stderr.contains(why), "{}", tried.stderr);
    assert!(!fs::exists("/mnt/x").unwrap() && !fs::exists("/mnt/program").unwrap());
    let monitor = Monitor::start("--scan --mail=root --program=/mnt/run --delay=1");
    Monitor::tells("NewArray");
    for n in [1, 2] {
        mdadm(&format!("/dev/md0 --fail {}", d[n])).ok();
        Monitor::tells(&format!("component device {}", d[n]));
    }
    let called = || fs::read_to_string("/mnt/program").unwrap_or_default();
    wait_until(LONG, "the program was run", || called().lines().count() == 3);
    assert_eq!(called(), format!("2: NewArray /dev/md0\n3: Fail /dev/md0 {}\n3: Fail /dev/md0 {}\n", d[1], d[2]));
    // All of it, and of the reference's uuid of the array.
    let uuid = uuid_of("/dev/md0");
    let env = fs::read_to_string("/mnt/env-Fail").unwrap();
    let (seconds, env): (Vec<&str>, Vec<&str>) = env.lines().partition(|l| l.starts_with("MD_TIME_SECONDS="));
    let member = &d[2];
    let want = format!(
        "MD_DEGRADED=2 MD_DETAIL={member} MD_DEVICE=/dev/md0 MD_EVENT=Fail MD_KERNEL_NAME=md0 MD_LEVEL=raid1 MD_MEMBER={member} \
         MD_MISMATCH_SECTORS=0 MD_MISSING_SLOTS=1,2 MD_PERCENT= MD_RAID_DEVICES=4 MD_SEVERITY=critical MD_SYNC_ACTION= MD_UUID={uuid}"
    );
    assert_eq!(env.join(" "), want.replace(',', " "));
    let seconds = seconds[0].split('=').nth(1).unwrap().parse::<u64>().unwrap();
    assert!(now_seconds().abs_diff(seconds) < 60, "{seconds}");
    wait_until(LONG, "both failures are reported", || {
        let err = fs::read_to_string("/mnt/err").unwrap();
        err.contains("mail to root was not sent: /usr/sbin/sendmail: cannot be run: No such file or directory")
            && err.matches("/mnt/run: Fail of /dev/md0: exit status: 3").count() == 2
    });
    assert_eq!(fs::read_to_string("/mnt/err").unwrap().matches("was not sent").count(), 1);
    drop(monitor);
    // One that hangs: what happens meanwhile is told.
    fs::write("/mnt/run", "#!/bin/bash\nexec sleep 1000\n").unwrap();
    let monitor = Monitor::start("--scan --program=/mnt/run --delay=1");
    Monitor::tells("DegradedArray");
    sh(&format!(
        "{0} --quiet /dev/md0 --remove {1}; wipefs -aq {1}; {0} --quiet /dev/md0 --add {1}",
        env!("CARGO_BIN_EXE_mdadm"),
        d[1]
    ));
    Monitor::tells(&format!("SpareActive event detected on md device /dev/md0, component device {}", d[1]));
    drop(monitor);
    // Ended while it tells: what was seen is told to the end.
    fs::write("/mnt/run", "#!/bin/bash\nsleep 0.5; echo $1 >>/mnt/late\n").unwrap();
    let mut monitor = Monitor::start("--scan --program=/mnt/run --delay=1");
    Monitor::tells("NewArray");
    Monitor::tells("DegradedArray");
    sh(&format!("kill -TERM {}", monitor.0.id()));
    wait_until(LONG, "it ends by the signal", || monitor.ended() == Some(-1));
    assert_eq!(fs::read_to_string("/mnt/late").unwrap(), "NewArray\nDegradedArray\n");
}

#[test]
fn a_spare_of_the_same_domain_is_moved_and_goes_back_where_it_is_not_taken() {
    let d = disks(7, 16 * MIB);
    sh("for n in 0 1 2; do truncate -s 16M /mnt/large$n; losetup -f --show -b 4096 /mnt/large$n; done >/mnt/large");
    let large = fs::read_to_string("/mnt/large").unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm(&format!("--create /dev/md1 --run --assume-clean -b none -l1 -n2 -x1 {large}")).ok();
    sh("mkdir -p /dev/disk/by-path");
    for (n, device) in large.split(' ').chain(d.iter().map(String::as_str)).enumerate() {
        sh(&format!("ln -s {device} /dev/disk/by-path/p-{n}"));
    }
    fs::write("/etc/mdadm.conf", "POLICY domain=shelf path=p-*\n").unwrap();
    fs::write("/mnt/run", "#!/bin/bash\necho \"the program prints\"\n").unwrap();
    sh("chmod +x /mnt/run");
    let _monitor = Monitor::start("--scan --json --program=/mnt/run --delay=1");
    Monitor::tells("NewArray");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    let err = || fs::read_to_string("/mnt/err").unwrap();
    let spare = large.split(' ').next_back().unwrap();
    let back = format!("{spare} could not be moved to /dev/md0; it goes back to /dev/md1\n");
    wait_until(LONG, "it goes back", || err().contains(&back));
    wait_until(LONG, "it is a spare again", || mdadm("--detail /dev/md1").stdout.contains("Spare Devices : 1"));
    // One that is larger than needed and fits; tried once only, the other one is left alone.
    mdadm(&format!("--create /dev/md2 --run --assume-clean -b none -l1 -n2 -x1 {} {} {}", d[2], d[3], d[4])).ok();
    Monitor::tells("MoveSpare");
    vm::wait_sync("md0");
    Monitor::tells("\"detail\":\"/dev/md2\"");
    assert!(mdadm("--detail /dev/md0").ok().stdout.contains(&d[4]));
    assert_eq!(err().matches("could not be moved").count(), 1, "{}", err());
    // What the program prints is not among the events.
    wait_until(LONG, "the program was run", || err().matches("the program prints").count() >= 2);
    for line in Monitor::out().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn the_configuration_is_read_again_at_sighup_and_systemd_is_told() {
    let d = disks(2, 16 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {}", d.join(" "))).ok();
    fs::write("/mnt/run", "#!/bin/bash\necho \"$*\" >>/mnt/program\n").unwrap();
    sh("chmod +x /mnt/run");
    let systemd = UnixDatagram::bind("/mnt/notify").unwrap();
    systemd.set_read_timeout(Some(LONG)).unwrap();
    let hears = |wanted: &str| {
        let mut bytes = [0u8; 256];
        let start = Instant::now();
        while start.elapsed() < LONG {
            let n = systemd.recv(&mut bytes).unwrap();
            if String::from_utf8_lossy(&bytes[..n]).starts_with(wanted) {
                return;
            }
        }
        panic!("systemd does not hear {wanted}");
    };
    let mut monitor =
        Monitor::with("--scan", |c| c.env("NOTIFY_SOCKET", "/mnt/notify").env("WATCHDOG_USEC", "1000000"));
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    assert_eq!(Monitor::out().lines().count(), 1);
    let uuid = mdadm("--detail --export /dev/md0").ok().stdout;
    let uuid = uuid.lines().find_map(|l| l.strip_prefix("MD_UUID=")).unwrap();
    fs::write("/etc/mdadm.conf", format!("PROGRAM /mnt/run\nARRAY /dev/md/named UUID={uuid}\n")).unwrap();
    sh(&format!("kill -HUP {}", monitor.0.id()));
    hears("RELOADING=1\nMONOTONIC_USEC=");
    hears("READY=1");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    Monitor::tells(&format!("Fail event detected on md device /dev/md/named, component device {}", d[1]));
    wait_until(LONG, "the new program is run", || fs::exists("/mnt/program").unwrap());
    assert_eq!(fs::read_to_string("/mnt/program").unwrap(), format!("Fail /dev/md/named {}\n", d[1]));
    // How often it looks is in the configuration that was named, also when that is another one.
    fs::write("/mnt/conf", "MONITORDELAY 300\n").unwrap();
    let looked = || sh("stat -c %y /mnt/md.prom");
    let mut named = Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(["--monitor", "--scan", "--config=/mnt/conf", "-v", "--no-sharing", "--metrics=/mnt/md.prom"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create("/mnt/err-named").unwrap())
        .spawn()
        .map(Monitor)
        .unwrap();
    wait_until(LONG, "it has looked", || fs::exists("/mnt/md.prom").unwrap());
    let said = fs::read_to_string("/mnt/err-named").unwrap();
    assert!(said.starts_with("mdadm: Monitor is started with delay 300s\n") && !said.contains("/mnt/run"), "{said}");
    let first = looked();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(looked(), first);
    fs::write("/mnt/conf", "MONITORDELAY 1\n").unwrap();
    sh(&format!("kill -HUP {}", named.0.id()));
    let mut last = first;
    for n in 0..3 {
        wait_until(Duration::from_secs(20), &format!("look {n} after the reload"), || looked() != last);
        last = looked();
    }
    assert_eq!(named.ended(), None);
    drop(named);
    // While it waits at its end for a program, it lives. What nobody reads holds the sender up.
    let drain = || {
        systemd.set_nonblocking(true).unwrap();
        while systemd.recv(&mut [0u8; 256]).is_ok() {}
        systemd.set_nonblocking(false).unwrap();
    };
    fs::write("/mnt/run", "#!/bin/bash\nuntil [ -e /mnt/go ]; do sleep 0.1; done\n").unwrap();
    mdadm("--stop /dev/md0").ok();
    wait_until(LONG, "nothing is left to watch", || {
        drain();
        fs::read_to_string("/mnt/err").unwrap().contains("No array with redundancy detected, stopping")
    });
    drain();
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    assert_eq!(monitor.ended(), None);
    fs::write("/mnt/go", "").unwrap();
    wait_until(LONG, "it ends", || {
        drain();
        monitor.ended() == Some(0)
    });
}

#[test]
fn arrays_that_come_and_go_in_crowds_and_a_clock_that_is_set_back_lose_no_event() {
    const CROWD: usize = 16;
    let d = disks(2 * CROWD + 3, 4 * MIB);
    let (pairs, d) = d.split_at(2 * CROWD);
    let pairs: Vec<String> = pairs.chunks(2).map(|pair| pair.join(" ")).collect();
    let how = "--run -b none --saved-metadata=none";
    mdadm(&format!("--create /dev/md0 {how} --assume-clean -l1 -n3 {}", d.join(" "))).ok();
    // They are rebuilt, and have not got far when they go.
    vm::sync_speed(1, 1);
    for (n, pair) in pairs.iter().enumerate() {
        mdadm(&format!("--create /dev/md{} {how} -l5 -n2 {pair}", n + 1)).ok();
    }
    let mut monitor = Monitor::start("--scan --delay=1 --metrics=/mnt/md.prom");
    Monitor::tells(&format!("NewArray event detected on md device /dev/md{CROWD}\n"));
    let told = |event: &str| Monitor::out().matches(&format!("{event} event")).count();
    assert_eq!(told("NewArray"), CROWD + 1);
    // They vanish while they are looked at, again and again.
    for round in 1..=2 {
        sh(&format!("for n in $(seq {CROWD}); do echo clear >/sys/block/md$n/md/array_state & done; wait"));
        wait_until(LONG, "all that went are told", || told("DeviceDisappeared") == round * CROWD);
        for (n, pair) in pairs.iter().enumerate() {
            mdadm(&format!("--assemble --run --quiet /dev/md{} {pair}", n + 1)).ok();
        }
        wait_until(LONG, "all that came are told", || told("NewArray") == (round + 1) * CROWD + 1);
    }
    wait_until(LONG, "all are rebuilt", || vm::mdstat().matches("recovery").count() == CROWD);
    // What goes with its array has not failed.
    assert_eq!((told("Fail"), told("FailSpare")), (0, 0), "{}", Monitor::out());
    sh("date -s @1000000000");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    Monitor::tells(&format!("Fail event detected on md device /dev/md0, component device {}", d[1]));
    // and what it does by itself goes on: the file is written anew by the clock that there is
    let fresh =
        || fs::read_to_string("/mnt/md.prom").unwrap_or_default().contains("mdadm_monitor_look_seconds 10000000");
    wait_until(LONG, "the metrics are written", fresh);
    sh("date -s @1000");
    mdadm(&format!("/dev/md0 --remove {}", d[1])).ok();
    vm::sync_speed(1_000_000, 2_000_000);
    mdadm(&format!("/dev/md0 --add {}", d[1])).ok();
    Monitor::tells("SpareActive event detected on md device /dev/md0");
    assert_eq!(monitor.ended(), None);
    assert_eq!(fs::read_to_string("/mnt/err").unwrap(), "");
    // Results of a check that lie ahead of the clock are shown.
    vm::wait_sync("md0");
    sh("date -s @2000000000");
    assert_eq!(mdadm("--check=continue /dev/md0").ok().stdout, "", "nothing was begun");
    assert!(mdadm("--check=start /dev/md0").ok().stdout.contains("checked, 0 sectors differ"));
    sh("date -s @1000");
    let json: serde_json::Value = serde_json::from_str(&mdadm("--check=status --json /dev/md0").ok().stdout).unwrap();
    assert_eq!(json[0]["complete"].as_array().unwrap().len(), 1);
}

#[test]
fn a_daemon_has_its_file_and_there_is_one_that_shares() {
    let d = disks(2, 16 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {}", d.join(" "))).ok();
    let log = UnixDatagram::bind("/dev/log").unwrap();
    log.set_read_timeout(Some(LONG)).unwrap();
    let started = mdadm("--monitor --scan --daemonise --pid-file=/run/monitor.pid").ok();
    assert_eq!((started.stdout, started.stderr), (String::new(), String::new()));
    let pid = fs::read_to_string("/run/monitor.pid").unwrap().trim().to_owned();
    // a daemon that nobody else hears tells syslog
    let mut line = [0u8; 256];
    let n = log.recv(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..n]).into_owned();
    assert!(
        line.starts_with("<30>")
            && line.ends_with(&format!("mdadm[{pid}]: NewArray event detected on md device /dev/md0")),
        "{line}"
    );
    assert_eq!(fs::read_to_string("/run/mdadm/autorebuild.pid").unwrap().trim(), pid);
    assert_eq!(fs::read_link(format!("/proc/{pid}/fd/1")).unwrap().to_str(), Some("/dev/null"));
    let second = mdadm("--monitor --scan --mail=root");
    assert_eq!(
        (second.status, second.stderr.as_str()),
        (1, "mdadm: Only one autorebuild process allowed in scan mode, aborting\n")
    );
    assert_eq!(
        mdadm("--monitor --scan --oneshot").ok().stdout,
        "mdadm: NewArray event detected on md device /dev/md0\n"
    );
    // One that shares none stays beside it, also with --scan, and is not the one that shares after that.
    let mut beside = Monitor::start("--scan --no-sharing");
    Monitor::tells("NewArray event detected on md device /dev/md0");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    Monitor::tells("Fail event detected on md device /dev/md0");
    assert_eq!((beside.ended(), fs::read_to_string("/mnt/err").unwrap().as_str()), (None, ""));
    assert_eq!(fs::read_to_string("/run/mdadm/autorebuild.pid").unwrap().trim(), pid);
    drop(beside);
    sh(&format!("kill {pid}"));
    wait_until(LONG, "the daemon is gone", || !fs::exists(format!("/proc/{pid}")).unwrap());
    // Names may begin in the directory where it was started, also those that are used later.
    sh("mkdir /mnt/here; printf '#!/bin/bash\\necho $1 >>calls\\n' >/mnt/here/run; chmod +x /mnt/here/run");
    let start = format!(
        "cd /mnt/here; {} --monitor --daemonise --no-sharing --program=./run --metrics=md.prom --config=conf /dev/md0",
        env!("CARGO_BIN_EXE_mdadm")
    );
    let id = sh(&start).trim().to_owned();
    assert!(id.parse::<u32>().is_ok(), "{id}");
    wait_until(LONG, "it looks", || fs::exists("/mnt/here/md.prom").unwrap());
    let calls = || fs::read_to_string("/mnt/here/calls").unwrap_or_default();
    wait_until(LONG, "the program is run", || calls() == "DegradedArray\n");
    fs::write("/mnt/here/conf", "MONITORDELAY 1\nMAILADDR root\n").unwrap();
    mail_sink();
    sh(&format!(
        "kill -HUP {id}; {0} --quiet /dev/md0 --remove {1}; wipefs -aq {1}; {0} --quiet /dev/md0 --add {1}",
        env!("CARGO_BIN_EXE_mdadm"),
        d[1]
    ));
    wait_until(LONG, "its rebuild is told", || calls().contains("SpareActive"));
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    wait_until(LONG, "by the new configuration", || fs::read_to_string("/mnt/mails").unwrap().contains("Fail event"));
    sh(&format!("kill {id}"));
}

#[test]
fn health_and_metrics_say_how_the_arrays_are() {
    let d = disks(8, 16 * MIB);
    let health = |args: &str| mdadm(&format!("--health {args}"));
    assert_eq!((health("").status, health("-q").stderr), (0, String::new()));
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm(&format!("--create /dev/md1 --run -l0 -n2 {} {}", d[2], d[3])).ok();
    assert_eq!(health("").ok().stdout, "/dev/md0: ok: raid1, 2 of 2 members\n/dev/md1: ok: raid0\n");
    // an initial build is well
    vm::sync_speed(100, 1000);
    mdadm(&format!("--create /dev/md2 --run -b none -l5 -n3 {} {} {}", d[4], d[5], d[6])).ok();
    wait_until(LONG, "it is built", || vm::mdstat().contains("recovery ="));
    let built = health("/dev/md2");
    assert!(built.status == 0 && built.stdout.contains("2 of 3 members, is being built, slot 2 ("), "{built:?}");
    // so is one that waits for another on the same disks, however long
    let shared = sh("for n in 0 1 2; do truncate -s 24M /mnt/shared$n; printf '2048,20480\\n22528,20480\\n' | sfdisk -q /mnt/shared$n
        losetup -fP --show /mnt/shared$n; done");
    for (array, part) in [("md3", "p1"), ("md4", "p2")] {
        let members = shared.split_whitespace().map(|disk| format!("{disk}{part}")).collect::<Vec<_>>().join(" ");
        mdadm(&format!("--create /dev/{array} --run -b none -l5 -n3 {members}")).ok();
    }
    wait_until(LONG, "it waits", || vm::mdstat().contains("resync=DELAYED"));
    let waits = Monitor::start("--scan --delay=1");
    Monitor::tells("NewArray event detected on md device /dev/md4");
    std::thread::sleep(Duration::from_secs(5));
    let health_of_both = health("/dev/md3 /dev/md4");
    assert!(health_of_both.status == 0 && health_of_both.stdout.contains("slot 2\n"), "{health_of_both:?}");
    assert!(vm::mdstat().contains("resync=DELAYED") && !Monitor::out().contains("Degraded"), "{}", Monitor::out());
    drop(waits);
    ["md2", "md3", "md4"].iter().for_each(|array| vm::wait_sync(array));
    mdadm("--stop /dev/md3 /dev/md4").ok();
    let _monitor = Monitor::start("--scan --metrics=/mnt/md.prom --delay=1");
    Monitor::tells("NewArray event detected on md device /dev/md2");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    let failed = health("");
    assert_eq!(failed.status, 2);
    let line = "/dev/md0: critical: raid1, 1 of 2 members, degraded, slot 1 is missing and nothing rebuilds it, loop1 has failed and is still attached\n";
    assert!(failed.stdout.starts_with(line), "{}", failed.stdout);
    let metrics = || fs::read_to_string("/mnt/md.prom").unwrap_or_default();
    wait_until(LONG, "the failure is counted", || metrics().contains("mdadm_events_total{event=\"Fail\"} 1\n"));
    wait_until(LONG, "the state is written", || {
        metrics().contains("mdadm_array_state{array=\"/dev/md0\",device=\"md0\",state=\"clean\"} 1\n")
    });
    for line in [
        "mdadm_array_degraded{array=\"/dev/md0\",device=\"md0\"} 1",
        "mdadm_array_degraded{array=\"/dev/md2\",device=\"md2\"} 0",
        "mdadm_array_members{array=\"/dev/md0\",device=\"md0\",condition=\"faulty\"} 1",
        "# TYPE mdadm_events_total counter",
    ] {
        assert!(metrics().lines().any(|l| l == line), "{line}:\n{}", metrics());
    }
    // being rebuilt, of a slot that had its data
    vm::sync_speed(100, 1000);
    mdadm(&format!("/dev/md0 --remove {}", d[1])).ok();
    mdadm(&format!("/dev/md0 --add {}", d[7])).ok();
    wait_until(LONG, "it is rebuilt", || vm::mdstat().contains("recovery ="));
    assert_eq!(health("/dev/md0").status, 1);
    // anybody may ask; who does not know what the monitor saw takes no rebuild for a first build
    sh(&format!("cp {} /tmp/mdadm; chmod 755 /tmp/mdadm", env!("CARGO_BIN_EXE_mdadm")));
    let nobody = |args: &str| {
        let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "/tmp/mdadm", "--health"];
        run("setpriv", &words.into_iter().chain(args.split_whitespace()).collect::<Vec<_>>(), "")
    };
    let seen = nobody("/dev/md0");
    assert!(
        seen.status == 1
            && seen.stdout.contains("/dev/md0: warning: raid1, 1 of 2 members, degraded, slot 1 is being rebuilt"),
        "{seen:?}"
    );
    vm::wait_sync("md0");
    assert_eq!(health("/dev/md0").status, 0);
    // what is in the configuration and not there at all, under whichever name
    let known = format!(
        "ARRAY /dev/md/other UUID={}\nARRAY <ignore> UUID=11111111:11111111:11111111:11111111\nARRAY /dev/md0 devices=/dev/x\n",
        uuid_of("/dev/md1")
    );
    let foreign = "ARRAY metadata=imsm UUID=22222222:22222222:22222222:22222222\nARRAY /dev/md/v container=22222222:22222222:22222222:22222222 member=0 UUID=33333333:33333333:33333333:33333333\n";
    fs::write("/etc/mdadm.conf", format!("{known}{foreign}")).unwrap();
    assert_eq!((health("").status, nobody("").status), (0, 0));
    fs::write(
        "/etc/mdadm.conf",
        format!("{known}ARRAY gone UUID=44444444:44444444:44444444:44444444\nARRAY /dev/md77 devices=/dev/x\n"),
    )
    .unwrap();
    let gone = "/dev/md/gone: critical: is in the configuration, and is not there\n/dev/md77: critical: is in the configuration, and is not there\n";
    assert!(health("").status == 2 && health("").stdout.ends_with(gone), "{}", health("").stdout);
    fs::remove_file("/etc/mdadm.conf").unwrap();
    // what was not started, what is gone, what is no array
    mdadm("--stop /dev/md2").ok();
    assert_eq!(mdadm(&format!("--incremental {}", d[4])).status, 0);
    let inactive = health("--json");
    assert_eq!(inactive.status, 2);
    let json: serde_json::Value = serde_json::from_str(&inactive.stdout).unwrap();
    let one = json.as_array().unwrap().iter().find(|a| a["status"] == "critical").unwrap();
    assert_eq!((&one["schema"], &one["raid_devices"]), (&"mdadm-rs/health/1".into(), &0.into()));
    is_documented(one);
    assert!(one["reasons"][0].as_str().unwrap().starts_with("is not started"));
    assert_eq!(health("/dev/md7").stdout, "/dev/md7: critical: there is no such array\n");
    // a full disk: said once, and the monitor goes on; the file stays as it was, and is new again when there is room
    sh(
        "mkdir /mnt/full; mount -t tmpfs -o size=8k tmpfs /mnt/full; echo before >/mnt/full/md.prom; head -c 4096 /dev/zero >/mnt/full/x",
    );
    drop(_monitor);
    let _monitor = Monitor::start("--scan --metrics=/mnt/full/md.prom --delay=1");
    wait_until(LONG, "it is said", || fs::read_to_string("/mnt/err").unwrap().contains("No space left on device"));
    mdadm(&format!("/dev/md0 --fail {}", d[7])).ok();
    Monitor::tells("Fail");
    assert_eq!(fs::read_to_string("/mnt/err").unwrap().matches("No space left").count(), 1);
    assert_eq!(sh("cat /mnt/full/md.prom; ls -A /mnt/full"), "before\nmd.prom\nx\n");
    sh("mount -o remount,size=64k /mnt/full");
    let counts = || fs::read_to_string("/mnt/full/md.prom").unwrap().contains("mdadm_events_total{event=\"Fail\"} 1\n");
    wait_until(LONG, "it is written", counts);
}

#[test]
fn a_check_goes_on_where_it_was_left_and_counts_only_when_it_is_complete() {
    let d = disks(5, 16 * MIB);
    let check = |args: &str| mdadm(&format!("--check={args}"));
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm(&format!("--create /dev/md1 --run --assume-clean -b none -l5 -n3 {} {} {}", d[2], d[3], d[4])).ok();
    assert_eq!(check("status /dev/md0").ok().stdout, "/dev/md0: never checked to the end\n");
    // 1 MiB near the end of one copy
    sh(&format!("yes | dd of={} bs=1M seek=13 count=1 iflag=fullblock oflag=direct status=none", d[0]));
    let first = check("start --check-time=1s --check-speed=1000 /dev/md0").ok().stdout;
    let at =
        |text: &str| text.split("sector ").nth(1).unwrap().split([' ', ';']).next().unwrap().parse::<u64>().unwrap();
    assert!(first.starts_with("mdadm: /dev/md0: the check was interrupted at sector "), "{first}");
    assert!(at(&first) > 0 && at(&first) < 20_000, "{first}");
    let status = check("status /dev/md0").ok().stdout;
    assert!(status.ends_with("never checked to the end\n") && at(&status) == at(&first), "{status}");
    assert_eq!((attr("md0", "sync_min"), attr("md0", "sync_max")), ("0".into(), "max".into()));
    assert!(attr("md0", "sync_speed_max").ends_with("(system)"));
    // interrupted by a signal, further on
    let child = Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(["--check=start", "--check-speed=1000", "/dev/md0"])
        .stdout(File::create("/mnt/out").unwrap())
        .spawn()
        .unwrap();
    let mut child = Monitor(child);
    wait_until(LONG, "it is checked further", || {
        let done = attr("md0", "sync_completed");
        done.split(' ').next().unwrap().parse::<u64>().is_ok_and(|n| n > at(&first))
    });
    sh(&format!("kill -TERM {}", child.0.id()));
    wait_until(LONG, "it ends", || child.ended().is_some());
    assert_eq!(child.ended(), Some(0));
    assert!(at(&Monitor::out()) > at(&first), "{}", Monitor::out());
    // to the end: all that differed, in whichever part
    let last = check("continue --scan").ok().stdout;
    assert!(last.starts_with("mdadm: /dev/md0: checked, 2048 sectors differ: on mirrors "), "{last}");
    assert!(check("status /dev/md0").ok().stdout.ends_with(", 2048 sectors differed\n"));
    // parity that does not fit is a failure; a degraded array is left out
    let differ = |mib: u64, bytes: u64| {
        let at = format!("bs=4k seek={} count={}", mib * 256, bytes / 4096);
        sh(&format!("yes | dd of={} {at} iflag=fullblock oflag=direct status=none", d[2]));
        let data = attr("md1", &format!("dev-{}/offset", d[2].trim_start_matches("/dev/"))).parse::<u64>().unwrap();
        mib * 2048 - data
    };
    let start = differ(13, 8192);
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    let all = check("start --scan");
    assert_eq!(all.status, 1);
    assert!(
        all.stdout.starts_with("mdadm: /dev/md1: checked, ") && all.stdout.contains("parity does not fit"),
        "{all:?}"
    );
    assert!(all.stderr.contains("/dev/md0 is not checked: is degraded"), "{all:?}");
    // which sectors, from the kernel log: all of them, or where it leaves out some, that it does
    let known =
        format!("  sectors {start} to {} of each member's data\n  so the kernel log; these are all\n", start + 15);
    assert!(all.stdout.ends_with(&known) && check("status /dev/md1").ok().stdout.ends_with(&known), "{all:?}");
    differ(8, MIB);
    // a limit that was set for this array stays
    vm::set_attr("md1", "sync_speed_max", "1000000");
    let many = check("start /dev/md1").stdout;
    assert_eq!(attr("md1", "sync_speed_max"), "1000000 (local)");
    assert!(many.contains(" 2064 sectors differ") && many.contains(" of 2064\n"), "{many}");
    // stopped by another command
    let started = Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(["--check=start", "--check-speed=1000", "/dev/md1"])
        .stdout(File::create("/mnt/out").unwrap())
        .spawn()
        .unwrap();
    let mut started = Monitor(started);
    wait_until(LONG, "it is checked", || attr("md1", "sync_action") == "check");
    assert!(check("status /dev/md1").ok().stdout.starts_with("/dev/md1: is being checked"));
    assert_eq!(check("stop --scan --plan").ok().stdout, "sysfs  md1/md/sync_action = idle\n");
    assert!(
        mdadm("--check=start --plan /dev/md1").stderr.contains("/dev/md1 is not checked: is being checked already")
    );
    assert_eq!(attr("md1", "sync_action"), "check");
    check("stop --scan").ok();
    wait_until(LONG, "it ends", || started.ended().is_some());
    assert!(Monitor::out().contains("was interrupted"), "{}", Monitor::out());
    let json: serde_json::Value = serde_json::from_str(&check("status --json /dev/md1").ok().stdout).unwrap();
    assert_eq!((&json[0]["schema"], json[0]["complete"].as_array().unwrap().len()), (&"mdadm-rs/check/1".into(), 2));
    is_documented(&json[0]);
    let complete = &json[0]["complete"];
    assert_eq!(complete[0]["differing"], serde_json::json!([[start, start + 16]]));
    assert_eq!((&complete[0]["differing_are_all"], &complete[1]["differing_are_all"]), (&true.into(), &false.into()));
    // a place past the end, or of another size, is none to go on from
    let file = "/var/lib/mdadm-rs/checks.json";
    let text = fs::read_to_string(file).unwrap().replace("\"done_sectors\": ", "\"done_sectors\": 9999999999");
    fs::write(file, text).unwrap();
    let anew = check("start --check-time=1s --check-speed=1000 --json /dev/md1").ok().stdout;
    let anew: serde_json::Value = serde_json::from_str(&anew).unwrap();
    let (done, result) = (&anew[0], &anew[0]["checks"][0]);
    assert_eq!(
        (&done["schema"], &done["command"], &done["changed"]),
        (&"mdadm-rs/done/1".into(), &"check".into(), &true.into())
    );
    let text = done["messages"][0].as_str().unwrap();
    assert!(at(text) < 20_000 && result["done_sectors"] == at(text) && result["complete"] == false, "{anew}");
    assert_eq!(attr("md1", "sync_speed_max"), "1000000 (local)");
    // stopped with its array: the kernel forgets the limits then too, and that is no end
    let started = Command::new(env!("CARGO_BIN_EXE_mdadm"))
        .args(["--check=start", "--check-speed=1000", "/dev/md1"])
        .stdout(File::create("/mnt/out").unwrap())
        .stderr(File::create("/mnt/err").unwrap())
        .spawn()
        .unwrap();
    let mut started = Monitor(started);
    wait_until(LONG, "it is checked", || attr("md1", "sync_action") == "check");
    mdadm("--stop /dev/md1").ok();
    wait_until(LONG, "it ends", || started.ended().is_some());
    assert_eq!(started.ended(), Some(0));
    // the check ends first, and with luck that is seen
    let said = Monitor::out() + &fs::read_to_string("/mnt/err").unwrap();
    let stopped = "mdadm: /dev/md1 was stopped; its check goes on from where it was last seen\n";
    assert!(said == stopped || said.starts_with("mdadm: /dev/md1: the check was interrupted at sector "), "{said}");
    mdadm(&format!("--assemble /dev/md1 {} {} {}", d[2], d[3], d[4])).ok();
    let json: serde_json::Value = serde_json::from_str(&check("status --json /dev/md1").ok().stdout).unwrap();
    assert_eq!(json[0]["complete"].as_array().unwrap().len(), 2, "{json}");
    assert!(json[0]["unfinished"]["done_sectors"].as_u64() >= Some(at(text)), "{json}");
}

#[test]
fn priorities_for_syslog_and_steps_of_progress_of_a_live_monitor_are_the_references() {
    let d = disks(3, 104 * MIB);
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b internal -l1 -n2 {} {}", d[0], d[1])).ok();
    fs::write("/etc/mdadm.conf", format!("ARRAY /dev/md0 UUID={} spares=1\n", uuid_of("/dev/md0"))).unwrap();
    let log = UnixDatagram::bind("/dev/log").unwrap();
    log.set_nonblocking(true).unwrap();
    // By process: priority and event.
    let mut told = Vec::<(u32, String)>::new();
    let mut hear = || {
        let mut bytes = [0u8; 512];
        while let Ok(n) = log.recv(&mut bytes) {
            let line = String::from_utf8_lossy(&bytes[..n]).trim_end().to_owned();
            let (head, message) = line.split_once("]: ").unwrap();
            let (head, pid) = head.rsplit_once(" mdadm[").unwrap();
            told.push((pid.parse().unwrap(), format!("{}>{message}", head.split_once('>').unwrap().0)));
        }
        told.clone()
    };
    let start = |program: &str, increment: u32| {
        let mut command = Command::new(program);
        command.args(["--monitor", "--scan", "--syslog", "--no-sharing", "--delay=1", "--test"]);
        command.arg(format!("--increment={increment}"));
        Monitor(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let increments = [1, 5, 99];
    let programs = [env!("CARGO_BIN_EXE_mdadm"), vm::reference_path()];
    let monitors: Vec<Monitor> = programs.iter().flat_map(|p| increments.map(|n| start(p, n))).collect();
    let mut tell = |whom: &[Monitor], what: &str| {
        let mut all = Vec::new();
        wait_until(LONG, &format!("all tell {what}"), || {
            all = hear();
            whom.iter().all(|m| all.iter().any(|(pid, l)| *pid == m.0.id() && l.contains(what)))
        });
        all
    };
    tell(&monitors, ">TestMessage ");
    tell(&monitors, ">SparesMissing ");
    // A check that stands still where it is told to; /proc/mdstat counts in MiB.
    vm::sync_speed(1_000_000, 2_000_000);
    let units = attr("md0", "component_size").parse::<u64>().unwrap() / 512;
    let stand = |percent: u64| {
        let at = (percent * (units + 1)).div_ceil(100);
        assert!(at < units && at * 100 / (units + 1) == percent, "{percent} of {units}");
        vm::set_attr("md0", "sync_max", &(at * 1024).to_string());
    };
    stand(25);
    vm::set_attr("md0", "sync_action", "check");
    tell(&monitors, ">RebuildStarted ");
    for percent in [40, 99] {
        stand(percent);
        monitors
            .chunks(3)
            .for_each(|of| drop(tell(if percent == 99 { of } else { &of[..2] }, &format!(">Rebuild{percent} "))));
    }
    vm::set_attr("md0", "sync_max", "max");
    tell(&monitors, ">RebuildFinished ");
    mdadm(&format!("/dev/md0 --fail {}", d[1])).ok();
    tell(&monitors, ">Fail ");
    mdadm(&format!("/dev/md0 --remove {0} --add {0}", d[1])).ok();
    tell(&monitors, ">SpareActive ");
    mdadm(&format!("--create /dev/md1 --run -b none -l1 -n2 {} missing", d[2])).ok();
    tell(&monitors, ">DegradedArray ");
    mdadm("--stop /dev/md1").ok();
    let all = tell(&monitors, ">DeviceDisappeared ");
    // A look may fall between two places where it stands. Which slots are missing is said by ours only.
    let is_sure = |l: &str| {
        let step = l.split(">Rebuild").nth(1).is_some_and(|l| l.starts_with(|c: char| c.is_ascii_digit()));
        !l.contains(": slot ") && (!step || l.contains(">Rebuild40 ") || l.contains(">Rebuild99 "))
    };
    let of = |n: usize| {
        let mine = all.iter().filter(|(pid, l)| *pid == monitors[n].0.id() && is_sure(l));
        mine.map(|(_, l)| l.as_str()).collect::<std::collections::BTreeSet<_>>()
    };
    for (n, increment) in increments.into_iter().enumerate() {
        let (ours, theirs) = (of(n), of(n + 3));
        assert_eq!(ours, theirs, "--increment={increment}");
        let steps = ours.iter().filter(|l| l.contains(">Rebuild40 ") || l.contains(">Rebuild99 ")).count();
        assert_eq!((ours.len(), steps), (9 + steps, if increment == 99 { 1 } else { 2 }), "{ours:?}");
        assert!(ours.contains("<28>SparesMissing event detected on md device /dev/md0"), "{ours:?}");
    }
}

#[test]
fn a_check_never_counts_that_was_killed_or_lost_a_member() {
    let d = disks(7, 16 * MIB);
    let check = |args: &str| mdadm(&format!("--check={args}"));
    let start = |array: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdadm"));
        command.args(["--check=start", "--check-speed=1000", array]);
        command.stdout(File::create("/mnt/out").unwrap()).stderr(File::create("/mnt/err").unwrap());
        let checker = Monitor(command.spawn().unwrap());
        let kname = array.trim_start_matches("/dev/");
        wait_until(LONG, "it is checked", || attr(kname, "sync_action") == "check");
        wait_until(LONG, "it has begun", || {
            attr(kname, "sync_completed").starts_with(|c: char| ('1'..='9').contains(&c))
        });
        checker
    };
    let kept = |array: &str| -> serde_json::Value {
        let json: serde_json::Value =
            serde_json::from_str(&check(&format!("status --json {array}")).ok().stdout).unwrap();
        json[0].clone()
    };
    mdadm(&format!("--create /dev/md0 --run --assume-clean -b none -l1 -n2 {} {}", d[0], d[1])).ok();
    mdadm(&format!("--create /dev/md1 --run --assume-clean -b none -l5 -n3 -x1 {}", d[2..6].join(" "))).ok();
    // Killed: the kernel goes on, and nobody saw what it found. What was set goes with --check=stop, or with the next check.
    drop(start("/dev/md0"));
    assert!(check("status /dev/md0").ok().stdout.starts_with("/dev/md0: is being checked, at sector "));
    let second = check("start /dev/md0");
    assert_eq!(
        (second.status, second.stderr.as_str()),
        (1, "mdadm: /dev/md0 is not checked: is being checked already\n")
    );
    assert_eq!(attr("md0", "sync_speed_max"), "1000 (local)");
    check("stop /dev/md0").ok();
    let left = ["sync_speed_max", "sync_min", "sync_max"].map(|name| attr("md0", name));
    assert!(left[0].ends_with("(system)") && left[1..] == ["0", "max"], "{left:?}");
    assert!(kept("/dev/md0")["complete"].as_array().unwrap().is_empty());
    drop(start("/dev/md0"));
    vm::set_attr("md0", "sync_action", "idle");
    wait_until(LONG, "it ends", || attr("md0", "sync_action") == "idle");
    assert!(kept("/dev/md0")["complete"].as_array().unwrap().is_empty());
    assert!(check("start /dev/md0").ok().stdout.contains("checked, 0 sectors differ"));
    assert!(attr("md0", "sync_speed_max").ends_with("(system)"));
    let complete = kept("/dev/md0")["complete"].as_array().unwrap().clone();
    assert_eq!((complete.len(), attr("md0", "sync_min").as_str(), attr("md0", "sync_max").as_str()), (1, "0", "max"));
    // A member fails: the check ends, and the kernel goes on with a recovery, which forgets the limit.
    let mut checker = start("/dev/md1");
    mdadm(&format!("/dev/md1 --fail {}", d[3])).ok();
    wait_until(LONG, "it ends", || checker.ended().is_some());
    assert_eq!(checker.ended(), Some(0));
    assert!(Monitor::out().contains("the check was interrupted at sector "), "{}", Monitor::out());
    assert!(attr("md1", "sync_speed_max").ends_with("(system)") && attr("md1", "sync_max") == "max");
    // While the recovery runs the kernel takes no other sync_min.
    let err = fs::read_to_string("/mnt/err").unwrap();
    assert!(err.is_empty() || err.ends_with("; mdadm --check=stop /dev/md1 does that once nothing runs\n"), "{err}");
    vm::wait_sync("md1");
    check("stop --scan").ok();
    let after = kept("/dev/md1");
    assert!(after["complete"].as_array().unwrap().is_empty() && after["unfinished"].is_object(), "{after}");
    assert_eq!((attr("md1", "sync_min"), attr("md1", "sync_max")), ("0".into(), "max".into()));
    // Nobody waits for the spare: degraded, it is left out, and stays unfinished.
    mdadm(&format!("/dev/md1 --fail {}", d[2])).ok();
    assert!(check("continue --scan").ok().stderr.contains("/dev/md1 is not checked: is degraded"));
    assert_eq!(kept("/dev/md1"), after);
    // What has no uuid keeps no results, and leaves none under another name.
    mdadm("--stop /dev/md1").ok();
    mdadm(&format!("--build /dev/md2 -l1 -n2 {} {}", d[5], d[6])).ok();
    vm::wait_sync("md2");
    let built = check("start /dev/md2");
    assert!(
        built.status == 1 && built.stderr.contains("/dev/md2 has no uuid (--build makes such arrays)"),
        "{built:?}"
    );
    let scan = check("start --scan").ok();
    assert!(scan.stdout.contains("/dev/md0: checked") && scan.stderr.contains("/dev/md2 has no uuid"), "{scan:?}");
    let told = mdadm("--monitor --scan --oneshot").ok().stdout;
    assert!(told.contains("NewArray event detected on md device /dev/md2"), "{told}");
    assert_eq!(mdadm("--health /dev/md2").ok().stdout, "/dev/md2: ok: raid1, 2 of 2 members\n");
    for file in ["checks.json", "members.json"] {
        let text = fs::read_to_string(format!("/var/lib/mdadm-rs/{file}")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let uuids: Vec<&String> = json["arrays"].as_object().unwrap().keys().collect();
        assert!(uuids.contains(&&uuid_of("/dev/md0")) && !text.contains("00000000:00000000"), "{file}: {text}");
    }
}
