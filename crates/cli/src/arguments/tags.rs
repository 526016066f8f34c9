//! The command line of `minato tags`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArguments;

#[derive(Debug, Args)]
#[command(after_help = RULES)]
pub struct TagsArguments {
    /// Folder of the repository
    #[arg(default_value = ".", value_name = "DIR")]
    pub directory: PathBuf,
    /// Name of the image; each tag is printed behind it (repeatable)
    #[arg(short, long, value_name = "NAME")]
    pub image: Vec<String>,
    /// Which tags [default: those of schedules, branches, tags and pull requests] (repeatable)
    #[arg(short = 't', long = "tag", value_name = "RULE")]
    pub rules: Vec<String>,
    /// For all tags: latest=auto|true|false, prefix=TEXT, suffix=TEXT (repeatable)
    #[arg(long, value_name = "FLAVOR")]
    pub flavor: Vec<String>,
    /// Print the labels instead, as KEY=VALUE lines
    #[arg(long, conflicts_with = "output")]
    pub labels: bool,
    #[command(flatten)]
    pub output: OutputArguments,
}

const RULES: &str = "\
Rules are those of docker/metadata-action: type=schedule, semver, pep440, match, edge, ref (event=branch|tag|pr), raw, sha, \
each with enable=, priority=, prefix= and suffix=, and {{branch}}, {{tag}}, {{sha}}, {{base_ref}}, {{is_default_branch}}, \
{{date 'YYYYMMDD' tz='UTC'}} in values. For example --tag 'type=semver,pattern={{major}}.{{minor}}' --tag type=sha. The facts \
come from the CI's environment (GitHub Actions, GitLab CI), and from Git.";
