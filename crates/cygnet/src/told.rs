//! Errors as people read them.

use std::error::Error;

/// How systems say that a file is not there.
const MISSING: [&str; 3] = [
    "No such file or directory (os error 2)",
    "The system cannot find the file specified. (os error 2)",
    "The system cannot find the path specified. (os error 3)",
];

/// An error with its causes, each once: `a: b: c`.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    in_own_words(&causes(error))
}

/// Text of an error in which a file that is not there is told as everywhere.
#[must_use]
pub fn in_own_words(text: &str) -> String {
    MISSING.iter().fold(text.to_owned(), |text, told| text.replace(told, "no such file or folder"))
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text
}
