//! What a case is and how it is written down.
//!
//! ```text
//! case raid1 {meta} {bitmap}           a name; {x} is replaced by each alternative of `each x`
//! each meta: 1.0 | 1.1 | 1.2
//! each bitmap: none | internal
//! disks 16M 16M 20M                    sizes of $A, $B, $C, ...; four of 16M where the line is missing
//! compare stderr events uuid           what is compared else: every line of stderr, event counts, the array's uuid. `own-words`:
//!                                      nothing of stderr; `status`: exit statuses and stderr alone
//!     mdadm --create /dev/md0 --run -l1 -n2 -e {meta} -b {bitmap} $A $B
//!     see cat /sys/block/md0/md/metadata_version
//! ```
//!
//! Indented lines are a bash script, run once with ours and once with the reference as `mdadm`; `see` records what another
//! command prints. A script that calls `other` is run four times, both programs in both parts: cross-assembly.

/// One case, its alternatives filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Unique over all files.
    pub name: String,
    /// Bytes of each disk.
    pub disks: Vec<u64>,
    /// Extras of the `compare` line.
    pub compare: Vec<String>,
    /// The script.
    pub script: String,
}

impl Case {
    /// Whether the `compare` line names it.
    pub fn compares(&self, what: &str) -> bool {
        self.compare.iter().any(|w| w == what)
    }

    /// Whether the second program takes part.
    pub fn crosses(&self) -> bool {
        self.script.lines().any(|l| l.split_whitespace().any(|w| w == "other"))
    }
}

/// All cases of a file, in order.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut block: Vec<&str> = Vec::new();
    for line in text.lines().chain(["case"]) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if line.starts_with("case") && !block.is_empty() {
            cases.extend(expand(&block.join("\n")).iter().map(|b| one(b)));
            block.clear();
        }
        block.push(line);
    }
    cases
}

/// Fills in the alternatives of each `each` line, one after the other.
fn expand(block: &str) -> Vec<String> {
    let Some(line) = block.lines().find(|l| l.starts_with("each ")) else { return vec![block.to_owned()] };
    let (key, values) = line["each ".len()..].split_once(':').expect("each KEY: A | B");
    let rest: String = block.lines().filter(|l| *l != line).map(|l| format!("{l}\n")).collect();
    let key = format!("{{{}}}", key.trim());
    values.split('|').flat_map(|v| expand(&rest.replace(&key, v.trim()))).collect()
}

fn one(block: &str) -> Case {
    let mut case = Case { name: String::new(), disks: vec![16 << 20; 4], compare: Vec::new(), script: String::new() };
    for line in block.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            _ if line.starts_with(' ') => case.script.push_str(&format!("{}\n", line.trim())),
            Some("case") => case.name = words.collect::<Vec<_>>().join(" "),
            Some("disks") => case.disks = words.map(size).collect(),
            Some("compare") => case.compare = words.map(str::to_owned).collect(),
            other => panic!("{other:?} in {block}"),
        }
    }
    assert!(!case.name.is_empty() && !case.script.is_empty(), "{block}");
    case
}

fn size(word: &str) -> u64 {
    let (digits, unit) = word.split_at(word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len()));
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        other => panic!("size {other}"),
    };
    digits.parse::<u64>().unwrap() << shift
}
