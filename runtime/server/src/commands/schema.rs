//! In charge of `trellis schema`: the JSON Schemas of all kinds of documents, for editors and tools.

use crate::cli::Schema;
use crate::terminal::Terminal;

pub(super) fn run(asked: &Schema, terminal: &Terminal) -> u8 {
    let schemas = model::schemas::all();
    let Some(folder) = &asked.out else {
        terminal.say(serde_json::to_string_pretty(&schemas).unwrap_or_default());
        return crate::DONE;
    };
    let folder = terminal.path(folder);
    if let Err(error) = std::fs::create_dir_all(&folder) {
        terminal.complain(format!("{}: {error}", folder.display()));
        return crate::FAILED;
    }
    for (kind, schema) in schemas {
        let path = folder.join(format!("{kind}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        if let Err(error) = std::fs::write(&path, text + "\n") {
            terminal.complain(format!("{}: {error}", path.display()));
            return crate::FAILED;
        }
        terminal.say(path.display().to_string());
    }
    crate::DONE
}
