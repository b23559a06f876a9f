//! `witgate wrap`: a gate in front of one server, on standard input and output.

use super::{Context, Failed};
use crate::config::Lists;
use crate::gate::session::io::Ended;
use crate::gate::wrap::{self, Typed, WrapError};
use crate::setup;

/// Put the gate in front of one MCP server, started or behind a URL, on stdin and stdout
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
    /// The server's name [default: made from the command or the URL]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Offer only tools that match (exact, or a glob with `*` and `?`); may be repeated
    #[arg(long, value_name = "TOOL")]
    pub(super) allow_tool: Vec<String>,
    /// Hide tools that match (exact, or a glob with `*` and `?`); may be repeated
    #[arg(long, value_name = "TOOL")]
    pub(super) deny_tool: Vec<String>,
    /// The URL of a server that is reached by streamable HTTP; `${NAME}` is an environment variable
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub(super) url: Option<String>,
    /// A header for every request to the URL, `${NAME}` being an environment variable; may be repeated
    #[arg(long, value_name = "NAME: VALUE", requires = "url")]
    pub(super) header: Vec<String>,
    /// The server's command line; without one, `command` or `url` in [server.NAME] of the configuration
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

impl ServerArgs {
    /// What was typed to say which server is meant.
    pub(super) fn typed(&self) -> Typed<'_> {
        match &self.url {
            Some(url) => Typed::Url {
                url,
                headers: &self.header,
            },
            None if self.command.is_empty() => Typed::Nothing,
            None => Typed::Command(&self.command),
        }
    }

    /// The server's name, and what the flags say of it.
    pub(super) fn named(&self) -> Result<(String, Lists), Failed> {
        if self.name.is_none() && self.typed() == Typed::Nothing {
            return Err(Failed::unusable(
                "arguments",
                "give the server's command after `--`, its URL by `--url`, or its name by `--name`",
            ));
        }
        let name = wrap::name_of(self.name.as_deref(), self.typed())?;
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
            | WrapError::Remote(_)
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
    let entry = wrap::resolve(&setup.config, &name, args.server.typed())?;
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
