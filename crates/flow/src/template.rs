//! [pure] Data places: JSON with expressions in it.

use std::sync::Arc;

use crate::data::Data;
use crate::expression::{Expression, ExpressionError, Scope};

/// When a string in a data place is an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// When it is written `${ … }`.
    #[default]
    Strict,
    /// Always; one that fails is taken literally.
    Loose,
}

/// JSON whose strings may be expressions. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Arc<Part>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// No expression in it.
    Literal(Data),
    /// An expression: its value.
    Expression(Expression),
    /// A string of loose mode: the expression's value, or the string.
    Loose(Expression, Data),
    /// An array with expressions in it.
    Array(Vec<Self>),
    /// An object with expressions in it.
    Object(Vec<(String, Self)>),
}

impl Template {
    pub(crate) fn new(part: Part) -> Self {
        Self(Arc::new(part))
    }

    /// A template that is always the same.
    #[must_use]
    pub fn literal(data: Data) -> Self {
        Self::new(Part::Literal(data))
    }

    /// A template that is one expression.
    #[must_use]
    pub fn expression(expression: Expression) -> Self {
        Self::new(Part::Expression(expression))
    }

    /// The literal, when there is no expression in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&Data> {
        match &*self.0 {
            Part::Literal(data) => Some(data),
            _ => None,
        }
    }

    /// Whether an expression in it mentions `$secrets`: its value must not be stored.
    #[must_use]
    pub fn mentions_secrets(&self) -> bool {
        self.0.any(&Expression::mentions_secrets)
    }

    /// Whether an expression in it mentions `$authorization`.
    #[must_use]
    pub fn mentions_authorization(&self) -> bool {
        self.0
            .any(&|expression: &Expression| expression.mentions("authorization"))
    }

    /// The value: every expression replaced by what it gives.
    ///
    /// # Errors
    /// When an expression fails.
    pub fn eval(&self, input: &Data, scope: &Scope) -> Result<Data, ExpressionError> {
        self.0.eval(input, scope)
    }

    /// The items of a `for`: several values are collected, one array is taken apart.
    ///
    /// # Errors
    /// When an expression fails, or gives neither an array nor several values.
    pub fn eval_items(&self, input: &Data, scope: &Scope) -> Result<Vec<Data>, ExpressionError> {
        let mut values = match &*self.0 {
            Part::Expression(expression) => expression.eval_all(input, scope)?,
            part => vec![part.eval(input, scope)?],
        };
        if values.len() != 1 {
            return Ok(values);
        }
        let value = values.swap_remove(0);
        value.items().ok_or_else(|| ExpressionError::Type {
            wanted: "an array",
            found: value.to_string().chars().take(40).collect(),
        })
    }
}

impl Part {
    fn any(&self, test: &dyn Fn(&Expression) -> bool) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Expression(expression) | Self::Loose(expression, _) => test(expression),
            Self::Array(items) => items.iter().any(|item| item.any(test)),
            Self::Object(members) => members.iter().any(|(_, item)| item.any(test)),
        }
    }

    fn eval(&self, input: &Data, scope: &Scope) -> Result<Data, ExpressionError> {
        match self {
            Self::Literal(data) => Ok(data.clone()),
            Self::Expression(expression) => expression.eval(input, scope),
            Self::Loose(expression, literal) => Ok(expression
                .eval(input, scope)
                .unwrap_or_else(|_taken_literally| literal.clone())),
            Self::Array(items) => {
                let items: Result<Vec<_>, _> =
                    items.iter().map(|item| item.eval(input, scope)).collect();
                bounded(&Data::array(items?))
            }
            Self::Object(members) => {
                let members: Result<Vec<_>, ExpressionError> = members
                    .iter()
                    .map(|(name, item)| Ok((name.as_str(), item.eval(input, scope)?)))
                    .collect();
                bounded(&Data::from_entries(members?))
            }
        }
    }
}

/// Values within limits may go over them together.
fn bounded(data: &Data) -> Result<Data, ExpressionError> {
    Ok(Data::from_result(data.value().clone())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_expression_is_replaced_and_the_rest_kept() {
        let part = Part::Object(vec![
            ("a".to_owned(), Part::Literal(json!("text").into())),
            (
                "b".to_owned(),
                Part::Array(vec![Part::Expression(
                    Expression::new(".x + $context", &["context"]).unwrap(),
                )]),
            ),
        ]);
        let scope = Scope {
            context: Some(json!(2).into()),
            ..Scope::default()
        };
        let value = Template::new(part).eval(&json!({"x": 1}).into(), &scope);
        assert_eq!(value, Ok(json!({"a": "text", "b": [3]}).into()));
    }

    #[test]
    fn items_are_an_array_or_several_values() {
        let items = |text: &str| {
            let template = Template::expression(Expression::new(text, &[]).unwrap());
            template.eval_items(&json!({"a": [1, 2]}).into(), &Scope::default())
        };
        assert_eq!(items(".a").unwrap().len(), 2);
        assert_eq!(items(".a[]").unwrap().len(), 2);
        assert_eq!(items("empty").unwrap().len(), 0);
        assert!(items("1").is_err());
    }
}
