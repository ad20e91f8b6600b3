//! A node as far as a provider can see one: it notes how it was started, listens, and ends when it is asked to.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn after(words: &[String], key: &str) -> String {
    let place = words.iter().position(|word| word == key).unwrap_or_else(|| panic!("no {key} in {words:?}"));
    words[place + 1].clone()
}

/// A node that a failed test has left behind ends by itself.
const LIFE: Duration = Duration::from_secs(60);

/// Runs until it is killed.
pub(crate) fn run(words: &[String]) -> ExitCode {
    thread::spawn(|| {
        thread::sleep(LIFE);
        std::process::exit(1);
    });
    let directory = PathBuf::from(after(words, "--data-dir"));
    std::fs::create_dir_all(&directory).unwrap();
    let of_henge = std::env::vars().filter(|(key, _)| key.starts_with("HENGE_"));
    let environment: Vec<String> = of_henge.map(|(key, value)| format!("{key}={value}")).collect();
    std::fs::write(directory.join("words"), words.join("\n")).unwrap();
    std::fs::write(directory.join("environment"), environment.join("\n")).unwrap();
    let bind = |key: &str| TcpListener::bind(after(words, key)).unwrap();
    let _others = [bind("--resp"), bind("--cluster"), bind("--http")];
    let _datagrams = UdpSocket::bind(after(words, "--peer")).unwrap();
    let peers = bind("--peer");
    for peer in peers.incoming() {
        drop(peer);
    }
    ExitCode::SUCCESS
}
