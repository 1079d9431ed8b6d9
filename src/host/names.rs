//! What a typed name of an array means, and which number an array gets.
//!
//! Learned from the reference by trying: `/dev/md5` and `/dev/md/5` (and bare `5` or `d5`) ask for number 5; `/dev/md/foo`, bare
//! `foo` and even bare `md5` are names, which get a free number from 127 down and a link in `/dev/md`; one that is assembled under such
//! a name gets the number that its own name asks for, if it is free. Any other path is refused.

use std::path::{Path, PathBuf};

use super::Host;
use super::devmap::block_dev;
use super::map::MapEntry;
use crate::error::Refusal;

/// Most bytes of an array's name: the field of the superblock.
pub const NAME_BYTES: usize = 32;
/// Block devices of this major number are arrays (`MD_MAJOR`).
pub const MD_MAJOR: u32 = 9;
/// Numbers that can be taken freely start here and go down to 0.
const FIRST_FREE: u32 = 127;
/// Then from here down.
const LAST_FREE: u32 = 511;
/// The highest number that a kernel takes (`MINORMASK`).
pub const MAX_NUMBER: u32 = (1 << 20) - 1;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedName {
    /// The path to show: `/dev/md5`, `/dev/md/foo`.
    pub path: PathBuf,
    /// The number asked for.
    pub number: Option<u32>,
    /// The name for the superblock where no `--name` was given: `5`, `foo`, `d5`.
    pub name: String,
}

/// Reads the name of an array that is to be made.
///
/// # Errors
/// A refusal with the reference's words for a path that cannot be an array's.
pub fn parse(typed: &str) -> Result<TypedName, Refusal> {
    let name = match typed.strip_prefix("/dev/") {
        Some(rest) => match rest.strip_prefix("md/") {
            Some(name) => name,
            None => return parse_node(typed, rest),
        },
        None => typed,
    };
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(bad_value(name, "devname", "Too long or empty."));
    }
    if name.contains('/') || name == "." || name == ".." || name.contains('\0') {
        return Err(Refusal::new(format!("{typed} is an invalid name for an md device.")));
    }
    // `d5` is what partitionable arrays were called.
    let digits = name.strip_prefix('d').unwrap_or(name);
    Ok(TypedName { path: Path::new("/dev/md").join(name), number: number(digits)?, name: name.to_owned() })
}

/// Refuses a path for an array that leads to something else already, such as a member that was put in its place.
///
/// # Errors
/// A refusal with the reference's words.
pub fn refuse_other(host: &Host, typed: &Path) -> Result<(), Refusal> {
    let is_name = typed.components().count() < 2;
    if is_name || typed.metadata().is_err() {
        return Ok(());
    }
    let is_array = block_dev(typed).is_some_and(|dev| match host.sysfs.disk_name(dev) {
        Some(disk) => disk.starts_with("md"),
        None => dev.0 == MD_MAJOR,
    });
    if is_array || typed == Path::new("/dev/md/") {
        return Ok(());
    }
    Err(Refusal::new(format!("device {} exists but is not an md array.", typed.display())))
}

/// `/dev/md5`, `/dev/md_d5`, or something that is no array's.
fn parse_node(typed: &str, rest: &str) -> Result<TypedName, Refusal> {
    if rest == "md" {
        return Err(Refusal::new("device /dev/md exists but is not an md array."));
    }
    let digits = rest.strip_prefix("md_d").or_else(|| rest.strip_prefix("md"));
    let name = rest.strip_prefix("md_").or(digits);
    if let (Some(digits), Some(name)) = (digits, name)
        && let Some(number) = number(digits)?
    {
        return Ok(TypedName { path: typed.into(), number: Some(number), name: name.to_owned() });
    }
    let hint = if rest.contains('/') { String::new() } else { format!("  Try /dev/md/{rest}") };
    Err(Refusal::new(format!("{typed} is an invalid name for an md device.{hint}")))
}

/// The number that a word of digits only is.
fn number(word: &str) -> Result<Option<u32>, Refusal> {
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match word.parse::<u32>() {
        Ok(n) if n <= MAX_NUMBER => Ok(Some(n)),
        _ => Err(Refusal::new(format!("failed to create /dev/md{word}"))
            .hint(format!("numbers of md devices go up to {MAX_NUMBER}"))),
    }
}

/// The reference's words for a value that cannot be set.
#[must_use]
pub fn bad_value(value: &str, what: &str, reason: &str) -> Refusal {
    Refusal::new(format!("Value \"{value}\" cannot be set as {what}. Reason: {reason}"))
}

/// The number in a kernel name (`md127` is 127); `None` for any other name.
#[must_use]
pub fn number_of(devname: &str) -> Option<u32> {
    let digits = devname.strip_prefix("md")?;
    let digits = digits.strip_prefix("_d").unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|n| *n <= MAX_NUMBER)
}

/// Whether a word is the kernel name of an array: `md5`, `md_d5`, `md_foo`.
#[must_use]
pub fn is_kernel_name(word: &str) -> bool {
    number_of(word).is_some()
        || word.strip_prefix("md_").is_some_and(|r| !r.is_empty() && !r.contains('/') && r.len() + 3 < NAME_BYTES)
}

/// The name of the link in `/dev/md` for an array that is found running: its own name without the host's where it is local,
/// with it where it is not; its number where it has no name.
#[must_use]
pub fn link_name(name: Option<&[u8]>, host: &str, number: u32) -> String {
    let text = name.map(|n| String::from_utf8_lossy(n).replace(['/', '\0'], "_")).filter(|n| !n.is_empty());
    let Some(text) = text else { return number.to_string() };
    match text.split_once(':') {
        Some((h, rest)) if h == host && !rest.is_empty() => rest.to_owned(),
        _ => text,
    }
}

/// The highest free number: none that the kernel, the map file or `/dev` knows.
#[must_use]
pub fn free_number(host: &Host, map: &[MapEntry]) -> Option<u32> {
    let taken = |n: &u32| is_number_taken(host, map, *n) || host.dev.join(format!("md{n}")).symlink_metadata().is_ok();
    (0..=FIRST_FREE).rev().chain((FIRST_FREE + 1..=LAST_FREE).rev()).find(|n| !taken(n))
}

/// Whether the kernel has an array of this number, or the map file an entry for one.
#[must_use]
pub fn is_number_taken(host: &Host, map: &[MapEntry], number: u32) -> bool {
    let devname = format!("md{number}");
    host.sysfs.array(&devname).exists() || map.iter().any(|e| e.devname == devname)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_names_mean_what_they_mean_to_the_reference() {
        for (typed, path, number, name) in [
            ("/dev/md5", "/dev/md5", Some(5), "5"),
            ("/dev/md/8", "/dev/md/8", Some(8), "8"),
            ("12", "/dev/md/12", Some(12), "12"),
            ("/dev/md_d5", "/dev/md_d5", Some(5), "d5"),
            ("/dev/md/foo", "/dev/md/foo", None, "foo"),
            ("foo", "/dev/md/foo", None, "foo"),
            ("md7", "/dev/md/md7", None, "md7"),
            ("d7", "/dev/md/d7", Some(7), "d7"),
            ("md_foo", "/dev/md/md_foo", None, "md_foo"),
            ("/dev/md/12a", "/dev/md/12a", None, "12a"),
            ("/dev/md/a b", "/dev/md/a b", None, "a b"),
            ("/dev/md1048575", "/dev/md1048575", Some(1_048_575), "1048575"),
        ] {
            let want = TypedName { path: path.into(), number, name: name.into() };
            assert_eq!(parse(typed).unwrap(), want, "{typed}");
        }
    }

    #[test]
    fn other_paths_are_refused_in_the_words_of_the_reference() {
        for (typed, message) in [
            ("/dev/md_foo", "/dev/md_foo is an invalid name for an md device.  Try /dev/md/md_foo"),
            ("/dev/foo", "/dev/foo is an invalid name for an md device.  Try /dev/md/foo"),
            ("/dev/md_d5p1", "/dev/md_d5p1 is an invalid name for an md device.  Try /dev/md/md_d5p1"),
            ("/dev/md/a/b", "/dev/md/a/b is an invalid name for an md device."),
            ("./foo", "./foo is an invalid name for an md device."),
            ("/dev/md/", "Value \"\" cannot be set as devname. Reason: Too long or empty."),
        ] {
            assert_eq!(parse(typed).unwrap_err().lines[0], message);
        }
        assert!(parse(&"a".repeat(32)).is_ok());
        assert!(parse(&"a".repeat(33)).is_err());
        assert!(parse("/dev/md1048576").is_err());
    }

    #[test]
    fn kernel_names_have_their_numbers() {
        assert_eq!(
            (number_of("md127"), number_of("md_d5"), number_of("md"), number_of("mdx1")),
            (Some(127), Some(5), None, None)
        );
        assert_eq!(number_of("md99999999999"), None);
        assert!(is_kernel_name("md_foo") && !is_kernel_name("foo") && !is_kernel_name("md_a/b"));
    }

    #[test]
    fn a_running_array_gets_the_link_that_the_reference_gives_it() {
        for (name, want) in [
            (Some(&b"myhost:5"[..]), "5"),
            (Some(b"myhost:foo"), "foo"),
            (Some(b"other:foo"), "other:foo"),
            (Some(b"foo"), "foo"),
            (Some(b"myhost:a/b"), "a_b"),
            (Some(b""), "124"),
            (None, "124"),
        ] {
            assert_eq!(link_name(name, "myhost", 124), want);
        }
    }

    #[test]
    fn a_number_is_free_when_neither_kernel_nor_map_nor_dev_has_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/block/md127/md")).unwrap();
        std::fs::create_dir_all(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/md125"), "").unwrap();
        let host = Host {
            sysfs: crate::sysfs::Sysfs::at(root.path().join("sys")),
            dev: root.path().join("dev"),
            ..Host::default()
        };
        let map = super::super::map::parse("md126 1.2 0:0:0:0 /dev/md/foo\n");
        assert_eq!(free_number(&host, &map), Some(124));
        assert_eq!(free_number(&host, &[]), Some(126));
    }

    proptest::proptest! {
        #[test]
        fn no_typed_name_leaves_dev_md(typed in "(/dev/|md|/|\\.|_d|[0-9]{1,12}|[a-z ]|.){0,12}") {
            if let Ok(name) = parse(&typed) {
                let inside = name.path.strip_prefix("/dev").unwrap();
                proptest::prop_assert!(inside.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                proptest::prop_assert!(inside.components().count() <= 2);
            }
        }
    }
}
