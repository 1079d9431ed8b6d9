//! `--examine-bitmap`: what the bitmaps on members and in bitmap files say.

mod differences;
pub(super) mod find;
mod view;

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::cli::request::MiscRequest;
use crate::cmd::print;
use crate::error::Exit;
use crate::host::Host;
use crate::kernel::term;
use crate::output::escape;
use crate::output::examine_bitmap::map::Screen;
use crate::output::examine_bitmap::{self as output, BitmapView, Body};

/// A device named, and what came of it.
struct Examined {
    shown: String,
    view: Option<BitmapView>,
    /// Lines for stderr; any of them makes the status 1.
    errors: Vec<String>,
}

/// Lines and columns where no terminal says otherwise.
const SCREEN: (usize, usize) = (80, 24);
/// To the start of a terminal, with nothing on it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Examines once, or with `--watch` again and again until something fails.
pub fn run(request: &MiscRequest) -> Exit {
    let Some(seconds) = request.watch else { return once(request) };
    loop {
        if std::io::stdout().is_terminal() {
            print::out(CLEAR);
        }
        let exit = once(request);
        if exit != Exit::OK {
            return exit;
        }
        std::thread::sleep(Duration::from_secs(seconds.into()));
    }
}

/// The terminal that the map is drawn for.
fn screen() -> Screen {
    let stdout = std::io::stdout();
    let (columns, lines) = term::size(&stdout).unwrap_or(SCREEN);
    Screen { columns, lines, colour: stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none() }
}

/// Examines all devices named: several members of one array are held against each other.
fn once(request: &MiscRequest) -> Exit {
    let host = Host::default();
    let paths: Vec<&Path> = request.items.iter().map(|(_, path)| path.as_path()).collect();
    if paths.is_empty() {
        print::complain("No devices given.");
        return Exit::USAGE;
    }
    let mut found = Vec::new();
    let mut order = Vec::new();
    for path in paths {
        let shown = escape::text(path.as_os_str().as_bytes());
        let result = find::find(&host, path, &shown, request.common.metadata);
        order.push((
            shown,
            result.map(|f| {
                found.push(f);
                found.len() - 1
            }),
        ));
    }
    let newest = differences::newest_events(&found);
    let mut examined: Vec<Examined> = order
        .into_iter()
        .map(|(shown, result)| match result.map(|n| found.get(n)) {
            Ok(Some(f)) => view::view(&host, request, f, shown, &newest),
            Ok(None) => Examined { shown, view: None, errors: Vec::new() },
            Err(errors) => Examined { shown, view: None, errors },
        })
        .collect();
    let warnings = differences::find(&found, &mut examined);
    show(request, &examined);
    warnings.iter().for_each(print::complain);
    if examined.iter().any(|e| !e.errors.is_empty()) { Exit::FAIL } else { Exit::OK }
}

fn show(request: &MiscRequest, examined: &[Examined]) {
    if request.common.json {
        let objects = examined.iter().map(|e| {
            let error = (!e.errors.is_empty()).then(|| e.errors.join(" "));
            match &e.view {
                Some(view) => output::object(view, error.as_deref()),
                None => output::failed(&e.shown, error.as_deref().unwrap_or_default()),
            }
        });
        print::out(&format!("{:#}\n", serde_json::Value::Array(objects.collect())));
    }
    for one in examined {
        if let Some(view) = one.view.as_ref().filter(|_| !request.common.json) {
            if request.map {
                print::out(&output::map::map(view, screen()));
                continue;
            }
            let known = view.sb.kind().is_ok();
            print::out(&if known { output::text(view) } else { output::header(&one.shown, &view.sb) });
        }
        one.errors.iter().for_each(print::complain);
    }
}

impl Examined {
    /// The lockless part of its view, to add to.
    fn lockless(&mut self) -> Option<&mut output::LocklessView> {
        match self.view.as_mut()?.body.as_mut()? {
            Body::Lockless(body) => Some(body),
            Body::Bits(_) => None,
        }
    }
}
