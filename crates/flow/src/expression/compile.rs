//! [pure] Text to a compiled expression, or to errors with their places.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jaq_core::compile::Undefined;
use jaq_core::load::{Arena, Error as LoadError, File, Loader, parse, span};
use jaq_core::{Compiler, Filter};

use super::{Engine, analysis, natives, pool, prelude};
use crate::finding::nearest;

/// The longest text of an expression. jaq reads and compiles by recursion: it bounds the depth as well.
const MAX_TEXT: usize = 16 * 1024;
/// The deepest nesting of brackets in an expression.
const MAX_NESTING: usize = 200;

/// A compiled expression.
pub(crate) struct Program {
    pub(crate) filter: Filter<Engine>,
    /// The variables to give, with `$`, in this order.
    pub(crate) variables: Vec<String>,
    /// Whether it may be evaluated on any stack.
    pub(crate) plain: bool,
    /// Whether it mentions `$secrets`.
    pub(crate) secret: bool,
}

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompileError {
    /// Where, in bytes from the text's start.
    pub(crate) at: usize,
    pub(crate) kind: CompileErrorKind,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompileErrorKind {
    Syntax,
    Variable,
    Function,
    Recursion,
}

/// Compiles an expression that may use the given variables (with `$`).
pub(crate) fn compile(text: &str, variables: &[String]) -> Result<Program, Vec<CompileError>> {
    if let Some(error) = too_much(text) {
        return Err(vec![error]);
    }
    let (owned, known) = (text.to_owned(), variables.to_vec());
    let work = move || {
        catch_unwind(AssertUnwindSafe(|| compile_here(&owned, &known)))
            .unwrap_or_else(|_panic| Err(vec![syntax(0, "not an expression that can be read")]))
    };
    pool::on_large_stack(work)
        .unwrap_or_else(|| Err(vec![syntax(0, "there is no thread to read it on")]))
}

/// What would make the reader itself run long or deep.
fn too_much(text: &str) -> Option<CompileError> {
    if text.len() > MAX_TEXT {
        return Some(syntax(0, "the expression is longer than 16 KiB"));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Some(syntax(at, "brackets are nested deeper than 200"));
        }
    }
    None
}

fn syntax(at: usize, message: impl Into<String>) -> CompileError {
    CompileError {
        at,
        kind: CompileErrorKind::Syntax,
        message: message.into(),
        help: None,
    }
}

fn compile_here(text: &str, known: &[String]) -> Result<Program, Vec<CompileError>> {
    let mentioned = parse(text, |parser| parser.term()).map(|term| {
        let found = analysis::mentions(&term);
        // A binding could be renamed by what it stands in; the names are all that is kept.
        (
            found.calls,
            found.variables,
            found.recursive,
            found.plain && text.len() < 2_000,
        )
    });
    let (calls, variables, recursive, plain) = mentioned.unwrap_or_default();
    if let Some(name) = recursive {
        return Err(vec![CompileError {
            at: span(text, name).start,
            kind: CompileErrorKind::Recursion,
            message: format!("`{name}` calls itself; a definition in an expression may not"),
            help: Some("use recurse, until, while, reduce or foreach".to_owned()),
        }]);
    }
    let used: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|name| variables.contains(name))
        .collect();
    let arena = Arena::default();
    let loader = Loader::new(prelude::needed(&calls));
    let file = File {
        code: text,
        path: (),
    };
    let modules = loader.load(&arena, file).map_err(|errors| {
        let errors = errors
            .into_iter()
            .flat_map(|(_, error)| load_errors(text, error));
        errors.collect::<Vec<_>>()
    })?;
    let filter = Compiler::default()
        .with_funs(natives::functions())
        .with_global_vars(used.iter().copied())
        .compile(modules)
        .map_err(|errors| {
            let errors = errors.into_iter().flat_map(|(_, errors)| errors);
            errors
                .map(|(name, undefined)| undefined_error(text, name, &undefined, known))
                .collect::<Vec<_>>()
        })?;
    Ok(Program {
        filter,
        plain,
        secret: variables.contains("$secrets"),
        variables: used.into_iter().map(str::to_owned).collect(),
    })
}

fn load_errors(text: &str, error: LoadError<&str>) -> Vec<CompileError> {
    let at = |part: &str| match span_of(text, part) {
        Some(at) => at,
        None => text.len(),
    };
    match error {
        LoadError::Io(errors) => {
            let error = |(part, _): (&str, String)| syntax(at(part), "modules are not available");
            errors.into_iter().map(error).collect()
        }
        LoadError::Lex(errors) => errors
            .into_iter()
            .map(|(expected, found)| syntax(at(found), format!("expected {}", expected.as_str())))
            .collect(),
        LoadError::Parse(errors) => errors
            .into_iter()
            .map(|(expected, found)| {
                let message = if found.is_empty() {
                    format!("expected {}, but the expression ends", expected.as_str())
                } else {
                    format!("expected {}, not `{found}`", expected.as_str())
                };
                syntax(at(found), message)
            })
            .collect(),
    }
}

fn undefined_error(
    text: &str,
    name: &str,
    undefined: &Undefined,
    known: &[String],
) -> CompileError {
    let at = span_of(text, name).unwrap_or(0);
    let (kind, message, help) = match undefined {
        Undefined::Var => (
            CompileErrorKind::Variable,
            format!("the variable `{name}` is not bound here"),
            nearest(name, known.iter().map(String::as_str)),
        ),
        Undefined::Filter(arity) => (
            CompileErrorKind::Function,
            format!("there is no function `{name}` with {arity} arguments"),
            nearest(name, prelude::names()),
        ),
        other => (
            CompileErrorKind::Syntax,
            format!("the {} `{name}` is not known", other.as_str()),
            None,
        ),
    };
    CompileError {
        at,
        kind,
        message,
        help: help.map(|name| format!("did you mean `{name}`?")),
    }
}

/// Where a part lies in a text, if it does.
fn span_of(text: &str, part: &str) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    (start <= text.len()).then_some(start)
}

/// Names of all variables with `$`, of which some are visible in a place.
pub(crate) fn with_dollar<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let unique: BTreeSet<String> = names.map(|name| format!("${name}")).collect();
    unique.into_iter().collect()
}
