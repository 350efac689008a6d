//! What the names of classes leave open.

use std::collections::HashMap;
use std::path::Path;

/// That classes cannot be told apart by the names in the file `labels`, if so.
pub(super) fn ambiguous(labels: &Path, names: &[String]) -> Option<String> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let twice = names.iter().enumerate().find_map(|(class, name)| {
        let before = *first.entry(name).or_insert(class);
        (before != class).then_some((name, before, class))
    });
    if let Some((name, before, class)) = twice {
        let told = if name.is_empty() { "an empty line".into() } else { format!("{name:?}") };
        return Some(format!(
            "{}: {told} is the name of both class {before} and class {class}; answers do not tell them apart",
            labels.display()
        ));
    }
    let unnamed = names.iter().position(String::is_empty);
    unnamed.map(|class| format!("{}: class {class} has an empty name", labels.display()))
}
