//! What the client would rather be told in: the `Accept` header (RFC 9110, section 12.5.1).
//!
//! A value is bytes, and bytes serve everyone, so no request for a key is ever refused as not acceptable: `Accept` only
//! chooses among the forms there are. A media type must be named to be preferred over the raw value; wildcards, which
//! every client sends, ask for nothing.

use axum::http::{HeaderMap, header};

/// The forms in which values can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// `application/octet-stream`: the bytes of a single value, as they were stored.
    Raw,
    /// `application/json`: context and values with their clocks, values in Base64.
    Json,
    /// `multipart/mixed`: all values as bytes, one part each.
    Multipart,
}

/// The form that the `Accept` header prefers: the named one of the highest weight, the first of equals, raw if none is
/// named.
pub(crate) fn preferred(headers: &HeaderMap) -> Form {
    let fields = headers.get_all(header::ACCEPT);
    let ranges = fields.iter().filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
    let mut best = (0, Form::Raw);
    for (weight, form) in ranges.filter_map(parse_range) {
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

/// The weight in thousandths and the form that a media range names; nothing for a wildcard or a form unknown here.
fn parse_range(range: &str) -> Option<(u16, Form)> {
    let mut parts = range.split(';').map(str::trim);
    let form = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/octet-stream" => Form::Raw,
        "application/json" => Form::Json,
        "multipart/mixed" => Form::Multipart,
        _ => return None,
    };
    let weight =
        parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
    Some((weight.map_or(1000, parse_weight), form))
}

/// `0.75` as 750; zero where it is not a weight, so that the range is passed over.
fn parse_weight(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight =
        matches!(whole, "0" | "1") && fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    if !is_weight {
        return 0;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse().unwrap_or(0);
    if thousandths > 1000 { 0 } else { thousandths }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_for(accept: &[&str]) -> Form {
        let mut headers = HeaderMap::new();
        for field in accept {
            headers.append(header::ACCEPT, field.parse().unwrap());
        }
        preferred(&headers)
    }

    #[test]
    fn without_a_named_form_the_value_is_raw() {
        assert_eq!(form_for(&[]), Form::Raw);
        assert_eq!(form_for(&["*/*"]), Form::Raw);
        assert_eq!(form_for(&["text/html, application/*;q=0.9, */*;q=0.8"]), Form::Raw);
    }

    #[test]
    fn the_highest_weight_wins_and_the_first_of_equals() {
        assert_eq!(form_for(&["application/json;q=0.5, multipart/mixed;q=0.75"]), Form::Multipart);
        assert_eq!(form_for(&["application/json", "multipart/mixed"]), Form::Json);
        assert_eq!(form_for(&["application/octet-stream;q=0.1, Application/JSON ; q=0.2"]), Form::Json);
    }

    #[test]
    fn what_is_not_a_weight_is_passed_over() {
        assert_eq!(form_for(&["application/json;q=2"]), Form::Raw);
        assert_eq!(form_for(&["application/json;q=-1, multipart/mixed;q=0.001"]), Form::Multipart);
        assert_eq!(form_for(&["application/json;q=0"]), Form::Raw);
        assert_eq!(form_for(&["application/json;q=1.001"]), Form::Raw);
    }
}
