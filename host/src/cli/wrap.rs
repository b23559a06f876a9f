//! `witgate wrap`: a gate in front of one server, on standard input and output.

use super::{Context, Failed};
use crate::config::Lists;
use crate::gate::session::io::Ended;
use crate::gate::wrap::{self, WrapError};
use crate::setup;

/// Put the gate in front of one MCP server, on stdin and stdout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: witgate wrap -- npx -y @modelcontextprotocol/server-everything\n\n\
    In a client's configuration, put `witgate` as the command and `wrap`, `--` and the server's command line as its \
    arguments."
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Which server, and what of it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServerArgs {
    /// The server's name [default: made from the command]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Offer only tools that match (exact, or a glob with `*` and `?`); may be repeated
    #[arg(long, value_name = "TOOL")]
    pub(super) allow_tool: Vec<String>,
    /// Hide tools that match (exact, or a glob with `*` and `?`); may be repeated
    #[arg(long, value_name = "TOOL")]
    pub(super) deny_tool: Vec<String>,
    /// The server's command line; without one, `command` in [server.NAME] of the configuration
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

impl ServerArgs {
    /// The server's name, and what the flags say of it.
    pub(super) fn named(&self) -> Result<(String, Lists), Failed> {
        if self.name.is_none() && self.command.is_empty() {
            return Err(Failed::unusable(
                "arguments",
                "give the server's command after `--`, or its name by `--name`",
            ));
        }
        let name = wrap::name_of(self.name.as_deref(), &self.command)?;
        let lists = Lists {
            allow: (!self.allow_tool.is_empty()).then(|| self.allow_tool.clone()),
            deny: self.deny_tool.clone(),
            ..Lists::default()
        };
        Ok((name, lists))
    }
}

impl From<WrapError> for Failed {
    fn from(error: WrapError) -> Self {
        let message = error.to_string();
        match error {
            WrapError::Name(_)
            | WrapError::NoCommand { .. }
            | WrapError::OtherCommand { .. }
            | WrapError::Disabled { .. } => Self::unusable("server", message),
            WrapError::Audit(_) => Self::new("audit", message),
            WrapError::Session(_) => Self::new("session", message),
            WrapError::Ledger(error) => error.into(),
        }
    }
}

/// Runs the gate until the client closes it.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let (name, lists) = args.server.named()?;
    let options = setup::Options {
        flags: vec![(name.clone(), lists)],
        ..context.options(true)
    };
    let setup = setup::open(&options).await?;
    let entry = wrap::resolve(&setup.config, &name, &args.server.command)?;
    match wrap::wrap(setup, entry, options.config).await? {
        Ended::InOrder => Ok(()),
        Ended::Because(reason) => Err(Failed::new(
            "session",
            format!(
                "server `{}`: {}",
                name,
                crate::mcp::escape::visible(&reason)
            ),
        )),
    }
}
