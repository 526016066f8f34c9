//! `key=value,key=value`, with a whole field in quotes where it holds a comma: what buildx calls CSV.

use anyhow::{anyhow, bail};
use minato_oci::export::{Annotation, AnnotationTarget, Level};

/// The fields of one flag; each is taken once.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// `None` for a text without any field: a path.
    pub fn parse(text: &str) -> anyhow::Result<Option<Self>> {
        let parts = split(text)?;
        if let [only] = parts.as_slice()
            && !only.contains('=')
        {
            return Ok(None);
        }
        let pair = |part: &String| {
            let (key, value) = part.split_once('=').ok_or_else(|| anyhow!("{part:?} is not KEY=VALUE"))?;
            Ok((key.trim().to_owned(), value.to_owned()))
        };
        parts.iter().map(pair).collect::<anyhow::Result<_>>().map(|fields| Some(Self(fields)))
    }

    /// The last value of `key`.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let found = self.0.iter().rfind(|(known, _)| known == key).map(|(_, value)| value.clone());
        self.0.retain(|(known, _)| known != key);
        found
    }

    /// As [`Fields::take`], for true or false.
    pub fn take_flag(&mut self, key: &str) -> anyhow::Result<Option<bool>> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1" | "") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => bail!("{key}={other} is neither true nor false"),
        }
    }

    /// `annotation.KEY=VALUE`, `annotation-index.KEY=VALUE`, `annotation-manifest[PLATFORM].KEY=VALUE`.
    pub fn take_annotations(&mut self) -> anyhow::Result<Vec<Annotation>> {
        let (mine, others) = self.0.drain(..).partition(|(key, _)| key.starts_with("annotation"));
        self.0 = others;
        let mine: Vec<(String, String)> = mine;
        mine.into_iter().map(|(key, value)| annotation(&key, value)).collect()
    }

    /// The keys that nobody took are mistakes.
    pub fn nothing_left(&self) -> anyhow::Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => bail!("{key}= means nothing here"),
        }
    }
}

fn annotation(field: &str, value: String) -> anyhow::Result<Annotation> {
    let (level, key) = field.split_once('.').ok_or_else(|| anyhow!("{field} names no annotation"))?;
    let target = match level.strip_prefix("annotation-") {
        None if level == "annotation" => AnnotationTarget { level: Level::Manifest, platform: None },
        None => bail!("{field} means nothing here"),
        Some(target) => target.parse().map_err(|reason| anyhow!("{field}: {reason}"))?,
    };
    Ok(Annotation { targets: vec![target], key: key.to_owned(), value })
}

fn split(text: &str) -> anyhow::Result<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        let part = parts.last_mut().expect("there is always one");
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' if quoted => quoted = false,
            '"' if part.is_empty() => quoted = true,
            ',' if !quoted => parts.push(String::new()),
            other => part.push(other),
        }
    }
    if quoted {
        bail!("a quote has no end");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_may_hold_commas() {
        let mut fields = Fields::parse(r#"type=image,"name=a,b",x="q""#).unwrap().unwrap();
        assert_eq!(fields.take("name").as_deref(), Some("a,b"));
        assert_eq!(fields.take("x").as_deref(), Some("\"q\""));
        assert!(fields.nothing_left().unwrap_err().to_string().contains("type="));
        assert!(Fields::parse("\"name=a").is_err() && Fields::parse("a=b,c").is_err());
        assert!(Fields::parse("out").unwrap().is_none());
    }

    #[test]
    fn annotations_are_fields_too() {
        let text = "annotation.a=1,annotation-index.b.c=2,annotation-manifest[linux/arm64].d=3";
        let mut fields = Fields::parse(text).unwrap().unwrap();
        let found = fields.take_annotations().unwrap();
        let shown: Vec<String> =
            found.iter().map(|it| format!("{:?} {}", it.targets[0].level, it.key)).collect();
        assert_eq!(shown, ["Manifest a", "Index b.c", "Manifest d"]);
        assert_eq!(found[2].targets[0].platform, Some("linux/arm64".parse().unwrap()));
        let mut unknown = Fields::parse("annotation-layer.a=b").unwrap().unwrap();
        assert!(unknown.take_annotations().is_err());
    }
}
