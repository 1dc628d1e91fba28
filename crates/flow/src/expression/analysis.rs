//! [pure] What a parsed expression mentions, and what is refused in it before it is compiled.

use std::collections::BTreeSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Opt, Part};

/// What an expression mentions.
#[derive(Debug, Default)]
pub(crate) struct Mentions<'s> {
    /// Names of functions that are called.
    pub(crate) calls: BTreeSet<&'s str>,
    /// Variables, with `$`.
    pub(crate) variables: BTreeSet<&'s str>,
    /// The name of a definition that calls itself.
    pub(crate) recursive: Option<&'s str>,
    /// Whether there is nothing in it that could use much stack or time.
    pub(crate) plain: bool,
}

/// Functions that use little stack, whatever they are given.
const PLAIN: [&str; 18] = [
    "not",
    "length",
    "empty",
    "true",
    "false",
    "null",
    "tostring",
    "tonumber",
    "ascii_downcase",
    "ascii_upcase",
    "has",
    "type",
    "startswith",
    "endswith",
    "floor",
    "round",
    "ceil",
    "trim",
];

/// Finds what a term mentions.
pub(crate) fn mentions<'s>(term: &Term<&'s str>) -> Mentions<'s> {
    let mut found = Mentions {
        plain: true,
        ..Mentions::default()
    };
    visit(term, &mut found, &mut Vec::new());
    found.plain &= found.calls.iter().all(|call| PLAIN.contains(call));
    found
}

/// Names of functions that a definition's body calls.
pub(crate) fn calls<'s>(def: &Def<&'s str>) -> BTreeSet<&'s str> {
    let mut found = Mentions::default();
    visit(&def.body, &mut found, &mut Vec::new());
    found.calls
}

type Open<'s> = Vec<(&'s str, usize)>;

fn visit<'s>(term: &Term<&'s str>, found: &mut Mentions<'s>, open: &mut Open<'s>) {
    match term {
        Term::Id | Term::Num(_) | Term::Break(_) => {}
        Term::Recurse => found.plain = false,
        Term::Str(format, parts) => {
            if let Some(format) = format {
                found.calls.insert(format);
                found.plain = false;
            }
            for part in parts {
                if let StrPart::Term(term) = part {
                    visit(term, found, open);
                }
            }
        }
        Term::Arr(inner) => inner.iter().for_each(|term| visit(term, found, open)),
        Term::Obj(entries) => {
            for (key, value) in entries {
                visit(key, found, open);
                value.iter().for_each(|term| visit(term, found, open));
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => visit(inner, found, open),
        Term::BinOp(left, operator, right) => {
            visit(left, found, open);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                found.plain = false;
                visit_pattern(pattern, found, open);
            }
            visit(right, found, open);
        }
        Term::Fold(_, source, pattern, rest) => {
            found.plain = false;
            visit(source, found, open);
            visit_pattern(pattern, found, open);
            rest.iter().for_each(|term| visit(term, found, open));
        }
        Term::TryCatch(tried, caught) => {
            visit(tried, found, open);
            caught.iter().for_each(|term| visit(term, found, open));
        }
        Term::IfThenElse(cases, otherwise) => {
            for (condition, then) in cases {
                visit(condition, found, open);
                visit(then, found, open);
            }
            otherwise.iter().for_each(|term| visit(term, found, open));
        }
        Term::Def(defs, inner) => {
            found.plain = false;
            visit_defs(defs, found, open);
            visit(inner, found, open);
        }
        Term::Call(name, args) => {
            if open.contains(&(*name, args.len())) {
                found.recursive = Some(name);
            }
            found.calls.insert(name);
            args.iter().for_each(|term| visit(term, found, open));
        }
        Term::Var(name) => {
            found.variables.insert(name);
        }
        Term::Path(head, path) => {
            visit(head, found, open);
            visit_path(&path.0, found, open);
        }
    }
}

fn visit_defs<'s>(defs: &[Def<&'s str>], found: &mut Mentions<'s>, open: &mut Open<'s>) {
    for def in defs {
        open.push((def.name, def.args.len()));
        visit(&def.body, found, open);
        open.pop();
    }
}

fn visit_path<'s>(
    path: &[(Part<Term<&'s str>>, Opt)],
    found: &mut Mentions<'s>,
    open: &mut Open<'s>,
) {
    for (part, _) in path {
        match part {
            Part::Index(index) => visit(index, found, open),
            Part::Range(from, to) => {
                let bounds = from.iter().chain(to);
                bounds.for_each(|term| visit(term, found, open));
            }
        }
    }
}

fn visit_pattern<'s>(pattern: &Pattern<&'s str>, found: &mut Mentions<'s>, open: &mut Open<'s>) {
    match pattern {
        Pattern::Var(name) => {
            found.variables.insert(name);
        }
        Pattern::Arr(items) => items.iter().for_each(|p| visit_pattern(p, found, open)),
        Pattern::Obj(entries) => {
            for (key, pattern) in entries {
                visit(key, found, open);
                visit_pattern(pattern, found, open);
            }
        }
    }
}
