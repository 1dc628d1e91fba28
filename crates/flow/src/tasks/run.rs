//! [pure] `run`: a process, or another flow.

use crate::template::Template;

/// A process or another flow.
#[derive(Debug)]
pub struct Run {
    /// What is run.
    pub process: Process,
    /// Its members as one template of an object.
    pub with: Template,
    /// Whether its end is awaited.
    pub await_: bool,
    /// What it answers with.
    pub return_: Return,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// A container.
    Container,
    /// A script.
    Script,
    /// A shell command.
    Shell,
    /// Another flow.
    Workflow,
}

/// What a process answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Return {
    /// What it wrote.
    #[default]
    Stdout,
    /// What it complained.
    Stderr,
    /// How it exited.
    Code,
    /// All three.
    All,
    /// Nothing.
    None,
}
