//! Which programs there are, and how to get those that registries have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everybody but mcpace.
pub(crate) const PEERS: [&str; 8] = ["oha", "wrk", "wrk2", "hey", "ab", "h2load", "k6", "vegeta"];
/// Debian's names of the packages that have some of them.
const PACKAGES: [&str; 4] = ["wrk", "hey", "apache2-utils", "nghttp2-client"];

/// The peers that are there: in `folder` (where cargo put them), or on the PATH.
pub(crate) fn found(folder: &Path) -> BTreeMap<&'static str, PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::iter::once(folder.join("bin")).chain(std::env::split_paths(&path)).collect();
    let find = |name: &'static str| {
        let file = places.iter().map(|place| place.join(name)).find(|file| file.is_file())?;
        Some((name, file))
    };
    PEERS.into_iter().filter_map(find).collect()
}

/// Installs oha by cargo into `folder`, and what Debian packages by apt-get.
///
/// # Errors
/// A sentence that says which command did not end well.
pub(crate) fn install(folder: &Path) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "oha", "--locked", "--root"]).arg(folder);
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "--no-install-recommends"]).args(PACKAGES);
    for mut command in [cargo, apt] {
        let status = command.status().map_err(|why| format!("{command:?} did not start: {why}"))?;
        if !status.success() {
            return Err(format!("{command:?} failed ({status}): install the peers by hand, or do without them"));
        }
    }
    Ok(())
}
