//! In charge of what a script may use up, and of counting it.
//! Invariant: everything that a script can do costs something here, so it ends.

/// How much a script may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the interpreter.
    pub operations: u64,
    /// Questions and writes asked of the host.
    pub calls: u64,
    /// Records found in all.
    pub rows: u64,
    /// Bytes of texts, lists and maps made in all.
    pub memory: u64,
    /// Nodes within one another, over all calls of functions: they lie on the machine's stack.
    pub nested: usize,
}

impl Limits {
    /// Those of a script that runs because of another, so many changes deep: all of them share one stack.
    #[must_use]
    pub fn at_depth(depth: u8) -> Self {
        let usual = Self::default();
        Self { nested: usual.nested >> depth.saturating_sub(1).min(3), ..usual }
    }

    /// Records that one `find` gives at most.
    pub const ROWS_OF_ONE: u32 = 1_000;
    /// Items of a list, and values of a map.
    pub const ITEMS: usize = 10_000;
    /// Bytes of a text.
    pub const TEXT: usize = crate::expr::MAX_TEXT;
    /// How deep lists and maps are nested.
    pub const NESTED: u8 = 32;
    /// How deep functions call one another.
    pub const DEPTH: usize = 24;
    /// Lines of the log; further ones are dropped.
    pub const LOG: usize = 100;
    /// Characters of a line of the log.
    pub const LINE: usize = 500;
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations: 200_000, calls: 1_000, rows: 10_000, memory: 32 << 20, nested: 200 }
    }
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Steps of the interpreter.
    pub operations: u64,
    /// Questions and writes asked of the host.
    pub calls: u64,
    /// Records found.
    pub rows: u64,
    /// Bytes of texts, lists and maps made.
    pub memory: u64,
}

/// A limit that was reached; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Steps: most often a loop without end.
    Operations(u64),
    /// Calls.
    Calls(u64),
    /// Records found, by one `find` or in all.
    Rows(u64),
    /// Bytes in all.
    Memory(u64),
    /// A list or map with too many items.
    Items(usize),
    /// Functions that call one another, or values that hold one another.
    Depth,
    /// Time.
    Time,
}
