//! Texts with `${NAME}` in them, which stands for an environment variable: so that a file can say where a secret is
//! without having it.
//!
//! Knows nothing of what the texts are for. What they come to is never shown.

use std::fmt;

use super::ConfigError;

/// A text, its variables not looked up yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    /// Where it stands, for errors: the file, the line and the key, or the flag.
    at: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    /// Reads a text: `${NAME}` is a variable, `$${` a literal `${`, any other `$` itself.
    ///
    /// # Errors
    /// If a variable has no end, or a name that no variable has.
    pub fn parse(text: &str, at: impl Into<String>) -> Result<Self, ConfigError> {
        let at = at.into();
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            literal.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (name, behind) = after
                    .split_once('}')
                    .filter(|(name, _)| is_name(name))
                    .ok_or_else(|| {
                        ConfigError(format!(
                            "{at} has `${{` without the name of an environment variable and `}}` behind it; write \
                             `${{NAME}}`, or `$${{` for the characters themselves"
                        ))
                    })?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Variable(name.to_owned()));
                rest = behind;
            } else {
                literal.push('$');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts, at })
    }

    /// Whether it is the same whatever the environment.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text as it was written, for where it holds no secret.
    pub fn written(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(literal) => literal.clone(),
            Part::Variable(name) => format!("${{{name}}}"),
        });
        parts.collect()
    }

    /// An error about it.
    pub fn error(&self, detail: &str) -> ConfigError {
        ConfigError(format!("{} {detail}", self.at))
    }

    /// The text, with what this process's environment says.
    ///
    /// # Errors
    /// If a variable is not set, empty, or not UTF-8.
    pub fn expand(&self) -> Result<String, ConfigError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Variable(name) => text.push_str(&self.variable(name)?),
            }
        }
        Ok(text)
    }

    fn variable(&self, name: &str) -> Result<String, ConfigError> {
        let wrong = match std::env::var(name) {
            Ok(value) if !value.is_empty() => return Ok(value),
            Ok(_) => "is empty",
            Err(std::env::VarError::NotPresent) => "is not set",
            Err(std::env::VarError::NotUnicode(_)) => "is not UTF-8",
        };
        Err(self.error(&format!(
            "needs the environment variable {name}, which {wrong}; set it for the process that runs witgate"
        )))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Template {
        Template::parse(text, "f:1: `k`").unwrap()
    }

    #[test]
    fn variables_are_looked_up_and_dollars_kept() {
        let package = env!("CARGO_PKG_NAME");
        for (text, expected) in [
            ("plain", "plain".to_owned()),
            ("", String::new()),
            ("$5 and $$ and $", "$5 and $$ and $".to_owned()),
            ("$${X} $$${X}", "${X} $${X}".to_owned()),
            (
                "<${CARGO_PKG_NAME}>${CARGO_PKG_NAME}",
                format!("<{package}>{package}"),
            ),
        ] {
            assert_eq!(read(text).expand().unwrap(), expected, "{text}");
        }
        assert!(read("a $${b}").is_literal());
        assert!(!read("a ${B}").is_literal());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_text() {
        for text in [
            "secret ${",
            "secret ${}",
            "secret ${A-B}",
            "secret ${1A}",
            "secret ${A B}",
        ] {
            let error = Template::parse(text, "f:1: `k`").unwrap_err().to_string();
            assert!(error.starts_with("f:1: `k` has `${`"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let missing = read("secret ${WITGATE_NO_SUCH_VARIABLE}");
        let error = missing.expand().unwrap_err().to_string();
        assert!(
            error.starts_with(
                "f:1: `k` needs the environment variable WITGATE_NO_SUCH_VARIABLE, which is not set"
            ),
            "{error}"
        );
        assert!(!error.contains("secret") && !format!("{missing:?}").contains("secret"));
    }
}
