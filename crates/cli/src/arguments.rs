//! The command line, as typed: flags and operands become these types once, and nothing below reads `argv` again.

mod build_input;
mod build_output;
mod checks;
mod copy;
mod deferred;
mod engine;
mod login;
mod registry;
mod registry_serve;
mod size;
mod tags;
mod transfer;

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use minato_sync::Application;

pub use build_input::{BuildInputArguments, BuildNetwork};
pub use build_output::BuildOutputArguments;
pub use checks::CallArguments;
pub use copy::CopyArguments;
use deferred::verbs;
pub use engine::EngineName;
pub use login::{LoginArguments, LogoutArguments};
pub use registry::{
    DeleteImageArguments, InspectArguments, ListArguments, ListTagsArguments, ReferrersArguments,
    RegistryArguments, RegistryVerb,
};
pub use registry_serve::{AccessArguments, RetainArguments, ServeArguments, TlsArguments};
pub use tags::TagsArguments;
pub use transfer::PushArguments;

/// From a Git repository to healthy containers.
#[derive(Debug, Parser)]
#[command(name = "minato", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done and healthy; 1 the answer is no; 2 it could not be asked.")]
pub struct Arguments {
    #[command(flatten)]
    pub machine: MachineArguments,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where this machine keeps things, and how it reaches registries: the same for every verb.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArguments {
    /// Folder for images, state and running containers [default: /var/lib/minato as root, else ~/.local/share/minato]
    #[arg(long, global = true, env = "MINATO_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Ask this address instead of a registry, e.g. docker.io=http://127.0.0.1:5000 (repeatable)
    #[arg(
        long,
        global = true,
        env = "MINATO_REGISTRY_MIRROR",
        value_name = "REGISTRY=URL",
        value_delimiter = ','
    )]
    pub registry_mirror: Vec<String>,
    /// Speak plain HTTP to this registry (repeatable)
    #[arg(long, global = true, value_name = "REGISTRY")]
    pub plain_http: Vec<String>,
    /// Certificate authority (PEM) that registries may have beside the system's (repeatable)
    #[arg(long, global = true, env = "MINATO_REGISTRY_CA", value_name = "FILE", value_delimiter = ',')]
    pub registry_ca: Vec<PathBuf>,
    /// Bytes that images and the cache of builds may take, e.g. 20GB: what was used longest ago goes; images with a name
    /// stay [default: what nothing has used for a week goes]
    #[arg(long, global = true, env = "MINATO_STORE_LIMIT", value_name = "SIZE", value_parser = size::bytes)]
    pub store_limit: Option<u64>,
    /// What makes containers: embedded, or the command crun or runc
    #[arg(long, global = true, env = "MINATO_ENGINE", value_name = "ENGINE", default_value = "embedded")]
    pub engine: String,
    /// Run containers even where this host can't enforce what protects it (seccomp, capabilities)
    #[arg(long, global = true)]
    pub insecure: bool,
}

verbs! {
    /// What to do. One file per verb under `verb/`.
    #[derive(Debug)]
    pub enum Verb {
        /// Check, build and run a repository on this machine
        Up(UpArguments),
        /// Build the image of a folder with a Dockerfile
        Build(BuildArguments),
        /// Send images of this machine to their registries
        Push(PushArguments),
        /// Copy images between registries, OCI layouts, archives and this machine
        Copy(CopyArguments),
        /// Log in to a registry
        Login(LoginArguments),
        /// Forget the login to a registry
        Logout(LogoutArguments),
        /// Print the tags and labels that an image of this commit gets
        Tags(TagsArguments),
        /// List the images on this machine
        Images(ImagesArguments),
        /// Check the Dockerfile and the manifests of a repository
        Check(CheckArguments),
        /// Print the objects that a kustomization or a folder of manifests stands for
        Render(RenderArguments),
        /// Make an engine (this machine, Kubernetes, ECS) equal to what an Application asks for
        Sync(SyncArguments),
        /// Show what `up` or `sync` would change
        Diff(DiffArguments),
        /// Show what runs and whether it is healthy
        Status(StatusArguments),
        /// Show what the containers wrote
        Logs(LogsArguments),
        /// Run a command inside a running container
        Exec(ExecArguments),
        /// List the revisions of an application
        History(HistoryArguments),
        /// Go back to an earlier revision
        Rollback(RollbackArguments),
        /// Stop an application and remove everything it left where it runs
        Delete(DeleteArguments),
        /// Look into registries and delete from them; serve one
        Registry(RegistryArguments),
    }
}

impl Verb {
    /// Whether Ctrl-C is its end as it should be: it finishes what runs, and exits 0.
    pub fn ends_itself(&self) -> bool {
        matches!(self, Verb::Registry(RegistryArguments { verb: RegistryVerb::Serve(_) }))
    }
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Args)]
pub struct OutputArguments {
    /// Print as a table, JSON or YAML
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// Which repository, and which of its files.
#[derive(Debug, Clone, Args)]
pub struct RepositoryArguments {
    /// Folder of the repository
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// The Application, manifest, folder or ECS document to deploy, instead of the one found
    #[arg(long, value_name = "FILE")]
    pub app: Option<PathBuf>,
    /// Let this rule pass (repeatable)
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub allow: Vec<String>,
}

/// How an image is made.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Build")]
pub struct ImageArguments {
    /// Let an engine that is there already build, instead of Minato itself
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub builder: Option<EngineName>,
    /// Value of a build argument; without =VALUE it comes from the environment (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Do every step again
    #[arg(long)]
    pub no_cache: bool,
    /// Certificate authorities (PEM) that RUN steps trust; never part of the image
    #[arg(long, env = "MINATO_BUILD_CA", value_name = "FILE")]
    pub build_ca: Option<PathBuf>,
    /// Environment variable for RUN steps that is not part of the image (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_env: Vec<String>,
    /// A secret for RUN --mount=type=secret, never part of the image: id=ID[,src=FILE|,env=NAME] (repeatable)
    #[arg(long, value_name = "SECRET")]
    pub secret: Vec<String>,
    /// An SSH agent for RUN --mount=type=ssh [socket: the one that SSH_AUTH_SOCK names] (repeatable)
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub ssh: Vec<String>,
}

#[derive(Debug, Args)]
pub struct UpArguments {
    #[command(flatten)]
    pub repository: RepositoryArguments,
    #[command(flatten)]
    pub image: ImageArguments,
    /// Build and deploy again whenever a file changes
    #[arg(short, long, conflicts_with = "detach")]
    pub watch: bool,
    /// Return when healthy, also on a terminal
    #[arg(short, long)]
    pub detach: bool,
    /// Don't wait for another `up` of this application: say who holds it
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct BuildArguments {
    /// What to build from: a folder, the address of a Git repository or of an archive, or - for an archive or a
    /// Dockerfile on standard input
    #[arg(default_value = ".", value_name = "CONTEXT")]
    pub context: String,
    /// The Dockerfile [default: Dockerfile in the context]; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name of the image (repeatable) [default: the context's name]
    #[arg(short, long, value_name = "REFERENCE")]
    pub tag: Vec<String>,
    /// Stop at this stage
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Label of the image (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    #[command(flatten)]
    pub call: CallArguments,
    #[command(flatten)]
    pub input: Box<BuildInputArguments>,
    #[command(flatten)]
    pub image: ImageArguments,
    #[command(flatten)]
    pub output: Box<BuildOutputArguments>,
}

#[derive(Debug, Args)]
pub struct ImagesArguments {
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    pub repository: RepositoryArguments,
    /// Value of a build argument, as `build` gets it (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
#[command(after_help = SYNC_HELP)]
pub struct SyncArguments {
    #[command(flatten)]
    pub application: DeclaredArguments,
    /// Branch, tag or commit to deploy instead of the Application's `targetRevision`
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub prune: PruneArguments,
    /// Don't wait for another `sync` of this application: say who holds it
    #[arg(long)]
    pub no_wait: bool,
}

const SYNC_HELP: &str = "\
The Application's `spec.destination.server` chooses the engine: https://HOST (or `name:` of a kubeconfig context) for \
Kubernetes, ecs://REGION/CLUSTER for Amazon ECS, local:// for this machine. `spec.source.repoURL` is a Git address, or a \
folder relative to the file; of a repository, what is committed is deployed. Afterwards the application goes by its name.";

/// Whether what is no longer desired is removed.
#[derive(Debug, Clone, Copy, Args)]
pub struct PruneArguments {
    /// Remove what is no longer desired [default: as `syncPolicy.automated.prune` says]
    #[arg(long, conflicts_with = "no_prune")]
    pub prune: bool,
    /// Keep what is no longer desired
    #[arg(long)]
    pub no_prune: bool,
}

impl PruneArguments {
    /// What was said here, else what the Application says.
    pub fn or_policy(self, application: &Application) -> bool {
        let policy = application.sync_policy.automated.is_some_and(|automated| automated.prune);
        self.prune || (policy && !self.no_prune)
    }
}

/// How rendered objects are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RenderOutput {
    #[default]
    Yaml,
    Json,
}

#[derive(Debug, Args)]
pub struct RenderArguments {
    /// A kustomization's folder, a folder of manifests, or one file of them
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// Print as YAML documents, or as a list in JSON
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: RenderOutput,
    /// Use this image wherever its repository is used, whatever the tag; or that of REPOSITORY (repeatable)
    #[arg(long, value_name = "[REPOSITORY=]REFERENCE")]
    pub set_image: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DiffArguments {
    #[command(flatten)]
    pub repository: RepositoryArguments,
    /// File of an Application: what `sync` would change, instead of `up`
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["directory", "app"])]
    pub file: Option<PathBuf>,
    /// With an Application: branch, tag or commit to compare with, instead of its `targetRevision`
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub image: ImageArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Which application: its name, or its folder.
#[derive(Debug, Clone, Args)]
pub struct ApplicationArguments {
    /// Name or folder of the application [default: the only one, or this folder's]
    #[arg(value_name = "APPLICATION")]
    pub application: Option<String>,
}

/// Which application: its name, its folder, or the file that declares it.
#[derive(Debug, Clone, Args)]
pub struct DeclaredArguments {
    #[command(flatten)]
    pub name: ApplicationArguments,
    /// File of the Argo CD Application
    #[arg(short, long, value_name = "FILE", conflicts_with = "application")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub application: DeclaredArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct LogsArguments {
    #[command(flatten)]
    pub application: ApplicationArguments,
    /// Keep printing what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only this container
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only the last lines of each container
    #[arg(long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Also replicas that are gone
    #[arg(long)]
    pub previous: bool,
}

#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Name or folder of the application
    #[arg(value_name = "APPLICATION")]
    pub application: String,
    /// Only this container [default: the first]
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// Only this replica [default: the first that is ready]
    #[arg(long, value_name = "ID")]
    pub replica: Option<String>,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct HistoryArguments {
    #[command(flatten)]
    pub application: DeclaredArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

#[derive(Debug, Args)]
pub struct RollbackArguments {
    #[command(flatten)]
    pub application: DeclaredArguments,
    /// The revision's number in `history` [default: the last healthy one before the current]
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<u64>,
    #[command(flatten)]
    pub prune: PruneArguments,
}

#[derive(Debug, Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    pub application: DeclaredArguments,
    /// Every application that was deployed from this machine
    #[arg(long, conflicts_with_all = ["application", "file"])]
    pub all: bool,
}
