//! Why a command failed, and with which exit code.

use crate::config::ConfigError;
use crate::ledger::LedgerError;
use crate::operator::OperatorError;
use crate::setup::SetupError;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The process's exit code: 1 refused or failed, 2 unusable arguments or configuration.
    pub exit: u8,
    /// A stable word for machines.
    pub code: &'static str,
    /// For people: what went wrong, where, and the mend. Empty if the output said it all.
    pub message: String,
}

impl Failed {
    /// Refused or failed.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit: 1,
            code,
            message: message.into(),
        }
    }

    /// Unusable arguments or configuration.
    pub fn unusable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit: 2,
            ..Self::new(code, message)
        }
    }

    /// The output already says what is wrong.
    pub fn told(code: &'static str) -> Self {
        Self::new(code, "")
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::unusable("config", error.to_string())
    }
}

impl From<OperatorError> for Failed {
    fn from(error: OperatorError) -> Self {
        let exit = match error {
            OperatorError::BadDigest { .. } | OperatorError::BadName(_) => 2,
            _ => 1,
        };
        Self {
            exit,
            ..Self::new(error.code(), error.to_string())
        }
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        OperatorError::from(error).into()
    }
}

impl From<SetupError> for Failed {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Config(error) => error.into(),
            SetupError::ConfigMissing { .. } => Self::unusable("config_missing", error.to_string()),
            SetupError::Ledger(error) => error.into(),
            SetupError::Engine(_) => Self::new("engine", error.to_string()),
            SetupError::Chain(_) => Self::new("policies", error.to_string()),
        }
    }
}
