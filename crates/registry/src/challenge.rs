//! The `WWW-Authenticate` header (RFC 9110, 11.6.1): which credentials a registry asks for.

/// What a registry asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Challenge {
    /// User name and password with each request (RFC 7617).
    Basic,
    /// A token of an authorization server (the distribution project's token specification).
    Bearer {
        /// The authorization server's URL.
        realm: String,
        /// The name of the registry there.
        service: Option<String>,
        /// What the token is for.
        scope: Option<String>,
    },
}

/// The challenge to answer among a header's: a token rather than a password. Malformed rests are ignored.
pub(crate) fn choose(headers: &[&str]) -> Option<Challenge> {
    let mut challenges: Vec<Challenge> = headers.iter().flat_map(|header| parse(header)).collect();
    let bearer = challenges.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    match bearer {
        Some(place) => Some(challenges.swap_remove(place)),
        None => challenges.into_iter().next(),
    }
}

/// The challenges in one header that are understood.
fn parse(header: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: header };
    let mut challenges = Vec::new();
    while let Some(scheme) = reader.scheme() {
        let parameters = reader.parameters();
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            challenges.push(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
        }
    }
    challenges
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next scheme. What can't be one is skipped, the credentials of other schemes for example.
    fn scheme(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches(|c| !is_token(c));
        self.token()
    }

    /// `name=value` pairs up to the next scheme.
    fn parameters(&mut self) -> Vec<(&'a str, String)> {
        let mut parameters = Vec::new();
        loop {
            let before = self.rest;
            self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
            let parameter = self.token().and_then(|name| {
                self.rest = self.rest.trim_start().strip_prefix('=')?.trim_start();
                Some((name, self.value()?))
            });
            match parameter {
                Some(parameter) => parameters.push(parameter),
                None => {
                    self.rest = before;
                    return parameters;
                }
            }
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else { return self.token().map(str::to_owned) };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &quoted[place + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service: own(service), scope: own(scope) })
    }

    #[test]
    fn challenges_are_read() {
        let hub = "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:library/redis:pull\"";
        let scope = Some("repository:library/redis:pull");
        for (header, expected) in [
            (hub, bearer("https://auth.docker.io/token", Some("registry.docker.io"), scope)),
            ("Basic realm=\"Registry Realm\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("BEARER Realm = x , service=\"a, b\\\"c\"", bearer("x", Some("a, b\"c"), None)),
            ("Basic realm=\"x\", Bearer realm=\"y\"", bearer("y", None, None)),
            ("Negotiate abc==, Basic realm=x", Some(Challenge::Basic)),
            ("Bearer service=x", None),
            ("Bearer realm=\"open", None),
            ("", None),
        ] {
            assert_eq!(choose(&[header]), expected, "{header}");
        }
        assert_eq!(choose(&["Basic realm=x", "Bearer realm=y"]), bearer("y", None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(header in "\\PC*", more in "[Bb]earer[ ,=\"\\\\a-z]*") {
            choose(&[&header, &more]);
        }

        #[test]
        fn quoted_values_come_back(realm in "[ -~&&[^\"\\\\]]{1,40}", scope in "[ -~&&[^\"\\\\]]{0,40}") {
            let header = format!("Bearer realm=\"{realm}\",scope=\"{scope}\"");
            prop_assert_eq!(choose(&[&header]), bearer(&realm, None, Some(&scope)));
        }
    }
}
