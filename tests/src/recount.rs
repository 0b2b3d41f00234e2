//! In charge of counting again what the engine keeps: roll-ups and formulas of the sales example, from all rows.
//! Invariant: whole numbers of cents and plain loops; nothing of the engine's own reasoning.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::client::Client;

/// Cents of a money value, be it a number or its digits.
#[must_use]
pub fn cents(value: &Json) -> i64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let part = format!("{part:0<2}");
    sign * (whole.parse::<i64>().unwrap_or_default() * 100 + part[..2].parse::<i64>().unwrap_or_default())
}

/// Compares every account with a recount of its deals and of those below it.
pub async fn recount(admin: &Client) {
    compare(&admin.pages("sales.account", &[("limit", "500")]).await, &admin.pages("sales.deal", &[("limit", "500")]).await);
}

/// Compares these accounts, which are all, with a recount of these deals, which are all.
pub fn compare(accounts: &[Json], deals: &[Json]) {
    let mut own: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for deal in deals {
        let figures = own.entry(deal["account"].as_str().unwrap_or_default()).or_default();
        match deal["stage"].as_str() {
            Some("prospecting" | "engaging") => figures.0 += 1,
            Some("won") => figures.1 += cents(&deal["close_value"]),
            _ => {}
        }
        let chance = match deal["stage"].as_str() {
            Some("prospecting") => 10,
            Some("engaging") => 40,
            Some("won") => 100,
            _ => 0,
        };
        let base = if deal["close_value"].is_null() { 55_000 } else { cents(&deal["close_value"]) };
        let exact = base * chance;
        let rounded = (exact + 50).div_euclid(100);
        assert_eq!(cents(&deal["weighted"]), rounded, "weighted of {deal}");
    }
    let parents: BTreeMap<&str, &str> = accounts.iter().filter_map(|account| Some((account["id"].as_str()?, account["parent"].as_str()?))).collect();
    let mut below: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for account in accounts {
        let id = account["id"].as_str().unwrap_or_default();
        let figures = own.get(id).copied().unwrap_or_default();
        let (mut here, mut steps) = (Some(id), 0);
        while let Some(at) = here {
            let sum = below.entry(at).or_default();
            *sum = (sum.0 + figures.0, sum.1 + figures.1);
            here = parents.get(at).copied();
            steps += 1;
            assert!(steps <= accounts.len(), "a ring in the tree of accounts at {at}");
        }
    }
    for account in accounts {
        let id = account["id"].as_str().unwrap_or_default();
        let (open, won) = own.get(id).copied().unwrap_or_default();
        assert_eq!((account["open_deals"].as_i64(), cents(&account["won_value"])), (Some(open), won), "own figures of {account}");
        let (open, won) = below.get(id).copied().unwrap_or_default();
        assert_eq!((account["open_deals_below"].as_i64(), cents(&account["won_value_below"])), (Some(open), won), "figures below {account}");
    }
}
