//! In charge of what can be asked of the program.
//! Invariant: every flag is also a variable `TRELLIS_…` and a key of `trellis.toml`; the command line wins, then the variable.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// A CRM whose shape is JSON.
#[derive(Debug, Parser)]
#[command(name = "trellis", version, about, max_term_width = 100, subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  trellis serve --demo                         a sales CRM with data, at http://127.0.0.1:8080
  trellis app check my-app                     every fault of an app, with file and pointer
  trellis app install my-app                   into ./trellis-data, whether it is being served or not
  trellis import sales.account accounts.csv    rows of a file as records
  trellis user add ann@example.com --role sales.rep";

/// What all commands take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The data folder: database, files, key
    #[arg(long, global = true, env = "TRELLIS_DATA", default_value = "trellis-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The database, where it is not the file in the data folder: postgres://… or sqlite:PATH
    #[arg(long, global = true, env = "TRELLIS_DATABASE", value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// What is logged, such as info or debug
    #[arg(long, global = true, env = "TRELLIS_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, env = "TRELLIS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// The file with settings; trellis.toml where it is there
    #[arg(long, global = true, env = "TRELLIS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the workspace
    #[command(
        after_help = "Examples:\n  trellis serve\n  trellis serve --demo\n  trellis serve --listen 0.0.0.0:8080 --behind-proxy 10.0.0.0/8 --base-url https://crm.example.com"
    )]
    Serve(Serve),
    /// Check, test, install and export apps
    #[command(
        subcommand,
        after_help = "Examples:\n  trellis app check examples/sales\n  trellis app test examples/sales\n  trellis app install my-app.zip\n  trellis app export sales --out sales.zip"
    )]
    App(App),
    /// Read records from a CSV or XLSX file
    #[command(
        after_help = "Examples:\n  trellis import sales.account accounts.csv\n  trellis import sales.deal deals.xlsx --map deals.json --dry-run"
    )]
    Import(Import),
    /// Write records to a CSV or XLSX file
    #[command(
        after_help = "Examples:\n  trellis export sales.deal --out deals.csv\n  trellis export sales.deal --format xlsx --fields name,account.name,amount"
    )]
    Export(Export),
    /// Write the JSON Schemas of all kinds of documents
    #[command(after_help = "Example:\n  trellis schema --out schemas")]
    Schema(Schema),
    /// Write a consistent copy of everything into one file, while the server runs
    #[command(
        after_help = "Example:\n  trellis backup monday.zip\n\nThe master key is left out unless --with-key: encrypted fields cannot be read without it."
    )]
    Backup(Backup),
    /// Fill an empty data folder from a backup
    #[command(after_help = "Example:\n  trellis restore monday.zip --data restored")]
    Restore(Restore),
    /// Add people, list them, reset passwords
    #[command(
        subcommand,
        after_help = "Examples:\n  trellis user add ann@example.com --name Ann --role sales.rep --department North\n  trellis user reset-password ann@example.com\n  trellis user list"
    )]
    User(User),
    /// Make tokens for programs
    #[command(subcommand, after_help = "Example:\n  trellis token new ann@example.com --scope read --days 90")]
    Token(Token),
    /// Check database, files, key and clock, and say what to do
    Doctor(Doctor),
    /// The key that encrypted fields and secrets rest with
    #[command(subcommand, after_help = "Example:\n  trellis key rotate")]
    Key(Key),
    /// Bring the workspace's own tables up to date; serving does it too
    Migrate,
    /// Measure this program against its limits on this machine: the table of the README
    #[command(
        after_help = "Examples:\n  trellis bench\n  trellis bench --large 0 --seconds 10\n  trellis bench --database postgres://…   beside the file, on a server, in a schema of its own\n\nBuild with --release first; nothing else should run meanwhile. All of it takes some minutes."
    )]
    Bench(Bench),
    /// The limit of `bench`: bare statements over a workspace's database
    #[command(hide = true)]
    BenchBare(BenchBare),
}

#[derive(Subcommand, Clone, Copy, Debug)]
pub(crate) enum Key {
    /// Make a new key and encrypt all with it; the server must not run
    Rotate,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// Deals that are measured on
    #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
    pub(crate) rows: u64,
    /// Deals of the large workspace that the same is asked of; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000, value_name = "NUMBER")]
    pub(crate) large: u64,
    /// How long each measurement lasts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600), value_name = "SECONDS")]
    pub(crate) seconds: u64,
    /// Where the workspace is made; the folder of temporary files where absent
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Only one part of it
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<Section>,
    /// Approvals that run while processes are measured
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2_000..=1_000_000), value_name = "NUMBER")]
    pub(crate) instances: u64,
    /// Timers that wait meanwhile
    #[arg(long, default_value_t = 1_000_000, value_name = "NUMBER")]
    pub(crate) timers: u64,
    /// Leave out the idle memory of the demonstration, which takes its time
    #[arg(long = "no-idle", action = clap::ArgAction::SetFalse)]
    pub(crate) idle: bool,
}

/// A part of what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Records: import, questions, writes, a publish
    Records,
    /// Approvals, timers, automations, scripts
    Process,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct BenchBare {
    /// The database: a file, or postgres://…
    pub(crate) database: String,
    /// An approval that was decided once: the rows of a decision
    #[arg(long, requires = "ticket")]
    pub(crate) decision: Option<uuid::Uuid>,
    /// A ticket whose automation ran: the rows of a run
    #[arg(long, requires = "decision")]
    pub(crate) ticket: Option<uuid::Uuid>,
    /// Where to listen
    #[arg(long)]
    pub(crate) listen: SocketAddr,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Doctor {
    /// Remove what unfinished publishes left
    #[arg(long)]
    pub(crate) sweep: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    /// Where to listen
    #[arg(long, env = "TRELLIS_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// With the sales example, its data and people to sign in as; on this machine only
    #[arg(long, env = "TRELLIS_DEMO")]
    pub(crate) demo: bool,
    /// Whether the dates of the demonstration are moved to today
    #[arg(long, env = "TRELLIS_DEMO_DATES", value_enum, default_value_t = DemoDates::Shifted)]
    pub(crate) demo_dates: DemoDates,
    /// The password of the people of the demonstration
    #[arg(long, env = "TRELLIS_DEMO_PASSWORD", default_value = "trellis-demo", hide_env_values = true, value_name = "PASSWORD")]
    pub(crate) demo_password: String,
    /// A proxy that is believed about addresses and TLS: an address or a network
    #[arg(long, env = "TRELLIS_BEHIND_PROXY", value_name = "ADDR", value_delimiter = ',')]
    pub(crate) behind_proxy: Vec<runtime::http::facts::Network>,
    /// The public address, such as https://crm.example.com
    #[arg(long, env = "TRELLIS_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Let others than this machine read /metrics
    #[arg(long, env = "TRELLIS_OPEN_METRICS")]
    pub(crate) open_metrics: bool,
    /// The mail server: smtp://user:password@host:587?tls=required, or smtps://…
    #[arg(long, env = "TRELLIS_SMTP", value_name = "URL", hide_env_values = true)]
    pub(crate) smtp: Option<String>,
    /// What mails come from: "Sales <crm@example.com>"
    #[arg(long, env = "TRELLIS_MAIL_FROM", value_name = "ADDRESS")]
    pub(crate) mail_from: Option<String>,
    /// A certificate (PEM) that signed the mail server's, where no known authority did
    #[arg(long, env = "TRELLIS_SMTP_CA", value_name = "FILE")]
    pub(crate) smtp_ca: Option<std::path::PathBuf>,
    /// Let webhooks reach addresses of private networks
    #[arg(long, env = "TRELLIS_ALLOW_PRIVATE_ADDRESSES")]
    pub(crate) allow_private_addresses: bool,
    /// The address of the owner's account, made at the first start
    #[arg(long, env = "TRELLIS_OWNER", default_value = "owner@trellis.local", value_name = "EMAIL")]
    pub(crate) owner: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoDates {
    Shifted,
    Original,
}

#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// Check an app: every fault with file, pointer and hint
    Check {
        /// The app's folder or ZIP file
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Apps that it builds on
        #[arg(long, value_name = "DIR")]
        with: Vec<PathBuf>,
    },
    /// Run an app's scenarios in memory
    Test {
        /// The app's folder or ZIP file
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Apps that it builds on
        #[arg(long, value_name = "DIR")]
        with: Vec<PathBuf>,
    },
    /// Install an app, or a new version of one
    Install(Install),
    /// Bring an installed app to a new version; what the workspace changed stays
    #[command(
        after_help = "Examples:\n  trellis app upgrade sales.zip\n  trellis app upgrade sales.zip --choose /views/deals/sort=theirs\n  trellis app upgrade sales.zip --target sales.deal.stage:offer=talk"
    )]
    Upgrade(Install),
    /// Write an installed app as a folder, or as a ZIP file where the name ends so
    Export {
        /// The app
        name: String,
        /// Where to; a folder of the app's name where absent
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
    },
    /// List the installed apps
    List,
}

/// Whose change counts.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Side {
    /// The workspace's
    Ours,
    /// The new version's
    Theirs,
}

#[derive(Args, Debug)]
pub(crate) struct Install {
    /// The app's folder or ZIP file
    #[arg(value_name = "DIR_OR_ZIP")]
    pub(crate) path: PathBuf,
    /// Whose change counts at a place that both the workspace and the new version changed
    #[arg(long, value_name = "POINTER=ours|theirs")]
    pub(crate) choose: Vec<String>,
    /// Whose change counts at all other such places
    #[arg(long, value_name = "SIDE")]
    pub(crate) conflicts: Option<Side>,
    /// Where records go whose stage or option goes
    #[arg(long, value_name = "ENTITY.FIELD:FROM=TO")]
    pub(crate) target: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The entity, such as sales.account
    pub(crate) entity: String,
    /// The file
    pub(crate) file: PathBuf,
    /// An import document, or the name of one of the app's; the file's header names fields where absent
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<String>,
    /// Check all rows and keep none
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The entity, such as sales.deal
    pub(crate) entity: String,
    /// Where to; ENTITY.csv where absent
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// Which records, as JSON
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
    /// Which fields, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Xlsx,
}

#[derive(Args, Debug)]
pub(crate) struct Schema {
    /// A folder for one file of each kind; all in one on the screen where absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file to write
    pub(crate) file: PathBuf,
    /// With the master key
    #[arg(long)]
    pub(crate) with_key: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The file that a backup wrote
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a person
    Add {
        /// The address that they sign in with
        email: String,
        /// Their name; the address's first part where absent
        #[arg(long)]
        name: Option<String>,
        /// A role, such as sales.rep; core.admin administers
        #[arg(long = "role", value_name = "APP.ROLE")]
        roles: Vec<String>,
        /// Their department, by name
        #[arg(long)]
        department: Option<String>,
        /// Their manager, by address
        #[arg(long, value_name = "EMAIL")]
        manager: Option<String>,
        /// Read the password from the first line of the input; they get a link where absent
        #[arg(long)]
        password_stdin: bool,
    },
    /// End a person's sessions and make a link by which they set a new password
    ResetPassword {
        /// Their address
        email: String,
        /// Set the password from the first line of the input instead
        #[arg(long)]
        password_stdin: bool,
    },
    /// Let a person sign in again
    Enable {
        /// Their address
        email: String,
    },
    /// Sign a person out everywhere, for good
    Disable {
        /// Their address
        email: String,
    },
    /// List the people
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is printed once
    New {
        /// Its owner's address
        email: String,
        /// What it may be used for: read, write, design, admin; everything where absent
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// What it is called
        #[arg(long, default_value = "command line")]
        name: String,
        /// In how many days it ends; never where absent
        #[arg(long)]
        days: Option<i64>,
    },
}

/// Reads the command line over the settings file.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let command = crate::config::with_file(Cli::command(), arguments)?;
    let matches = command.try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let words = ["trellis", "user", "add", "a@b.c", "--password-stdin", "--data", "x"].map(OsString::from);
        let cli = parse(&words).expect("good");
        assert_eq!(cli.common.data, PathBuf::from("x"));
        assert!(matches!(cli.command, Command::User(User::Add { password_stdin: true, .. })));
    }
}
