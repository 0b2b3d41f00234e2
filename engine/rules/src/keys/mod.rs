//! In charge of what text is ordered and found by: collation keys, and tokens of search.
//! Reading order: `sort` (order), `search` (tokens), `chinese` (what both know of Chinese).
//! Invariant: pure and the same on every machine and database; only [`COLLATION`] may change what a key is.

mod chinese;
mod search;
mod sort;

pub use search::{QueryToken, found_by, query_tokens, search_tokens};
pub use sort::{COLLATION, MAX_SORT_KEY, sort_key};
