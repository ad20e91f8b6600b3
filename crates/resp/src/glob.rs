//! Redis's glob patterns: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before a byte that stands for itself.
//!
//! Over bytes, as keys are. Iterative: on a mismatch only the last `*` is tried further on, never an earlier one,
//! because whatever an earlier one could reach the last can too. So a match takes at most pattern times text steps;
//! the recursive form takes exponentially many for `a*a*a*a*b`, and patterns come from clients.

/// Whether all of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    // Where to go on after a mismatch: behind the last star, and what it then has to swallow up to.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            retry = Some((at, pos));
            continue;
        }
        match (one(&pattern[at..], text.get(pos).copied()), pos < text.len()) {
            (Step::End, false) => return true,
            (Step::Match(width), true) => {
                at += width;
                pos += 1;
            }
            _ => match &mut retry {
                Some((star, swallowed)) if *swallowed < text.len() => {
                    *swallowed += 1;
                    (at, pos) = (*star, *swallowed);
                }
                _ => return false,
            },
        }
    }
}

/// Whether `pattern` matches every text, so that matching can be left out.
pub fn is_everything(pattern: &[u8]) -> bool {
    !pattern.is_empty() && pattern.iter().all(|&byte| byte == b'*')
}

enum Step {
    /// The pattern is at its end.
    End,
    /// The byte matches the pattern's next element, which is this long.
    Match(usize),
    Mismatch,
}

fn one(pattern: &[u8], byte: Option<u8>) -> Step {
    let (hit, width) = match (pattern, byte) {
        ([], _) => return Step::End,
        (_, None) => (false, 0),
        ([b'?', ..], Some(_)) => (true, 1),
        ([b'[', class @ ..], Some(byte)) => {
            let (hit, width) = class_matches(class, byte);
            (hit, width + 1)
        }
        ([b'\\', literal, ..], Some(byte)) => (*literal == byte, 2),
        ([literal, ..], Some(byte)) => (*literal == byte, 1),
    };
    if hit { Step::Match(width) } else { Step::Mismatch }
}

/// Whether `byte` is in the class that begins behind its `[`, and how long the class is with its `]`. As in Redis a
/// class that is never closed ends with the pattern.
fn class_matches(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut hit = false;
    loop {
        match &class[at..] {
            [] => return (hit != negated, at),
            [b']', ..] => return (hit != negated, at + 1),
            [b'\\', literal, ..] => {
                hit |= *literal == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                hit |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                hit |= *literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, hits: &[&str], misses: &[&str]) {
        for text in hits {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should match {text}");
        }
        for text in misses {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
        }
    }

    /// The examples of Redis's own page on KEYS, and its corner cases.
    #[test]
    fn patterns_mean_what_they_mean_in_redis() {
        check("h?llo", &["hello", "hallo", "hxllo"], &["hllo", "heello"]);
        check("h*llo", &["hllo", "heeeello"], &["hell"]);
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo", "hbllo"], &["hello"]);
        check("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("[b-a]", &["a", "b"], &["c"]);
        check("\\*", &["*"], &["a"]);
        check("[\\]]", &["]"], &["\\"]);
        check("[a", &["a"], &["[a", "b"]);
        check("\\", &["\\"], &[""]);
        check("", &[""], &["a"]);
        check("*", &["", "a"], &[]);
        check("a*b*c", &["abc", "axxbxxc", "abbcbc"], &["ab", "acb"]);
    }

    /// What takes the recursive matcher longer than anyone waits.
    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(1000) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }

    /// The definition, as directly as it can be said.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        if let [b'*', rest @ ..] = pattern {
            return (0..=text.len()).any(|skip| naive(rest, &text[skip..]));
        }
        match (one(pattern, text.first().copied()), text) {
            (Step::End, []) => true,
            (Step::Match(width), [_, rest @ ..]) => naive(&pattern[width..], rest),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,9}", text in "[ab\\[\\]^\\\\-]{0,9}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            proptest::prop_assert_eq!(matches(pattern, text), naive(pattern, text));
        }

        #[test]
        fn never_panics(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text);
        }
    }
}
