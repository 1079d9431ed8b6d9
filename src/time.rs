//! Times as md stores and prints them.
#![forbid(unsafe_code)]
