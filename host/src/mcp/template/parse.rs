//! The grammar of templates (RFC 6570, section 2).

/// Why a text is no template that can be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{` without its `}`, or the other way round.
    #[error("a brace of the template has no partner")]
    Brace,
    /// Nothing between the braces, an operator kept for later, or a variable that RFC 6570 does not allow.
    #[error("an expression of the template is not one of RFC 6570")]
    Expression,
    /// A `.` or `..` segment takes an expression away.
    #[error("a dot segment of the template removes an expression")]
    DotSegments,
    /// It is longer than 4,096 bytes, or its prefixes are too long together.
    #[error("the template is too large")]
    TooLarge,
}

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text that stands for itself.
    Literal(&'a str),
    /// What stands between braces.
    Expression(Expression<'a>),
}

/// An expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expression<'a> {
    /// One of `+ # . / ; ? &`; none for a simple one.
    pub(super) operator: Option<u8>,
    pub(super) variables: Vec<Variable<'a>>,
}

/// A variable of an expression.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable<'a> {
    pub(super) name: &'a str,
    /// `:n`: only so many characters of the value.
    pub(super) prefix: Option<usize>,
    /// `*`: a list's elements, or a map's pairs, each as a value of its own.
    pub(super) explode: bool,
}

/// The pieces of `template`, in order.
pub(super) fn parts(template: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, after) = rest.split_at(open);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let inner = after.strip_prefix('{').ok_or(TemplateError::Brace)?;
        let close = inner.find(['{', '}']).ok_or(TemplateError::Brace)?;
        if inner.as_bytes()[close] == b'{' {
            return Err(TemplateError::Brace);
        }
        parts.push(Part::Expression(expression(&inner[..close])?));
        rest = &inner[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

fn expression(text: &str) -> Result<Expression<'_>, TemplateError> {
    let operator = text.bytes().next().filter(|b| b"+#./;?&".contains(b));
    let list = &text[usize::from(operator.is_some())..];
    let variables = list.split(',').map(variable).collect::<Result<_, _>>()?;
    Ok(Expression {
        operator,
        variables,
    })
}

fn variable(text: &str) -> Result<Variable<'_>, TemplateError> {
    let (name, prefix, explode) = if let Some(name) = text.strip_suffix('*') {
        (name, None, true)
    } else if let Some((name, length)) = text.split_once(':') {
        // At most four digits, the first of which is not 0.
        let digits = (1..=4).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit());
        let length = length.parse().ok().filter(|n| digits && *n > 0);
        (name, Some(length.ok_or(TemplateError::Expression)?), false)
    } else {
        (text, None, false)
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'%' | b'-');
    // The RFC does not allow `-`; servers use it.
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(TemplateError::Expression);
    }
    Ok(Variable {
        name,
        prefix,
        explode,
    })
}
