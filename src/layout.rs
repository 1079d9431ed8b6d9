//! Names of data layouts per level.
#![forbid(unsafe_code)]
