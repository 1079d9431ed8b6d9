//! Executes steps that make files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::plan::file_step::FileStep;

/// As the reference makes them; nothing in metadata is secret.
const MODE: u32 = 0o644;

/// Does one step; gives the file to be removed should a later step fail.
///
/// # Errors
/// What was tried, and what came back.
pub fn step(step: &FileStep) -> Result<Option<PathBuf>, (String, io::Error)> {
    match step {
        FileStep::New { path, size } => {
            let what = |e| (format!("Cannot create dump file {}", path.display()), e);
            let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path).map_err(what)?;
            if let Err(e) = file.set_len(*size) {
                let _ = fs::remove_file(path);
                return Err(what(e));
            }
            Ok(Some(path.clone()))
        }
        FileStep::Put { path, bytes, .. } => {
            put(path, bytes).map_err(|e| (format!("cannot write {}", path.display()), e))?;
            Ok(None)
        }
        // Done and undone by the session: `apply/files.rs`.
        FileStep::Bitmap { path, .. } => {
            Err((format!("cannot make {}", path.display()), io::ErrorKind::Unsupported.into()))
        }
        FileStep::Link { file, name } => {
            fs::hard_link(file, name)
                .map_err(|e| (format!("cannot link {} as {}", file.display(), name.display()), e))?;
            Ok(Some(name.clone()))
        }
    }
}

/// Writes a file beside the old one, and puts it in its place. What is no plain file (a terminal, a pipe) is written as it is.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
        Ok(meta) if !meta.is_file() => return OpenOptions::new().write(true).open(path)?.write_all(bytes),
        _ => {}
    }
    // A link goes on leading where it leads.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.clone().into_os_string();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let write = |mut file: File| file.write_all(bytes).and_then(|()| file.sync_all());
    let opened = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    write(opened).and_then(|()| fs::rename(&beside, &path)).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
