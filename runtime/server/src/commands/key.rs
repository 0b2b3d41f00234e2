//! In charge of `trellis key`: a new master key.

use engine::Engine;

use crate::terminal::Terminal;

/// Makes a new key and seals everything with it.
pub(crate) async fn rotate(engine: &Engine, terminal: &Terminal) -> u8 {
    match engine.rotate_key().await {
        Ok(records) => {
            terminal.say(format!("The key is new; {records} record(s) and all secrets are encrypted with it."));
            terminal.say("Addresses of inbound hooks are new, too: hand them out again.");
            terminal.say("Backups of before need the old key, which is gone from here.");
            crate::DONE
        }
        Err(error) => {
            terminal.complain(format!("trellis: the key stays as it is: {error}"));
            crate::FAILED
        }
    }
}
