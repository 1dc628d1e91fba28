//! Taraf: Romania.
