//! Nothing but a manifest: it asks for the same features of third-party crates whatever part of the
//! workspace is built. Cargo otherwise picks features by the packages on its command line, and
//! `cargo test -p headworks-sql` would compile Arrow a second time.
