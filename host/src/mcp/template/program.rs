//! The matcher: a list of instructions, all of whose possible states are followed at once, byte by byte. It does not
//! backtrack, so no template makes it slow.

use super::parse::{Expression, Variable};

/// The most instructions. Matching takes at most this many steps per byte.
const MAX_INSTRUCTIONS: usize = 4096;

/// Where an instruction leads: an index into the labels while the program is written, into the instructions after.
type Target = usize;

#[derive(Debug, Clone, Copy)]
enum Instruction {
    /// Takes this byte.
    Byte(u8),
    /// Takes any visible ASCII character but these.
    Except(&'static [u8]),
    /// Takes one of these.
    OneOf(&'static [u8]),
    /// Takes a character that names have.
    Name,
    /// Goes on in both places.
    Split(Target, Target),
    /// Goes on there.
    Jump(Target),
    /// Goes nowhere.
    Fail,
    /// The template ends here.
    Match,
}

/// Takes a digit of a percent-encoded byte, which are in upper case in a normal form.
const HEX: Instruction = Instruction::OneOf(b"0123456789ABCDEF");

/// A template's program.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    /// The places that instructions lead to; empty once the program is finished.
    labels: Vec<usize>,
}

impl Program {
    /// Expects `text`.
    pub(super) fn literal(&mut self, text: &str) {
        self.instructions
            .extend(text.bytes().map(Instruction::Byte));
    }

    /// Expects what the expression makes of some or all of its variables, in their order.
    ///
    /// Two tracks run side by side: on one no variable has been seen yet, on the other at least one. They differ in
    /// what stands before the next value.
    pub(super) fn expression(&mut self, expression: &Expression<'_>) {
        let end = self.label();
        let mut none_yet = self.label();
        let mut some = self.label();
        for variable in &expression.variables {
            let (value, next_none, next_some) = (self.label(), self.label(), self.label());
            let take = self.label();
            self.place(none_yet);
            self.instructions.push(Instruction::Split(take, next_none));
            self.place(take);
            self.literal(expression.first());
            self.instructions.push(Instruction::Jump(value));
            let take = self.label();
            self.place(some);
            self.instructions.push(Instruction::Split(take, next_some));
            self.place(take);
            self.literal(expression.separator());
            self.place(value);
            self.variable(expression, variable);
            self.instructions.push(Instruction::Jump(next_some));
            (none_yet, some) = (next_none, next_some);
        }
        self.place(none_yet);
        let absent = if expression.optional() {
            Instruction::Jump(end)
        } else {
            Instruction::Fail
        };
        self.instructions.push(absent);
        self.place(some);
        self.place(end);
    }

    /// Expects a variable's value; of one that is exploded, one or more.
    fn variable(&mut self, expression: &Expression<'_>, variable: &Variable<'_>) {
        let (again, more, done) = (self.label(), self.label(), self.label());
        self.place(again);
        if expression.named() {
            if variable.explode {
                // The keys of a map, or the variable's own name.
                self.some(Instruction::Name);
            } else {
                self.literal(variable.name);
            }
            let (equals, end) = (self.label(), self.label());
            if expression.operator == Some(b';') {
                // An empty value has no `=`.
                self.instructions.push(Instruction::Split(equals, end));
            }
            self.place(equals);
            self.literal("=");
            match variable.prefix {
                Some(length) => self.up_to(length, expression.excluded()),
                None => self.any(Instruction::Except(expression.excluded())),
            }
            self.place(end);
        } else {
            match variable.prefix {
                Some(length) => {
                    self.character(expression.excluded());
                    self.up_to(length - 1, expression.excluded());
                }
                None => self.some(Instruction::Except(expression.excluded())),
            }
        }
        if variable.explode {
            self.instructions.push(Instruction::Split(more, done));
            self.place(more);
            self.literal(expression.separator());
            self.instructions.push(Instruction::Jump(again));
        }
        self.place(done);
    }

    /// Expects what `one` takes, once or more.
    fn some(&mut self, one: Instruction) {
        self.instructions.push(one);
        self.any(one);
    }

    /// Expects what `one` takes, any number of times.
    fn any(&mut self, one: Instruction) {
        let (again, take, done) = (self.label(), self.label(), self.label());
        self.place(again);
        self.instructions.push(Instruction::Split(take, done));
        self.place(take);
        self.instructions.push(one);
        self.instructions.push(Instruction::Jump(again));
        self.place(done);
    }

    /// Expects up to so many characters.
    fn up_to(&mut self, length: usize, excluded: &'static [u8]) {
        let done = self.label();
        for _ in 0..length {
            if self.instructions.len() > MAX_INSTRUCTIONS {
                break; // it will be refused as a whole
            }
            let take = self.label();
            self.instructions.push(Instruction::Split(take, done));
            self.place(take);
            self.character(excluded);
        }
        self.place(done);
    }

    /// Expects one character: one that stands for itself, or the percent-encoded bytes of one.
    fn character(&mut self, excluded: &'static [u8]) {
        let (encoded, plain, done) = (self.label(), self.label(), self.label());
        let (again, further) = (self.label(), self.label());
        self.instructions.push(Instruction::Split(encoded, plain));
        self.place(encoded);
        self.instructions
            .extend([Instruction::Byte(b'%'), HEX, HEX]);
        // UTF-8: the bytes behind the first are 80 to BF.
        self.place(again);
        self.instructions.push(Instruction::Split(further, done));
        self.place(further);
        self.instructions
            .extend([Instruction::Byte(b'%'), Instruction::OneOf(b"89AB"), HEX]);
        self.instructions.push(Instruction::Jump(again));
        self.place(plain);
        self.instructions.push(Instruction::Except(match excluded {
            b"&#" => b"%&#",
            b"/?#;" => b"%/?#;",
            b"" => b"%",
            _ => b"%/?#",
        }));
        self.place(done);
    }

    fn label(&mut self) -> Target {
        self.labels.push(usize::MAX);
        self.labels.len() - 1
    }

    /// Puts a label where the next instruction will be.
    fn place(&mut self, label: Target) {
        self.labels[label] = self.instructions.len();
    }

    /// The program, ready to run; none if it is too long.
    pub(super) fn finish(mut self) -> Option<Self> {
        self.instructions.push(Instruction::Match);
        if self.instructions.len() > MAX_INSTRUCTIONS {
            return None;
        }
        for instruction in &mut self.instructions {
            match instruction {
                Instruction::Split(a, b) => (*a, *b) = (self.labels[*a], self.labels[*b]),
                Instruction::Jump(a) => *a = self.labels[*a],
                _ => {}
            }
        }
        self.labels = Vec::new();
        self.instructions.shrink_to_fit();
        Some(self)
    }

    /// Whether the program takes the whole of `text`.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let mut now = States::new(self.instructions.len());
        let mut next = States::new(self.instructions.len());
        self.reach(0, &mut now);
        for byte in text {
            next.clear();
            for &at in &now.list {
                let takes = match self.instructions[at] {
                    Instruction::Byte(expected) => expected == *byte,
                    Instruction::Except(excluded) => {
                        byte.is_ascii_graphic() && !excluded.contains(byte)
                    }
                    Instruction::OneOf(allowed) => allowed.contains(byte),
                    Instruction::Name => byte.is_ascii_alphanumeric() || b"_.%-".contains(byte),
                    _ => false,
                };
                if takes {
                    self.reach(at + 1, &mut next);
                }
            }
            std::mem::swap(&mut now, &mut next);
            if now.list.is_empty() {
                return false;
            }
        }
        now.list
            .iter()
            .any(|&at| matches!(self.instructions[at], Instruction::Match))
    }

    /// Adds the instruction at `start`, and all that it leads to without taking a byte.
    fn reach(&self, start: usize, states: &mut States) {
        states.pending.push(start);
        while let Some(at) = states.pending.pop() {
            if std::mem::replace(&mut states.seen[at], true) {
                continue;
            }
            match self.instructions[at] {
                Instruction::Split(a, b) => states.pending.extend([b, a]),
                Instruction::Jump(a) => states.pending.push(a),
                _ => {}
            }
            states.list.push(at);
        }
    }
}

/// A set of places in a program.
struct States {
    list: Vec<usize>,
    seen: Vec<bool>,
    pending: Vec<usize>,
}

impl States {
    fn new(size: usize) -> Self {
        Self {
            list: Vec::new(),
            seen: vec![false; size],
            pending: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for at in self.list.drain(..) {
            self.seen[at] = false;
        }
    }
}
