//! A network of the benchmark's own: only loopback, with traffic that is counted and packets that can be lost.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Set where the program is inside.
const INSIDE: &str = "TARAF_BENCH_INSIDE";
const TABLE: &str = "bench";

/// Begins the program again in a network namespace, or makes that one ready when it is inside.
///
/// # Panics
/// When there can be none: it takes `unshare`, `ip` and `nft`, and a kernel that lets us.
pub(crate) fn enter() {
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"]);
        return;
    }
    let own = std::env::current_exe().unwrap();
    let failed = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    panic!("failed to start unshare of the package util-linux: {failed}");
}

/// Bytes and packets that loopback has carried.
pub(crate) fn traffic() -> (u64, u64) {
    let text = fs::read_to_string("/proc/net/dev").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"));
    let mut fields = line.unwrap().split_whitespace();
    let mut number = || fields.next().unwrap().parse().unwrap();
    (number(), number())
}

/// While it lives, some packets of gossip do not arrive.
pub(crate) struct Loss;

impl Loss {
    /// So many of a hundred, chosen by chance where they come in: their sender does not know.
    pub(crate) fn begin(of_a_hundred: u32) -> Self {
        run("nft", &["add", "table", "ip", TABLE]);
        let chain = "{ type filter hook input priority 0; }";
        run("nft", &["add", "chain", "ip", TABLE, "input", chain]);
        let rule = format!("udp dport 7946 numgen random mod 100 lt {of_a_hundred} drop");
        run("nft", &["add", "rule", "ip", TABLE, "input", &rule]);
        Self
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        run("nft", &["delete", "table", "ip", TABLE]);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).status();
    let ended = ended.unwrap_or_else(|error| {
        panic!("failed to start {program}: {error}; install iproute2 and nftables")
    });
    assert!(
        ended.success(),
        "{program} {}: {ended}",
        arguments.join(" ")
    );
}
