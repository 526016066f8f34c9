//! Paths and queries of the API.

use std::borrow::Cow;

/// Where objects of one kind are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    pub version: &'a str,
    pub plural: &'a str,
    /// Empty for all namespaces, and for kinds that have none.
    pub namespace: &'a str,
}

impl Place<'_> {
    /// Path of the list.
    pub(crate) fn list(&self) -> String {
        let root =
            if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", segment(self.group)) };
        let namespace = match self.namespace {
            "" => String::new(),
            namespace => format!("/namespaces/{}", segment(namespace)),
        };
        format!("{root}/{}{namespace}/{}", segment(self.version), segment(self.plural))
    }

    /// Path of one object.
    pub(crate) fn object(&self, name: &str) -> String {
        format!("{}/{}", self.list(), segment(name))
    }
}

/// A name that can't leave its place in the path: `.` and `..` have an empty segment's meaning for nobody.
fn segment(text: &str) -> Cow<'_, str> {
    match text {
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        text => {
            form_urlencoded::byte_serialize(text.as_bytes()).map(|part| part.replace('+', "%20")).collect()
        }
    }
}

/// A query that grows.
pub(crate) struct Query(form_urlencoded::Serializer<'static, String>);

impl Query {
    pub(crate) fn new() -> Self {
        Self(form_urlencoded::Serializer::new(String::new()))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.append_pair(name, value);
        self
    }

    pub(crate) fn with_if(self, wanted: bool, name: &str, value: &str) -> Self {
        if wanted { self.with(name, value) } else { self }
    }

    /// The path with this query.
    pub(crate) fn after(mut self, path: &str) -> String {
        format!("{path}?{}", self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_apis() {
        let check = |group, namespace, expected: &str| {
            let place = Place { group, version: "v1", plural: "things", namespace };
            assert_eq!(place.object("x"), expected);
        };
        check("", "", "/api/v1/things/x");
        check("", "a", "/api/v1/namespaces/a/things/x");
        check("apps", "a", "/apis/apps/v1/namespaces/a/things/x");
    }

    #[test]
    fn a_hostile_name_stays_in_its_segment() {
        let place = Place { group: "", version: "v1", plural: "secrets", namespace: "a/../b" };
        assert_eq!(place.object("x?y#z"), "/api/v1/namespaces/a%2F..%2Fb/secrets/x%3Fy%23z");
        assert_eq!(place.object(".."), "/api/v1/namespaces/a%2F..%2Fb/secrets/%2E%2E");
        assert_eq!(place.object("a b"), "/api/v1/namespaces/a%2F..%2Fb/secrets/a%20b");
    }

    #[test]
    fn queries_are_escaped() {
        let query = Query::new().with("a", "x&y=z").with_if(false, "b", "1").with_if(true, "c", "2");
        assert_eq!(query.after("/p"), "/p?a=x%26y%3Dz&c=2");
    }
}
