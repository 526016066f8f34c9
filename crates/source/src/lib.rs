//! From a folder or a Git repository to desired Objects: what is deployed, which image is ours, where local secrets come from.
//!
//! ```text
//!  DIR ─► WorkTree ─► discover ─► Deployment ─► load ─► Loaded { application, objects }
//!   └─► minato.yaml ─► Configuration ─┘                       │
//!   └─► git ─► Revision ─► tag ─┐                             ▼
//!  Configuration + objects ─► our_images ─► build ─► substitute ─► objects of this revision
//!  git + CI's environment ─► Facts ─► image_tags ─► tags and labels of an image
//!  Configuration ─► LocalSecrets (values that the files only refer to)
//!
//!  repoURL ─► Location ─┬─ repository ─► copy in DATA/sources ─► commit ─► its files, from Git's objects ─┬─► load ─► objects
//!   (GitSources)        └─ plain folder ─► hash of its files ─► its files ────────────────────────────────┘
//! ```
//!
//! Finding, choosing and replacing are pure functions over a [`Tree`] and over Objects; the file system, `git` and
//! the environment are read at the edges. `up` deploys the work tree as it stands, [`GitSources`] what was committed.
//! Nothing here renders templates, builds, or talks to an engine.

mod application;
mod configuration;
mod discover;
mod dockerfile_alone;
mod git;
mod git_sources;
mod image_tags;
mod images;
mod kustomization;
mod load;
mod location;
mod ours;
mod path;
mod secrets;
mod tree;

pub use application::application_name;
pub use configuration::{CONFIGURATION_FILE, Configuration, ImageBuild, SecretsFrom, Spanned};
pub use discover::{Deployment, DiscoverError, discover};
pub use dockerfile_alone::dockerfile_alone;
pub use git::{GitError, Limits, Revision, revision};
pub use git_sources::GitSources;
pub use image_tags::{Facts, FactsError, Flavor, ImageTags, Latest, Repository, Rule, RuleError, image_tags};
pub use images::{ImageUse, Replacement, image_uses, substitute};
pub use load::{Loaded, load};
pub use ours::{OurImage, OursError, our_images};
pub use path::{PathError, RelativePath};
pub use secrets::{LocalSecrets, SecretsError};
pub use tree::{Listing, MemoryTree, Tree, TreeError, WorkTree};
