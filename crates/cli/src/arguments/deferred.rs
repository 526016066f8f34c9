//! A verb's flags are made when that verb was typed, not for every verb at every start.

/// Declares the enum of the verbs, as `#[derive(Subcommand)]` would; but the flags of a verb that was not typed are
/// never made. With all of them, a start takes a third longer.
///
/// Each verb has its documentation, which is what `--help` says of it, and a type that derives [`clap::Args`].
macro_rules! verbs {
    (
        $(#[$of_all:meta])*
        pub enum $all:ident { $( $(#[doc = $about:literal])+ $verb:ident($arguments:ty), )+ }
    ) => {
        $(#[$of_all])*
        pub enum $all { $( $(#[doc = $about])+ $verb($arguments), )+ }

        impl ::clap::Subcommand for $all {
            fn augment_subcommands(command: ::clap::Command) -> ::clap::Command {
                command $( .subcommand(
                    ::clap::Command::new(stringify!($verb).to_lowercase())
                        .about(concat!($($about),+).trim())
                        // the documentation of a type that is flattened into the arguments would stand there instead
                        .defer(|verb| {
                            let verb = <$arguments as ::clap::Args>::augment_args(verb);
                            verb.about(concat!($($about),+).trim()).long_about(None::<&str>)
                        }),
                ) )+
            }

            fn augment_subcommands_for_update(command: ::clap::Command) -> ::clap::Command {
                Self::augment_subcommands(command)
            }

            fn has_subcommand(name: &str) -> bool {
                [$(stringify!($verb)),+].iter().any(|verb| verb.to_lowercase() == name)
            }
        }

        impl ::clap::FromArgMatches for $all {
            fn from_arg_matches(matches: &::clap::ArgMatches) -> Result<Self, ::clap::Error> {
                Self::from_arg_matches_mut(&mut matches.clone())
            }

            fn from_arg_matches_mut(matches: &mut ::clap::ArgMatches) -> Result<Self, ::clap::Error> {
                let (name, mut arguments) = matches.remove_subcommand().unwrap_or_default();
                $( if name == stringify!($verb).to_lowercase() {
                    let arguments = ::clap::FromArgMatches::from_arg_matches_mut(&mut arguments)?;
                    return Ok(Self::$verb(arguments));
                } )+
                Err(::clap::Error::raw(::clap::error::ErrorKind::InvalidSubcommand, "no such verb"))
            }

            fn update_from_arg_matches(&mut self, matches: &::clap::ArgMatches) -> Result<(), ::clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

pub(super) use verbs;

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::arguments::{Arguments, Verb};

    /// What clap checks only of flags that were made: names given twice, conflicts with unknown ones.
    #[test]
    fn every_verb_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_typed_verb_gets_its_flags_and_its_description() {
        let arguments = Arguments::try_parse_from(["minato", "render", "-o", "json", "folder"]);
        assert!(matches!(arguments.expect("it is well formed").verb, Verb::Render(_)));
        let help =
            Arguments::try_parse_from(["minato", "sync", "--help"]).expect_err("help ends the program");
        assert!(help.to_string().starts_with("Make an engine"), "{help}");
        assert!(Arguments::try_parse_from(["minato", "render", "--prune"]).is_err());
    }
}
