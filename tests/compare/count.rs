//! How many cases each option has; an option that exists without a case fails.

use std::collections::BTreeMap;
use std::ffi::OsString;

use mdadm::cli::table::TABLE;
use mdadm::cli::token::{Token, Tokens};

use super::case::{self, Case};
use super::deliberate;

/// Options of ours are compared with nothing: their own tests are elsewhere.
fn cases() -> Vec<Case> {
    super::FILES.iter().flat_map(|(_, text)| case::parse(text)).collect()
}

/// The long names of the options in a line of a script; none where it does not call mdadm.
fn options(line: &str) -> Vec<&'static str> {
    let mut words = line.split_whitespace().skip_while(|w| *w != "mdadm" && *w != "other");
    if words.next().is_none() {
        return Vec::new();
    }
    let words: Vec<OsString> = words.take_while(|w| !w.starts_with(['|', '>', ';', '<'])).map(OsString::from).collect();
    let (mut tokens, mut mode, mut found) = (Tokens::new(&words), None, Vec::new());
    while let Ok(Some(token)) = tokens.next(mode) {
        use mdadm::cli::table::Sets;
        let Token::Option { opt: Some(opt), .. } = token else { continue };
        if let (None, Sets::Always(m) | Sets::First(m)) = (mode, opt.sets) {
            mode = Some(m);
        }
        found.push(opt.long);
    }
    found
}

#[test]
fn every_option_built_so_far_has_a_case() {
    let cases = cases();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        let mut used: Vec<&str> = case.script.lines().flat_map(options).collect();
        used.sort_unstable();
        used.dedup();
        for name in used {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut without = Vec::new();
    for opt in TABLE.iter().filter(|o| !o.ours && !o.later) {
        // synonyms count for each other
        let same = TABLE.iter().filter(|o| o.id == opt.id).filter_map(|o| counts.get(o.long)).sum::<usize>();
        println!("{same:5} cases  --{}", opt.long);
        if same == 0 {
            without.push(opt.long);
        }
    }
    println!("{:5} cases in total, {} deliberate differences", cases.len(), deliberate::all().len());
    assert!(without.is_empty(), "without a case: {without:?}");
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
