//! [pure] YAML 1.2 and JSON with positions.
