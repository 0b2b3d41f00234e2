//! In charge of the functions by which a script asks something of its host: the one list of them.
//! Reading order: `Call`, `CALLS`; what the check asks of their arguments is in `ask`, what they do in `host` and `act`.

/// What is asked; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Get,
    Find,
    Count,
    Sum,
    NextIn,
    Create,
    Update,
    Remove,
    MoveTo,
    Notify,
    Mail,
    Webhook,
    Fail,
    Log,
}

/// One such function.
pub(super) struct HostFunction {
    /// As written.
    pub name: &'static str,
    pub call: Call,
    /// How many arguments must be there.
    pub least: usize,
    /// How many may.
    pub most: usize,
    /// Whether it reaches outside: not while a record is being saved.
    pub outside: bool,
}

const fn of(name: &'static str, call: Call, least: usize, most: usize) -> HostFunction {
    HostFunction { name, call, least, most, outside: false }
}

const fn outside(name: &'static str, call: Call, least: usize, most: usize) -> HostFunction {
    HostFunction { name, call, least, most, outside: true }
}

/// Every such function, in the order of the reference.
pub(super) static CALLS: &[HostFunction] = &[
    of("get", Call::Get, 2, 2),
    of("find", Call::Find, 1, 3),
    of("count", Call::Count, 1, 2),
    of("sum", Call::Sum, 2, 3),
    of("next_in", Call::NextIn, 1, 1),
    of("create", Call::Create, 2, 2),
    of("update", Call::Update, 2, 2),
    of("remove", Call::Remove, 1, 1),
    of("move_to", Call::MoveTo, 2, 3),
    outside("notify", Call::Notify, 2, 3),
    outside("mail", Call::Mail, 2, 3),
    outside("webhook", Call::Webhook, 1, 2),
    of("fail", Call::Fail, 1, 2),
    of("log", Call::Log, 1, 1),
    of("print", Call::Log, 1, 1),
    of("debug", Call::Log, 1, 1),
];

/// The one called `name`.
pub(super) fn find(name: &str) -> Option<&'static HostFunction> {
    CALLS.iter().find(|function| function.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::FUNCTIONS;
    use crate::script::values::OWN;

    #[test]
    fn a_name_means_one_function() {
        let all: Vec<&str> =
            CALLS.iter().map(|call| call.name).chain(OWN.iter().map(|own| own.name)).chain(FUNCTIONS.iter().map(|function| function.name)).collect();
        for (index, name) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != name), "{name}");
        }
    }
}
