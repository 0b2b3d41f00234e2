//! In charge of files: taken in, kept once by what they hold, and handed out with the rights of the record they hang on.
//! Reading order: `Upload` and `Content` in `store`, `Download` here, `attach` (what a write does with files), `safety`.
//! Invariant: a client names a file by its id; where and under which name bytes lie is never a client's business.
//! Invariant: a file out of the caller's sight answers like one that is not there.

use chrono::{DateTime, Duration, Utc};
use model::field::Role;
use model::{EntityDef, Value};
use serde_json::{Value as Json, json};
use store::system::Cond;
use store::system::file::FILE;
use uuid::Uuid;

use crate::Engine;
use crate::ctx::{Caller, Ctx};
use crate::error::Error;
use crate::records::Shape;

pub(crate) mod attach;
mod safety;
pub(crate) mod scratch;
mod store_of_files;

pub use store_of_files::{Content, FileStore, Upload};

use store_of_files::Kept;

/// The largest file that hangs on a record, in bytes.
pub const MAX_FILE: u64 = 100 << 20;
/// The largest file that is imported, in bytes.
pub const MAX_IMPORT: u64 = 4 << 30;

/// Uploads that nothing came to hang on are kept so long.
const ORPHAN_HOURS: i64 = 24;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its id.
    pub id: Uuid,
    /// Its name, safe to show and to save.
    pub name: String,
    /// Its type, as its bytes say.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
}

impl FileInfo {
    /// `{"id", "name", "size", "type"}`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({"id": self.id, "name": self.name, "size": self.size, "type": self.kind})
    }
}

/// A file on its way out.
#[derive(Clone, Debug)]
pub struct Download {
    /// What is known of it.
    pub info: FileInfo,
    /// Changes when the bytes do, in quotes.
    pub etag: String,
    /// Headers that the answer must carry, all of them.
    pub headers: Vec<(&'static str, String)>,
    /// Its bytes.
    pub content: Content,
}

impl Download {
    /// A file that was made for the caller.
    pub(crate) fn of(info: FileInfo, etag: String, content: Content) -> Self {
        let headers = safety::headers(&info.name, &info.kind);
        Self { info, etag, headers, content }
    }
}

/// A row of the table of files.
#[derive(Clone, Debug)]
pub(crate) struct FileRow {
    pub(crate) info: FileInfo,
    pub(crate) hash: [u8; 32],
    pub(crate) by: Option<Uuid>,
    pub(crate) entity: Option<String>,
    pub(crate) record: Option<Uuid>,
}

impl FileRow {
    /// The row as it was read.
    pub(crate) fn read(row: &[Value]) -> Option<Self> {
        let [id, hash, name, kind, size, _, by, entity, record] = row else { return None };
        let Value::Bytes(hash) = hash else { return None };
        Some(Self {
            info: FileInfo {
                id: id.as_uuid()?,
                name: name.as_text().unwrap_or("file").to_owned(),
                kind: kind.as_text().unwrap_or(safety::ANYTHING).to_owned(),
                size: size.as_int().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            },
            hash: <[u8; 32]>::try_from(&**hash).ok()?,
            by: by.as_uuid(),
            entity: entity.as_text().map(str::to_owned),
            record: record.as_uuid(),
        })
    }
}

impl Engine {
    /// Begins to take a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Where the disk does not let a file be made.
    pub fn begin_upload(&self, limit: u64) -> Result<Upload, Error> {
        self.files().begin(limit)
    }

    /// Keeps what was taken, as a file of the caller's that hangs on nothing yet.
    ///
    /// # Errors
    /// Where the disk or the store could not.
    pub async fn finish_upload(&self, cx: &Ctx, upload: Upload, name: &str) -> Result<FileInfo, Error> {
        self.keep_file(cx, upload, name, None).await
    }

    /// Keeps bytes as a file of the caller's.
    ///
    /// # Errors
    /// As [`Self::finish_upload`].
    pub async fn put_file(&self, cx: &Ctx, name: &str, bytes: &[u8]) -> Result<FileInfo, Error> {
        let mut upload = self.begin_upload(u64::MAX)?;
        upload.write(bytes)?;
        self.finish_upload(cx, upload, name).await
    }

    /// Keeps what was taken; `of` is the thing that it hangs on from the start.
    pub(crate) async fn keep_file(&self, cx: &Ctx, upload: Upload, name: &str, of: Option<(&'static str, Uuid)>) -> Result<FileInfo, Error> {
        let kept = self.files().finish(upload).await?;
        let (info, row) = row_of(cx, &kept, name, self.now(), of);
        self.store().write(move |tx| tx.put(&FILE, std::slice::from_ref(&row)).map_err(Error::from)).await?;
        Ok(info)
    }

    /// The row of a file, whoever asks.
    pub(crate) async fn file_row(&self, id: Uuid) -> Result<Option<FileRow>, Error> {
        let rows = self.store().read(move |tx| tx.find(&FILE, &[Cond::Eq("id", Value::Uuid(id))], &[], 1).map_err(Error::from)).await?;
        Ok(rows.first().and_then(|row| FileRow::read(row)))
    }

    /// A file for the caller: their own upload, one on a record and in a field that they may read, or one of an approval that
    /// they may know of.
    ///
    /// # Errors
    /// `NotFound` where there is none in sight, or its bytes are gone.
    pub async fn file(&self, cx: &Ctx, id: Uuid) -> Result<Download, Error> {
        let row = self.file_row(id).await?.ok_or(Error::NotFound)?;
        let allowed = match (&row.entity, row.record) {
            (Some(thing), Some(instance)) if thing == crate::approvals::THING => self.knows_approval(cx, instance).await?,
            (Some(entity), Some(record)) => self.shows_file(cx, entity, record, id).await?,
            _ => row.by.is_some() && row.by == cx.caller.user() || matches!(cx.caller, Caller::System),
        };
        if !allowed {
            return Err(Error::NotFound);
        }
        self.download(&row)
    }

    /// The bytes of a row, with their headers.
    pub(crate) fn download(&self, row: &FileRow) -> Result<Download, Error> {
        let content = self.files().content(&row.hash).ok_or(Error::NotFound)?;
        let etag = format!("\"{}\"", store_of_files::hex(&row.hash).get(..32).unwrap_or_default());
        Ok(Download::of(row.info.clone(), etag, content))
    }

    /// Whether a record shows the file to the caller.
    async fn shows_file(&self, cx: &Ctx, entity: &str, record: Uuid, file: Uuid) -> Result<bool, Error> {
        let Some(def) = cx.app.schema.find(entity).filter(|def| cx.grants.sees(def.id)) else { return Ok(false) };
        let fields = file_fields(cx, def);
        if fields.is_empty() {
            return Ok(false);
        }
        let shape = Shape { fields: Some(fields.clone()), ..Shape::default() };
        match self.get(cx, def.id, record, &shape).await {
            Ok(answer) => {
                let json: Json = serde_json::from_slice(&answer.json).unwrap_or_default();
                let wanted = file.to_string();
                Ok(fields.iter().filter_map(|field| json.get(field)).any(|value| attach::ids(value).any(|id| id == wanted)))
            }
            Err(Error::NotFound | Error::Forbidden | Error::Invalid(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes uploads that nothing came to hang on, and bytes that no file has any more; how many files went.
    ///
    /// # Errors
    /// Where the store could not.
    pub async fn sweep_files(&self) -> Result<usize, Error> {
        let before = self.now() - Duration::hours(ORPHAN_HOURS);
        let gone = self
            .store()
            .write(move |tx| tx.remove(&FILE, &[Cond::Empty("record"), Cond::Lt("at", Value::Timestamp(before))]).map_err(Error::from))
            .await?;
        let mut removed = 0;
        for hash in self.files().old_hashes(before)? {
            let bytes = Value::Bytes(hash[..].into());
            let rows = self.store().read(move |tx| tx.find(&FILE, &[Cond::Eq("hash", bytes.clone())], &[], 1).map_err(Error::from)).await?;
            if rows.is_empty() && self.files().remove(&hash) {
                removed += 1;
            }
        }
        tracing::debug!(rows = gone, blobs = removed, "swept files");
        Ok(usize::try_from(gone).unwrap_or_default())
    }
}

/// Keeps bytes at once, within a transaction: what is known of them, and the row that is to be written. A transaction that is
/// repeated keeps the same content again, which is one; without its row it is swept.
pub(crate) fn put_in(cx: &Ctx, name: &str, bytes: &[u8]) -> Result<(FileInfo, Vec<Value>), Error> {
    let mut upload = cx.files.begin(MAX_FILE)?;
    upload.write(bytes)?;
    Ok(row_of(cx, &cx.files.keep(upload)?, name, cx.now, None))
}

fn row_of(cx: &Ctx, kept: &Kept, name: &str, at: DateTime<Utc>, of: Option<(&'static str, Uuid)>) -> (FileInfo, Vec<Value>) {
    let name = safety::name(name);
    let info = FileInfo { id: cx.new_id(), kind: safety::sniff(&kept.head, &name), size: kept.size, name };
    let row = vec![
        Value::Uuid(info.id),
        Value::Bytes(kept.hash[..].into()),
        Value::text(&info.name),
        Value::text(&info.kind),
        Value::Int(i64::try_from(info.size).unwrap_or(i64::MAX)),
        Value::Timestamp(at),
        cx.caller.user().map_or(Value::Null, Value::Uuid),
        of.map_or(Value::Null, |(entity, _)| Value::text(entity)),
        of.map_or(Value::Null, |(_, id)| Value::Uuid(id)),
    ];
    (info, row)
}

/// The fields of an entity that hold files and that the caller sees.
fn file_fields(cx: &Ctx, def: &EntityDef) -> Vec<String> {
    let holds = |field: &&model::FieldDef| matches!(field.role, Role::Files { .. });
    def.fields.iter().filter(holds).map(|field| field.name.to_string()).filter(|name| cx.grants.field(def, name).is_some()).collect()
}
