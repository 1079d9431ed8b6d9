//! How many cases each option has in each of its modes; one that exists without a case fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use mdadm::cli::mode::{ALL, Mode};
use mdadm::cli::table::{Id, Opt, Sets, TABLE};
use mdadm::cli::token::{Token, Tokens};

use super::case::{self, Case};
use super::deliberate;

/// Options of ours are compared with nothing: their own tests are elsewhere.
fn cases() -> Vec<Case> {
    super::FILES.iter().flat_map(|(_, text)| case::parse(text)).collect()
}

/// The options in a line of a script, and the mode of the line; none where it does not call mdadm.
fn options(line: &str) -> Vec<(Mode, Id)> {
    let mut words = line.split_whitespace().skip_while(|w| *w != "mdadm" && *w != "other");
    if words.next().is_none() {
        return Vec::new();
    }
    let words: Vec<OsString> = words.take_while(|w| !w.starts_with(['|', '>', ';', '<'])).map(OsString::from).collect();
    let (mut tokens, mut mode, mut found) = (Tokens::new(&words), None, Vec::new());
    while let Ok(Some(token)) = tokens.next(mode) {
        match token {
            Token::Option { opt: Some(opt), .. } => {
                if let (None, Sets::Always(m) | Sets::First(m)) = (mode, opt.sets) {
                    mode = Some(m);
                }
                found.push(opt.id);
            }
            // as in `mdadm /dev/md0 --add ...`
            Token::Device(_) if mode.is_none() => mode = Some(Mode::Manage),
            _ => {}
        }
    }
    let mode = mode.unwrap_or(Mode::Misc);
    found.into_iter().map(|id| (mode, id)).collect()
}

/// Options of the reference in modes where only ours takes them.
const OURS_THERE: &[(Id, Mode)] = &[(Id::BitmapChunk, Mode::Assemble)];

/// Where an option needs a case of its own: each of its modes; of those that every mode takes, the two that do something in
/// every mode.
fn wanted(opt: &Opt) -> Vec<Mode> {
    let everywhere = opt.modes == ALL && !matches!(opt.id, Id::Verbose | Id::Quiet);
    let theirs = |m: &Mode| opt.modes.has(*m) && !OURS_THERE.contains(&(opt.id, *m));
    Mode::ALL.into_iter().filter(|m| theirs(m) && !everywhere).collect()
}

#[test]
fn every_option_has_a_case_in_each_of_its_modes() {
    let cases = cases();
    let mut counts: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for case in &cases {
        let used: BTreeSet<(&str, u16)> =
            case.script.lines().flat_map(options).map(|(mode, id)| (name(id), mode as u16)).collect();
        used.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
    }
    let mut without = Vec::new();
    for opt in TABLE.iter().filter(|o| !o.ours && !o.later && o.long == name(o.id)) {
        let count = |mode: &Mode| counts.get(&(opt.long, *mode as u16)).copied().unwrap_or(0);
        let all = Mode::ALL.map(|m| format!("{m} {}", count(&m)));
        println!(
            "--{:<20} {}",
            opt.long,
            all.iter().filter(|c| !c.ends_with(" 0")).cloned().collect::<Vec<_>>().join(", ")
        );
        without.extend(wanted(opt).iter().filter(|m| count(m) == 0).map(|m| format!("--{} of {m}", opt.long)));
        if Mode::ALL.iter().all(|m| count(m) == 0) {
            without.push(format!("--{}", opt.long));
        }
    }
    println!("{:5} cases in total, {} deliberate differences", cases.len(), deliberate::all().len());
    assert!(without.is_empty(), "without a case: {without:#?}");
}

/// The first of an option's synonyms: they count for each other.
fn name(id: Id) -> &'static str {
    mdadm::cli::table::long_of(id).unwrap()
}

#[test]
fn names_of_cases_are_unique_and_deliberate_differences_name_one_each() {
    let cases = cases();
    let mut names: Vec<&str> = cases.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0]).collect();
    assert!(twice.is_empty(), "two cases of one name: {twice:?}");
    let meant = deliberate::all();
    assert!(meant.len() <= 40, "{} deliberate differences, 40 are the limit", meant.len());
    for d in &meant {
        assert!(names.contains(&d.case), "differences.txt names no case: {}", d.case);
        assert!(!d.reason.is_empty() && !d.test.is_empty(), "{}: a reason and a test", d.case);
    }
}
