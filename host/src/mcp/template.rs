//! Resource templates: which URIs a template could have made.
//!
//! Knows RFC 6570, all four levels, read backwards and cautiously: what the template's own expansion could not have
//! produced does not match. A simple `{id}` holds no `/`, `?` or `#`; `{+path}` holds anything; `{/a,b}`, `{.a}`,
//! `{;a}`, `{?a,b}`, `{&a}` and `{#a}` may be absent, and their variables come in the template's order. Matching is
//! on the URI's normal form and takes time in proportion to its length, whatever the template.

mod parse;
mod program;

pub use parse::TemplateError;

use super::uri::normal_form;
use parse::{Expression, Part};
use program::Program;

/// The longest URI that a template is tried on, bytes. Servers and clients refuse longer ones.
pub const MAX_URI: usize = 8192;
/// The longest template, bytes.
pub const MAX_TEMPLATE: usize = 4096;

/// A URI template, ready to be matched.
#[derive(Debug, Clone)]
pub struct Template {
    program: Program,
}

impl Template {
    /// Reads a template as a server sent it.
    ///
    /// # Errors
    /// If it is no template by RFC 6570, or one that is too long or too large to be matched.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::TooLarge);
        }
        let parts = parse::parts(text)?;
        let literals = normal_literals(&parts)?;
        let mut program = Program::default();
        let expressions = parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Expression(expression) => Some(expression),
        });
        let mut literals = literals.iter();
        if let Some(first) = literals.next() {
            program.literal(first);
        }
        for (expression, literal) in expressions.zip(literals) {
            program.expression(expression);
            program.literal(literal);
        }
        program
            .finish()
            .ok_or(TemplateError::TooLarge)
            .map(|program| Self { program })
    }

    /// Whether the template could have made `uri`.
    pub fn matches(&self, uri: &str) -> bool {
        let form = normal_form(uri);
        form.len() <= MAX_URI && self.program.matches(form.as_bytes())
    }
}

/// The literals before, between and behind the expressions, in the spelling that a normal form has: the template is
/// normalised with words in the place of its expressions.
fn normal_literals(parts: &[Part<'_>]) -> Result<Vec<String>, TemplateError> {
    // A word is told from all else by a run of `z` longer than any that normalising can leave.
    let zs: usize = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => text.matches(['z', 'Z']).count() + text.matches("%7").count(),
            Part::Expression(_) => 0,
        })
        .sum();
    let word = format!("y{}y", "z".repeat(zs + 1));
    let text: String = parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => *text,
            Part::Expression(_) => &word,
        })
        .collect();
    let literals: Vec<String> = normal_form(&text).split(&word).map(str::to_owned).collect();
    let expressions = parts
        .iter()
        .filter(|part| matches!(part, Part::Expression(_)))
        .count();
    if literals.len() == expressions + 1 {
        Ok(literals)
    } else {
        // A dot segment behind an expression removes it.
        Err(TemplateError::DotSegments)
    }
}

/// What an operator makes of its variables (RFC 6570, appendix A).
impl Expression<'_> {
    /// What stands before the first value.
    fn first(&self) -> &'static str {
        match self.operator {
            None | Some(b'+') => "",
            Some(b'#') => "#",
            Some(b'.') => ".",
            Some(b'/') => "/",
            Some(b';') => ";",
            Some(b'?') => "?",
            Some(_) => "&",
        }
    }

    /// What stands between two values.
    fn separator(&self) -> &'static str {
        match self.operator {
            None | Some(b'+' | b'#') => ",",
            Some(b'?') => "&",
            Some(_) => self.first(),
        }
    }

    /// Whether values come with the names of their variables.
    fn named(&self) -> bool {
        matches!(self.operator, Some(b';' | b'?' | b'&'))
    }

    /// Whether it may be absent altogether. By the RFC any may; one without an operator leaves a URI that is seldom
    /// meant, and that servers' own matchers refuse.
    fn optional(&self) -> bool {
        !matches!(self.operator, None | Some(b'+'))
    }

    /// The characters that cannot be in a value.
    fn excluded(&self) -> &'static [u8] {
        match self.operator {
            Some(b'+' | b'#') => b"",
            Some(b'?' | b'&') => b"&#",
            Some(b';') => b"/?#;",
            _ => b"/?#",
        }
    }
}

#[cfg(test)]
mod tests;
