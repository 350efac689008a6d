//! The text: a layer a line, with the names of what it reads and makes, and its settings by numbers.

use std::collections::HashMap;

use crate::ImportError;

/// What the text begins with.
pub(super) const MAGIC: &str = "7767517";
/// Most layers.
const MOST: usize = 1 << 18;
/// Numbers of a setting that is a list at most.
const MOST_NUMBERS: usize = 1 << 12;
/// What a list's number is counted down from.
const LISTS: i64 = -23_300;

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct Layer<'a> {
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    settings: HashMap<i64, Setting>,
}

#[derive(Clone, Debug)]
enum Setting {
    One(f64),
    List(Vec<f64>),
}

impl Layer<'_> {
    /// A setting that is a number.
    pub(super) fn float(&self, number: i64, default: f64) -> f64 {
        match self.settings.get(&number) {
            Some(Setting::One(value)) => *value,
            _ => default,
        }
    }

    /// A setting that is a whole number.
    pub(super) fn int(&self, number: i64, default: i64) -> i64 {
        // Casts saturate.
        self.float(number, default as f64) as i64
    }

    /// A setting that is a list.
    pub(super) fn list(&self, number: i64) -> &[f64] {
        match self.settings.get(&number) {
            Some(Setting::List(list)) => list,
            _ => &[],
        }
    }
}

/// The layers of a text.
pub(super) fn layers(text: &str) -> Result<Vec<Layer<'_>>, ImportError> {
    let damaged = |line: usize, what: &str| ImportError::Damaged(format!("line {}: {what}", line + 1));
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if lines.next().is_none_or(|(_, first)| first.trim() != MAGIC) {
        return Err(damaged(0, "a .param file begins with 7767517"));
    }
    lines.next().ok_or_else(|| damaged(1, "the numbers of layers and blobs are missing"))?;
    let mut layers = Vec::new();
    for (number, line) in lines {
        if layers.len() == MOST {
            return Err(ImportError::Limit { what: "layers", limit: MOST });
        }
        let mut words = line.split_ascii_whitespace();
        let mut word = || words.next().ok_or_else(|| damaged(number, "the line is cut"));
        let (kind, name) = (word()?, word()?);
        let count =
            |word: &str| word.parse::<usize>().map_err(|_| damaged(number, "no number of inputs or outputs"));
        let [inputs, outputs] = [count(word()?)?, count(word()?)?];
        let mut names = |count: usize| (0..count).map(|_| word()).collect::<Result<Vec<_>, _>>();
        let (inputs, outputs) = (names(inputs)?, names(outputs)?);
        let mut settings = HashMap::new();
        for word in words {
            let (place, value) =
                word.split_once('=').ok_or_else(|| damaged(number, "a setting is not NUMBER=VALUE"))?;
            let place: i64 = place.parse().map_err(|_| damaged(number, "a setting has no number"))?;
            let one = |text: &str| text.parse::<f64>().map_err(|_| damaged(number, "a setting is no number"));
            if place > LISTS {
                settings.insert(place, Setting::One(one(value)?));
                continue;
            }
            let mut values = value.split(',');
            let length = one(values.next().unwrap_or_default())?;
            let list: Vec<f64> = values.take(MOST_NUMBERS + 1).map(one).collect::<Result<_, _>>()?;
            if list.len() as f64 != length || list.len() > MOST_NUMBERS {
                return Err(damaged(number, "a list is not as long as it says, or too long"));
            }
            settings.insert(LISTS - place, Setting::List(list));
        }
        layers.push(Layer { kind, name, inputs, outputs, settings });
    }
    Ok(layers)
}
