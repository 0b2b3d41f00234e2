//! In charge of finding what is wrong with documents.
