//! Which tools may not be called.

use serde::Deserialize;

/// What the operator may set, in `{{name}}.toml`. A key that is not here refuses the policy.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Tools whose name has this word are denied, in either case. Without it none is.
    word: Option<String>,
}

impl Rule {
    /// Reads the settings, which come as JSON. An error is shown to the operator: say what to write.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let rule: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match rule.word.as_deref() {
            Some("") => Err("`word` must not be empty; leave it out to deny nothing".to_owned()),
            word => Ok(Self { word: word.map(str::to_ascii_lowercase) }),
        }
    }

    /// Whether a tool of this name is denied.
    pub fn denies(&self, name: &str) -> bool {
        let word = self.word.as_deref();
        word.is_some_and(|word| name.to_ascii_lowercase().contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_the_word_is_denied() {
        let rule = Rule::from_json(r#"{"word": "Delete"}"#).unwrap();
        assert!(rule.denies("repo_DELETE"));
        assert!(!rule.denies("read_repo"));
        assert!(!Rule::from_json("{}").unwrap().denies("repo_delete"));
    }

    #[test]
    fn settings_that_nobody_knows_are_refused() {
        for settings in [r#"{"words": "x"}"#, r#"{"word": 3}"#, r#"{"word": ""}"#] {
            assert!(Rule::from_json(settings).is_err(), "{settings}");
        }
    }
}
