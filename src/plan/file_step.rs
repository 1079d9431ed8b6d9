//! Steps that make files: copies of metadata, rules for udev.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A file that is made. None of them touches a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileStep {
    /// A new file of this size without any block: refused where there is one of that name.
    New {
        /// Where.
        path: PathBuf,
        /// Bytes.
        size: u64,
    },
    /// A file that is there whole or as it was before.
    Put {
        /// Where.
        path: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
        /// What it is.
        what: String,
    },
    /// A bitmap file, for root only, on the disk when the step is done; undone where a later step fails.
    Bitmap {
        /// Where.
        path: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
        /// There is one, which goes; else it is refused where there is one of that name.
        replace: bool,
        /// What it is.
        what: String,
    },
    /// Another name of a file: refused where there is one of that name.
    Link {
        /// The file.
        file: PathBuf,
        /// Its other name.
        name: PathBuf,
    },
}

impl FileStep {
    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            FileStep::New { path, size } => format!("file   {} of {size} bytes, sparse", path.display()),
            FileStep::Put { path, bytes, what } | FileStep::Bitmap { path, bytes, what, .. } => {
                format!("file   {}: {what}, {} bytes", path.display(), bytes.len())
            }
            FileStep::Link { file, name } => format!("link   {} to {}", name.display(), file.display()),
        }
    }

    /// The same as data.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            FileStep::New { path, size } => json!({"step": "file", "path": path.to_string_lossy(), "size_bytes": size}),
            FileStep::Put { path, bytes, what } => {
                json!({"step": "file", "path": path.to_string_lossy(), "size_bytes": bytes.len(), "what": what})
            }
            FileStep::Bitmap { path, bytes, what, replace } => json!({
                "step": "file", "path": path.to_string_lossy(), "size_bytes": bytes.len(), "what": what, "replaces": replace,
            }),
            FileStep::Link { file, name } => {
                json!({"step": "link", "path": name.to_string_lossy(), "to": file.to_string_lossy()})
            }
        }
    }
}
