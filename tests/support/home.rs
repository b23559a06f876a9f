//! A user's home for one test: configuration, state, and what is run in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Client, Fixture, Output};

/// The binary under test.
const WITGATE: &str = env!("CARGO_BIN_EXE_witgate");

/// An example of this crate, built beside the binary.
pub(crate) fn example(name: &str) -> PathBuf {
    let path = Path::new(WITGATE)
        .with_file_name("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p witgate --examples`, or `cargo test -p witgate` without `--test`",
        path.display()
    );
    path
}

/// Folders of one test's own, removed when it ends. Compiled components are shared by all tests.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let cache = base.join("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let home = Self {
            dir: tempfile::Builder::new()
                .prefix("home")
                .tempdir_in(base)
                .unwrap(),
        };
        for folder in ["config/witgate", "state", "run"] {
            std::fs::create_dir_all(home.path(folder)).unwrap();
        }
        #[cfg(unix)]
        for folder in [
            base,
            &cache,
            &home.path("config"),
            &home.path("config/witgate"),
        ] {
            use std::os::unix::fs::PermissionsExt;
            // Whatever the umask: what others can write, the gate rightly refuses.
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        home
    }

    /// A path under this home.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// The configuration file, where the gate looks for it by itself.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.path("config/witgate/witgate.toml")
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, text: &str) -> &Self {
        std::fs::write(self.config_file(), text).unwrap();
        self
    }

    /// The policy directory.
    pub(crate) fn policies(&self) -> PathBuf {
        let dir = self.path("config/witgate/policies.d");
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/witgate")
    }

    /// A scripted server named for its folder.
    pub(crate) fn fixture(&self, name: &str) -> Fixture {
        Fixture::new(self.path(&format!("servers/{name}")))
    }

    /// `witgate` with this home around it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(WITGATE);
        command
            .env_remove("WITGATE_CONFIG")
            .env_remove("WITGATE_STATE")
            .env_remove("WITGATE_LOG")
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .env("NO_COLOR", "1");
        command
    }

    /// Runs a command of the operator's to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self
            .command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Output::new(arguments, &output)
    }

    /// A gate named `server` before a fixture, not started yet.
    pub(crate) fn gate<'a>(&'a self, server: &str, fixture: &Fixture) -> Gate<'a> {
        Gate {
            home: self,
            arguments: vec!["wrap".into(), "--name".into(), server.into()],
            environment: Vec::new(),
            upstream: vec![example("fixture-server").into(), fixture.dir().into()],
        }
    }
}

/// A `witgate wrap` to be started.
pub(crate) struct Gate<'a> {
    home: &'a Home,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    upstream: Vec<OsString>,
}

impl Gate<'_> {
    /// More arguments, before the `--`.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(Into::into));
        self
    }

    /// An environment variable of the client's.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// More arguments of the server's.
    pub(crate) fn upstream_argument(mut self, argument: &str) -> Self {
        self.upstream.push(argument.into());
        self
    }

    /// Another server altogether.
    pub(crate) fn upstream(mut self, command: &[&Path]) -> Self {
        self.upstream = command.iter().map(Into::into).collect();
        self
    }

    fn command(&self) -> Command {
        let mut command = self.home.command();
        command
            .args(&self.arguments)
            .arg("--")
            .args(&self.upstream)
            .envs(self.environment.iter().cloned());
        command
    }

    /// Starts it; nothing has been said yet.
    pub(crate) fn start(&self) -> Client {
        Client::spawn(&mut self.command())
    }

    /// Starts it and does the handshake.
    pub(crate) fn open(&self) -> Client {
        let client = self.start();
        client.handshake();
        client
    }

    /// Starts the same server without the gate.
    pub(crate) fn direct(&self) -> Client {
        let (program, arguments) = self.upstream.split_first().unwrap();
        Client::spawn(Command::new(program).args(arguments))
    }

    /// Runs it to its end with nothing on its input: for starts that are refused.
    pub(crate) fn refused(&self) -> Output {
        let output = self.command().stdin(Stdio::null()).output().unwrap();
        Output::new(&["wrap"], &output)
    }
}

/// The component with every hook, as built for the newest version of the contract.
pub(crate) fn golden() -> &'static [u8] {
    include_bytes!("../golden/v0_1_1_rust.wasm")
}
