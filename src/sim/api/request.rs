//! Parameters of a call, as loosely typed as DingTalk takes them (`contacts-api.md §1`).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::envelope::Refusal;

/// The parameters of a call: out of the query of a GET, out of the body of a POST.
#[derive(Debug, Default)]
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// Query or form parameters.
    pub(crate) fn from_form(text: &[u8]) -> Self {
        Self(
            url::form_urlencoded::parse(text)
                .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    }

    /// A body, JSON or form. The type is what the header says, or else what the first character says.
    pub(crate) fn from_body(content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        let body = body.trim_ascii();
        if body.is_empty() {
            return Ok(Self::default());
        }
        if content_type.starts_with("application/x-www-form-urlencoded") || !body.starts_with(b"{") {
            return Ok(Self::from_form(body));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(Refusal::parameter("请求体不是合法的JSON")),
        }
    }

    /// A text; numbers and booleans count as the text that shows them.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.0.get(name)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Null => None,
            other => Some(Cow::Owned(other.to_string())),
        }
    }

    /// A text that has to be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<Cow<'_, str>, Refusal> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing(name))
    }

    /// A whole number, also as text.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.trim().is_empty() => Ok(None),
            Some(text) => (text.trim().parse().map(Some))
                .map_err(|_| Refusal::business(400_002, format!("参数类型错误: {name}"))),
        }
    }

    /// A whole number that has to be there.
    pub(crate) fn required_integer(&self, name: &str) -> Result<i64, Refusal> {
        self.integer(name)?.ok_or_else(|| Refusal::missing(name))
    }

    /// A boolean, also as text, in whatever case: some languages write `True`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::business(400_002, format!("参数类型错误: {name}"))),
        }
    }

    /// A list of texts: an array, or one text with commas, or a JSON array as text.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        let items = |values: &[Value]| {
            values
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect()
        };
        match self.0.get(name)? {
            Value::Array(values) => Some(items(values)),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(Value::Array(values)) => Some(items(&values)),
                _ => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_may_come_as_texts_and_bodies_as_forms() {
        let json = Params::from_body(
            "application/json",
            br#"{"dept_id":"100","size":50,"flag":"true","other":false,"userid":17}"#,
        )
        .unwrap();
        assert_eq!(json.integer("dept_id").unwrap(), Some(100));
        assert_eq!(json.integer("size").unwrap(), Some(50));
        assert_eq!(json.boolean("flag").unwrap(), Some(true));
        assert_eq!(json.boolean("other").unwrap(), Some(false));
        assert_eq!(json.text("userid").unwrap(), "17");
        let form = Params::from_body(
            "application/x-www-form-urlencoded;charset=utf-8",
            b"dept_id=100&name=%E6%9D%8E",
        )
        .unwrap();
        assert_eq!(form.integer("dept_id").unwrap(), Some(100));
        assert_eq!(form.text("name").unwrap(), "李");
        assert!(form.required_integer("cursor").is_err());
        assert!(form.integer("name").is_err());
    }

    #[test]
    fn lists_come_in_three_forms() {
        let params =
            Params::from_body("application/json", br#"{"a":["x",1],"b":"x, 1","c":"[\"x\",1]"}"#).unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(params.list(name).unwrap(), ["x", "1"], "{name}");
        }
    }
}
