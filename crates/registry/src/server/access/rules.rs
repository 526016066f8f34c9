//! The rules: pure, from who asks and what for to yes or no.

use std::str::FromStr;

use crate::server::name::RepositoryName;
use crate::server::pattern::Pattern;

/// Lets some users do something in some repositories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where: one of these fits the repository's name.
    pub repositories: Vec<Pattern>,
    /// Who.
    pub users: Vec<User>,
    /// What.
    pub actions: Vec<Action>,
}

/// Whom a rule is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum User {
    /// Everybody, without credentials too.
    Anybody,
    /// Every user with a password.
    Known,
    /// This one.
    Named(String),
}

/// What can be done in a repository.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// Reading.
    Pull,
    /// Adding, and moving tags.
    Push,
    /// Removing manifests, tags and blobs.
    Delete,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Caller {
    /// Nobody is told apart here.
    Anybody,
    /// Without credentials, where others have some.
    Anonymous,
    User(String),
    /// Who shows a token may do what it says.
    Token(Vec<Need>),
}

/// What a request needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// To be known.
    Identity,
    /// To list repositories; those that may not be read are left out.
    Catalog,
    Repository(RepositoryName, Action),
}

/// Whether `caller` may do what `need` says.
pub(crate) fn allows(rules: &[Rule], anonymous_pull: bool, caller: &Caller, need: &Need) -> bool {
    let user = match caller {
        Caller::Anybody => return true,
        Caller::Token(granted) => return *need == Need::Identity || granted.contains(need),
        Caller::Anonymous => None,
        Caller::User(name) => Some(name),
    };
    match need {
        Need::Identity | Need::Catalog => user.is_some(),
        Need::Repository(_, Action::Pull) if anonymous_pull => true,
        Need::Repository(..) if rules.is_empty() => user.is_some(),
        Need::Repository(name, action) => rules.iter().any(|rule| {
            rule.actions.contains(action)
                && rule.users.iter().any(|one| one.is(user.map(String::as_str)))
                && rule.repositories.iter().any(|pattern| pattern.matches(name.as_str()))
        }),
    }
}

impl User {
    fn is(&self, user: Option<&str>) -> bool {
        match self {
            Self::Anybody => true,
            Self::Known => user.is_some(),
            Self::Named(name) => user == Some(name),
        }
    }
}

impl From<&str> for User {
    /// `*` is every user with a password, `anonymous` everybody.
    fn from(text: &str) -> Self {
        match text {
            "anonymous" => Self::Anybody,
            "*" => Self::Known,
            name => Self::Named(name.to_owned()),
        }
    }
}

impl Action {
    pub(crate) const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// As tokens and rules write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|action| action.name() == text);
        found.ok_or_else(|| format!("action {text:?} is none of pull, push and delete"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(repositories: &str, users: &[&str], actions: &[&str]) -> Rule {
        Rule {
            repositories: vec![repositories.parse().unwrap()],
            users: users.iter().map(|user| User::from(*user)).collect(),
            actions: actions.iter().map(|action| action.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn rules_decide_by_repository_user_and_action() {
        let rules = [
            rule("team/**", &["alice"], &["pull", "push", "delete"]),
            rule("team/**", &["*"], &["pull"]),
            rule("public/*", &["anonymous"], &["pull"]),
        ];
        for (user, repository, action, expected) in [
            ("alice", "team/app", "push", true),
            ("alice", "other/app", "pull", false),
            ("bob", "team/app", "pull", true),
            ("bob", "team/app", "push", false),
            ("bob", "public/app", "pull", true),
            ("", "public/app", "pull", true),
            ("", "public/app", "push", false),
            ("", "team/app", "pull", false),
        ] {
            let caller = if user.is_empty() { Caller::Anonymous } else { Caller::User(user.to_owned()) };
            let need = Need::Repository(repository.parse().unwrap(), action.parse().unwrap());
            assert_eq!(allows(&rules, false, &caller, &need), expected, "{user} {action} {repository}");
        }
    }

    #[test]
    fn without_rules_users_may_do_everything_and_others_what_was_said() {
        let need = |action| Need::Repository("a".parse().unwrap(), action);
        let user = Caller::User("bob".to_owned());
        assert!(allows(&[], false, &user, &need(Action::Delete)));
        assert!(!allows(&[], false, &Caller::Anonymous, &need(Action::Pull)));
        assert!(allows(&[], true, &Caller::Anonymous, &need(Action::Pull)));
        assert!(!allows(&[], true, &Caller::Anonymous, &need(Action::Push)));
        let token = Caller::Token(vec![need(Action::Pull)]);
        assert!(allows(&[], false, &token, &need(Action::Pull)));
        assert!(!allows(&[], true, &token, &need(Action::Push)));
    }
}
