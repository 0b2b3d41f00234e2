//! In charge of entities and fields while a schema is being built from documents, and of the engine's own fields among them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::doc::{Approval, Clock, Entity, Field};
use crate::fault::Diagnostic;
use crate::field::{self, CompileContext, Compiled, Role, Shape, TypedField};
use crate::name::{EntityName, Name};
use crate::schema::build::DEFAULT_CURRENCY;
use crate::schema::flow;
use crate::schema::system::{Holds, IdField};
use crate::schema::{ClockPart, FlowState};

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
    pub(super) flow: Option<FlowState>,
    pub(super) copied: Option<Name>,
    pub(super) targets: Vec<usize>,
    pub(super) pointer: String,
}

pub(super) fn system_field(name: Name, holds: Holds, app: &Name) -> Result<FieldDraft, Vec<Diagnostic>> {
    let doc = holds.document();
    let (role, shape) = match holds {
        Holds::Id | Holds::User | Holds::Department => (holds.role(), Shape::Own(Arc::new(IdField))),
        Holds::Number | Holds::Moment => (holds.role(), Shape::Like(Box::new(doc.clone()))),
        Holds::Approval => {
            let Compiled { role, shape } = compiled(&doc)?;
            (role, shape)
        }
    };
    Ok(FieldDraft { name, ..own(app, doc, role, shape) })
}

/// A field of the engine's own.
fn own(app: &Name, doc: Field, role: Role, shape: Shape) -> FieldDraft {
    FieldDraft {
        name: app.clone(),
        app: app.clone(),
        doc,
        role,
        shape,
        typed: None,
        system: true,
        clock: None,
        flow: None,
        copied: None,
        targets: Vec::new(),
        pointer: String::new(),
    }
}

/// Whether the value of the field called `name` is still the one that was copied into it, as a field of the engine's own.
pub(super) fn copied_field(name: &Name, app: &Name) -> FieldDraft {
    let doc = Field::of_kind("boolean");
    let shape = Shape::Like(Box::new(doc.clone()));
    FieldDraft { name: name.part("copied"), copied: Some(name.clone()), ..own(app, doc, Role::Plain, shape) }
}

fn compiled(doc: &Field) -> Result<Compiled, Vec<Diagnostic>> {
    let kind = field::kind(&doc.kind).ok_or_else(|| vec![Diagnostic::error("", format!("there is no kind `{}`", doc.kind))])?;
    kind.compile(doc, &CompileContext { currency: DEFAULT_CURRENCY, options: &|_| None, stages: &|_| None })
}

/// A part of a clock's state, as a field.
pub(super) fn clock_field(clock: &Name, doc: &Clock, part: ClockPart, app: &Name) -> Result<FieldDraft, Vec<Diagnostic>> {
    let field = part.document(clock, doc);
    let Compiled { role, shape } = compiled(&field)?;
    Ok(FieldDraft { name: clock.part(part.as_str()), clock: Some((clock.clone(), part)), ..own(app, field, role, shape) })
}

/// The state of one flow, as a field called by `called`, which is of `app`.
pub(super) fn flow_field(called: &str, (of, flow): (&Name, &Name), doc: &Approval, app: &Name) -> Result<Option<FieldDraft>, Vec<Diagnostic>> {
    let (Some(name), Some(state)) = (flow::name(called), FlowState::of(of, flow)) else { return Ok(None) };
    let field = flow::document(flow, doc);
    let Compiled { role, shape } = compiled(&field)?;
    Ok(Some(FieldDraft { name, flow: Some(state), ..own(app, field, role, shape) }))
}
