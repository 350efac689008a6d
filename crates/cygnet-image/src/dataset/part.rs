//! What a folder's name tells: a part of a data set, or something that is no picture of the set at all.

/// Which part of the data set a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

const TRAIN: [&str; 7] = ["train", "training", "trainset", "trainingset", "trainval", "traindata", "trn"];
const VALIDATION: [&str; 14] = [
    "val",
    "valid",
    "validate",
    "validation",
    "valset",
    "validset",
    "validationset",
    "dev",
    "devset",
    "eval",
    "evaluate",
    "evaluation",
    "evalset",
    "holdout",
];
const TEST: [&str; 6] = ["test", "tests", "testing", "testset", "testingset", "testdata"];

/// Words beside a part's that tell nothing.
const NEUTRAL: [&str; 15] = [
    "set", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos",
    "split", "folder", "files", "the",
];

/// A folder's name taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The part that one of its words names.
    pub(super) part: Option<Part>,
    /// Its other words, without those that tell nothing: `pets` of `pets-training_set-2`.
    pub(super) rest: Vec<String>,
}

impl Name {
    pub(super) fn of(name: &str) -> Name {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = Vec::new();
        for word in words(&name.replace("hold-out", "holdout").replace("hold_out", "holdout")) {
            let among = |words: &[&str]| words.contains(&word.as_str());
            let part = if among(&TRAIN) {
                Some(Part::Train)
            } else if among(&VALIDATION) {
                Some(Part::Validation)
            } else if among(&TEST) {
                Some(Part::Test)
            } else {
                None
            };
            match part {
                Some(part) if !parts.contains(&part) => parts.push(part),
                Some(_) => {}
                None if among(&NEUTRAL) => {}
                None => rest.push(word),
            }
        }
        let part = match parts[..] {
            [part] => Some(part),
            // What is for both is to learn from, as in PASCAL VOC.
            [Part::Train, Part::Validation] => Some(Part::Train),
            _ => None,
        };
        Name { part, rest }
    }
}

impl Part {
    /// The part that a folder's name or a table's field stands for, which must say nothing else.
    pub(super) fn named(name: &str) -> Option<Part> {
        let Name { part, rest } = Name::of(name);
        part.filter(|_| rest.is_empty())
    }
}

/// Whether a name is of words that tell nothing.
pub(super) fn is_neutral(name: &str) -> bool {
    let words = words(name);
    !words.is_empty() && words.iter().all(|word| NEUTRAL.contains(&word.as_str()))
}

/// Lower-case words of letters; numbers, as in `train2017`, are none.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && before.is_lowercase();
        if (begins || !c.is_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// What systems and editors leave in folders and archives.
const LEFT_BEHIND: [&str; 5] =
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Whether a file or folder is hidden, or one that a system left behind.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || LEFT_BEHIND.contains(&name)
}

/// A name as text. One that is not UTF-8 is read as Latin-1, so that different names stay different.
pub(super) fn text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => name.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_one_word_of_a_name() {
        for name in [
            "train",
            "Training",
            "training_set",
            "train2017",
            "TrainingSet",
            "train-images",
            "train_val",
            "TRAIN",
            "trainset",
            "Train_data_01",
        ] {
            assert_eq!(Part::named(name), Some(Part::Train), "{name}");
        }
        for name in
            ["val", "val2017", "valid", "validate", "Validation_Set", "dev", "eval", "holdout", "hold-out"]
        {
            assert_eq!(Part::named(name), Some(Part::Validation), "{name}");
        }
        for name in ["test", "Testing", "test_set", "test2015", "testData", "test images"] {
            assert_eq!(Part::named(name), Some(Part::Test), "{name}");
        }
        for name in ["trains", "value", "plane", "crash test", "contest", "1", "train_test", "seg_train", ""]
        {
            assert_eq!(Part::named(name), None, "{name}");
        }
        assert_eq!(Name::of("seg_train"), Name { part: Some(Part::Train), rest: vec!["seg".into()] });
    }

    #[test]
    fn names_that_are_not_text_stay_different() {
        assert_ne!(text(b"caf\xe9"), text(b"caf\xe8"));
        assert_eq!(text("café".as_bytes()), "café");
    }
}
