//! [pure] jq expressions: compiled once, evaluated within bounds.

mod analysis;
mod budget;
mod change;
mod compare;
mod compile;
mod natives;
mod pool;
mod prelude;
mod render;
mod scope;
mod value;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jaq_core::data::HasLut;
use jaq_core::{Ctx, DataT, Lut, Vars};
use jaq_json::Val;

use crate::data::{Data, DataError};
use budget::Spent;
pub(crate) use compile::{CompileError, CompileErrorKind, with_dollar};
use compile::{Program, compile};
pub use scope::Scope;
use value::Value;

/// The most values that one evaluation may produce.
const MAX_OUTPUTS: usize = 100_000;
/// How much of the caller's own stack a plain expression may use.
const PLAIN_STACK: usize = 256 * 1024;

/// How jaq is instantiated: our values, and beside them the time.
#[derive(Debug)]
pub(crate) struct Engine;

/// What functions of one evaluation can see.
#[derive(Clone)]
pub(crate) struct Globals<'a> {
    lut: &'a Lut<Engine>,
    /// Seconds since 1970: what `now` says.
    now: f64,
}

impl DataT for Engine {
    type V<'a> = Value;
    type Data<'a> = Globals<'a>;
}

impl<'a> HasLut<'a, Engine> for Globals<'a> {
    fn lut(&self) -> &'a Lut<Engine> {
        self.lut
    }
}

/// Why an evaluation gave no result. All of them become errors of kind `expression`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The expression does not compile.
    #[error("{0}")]
    Compile(String),
    /// The expression raised an error.
    #[error("{0}")]
    Raised(String),
    /// More than one value where one is wanted.
    #[error("produced {0} values, wrap it in [ ]")]
    Many(usize),
    /// Over the limit of steps.
    #[error("took more than {} steps", budget::STEPS)]
    Steps,
    /// Over a limit of size or depth.
    #[error("a value grew over the limit of 16 MiB or nested too deeply")]
    Size,
    /// Not JSON.
    #[error("the result is no JSON: {0}")]
    Result(#[from] DataError),
    /// A URI template met a value that has no place in a URI.
    #[error("member `{0}` is an object or array and has no form in a URI")]
    UriMember(String),
    /// The result has not the type that the place needs.
    #[error("the result is {found}, but {wanted} is needed")]
    Type {
        /// What was needed.
        wanted: &'static str,
        /// What came, shortened.
        found: String,
    },
    /// There was no thread to evaluate on.
    #[error("the expression could not be evaluated")]
    Unavailable,
}

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<Program>,
}

impl Expression {
    /// Compiles an expression in which the variables of `names` (without `$`) may be used.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn new(text: &str, names: &[&str]) -> Result<Self, ExpressionError> {
        Self::compile(text, &with_dollar(names.iter().copied())).map_err(|errors| {
            let messages: Vec<_> = errors.into_iter().map(|error| error.message).collect();
            ExpressionError::Compile(messages.join("; "))
        })
    }

    pub(crate) fn compile(text: &str, variables: &[String]) -> Result<Self, Vec<CompileError>> {
        Ok(Self {
            text: text.into(),
            program: Arc::new(compile(text, variables)?),
        })
    }

    /// The jq text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it mentions `$secrets`.
    #[must_use]
    pub fn mentions_secrets(&self) -> bool {
        self.program.secret
    }

    /// Whether it mentions the variable of that name (without `$`).
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        let mut variables = self.program.variables.iter();
        variables.any(|variable| variable.strip_prefix('$') == Some(name))
    }

    /// The one value; `null` for none.
    ///
    /// # Errors
    /// When evaluation fails, is over a limit, or produces several values.
    pub fn eval(&self, input: &Data, scope: &Scope) -> Result<Data, ExpressionError> {
        let mut outputs = self.eval_all(input, scope)?;
        match outputs.len() {
            0 => Ok(Data::null()),
            1 => Ok(outputs.swap_remove(0)),
            many => Err(ExpressionError::Many(many)),
        }
    }

    /// The truth of the one value: all but `false` and `null` are true; no value is false.
    ///
    /// # Errors
    /// As [`Self::eval`].
    pub fn eval_condition(&self, input: &Data, scope: &Scope) -> Result<bool, ExpressionError> {
        let value = self.eval(input, scope)?;
        Ok(!value.is_null() && value.as_bool() != Some(false))
    }

    /// All values.
    ///
    /// # Errors
    /// When evaluation fails or is over a limit.
    pub fn eval_all(&self, input: &Data, scope: &Scope) -> Result<Vec<Data>, ExpressionError> {
        let program = Arc::clone(&self.program);
        let variables: Vec<Val> = program
            .variables
            .iter()
            .map(|name| scope.variable(name).unwrap_or_default())
            .collect();
        let now = scope.seconds();
        let bytes = input.as_bytes().len();
        let input = input.value().clone();
        if program.plain {
            return run(&program, &variables, input, now, bytes, PLAIN_STACK);
        }
        let work = move || run(&program, &variables, input, now, bytes, pool::USABLE);
        pool::on_large_stack(work).unwrap_or(Err(ExpressionError::Unavailable))
    }
}

fn run(
    program: &Program,
    variables: &[Val],
    input: Val,
    now: f64,
    bytes: usize,
    stack: usize,
) -> Result<Vec<Data>, ExpressionError> {
    let evaluate = || {
        budget::begin(bytes, stack);
        let variables = Vars::new(variables.iter().cloned().map(Value));
        let globals = Globals {
            lut: &program.filter.lut,
            now,
        };
        let context = Ctx::<Engine>::new(globals, variables);
        let mut outputs = Vec::new();
        for output in program.filter.id.run((context, Value(input))) {
            let value = output.map_err(|exception| match exception.get_err() {
                Ok(error) => ExpressionError::Raised(render::short_text(&message(&error))),
                Err(_halt_or_break) => ExpressionError::Raised("ended by a break".to_owned()),
            })?;
            if outputs.len() >= MAX_OUTPUTS {
                return Err(ExpressionError::Steps);
            }
            outputs.push(Data::from_result(value.0)?);
        }
        Ok(outputs)
    };
    catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|why| {
        Err(match why.downcast_ref::<Spent>() {
            Some(Spent::Steps) => ExpressionError::Steps,
            Some(Spent::Size | Spent::Stack) => ExpressionError::Size,
            None => ExpressionError::Raised("jq could not work on these values".to_owned()),
        })
    })
}

/// An error's text: the string itself when a string was raised.
fn message(error: &jaq_core::Error<Value>) -> String {
    match error.clone().into_val().0 {
        Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
        other => render::short(&other),
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
