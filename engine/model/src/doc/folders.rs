//! In charge of where each kind of document stands: its folder, which is also its key in the one document.
//! Invariant: every map of `App` but `app` itself is named here once.

/// How the documents of a folder are written; closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// JSON with a schema of its own.
    Json,
    /// A Rhai script.
    Script,
}

/// One kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The kind's word, `entity`.
    pub kind: &'static str,
    /// The folder, and the key of the one document, `entities`.
    pub folder: &'static str,
    /// How its documents are written.
    pub written: Written,
}

impl Folder {
    const fn json(kind: &'static str, folder: &'static str) -> Self {
        Self { kind, folder, written: Written::Json }
    }

    /// The file of the document called `name`.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        match self.written {
            Written::Json => format!("{}/{name}.json", self.folder),
            Written::Script => format!("{}/{name}.rhai", self.folder),
        }
    }
}

/// Every kind of document beside `app.json`, in the order of the format's page.
pub const FOLDERS: [Folder; 21] = [
    Folder::json("entity", "entities"),
    Folder::json("option_list", "options"),
    Folder::json("form", "forms"),
    Folder::json("view", "views"),
    Folder::json("pipeline", "pipelines"),
    Folder::json("approval", "approvals"),
    Folder::json("automation", "automations"),
    Folder::json("template", "templates"),
    Folder { kind: "script", folder: "scripts", written: Written::Script },
    Folder::json("conversion", "conversions"),
    Folder::json("role", "roles"),
    Folder::json("dashboard", "dashboards"),
    Folder::json("print", "prints"),
    Folder::json("web_form", "web_forms"),
    Folder::json("pool", "pools"),
    Folder::json("calendar", "calendars"),
    Folder::json("holidays", "holidays"),
    Folder::json("import", "imports"),
    Folder::json("connector", "connectors"),
    Folder::json("locale", "locales"),
    Folder::json("scenario", "scenarios"),
];

/// The folder called `name`.
#[must_use]
pub fn folder(name: &str) -> Option<&'static Folder> {
    FOLDERS.iter().find(|folder| folder.folder == name)
}
