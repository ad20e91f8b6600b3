//! Tokens come back as they went, and say what is wrong when they do not.

use causality::{Context, TOKEN_BYTES_MAX, TokenError};
use proptest::prelude::*;

use crate::given::{any_context, context};

proptest! {
    #[test]
    fn a_token_is_the_context_that_it_was_made_of(context in any_context(), binding in any::<u32>()) {
        let token = context.to_token(binding);
        prop_assert_eq!(Context::from_token(&token, binding), Ok(context));
        prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }

    #[test]
    fn a_token_of_another_key_is_refused_as_such(context in any_context(), binding in any::<u32>(), other in any::<u32>()) {
        prop_assume!(binding != other);
        prop_assert_eq!(Context::from_token(&context.to_token(binding), other), Err(TokenError::OfAnotherKey));
    }

    /// CRC32C finds every change of one character.
    #[test]
    fn an_altered_token_is_refused(context in any_context(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
        let mut token = context.to_token(7);
        let at = at.index(token.len());
        prop_assume!(token[at..=at] != with);
        token.replace_range(at..=at, &with);
        prop_assert!(matches!(Context::from_token(&token, 7), Err(TokenError::Damaged | TokenError::Malformed(_))));
    }

    #[test]
    fn a_shortened_token_is_refused(context in any_context(), cut in any::<prop::sample::Index>()) {
        let token = context.to_token(7);
        prop_assert!(Context::from_token(&token[..cut.index(token.len())], 7).is_err());
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,80}") {
        prop_assert!(Context::from_token(&text, 7).is_err());
    }
}

/// Damage in the middle is called damage, and what never was a token is not.
#[test]
fn damage_is_told_from_nonsense() {
    let token = context(&[(1, 2), (3, 4)], &[]).to_token(7);
    let other = if token.as_bytes()[20] == b'A' { "B" } else { "A" };
    let altered = format!("{}{other}{}", &token[..20], &token[21..]);
    assert_eq!(Context::from_token(&altered, 7), Err(TokenError::Damaged));
    for nonsense in ["", "AA", "hello world", "%%%%", "not-a-context!"] {
        assert!(matches!(Context::from_token(nonsense, 7), Err(TokenError::Malformed(_))), "{nonsense:?}");
    }
}

/// A token is bounded, and the bound is checked before anything is decoded.
#[test]
fn an_endless_token_is_refused() {
    let endless = "A".repeat(TOKEN_BYTES_MAX + 1);
    assert!(matches!(Context::from_token(&endless, 7), Err(TokenError::Malformed(_))));
}

/// Tokens are read by clients of other versions of the program: their bytes are kept.
#[test]
fn tokens_stay_what_they_were() {
    assert_eq!(
        Context::from_token(&context(&[(1, 2)], &[(3, 4)]).to_token(7), 7),
        Ok(context(&[(1, 2)], &[(3, 4)]))
    );
    assert_eq!(context(&[(1, 2)], &[(3, 4)]).to_token(7), "AQcAAAABAgEAAAAAAAAAAAMAAAAAAAAAAAIAAQEEIRSq5g");
    assert_eq!(Context::Empty.to_token(7), "AQcAAAAA1xlsEA");
}
