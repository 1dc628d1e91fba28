//! Where the parts meet: small pure functions from one part's words to another's.
