//! In charge of entities and fields while a schema is being built from documents, and of the engine's own fields among them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::doc::{Clock, Entity, Field};
use crate::fault::Diagnostic;
use crate::field::{self, CompileContext, Compiled, Role, Shape, TypedField};
use crate::name::{EntityName, Name};
use crate::schema::ClockPart;
use crate::schema::build::DEFAULT_CURRENCY;
use crate::schema::system::{Holds, IdField};

/// What is known so far.
pub(super) struct EntityDraft {
    pub(super) name: EntityName,
    pub(super) doc: Entity,
    /// The app of each field that an extension added.
    pub(super) added_by: HashMap<Name, Name>,
    pub(super) fields: Vec<FieldDraft>,
    pub(super) is_line: bool,
}

/// What is known so far.
pub(super) struct FieldDraft {
    pub(super) name: Name,
    pub(super) app: Name,
    pub(super) doc: Field,
    pub(super) role: Role,
    pub(super) shape: Shape,
    pub(super) typed: Option<Arc<dyn TypedField>>,
    pub(super) system: bool,
    pub(super) clock: Option<(Name, ClockPart)>,
    pub(super) targets: Vec<usize>,
    pub(super) pointer: String,
}

pub(super) fn system_field(name: Name, holds: Holds, app: &Name) -> Result<FieldDraft, Vec<Diagnostic>> {
    let doc = holds.document();
    let (role, shape) = match holds {
        Holds::Id | Holds::User | Holds::Department => (holds.role(), Shape::Own(Arc::new(IdField))),
        Holds::Number | Holds::Moment => (holds.role(), Shape::Like(Box::new(doc.clone()))),
        Holds::Approval => {
            let kind = field::kind(&doc.kind).ok_or_else(|| vec![Diagnostic::error("", format!("there is no kind `{}`", doc.kind))])?;
            let Compiled { role, shape } =
                kind.compile(&doc, &CompileContext { currency: DEFAULT_CURRENCY, options: &|_| None, stages: &|_| None })?;
            (role, shape)
        }
    };
    Ok(FieldDraft { name, app: app.clone(), doc, role, shape, typed: None, system: true, clock: None, targets: Vec::new(), pointer: String::new() })
}

/// A part of a clock's state, as a field.
pub(super) fn clock_field(clock: &Name, doc: &Clock, part: ClockPart, app: &Name) -> Result<FieldDraft, Vec<Diagnostic>> {
    let field = part.document(clock, doc);
    let kind = field::kind(&field.kind).ok_or_else(|| vec![Diagnostic::error("", format!("there is no kind `{}`", field.kind))])?;
    let Compiled { role, shape } = kind.compile(&field, &CompileContext { currency: DEFAULT_CURRENCY, options: &|_| None, stages: &|_| None })?;
    Ok(FieldDraft {
        name: clock.part(part.as_str()),
        app: app.clone(),
        doc: field,
        role,
        shape,
        typed: None,
        system: true,
        clock: Some((clock.clone(), part)),
        targets: Vec::new(),
        pointer: String::new(),
    })
}
