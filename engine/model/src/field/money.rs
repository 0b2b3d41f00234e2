//! In charge of the kind `money`: an exact amount in a currency.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::doc::Field;
use crate::fault::Diagnostic;
use crate::field::currency::{VaryingMoney, WrittenCurrency, is_currency, minor_unit};
use crate::field::decimal::scale_of;
use crate::field::number::{Limit, NumberField, Unit};
use crate::field::{CompileContext, Compiled, FieldKind, Group, read_settings};
use crate::field::{Currency, Role, Shape};
use crate::name::Name;
use std::sync::Arc;

/// The kind.
pub struct Money;

/// Settings of the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The least.
    pub min: Limit,
    /// The most.
    pub max: Limit,
    /// The currency: a code, `any`, or `{"from": "quote.currency"}`; the app's where absent.
    pub currency: Option<WrittenCurrency>,
    /// Digits behind the point, 0 to 6; the currency's where absent.
    pub scale: Option<u8>,
    /// The date field whose day's rate counts.
    pub rate_on: Option<Name>,
}

impl FieldKind for Money {
    fn name(&self) -> &'static str {
        "money"
    }

    fn group(&self) -> Group {
        Group::Number
    }

    fn icon(&self) -> &'static str {
        "currency-dollar"
    }

    fn settings_schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn compile(&self, field: &Field, cx: &CompileContext<'_>) -> Result<Compiled, Vec<Diagnostic>> {
        let settings: Settings = read_settings(field)?;
        let currency = match settings.currency {
            None => Currency::Fixed(cx.currency.to_owned()),
            Some(WrittenCurrency::Word(word)) if word == "any" => Currency::Any,
            Some(WrittenCurrency::Word(code)) => Currency::Fixed(code),
            Some(WrittenCurrency::From(path)) => Currency::From(path.from),
        };
        if let Currency::Fixed(code) = &currency
            && !is_currency(code)
        {
            return Err(vec![Diagnostic::error("/currency", format!("`{code}` is no ISO 4217 code"))]);
        }
        let minor = match &currency {
            Currency::Fixed(code) => minor_unit(code),
            Currency::Any | Currency::From(_) => minor_unit(cx.currency).max(2),
        };
        let scale = scale_of(settings.scale, minor, 6)?;
        let (min, max) = (settings.min.exact(), settings.max.exact());
        let shape: Shape = match &currency {
            Currency::Fixed(code) => Shape::Own(Arc::new(NumberField { scale: Some(scale), min, max, unit: Unit::Currency(code.clone()) })),
            Currency::Any | Currency::From(_) => {
                let amount = NumberField { scale: Some(scale), min, max, unit: Unit::None };
                Shape::Own(Arc::new(VaryingMoney { amount, own_currency: currency == Currency::Any, default: cx.currency.to_owned() }))
            }
        };
        Ok(Compiled { role: Role::Money { currency, rate_on: settings.rate_on }, shape })
    }
}
