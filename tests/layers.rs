//! Who may import whom, and what a pure module may not touch (the table is in src/lib.rs).
//!
//! It reads the sources as text: tests at the end of a file and comments do not count.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up. `cli::request` is what was asked for, plain data that `plan` and `cmd` read.
const LAYERS: [&[&str]; 5] = [
    &["blockio", "units", "level", "layout", "metadata", "uuid", "error", "time", "cli::request", "cli::mode"],
    &["superblock", "bitmap", "saved", "backup"],
    &["plan", "host", "sysfs", "kernel", "device", "output"],
    &["cli", "cmd", "monitor"],
    &["main", "lib"],
];

/// Pure modules; in `host` and `monitor` only the named files are.
const PURE: [&str; 18] = [
    "blockio",
    "units",
    "level",
    "layout",
    "metadata",
    "uuid",
    "error",
    "time",
    "superblock",
    "bitmap",
    "saved",
    "backup",
    "plan",
    "output",
    "cli",
    "host::conf",
    "host::mdstat",
    "monitor::state",
];

/// What only the shell around the pure modules does: files, processes, environment, clock, randomness, printing.
const IMPURE: [&str; 13] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::os::",
    "SystemTime::now",
    "Instant::now",
    "libc::",
    "nix::",
    "new_v4",
    "println!",
    "print!",
    "dbg!",
];

/// What is tested on the newest kernel is tested on the older one.
#[test]
fn every_kernel_test_runs_on_the_older_kernel_too() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let older = fs::read_to_string(tests.join("older_kernel.rs")).unwrap();
    for entry in fs::read_dir(&tests).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let listed = older.contains(&format!("#[path = \"{name}\"]\nmod {module};\n"));
        assert!(listed || !name.starts_with("kernel_"), "tests/older_kernel.rs lacks {name}");
    }
}

/// The module path of a source file and its text without comments, and without what follows `#[cfg(test)]`.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![src.clone()], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let module = |path: &Path| {
        let name = path.strip_prefix(&src).unwrap().with_extension("").to_str().unwrap().replace('/', "::");
        name.strip_suffix("::mod").map_or(name.clone(), str::to_owned)
    };
    let code = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // The bytes of an OsStr are no file, process or clock.
        let text = text.replace("std::os::unix::ffi", "");
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    };
    files
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs") && !p.ends_with("tests.rs"))
        .map(|p| (module(p), code(p)))
        .collect()
}

/// The most exact name that `names` has for the module path: `host::mdstat` before `host`.
fn covers<'a>(names: impl IntoIterator<Item = &'a &'a str>, module: &str) -> Option<&'a str> {
    let inside = |name: &str| module == name || module.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
    names.into_iter().copied().filter(|name| inside(name)).max_by_key(|name| name.len())
}

fn layer(module: &str) -> Option<usize> {
    let name = covers(LAYERS.iter().copied().flatten(), module)?;
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn no_module_imports_from_a_layer_above_its_own() {
    for (module, code) in sources() {
        let own =
            layer(&module).unwrap_or_else(|| panic!("src/{module} has no layer: add it to LAYERS and src/lib.rs"));
        for import in code.split("crate::").skip(1).chain(code.split("mdadm::").skip(1)) {
            // `use crate::{...}` would hide what it imports from this test
            assert!(!import.starts_with('{'), "{module}: one `use crate::` per module, please");
            let path: String = import.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            if let Some(other) = layer(path.trim_end_matches(':')) {
                assert!(other <= own, "{module} (layer {}) imports crate::{path} (layer {})", own + 1, other + 1);
            }
        }
    }
}

#[test]
fn pure_modules_touch_nothing_outside_themselves() {
    for (module, code) in sources() {
        if covers(&PURE, &module).is_some() {
            for word in IMPURE.iter().chain(&["unsafe "]) {
                assert!(!code.contains(word), "{module} is pure, and has {word}");
            }
        }
    }
}

#[test]
fn unsafe_stands_in_the_kernel_module_only_and_the_end_of_the_process_in_main() {
    for (module, code) in sources() {
        assert!(module.starts_with("kernel") || !code.contains("unsafe {"), "{module} has unsafe");
        assert!(module == "main" || !code.contains("process::exit"), "{module} ends the process");
        assert!(module != "main" || code.lines().count() <= 40, "main.rs: at most 40 lines");
    }
}
