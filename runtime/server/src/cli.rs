//! In charge of the command line: what can be asked of the program, with examples.
//! Invariant: every flag is also an environment variable `TRELLIS_…`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A self-hosted CRM that you build without code.
#[derive(Debug, Parser)]
#[command(name = "trellis", version, after_help = "Examples:\n  trellis serve --demo\n  trellis app check examples/sales\n  trellis user add ann@example.com --role sales.rep")]
pub struct Cli {
    /// Where the workspace is.
    #[command(flatten)]
    pub place: Place,
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

/// Where a workspace is.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The folder of the database, the key and the files.
    #[arg(long, global = true, env = "TRELLIS_DATA", default_value = "trellis-data")]
    pub data: PathBuf,
    /// The database, `postgres://…`; SQLite in the data folder where absent.
    #[arg(long, global = true, env = "TRELLIS_DATABASE")]
    pub database: Option<String>,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the server.
    #[command(after_help = "Examples:\n  trellis serve\n  trellis serve --demo\n  trellis serve --database postgres://crm@localhost/crm --listen 127.0.0.1:8080")]
    Serve(Serve),
    /// Works on apps.
    #[command(subcommand)]
    App(AppCommand),
    /// Works on users.
    #[command(subcommand)]
    User(UserCommand),
    /// Works on API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Writes the JSON Schemas of all kinds of document.
    Schema {
        /// The folder; the screen where absent.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Writes a consistent copy of the workspace's database, while it is served or not.
    Backup {
        /// The file.
        file: PathBuf,
    },
    /// Brings the workspace's own tables up to date.
    Migrate,
    /// Checks the workspace and says what to do.
    Doctor,
}

/// How the server is started.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The address.
    #[arg(long, env = "TRELLIS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Installs the sales example with its data and demo users.
    #[arg(long, env = "TRELLIS_DEMO")]
    pub demo: bool,
    /// `original` keeps the dates of the demo's files.
    #[arg(long, env = "TRELLIS_DEMO_DATES")]
    pub demo_dates: Option<String>,
    /// The addresses of proxies that are believed.
    #[arg(long, env = "TRELLIS_BEHIND_PROXY", value_delimiter = ',')]
    pub behind_proxy: Vec<String>,
    /// The public address, `https://crm.example.com`.
    #[arg(long, env = "TRELLIS_BASE_URL")]
    pub base_url: Option<String>,
}

/// Work on apps.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Checks an app's folder; every error with file, pointer and hint.
    Check {
        /// The folder.
        folder: PathBuf,
    },
    /// Runs an app's scenarios in memory.
    Test {
        /// The folder.
        folder: PathBuf,
    },
    /// Installs an app, or a newer version of it.
    Install {
        /// The folder.
        folder: PathBuf,
    },
    /// Writes an installed app as a folder.
    Export {
        /// The app.
        name: String,
        /// The folder; the app's name where absent.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Lists the installed apps.
    List,
}

/// Work on users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Adds a user.
    Add {
        /// The address that signs in.
        email: String,
        /// The name; the address where absent.
        #[arg(long)]
        name: Option<String>,
        /// A role, `sales.rep`; may be given several times.
        #[arg(long)]
        role: Vec<String>,
        /// The department, by name.
        #[arg(long)]
        department: Option<String>,
        /// The manager, by address.
        #[arg(long)]
        manager: Option<String>,
        /// Reads the password from one line of standard input; without it a link to set one is printed.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Prints a link by which a user sets a new password.
    ResetPassword {
        /// The address.
        email: String,
    },
    /// Lists the users.
    List,
}

/// Work on API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token and prints it once.
    New {
        /// The owner's address.
        email: String,
        /// What it may be used for; everything where absent.
        #[arg(long)]
        scope: Vec<String>,
    },
}
