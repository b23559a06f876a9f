//! The ways to the same server: directly, through the bare relay, through the gate, and through `mcp-proxy` if it is
//! there. Each a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure;

use super::client::Era;

/// Where the environment names the peer.
const PEER: &str = "MCP_PROXY";

/// A process that listens; ended when dropped.
pub(crate) struct Process(Child);

/// One way to the server.
pub(crate) struct Way {
    /// What it is called in what is printed.
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) token: Option<String>,
    /// What it puts before the names of tools.
    pub(crate) prefix: &'static str,
    process: Process,
}

impl Process {
    /// Starts a process and reads the first line it prints.
    fn start(command: &mut Command) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        // So that it may go on printing.
        std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
        (Self(child), line)
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_child(&self.0),
                rustix::process::Signal::TERM,
            );
            let end = Instant::now() + Duration::from_secs(5);
            while Instant::now() < end && matches!(self.0.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of this machine.
fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// This program in another part, which prints its port.
fn part(arguments: &[&str]) -> (Process, SocketAddr) {
    let me = std::env::current_exe().unwrap();
    let (process, line) = Process::start(Command::new(me).args(arguments));
    (process, local(line.trim().parse().unwrap()))
}

/// Where the gates of this run live, and the token for them.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    token: String,
}

impl Home {
    /// A home, with a token in it unless no gate will use it.
    pub(crate) fn new(without_gate: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("config/witgate")).unwrap();
        let home = Self {
            dir,
            token: String::new(),
        };
        if without_gate {
            return home;
        }
        // Any server: the configuration is read by this command too.
        home.configure(local(1));
        let made = measure::witgate(home.dir.path())
            .args(["token", "new", "bench", "--json"])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        let token = made["token"].as_str().expect("a token").to_owned();
        // The compile cache is warm from here on: compiling takes time, and memory that is not given back.
        drop(home.gate());
        Self { token, ..home }
    }

    /// Puts the gate in front of `upstream`, with the three shipped policies, which are the default.
    fn configure(&self, upstream: SocketAddr) {
        let text = format!(
            "version = 1\n[http]\nlisten = \"127.0.0.1:0\"\nauth = \"token\"\n[http.limits]\nmax_sessions = 20000\nmax_sessions_per_caller = 20000\n[server.bench]\nurl = \"http://{upstream}/mcp\"\nstanding = \"trusted\"\ndeny = [\"denied\"]\n"
        );
        std::fs::write(self.dir.path().join("config/witgate/witgate.toml"), text).unwrap();
    }

    /// Starts a gate and waits until it is ready: `/readyz` says so.
    fn gate(&self) -> (Process, SocketAddr) {
        let mut command = measure::witgate(self.dir.path());
        let (process, line) = Process::start(command.args(["serve", "--json"]));
        let said: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the gate said `{line}`: {error}"));
        let address = said["listen"].as_str().expect("an address");
        let address = address.parse().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        use std::io::Write;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        (process, address)
    }

    /// How long a gate takes from its start until it is ready, ms.
    pub(crate) fn start(&self) -> f64 {
        let start = Instant::now();
        let (_process, _) = self.gate();
        start.elapsed().as_secs_f64() * 1e3
    }

    /// The peer, if the environment names it.
    fn peer(&self, upstream: SocketAddr) -> Option<Way> {
        let program = PathBuf::from(std::env::var_os(PEER)?);
        // It prints no port: one that is free now is given to it.
        let port = TcpListener::bind(local(0)).unwrap().local_addr().unwrap();
        let file = self.dir.path().join("mcp-proxy.toml");
        let text = format!(
            "[proxy]\nname = \"bench\"\nversion = \"1\"\nseparator = \"/\"\n[proxy.listen]\nhost = \"127.0.0.1\"\nport = {}\n[[backends]]\nname = \"bench\"\ntransport = \"http\"\nurl = \"http://{upstream}/mcp\"\n",
            port.port()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(program)
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(port).is_err() {
            assert!(Instant::now() < end, "mcp-proxy does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Way {
            name: "mcp-proxy",
            address: port,
            path: "/",
            token: None,
            prefix: "bench/",
            process,
        })
    }

    /// All ways to one new server: direct, relay, gate unless `without_gate`, and the peer if there is one and it
    /// speaks the revision.
    pub(crate) fn ways(&self, era: Era, without_gate: bool) -> Vec<Way> {
        let (server, upstream) = part(&["upstream"]);
        let (relay, relayed) = part(&["relay", &upstream.port().to_string()]);
        let plain = |name, address, process| Way {
            name,
            address,
            path: "/mcp",
            token: None,
            prefix: "",
            process,
        };
        let mut ways = vec![
            plain("direct", upstream, server),
            plain("relay", relayed, relay),
        ];
        if !without_gate {
            self.configure(upstream);
            let (process, address) = self.gate();
            ways.push(Way {
                path: "/mcp/bench",
                token: Some(self.token.clone()),
                ..plain("gate", address, process)
            });
        }
        if era == Era::Legacy {
            ways.extend(self.peer(upstream));
        }
        ways
    }
}

impl Way {
    /// The process that stands in the way: what its processor time and memory are measured of.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// The processor time its process has used, µs, in steps of a hundredth of a second, where the system tells.
    pub(crate) fn processor_time(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process())).ok()?;
        // The name, in parentheses, may hold anything; utime and stime are the 14th and 15th fields.
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) * 1e4)
    }
}
