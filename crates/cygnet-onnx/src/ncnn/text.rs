//! The text: a layer a line, with the names of what it reads and makes, and its settings by numbers.

use std::collections::{HashMap, HashSet};

use crate::{ImportError, Reason};

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
    pub(super) fn float(&self, number: i64, default: f64) -> Result<f64, Reason> {
        match self.settings.get(&number) {
            Some(Setting::One(value)) => Ok(*value),
            Some(Setting::List(list)) => {
                Err(Reason::new(format!("its setting {number} is a list of {}, not a number", list.len())))
            }
            None => Ok(default),
        }
    }

    /// A setting that is a whole number.
    pub(super) fn int(&self, number: i64, default: i64) -> Result<i64, Reason> {
        match self.settings.get(&number) {
            Some(Setting::One(value)) => whole(number, *value),
            _ => self.float(number, 0.0).map(|_| default),
        }
    }

    /// A setting that is a list.
    pub(super) fn list(&self, number: i64) -> Result<&[f64], Reason> {
        match self.settings.get(&number) {
            Some(Setting::List(list)) => Ok(list),
            Some(Setting::One(value)) => {
                Err(Reason::new(format!("its setting {number} is {value}, not a list")))
            }
            None => Ok(&[]),
        }
    }

    /// A setting that is a list of whole numbers.
    pub(super) fn ints(&self, number: i64) -> Result<Vec<i64>, Reason> {
        self.list(number)?.iter().map(|&value| whole(number, value)).collect()
    }
}

/// A number of a setting that is meant to be whole.
fn whole(number: i64, value: f64) -> Result<i64, Reason> {
    if value.fract() == 0.0 && value.abs() <= f64::from(i32::MAX) {
        return Ok(value as i64);
    }
    Err(Reason::new(format!("its setting {number} is {value}, which is no whole number of 32 bits")))
}

/// The layers of a text.
pub(super) fn layers(text: &str) -> Result<Vec<Layer<'_>>, ImportError> {
    let damaged = |line: usize, what: &str| ImportError::Damaged(format!("line {}: {what}", line + 1));
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if lines.next().is_none_or(|(_, first)| first.trim() != MAGIC) {
        return Err(damaged(0, "a .param file begins with 7767517"));
    }
    let counts = lines.next().map(|(_, counts)| counts.split_ascii_whitespace().map(str::parse::<usize>));
    let counts: Vec<usize> =
        counts.and_then(|counts| counts.collect::<Result<_, _>>().ok()).unwrap_or_default();
    let [told_layers, told_blobs] = counts[..] else {
        return Err(damaged(1, "the numbers of layers and blobs are missing"));
    };
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
    check_counts(&layers, told_layers, told_blobs)?;
    Ok(layers)
}

/// Whether there are as many layers and blobs as the text says: one that is cut, or of another network, has others.
fn check_counts(layers: &[Layer<'_>], told_layers: usize, told_blobs: usize) -> Result<(), ImportError> {
    let last = layers.last().map_or("", |layer| layer.name);
    let mut blobs = HashSet::new();
    for layer in layers {
        if let Some(twice) = layer.outputs.iter().find(|&&output| !blobs.insert(output)) {
            let reason = format!("the layer {} makes {twice}, which another made before it", layer.name);
            return Err(ImportError::Damaged(reason));
        }
    }
    for (what, there, told) in [("layers", layers.len(), told_layers), ("blobs", blobs.len(), told_blobs)] {
        if there != told {
            let reason = format!("line 2 tells of {told} {what}, up to the layer {last} there are {there}");
            return Err(ImportError::Damaged(reason));
        }
    }
    Ok(())
}
