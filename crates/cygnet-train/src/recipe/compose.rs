//! Recipes from their names, files and single settings.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use cygnet_files::Size;
use toml::{Table, Value};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::{BUILT_IN, Recipe};
use crate::TrainError;

/// The longest recipe file, and setting of a command line, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// The most dots or opening brackets in a line of a recipe outside of quotes: they bound how deep its tables lie.
const MOST_DEPTH: usize = 16;
/// The most columns of a line of a recipe that an error shows.
const MOST_COLUMNS: usize = 120;
/// How alike a name must be to be proposed, from 0 to 1.
const ALIKE: f64 = 0.5;

/// A setting in which two recipes differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The setting, such as `optimizer.rate`.
    pub setting: String,
    /// Its value in each of the two.
    pub values: [String; 2],
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [before, now] = &self.values;
        write!(f, "{} was {before} and would be {now}", self.setting)
    }
}

impl Recipe {
    /// The recipe `base`, a built-in name or a TOML file, with `settings` such as `optimizer.rate=0.1` on top, the last
    /// of a name winning. A file's `base = "NAME"` names the built-in recipe that it changes.
    ///
    /// # Errors
    /// Names the file or setting and what is wrong.
    pub fn compose(base: &str, settings: &[String]) -> Result<Recipe, TrainError> {
        finish(base, load(base)?, settings)
    }

    /// This recipe with `settings` on top, as in [`Recipe::compose`].
    ///
    /// # Errors
    /// Names the setting and what is wrong.
    pub fn with(&self, settings: &[String]) -> Result<Recipe, TrainError> {
        finish(&self.name, table_of(self), settings)
    }

    /// The settings in which `other` differs, its name and what it is for left out.
    #[must_use]
    pub fn differences(&self, other: &Recipe) -> Vec<Difference> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        flatten("", &table_of(self), &mut ours);
        flatten("", &table_of(other), &mut theirs);
        let pairs = ours.into_iter().zip(theirs).filter(|((name, _), _)| name != "name" && name != "about");
        let unequal = pairs.filter(|((_, ours), (_, theirs))| ours != theirs);
        unequal.map(|((setting, ours), (_, theirs))| Difference { setting, values: [ours, theirs] }).collect()
    }
}

fn table_of(recipe: &Recipe) -> Table {
    Table::try_from(recipe).unwrap_or_default()
}

/// Every setting with its value as text, in the order of their names.
fn flatten(prefix: &str, table: &Table, into: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        if let Value::Table(inner) = value {
            flatten(&format!("{name}."), inner, into);
        } else {
            into.push((name, value.to_string()));
        }
    }
}

fn wrong(place: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Recipe { place: place.into(), reason: reason.into() }
}

fn finish(base: &str, mut table: Table, settings: &[String]) -> Result<Recipe, TrainError> {
    for setting in settings {
        apply(&mut table, setting)?;
    }
    check_kinds(&table).map_err(|reason| wrong(base, reason))?;
    let recipe: Recipe =
        Value::Table(table).try_into().map_err(|error: toml::de::Error| wrong(base, refusal(&error)))?;
    recipe.check().map_err(|reason| wrong(base, reason))?;
    Ok(recipe)
}

/// What there is instead of a word that a setting does not know.
fn refusal(error: &toml::de::Error) -> String {
    let told = error.to_string();
    let (reason, place) = told.trim_end().split_once("\nin `").unwrap_or((&told, ""));
    let reason = reason
        .trim_end()
        .replace("unknown variant", "there is no")
        .replace(", expected one of", "; there are");
    let reason = reason.replace('`', "").replace('\n', " ");
    match place.trim_end_matches('`') {
        "" => reason,
        place if reason.starts_with("invalid value: integer") => format!("{place} is too large"),
        place => format!("{place}: {reason}"),
    }
}

/// Refuses values of another kind than their setting's default has.
fn check_kinds(recipe: &Table) -> Result<(), String> {
    fn check(prefix: &str, given: &Table, known: &Table) -> Result<(), String> {
        given.iter().try_for_each(|(key, value)| {
            let name = format!("{prefix}{key}");
            let is_whole = |value: &Value| matches!(value, Value::Integer(0..));
            let is_number = |value: &Value| matches!(value, Value::Integer(_) | Value::Float(_));
            let are_numbers = |value: &Value, count: usize| {
                value.as_array().is_some_and(|all| all.len() == count && all.iter().all(is_number))
            };
            let wanted = match (known.get(key), value) {
                (Some(Value::Table(known)), Value::Table(given)) => {
                    return check(&format!("{name}."), given, known);
                }
                (Some(Value::Table(_)), _) => "a section with settings of its own",
                (Some(Value::Integer(_)), value) if !is_whole(value) => "a whole number from 0",
                (Some(Value::Float(_)), value) if !is_number(value) => "a number",
                (Some(Value::Boolean(_)), value) if !value.is_bool() => "true or false",
                (Some(Value::String(_)), value) if !value.is_str() => "a word",
                (Some(Value::Array(known)), value) if !are_numbers(value, known.len()) => {
                    "two numbers, such as [0.5, 1]"
                }
                _ => return Ok(()),
            };
            let given: String = value.to_string().chars().take(MOST_COLUMNS).collect();
            Err(format!("{name} is {wanted}, not {given}"))
        })
    }
    check("", recipe, &table_of(&Recipe::default()))
}

/// Whether tables and arrays of a text lie so deep that no recipe can mean it.
fn is_too_deep(text: &str) -> bool {
    const DEEPER: [TokenKind; 3] =
        [TokenKind::Dot, TokenKind::LeftSquareBracket, TokenKind::LeftCurlyBracket];
    let mut depth = 0;
    Source::new(text).lex().any(|token| {
        if token.kind() == TokenKind::Newline {
            depth = 0;
        }
        depth += usize::from(DEEPER.contains(&token.kind()));
        depth > MOST_DEPTH
    })
}

fn parse(place: &str, text: &str) -> Result<Table, TrainError> {
    if is_too_deep(text) {
        return Err(wrong(place, "its tables lie deeper than those of a recipe"));
    }
    text.parse().map_err(|error: toml::de::Error| {
        // The place in the text keeps its lines, of which long ones are cut.
        let told = error.to_string();
        let lines = told.trim_end().lines().map(|line| line.chars().take(MOST_COLUMNS).collect());
        wrong(place, lines.collect::<Vec<String>>().join("\n"))
    })
}

/// "; did you mean NAME?", if a name is like `typed`.
fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> String {
    let likeness = |name: &&str| strsim::normalized_damerau_levenshtein(typed, name);
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    best.filter(|name| likeness(name) >= ALIKE)
        .map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Refuses settings that there are not.
fn check_names(place: &str, changes: &Table) -> Result<(), TrainError> {
    fn unknown(prefix: &str, changes: &Table, known: &Table) -> Option<String> {
        changes.iter().find_map(|(key, value)| match (known.get(key), value) {
            (None, value) => Some(format!("{prefix}{key}{}", first(value))),
            (Some(Value::Table(known)), Value::Table(changes)) => {
                unknown(&format!("{prefix}{key}."), changes, known)
            }
            (Some(_), _) => None,
        })
    }
    /// The way to the first setting in a table.
    fn first(value: &Value) -> String {
        let entry = value.as_table().and_then(|table| table.iter().next());
        entry.map_or_else(String::new, |(key, value)| format!(".{key}{}", first(value)))
    }
    let known = table_of(&Recipe::default());
    let Some(name) = unknown("", changes, &known) else { return Ok(()) };
    let mut settings = Vec::new();
    flatten("", &known, &mut settings);
    // Who leaves out the section means the setting of it.
    let of_a_section =
        settings.iter().find(|(known, _)| known.rsplit_once('.').is_some_and(|(_, last)| last == name));
    let proposal = match of_a_section {
        Some((known, _)) => format!("; did you mean {known}?"),
        None => nearest(&name, settings.iter().map(|(known, _)| known.as_str())),
    };
    let reason = format!("there is no setting {name}{proposal}");
    Err(wrong(place, format!("{reason}; --print-recipe shows all settings")))
}

fn load(base: &str) -> Result<Table, TrainError> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == base) {
        let mut table = parse(name, text)?;
        table.insert("name".into(), Value::String((*name).into()));
        return Ok(table);
    }
    let path = Path::new(base);
    if path.extension().is_none_or(|extension| extension != "toml") {
        let names = BUILT_IN.map(|(name, _)| name);
        let proposal = nearest(base, names.into_iter());
        let reason =
            format!("no recipe of that name{proposal}; there are {}, or give a .toml file", names.join(", "));
        return Err(wrong(base, reason));
    }
    let changes = parse(base, &read(path).map_err(|reason| wrong(base, reason))?)?;
    let mut table = match changes.get("base") {
        None => Table::new(),
        Some(Value::String(name)) if BUILT_IN.iter().any(|(known, _)| known == name) => load(name)?,
        Some(other) => {
            let proposal =
                nearest(other.as_str().unwrap_or_default(), BUILT_IN.iter().map(|(name, _)| *name));
            return Err(wrong(base, format!("base names no recipe that Cygnet brings{proposal}")));
        }
    };
    merge(&mut table, changes);
    table.remove("base");
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    table.insert("name".into(), Value::String(stem));
    check_names(base, &table)?;
    Ok(table)
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    // Before it is opened: a pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("is not a file".into());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("is longer than the {} of a recipe", Size(MOST_BYTES)));
    }
    Ok(text)
}

fn merge(table: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            (_, value) => _ = table.insert(key, value),
        }
    }
}

fn apply(table: &mut Table, setting: &str) -> Result<(), TrainError> {
    // Of a long setting the beginning says which it is.
    let place: String = setting.chars().take(60).collect();
    let (path, text) = setting.split_once('=').ok_or_else(|| wrong(&place, "expected NAME=VALUE"))?;
    let (path, text) = (path.trim(), text.trim());
    // In the path quotes mean nothing: each of its dots leads a table deeper.
    let is_deep = path.matches('.').count() > MOST_DEPTH || is_too_deep(path) || is_too_deep(text);
    if setting.len() as u64 > MOST_BYTES || is_deep {
        return Err(wrong(&place, "lies deeper or is longer than a setting"));
    }
    // What is neither a TOML value nor a number such as .5 is taken as text, so that names need no quotes.
    let parsed = format!("x = {text}").parse::<Table>().ok();
    if text.contains(['\n', '\r']) && parsed.as_ref().is_none_or(|parsed| parsed.len() != 1) {
        return Err(wrong(
            &place,
            "holds several lines; give each setting by its own --set, or a recipe file",
        ));
    }
    let value = parsed.and_then(|mut parsed| parsed.remove("x"));
    let value = value.or_else(|| text.parse().ok().map(Value::Float));
    let mut value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    // A whole number is a fine value for a setting that may have a fraction; serde takes care of that.
    for key in path.split('.').rev() {
        if key.is_empty() {
            return Err(wrong(&place, "expected NAME=VALUE"));
        }
        value = Value::Table(Table::from_iter([(key.to_owned(), value)]));
    }
    if let Value::Table(changes) = value {
        check_names(&place, &changes)?;
        merge(table, changes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Trained;
    use super::*;
    use cygnet_engine::OptimizerKind;

    #[test]
    fn settings_come_over_files_and_files_over_what_they_name_as_base() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "base = \"squeezenet\"\nepochs = 3\n[optimizer]\nrate = 0.5\n").unwrap();
        let set = ["optimizer.rate=1", "train=last-2", "augment.crop_scale=[0.5, 1]", "epochs = 4", "ema=.5"]
            .map(String::from);
        let recipe = Recipe::compose(path.to_str().unwrap(), &set).unwrap();
        assert_eq!((recipe.name.as_str(), recipe.epochs, recipe.batch), ("mine", 4, 512));
        assert_eq!((recipe.optimizer.rate, recipe.optimizer.weight_decay, recipe.ema), (1.0, 2e-4, 0.5));
        assert_eq!((recipe.train, recipe.augment.crop_scale), (Trained::Last(2), [0.5, 1.0]));
        let recipe = Recipe::compose("finetune", &["optimizer.kind=adamw".into()]).unwrap();
        assert_eq!(recipe.optimizer.kind, OptimizerKind::Adamw);
    }

    #[test]
    fn wrong_settings_are_named() {
        let refusal =
            |base: &str, setting: &str| Recipe::compose(base, &[setting.into()]).unwrap_err().to_string();
        assert!(refusal("fintune", "epochs=1").contains("there are finetune, head"));
        let misspelt = refusal("fintune", "epochs=1");
        assert!(misspelt.contains("did you mean finetune?"), "{misspelt}");
        let misspelt = refusal("finetune", "optimizer.ratte=1");
        assert!(misspelt.contains("no setting optimizer.ratte; did you mean optimizer.rate?"), "{misspelt}");
        let misspelt = refusal("finetune", "optimzer.rate=1");
        assert!(misspelt.contains("no setting optimzer.rate; did you mean optimizer.rate?"), "{misspelt}");
        assert!(refusal("finetune", "weight_decay=1").contains("did you mean optimizer.weight_decay?"));
        assert!(refusal("finetune", "name.x=1").contains("name is a word, not {"));
        for (setting, told) in [
            ("optimizer.rate=fast", "finetune: optimizer.rate is a number, not \"fast\""),
            ("epochs=2.5", "epochs is a whole number from 0, not 2.5"),
            ("epochs=-3", "epochs is a whole number from 0, not -3"),
            ("optimizer.nesterov=3", "optimizer.nesterov is true or false, not 3"),
            ("augment.crop_scale=3", "augment.crop_scale is two numbers, such as [0.5, 1], not 3"),
            ("augment.crop_scale=[1]", "augment.crop_scale is two numbers"),
            ("optimizer=sgd", "optimizer is a section with settings of its own"),
            ("optimizer.kind=fast", "optimizer.kind: there is no fast; there are sgd, adamw, rmsprop"),
            ("augment.hue=1", "finetune: augment.hue: 1 is not from 0 to 0.5"),
            ("augment.crop_padding=5000", "augment.crop_padding: 5000 is more than 1024 pixels"),
            ("augment.rotation=400", "augment.rotation: 400 is not from 0 to 360"),
            ("epochs=3\nbatch=4", "holds several lines; give each setting by its own --set"),
            ("epochs=3\r\nbatch=4", "holds several lines"),
            ("distill.teacher=a\nbatch=4", "holds several lines"),
        ] {
            let refused = refusal("finetune", setting);
            assert!(refused.contains(told), "{setting}: {refused}");
        }
        assert!(Recipe::compose("finetune", &["augment.crop_scale=[\n0.5,\n1]".into()]).is_ok());
        let large = refusal("finetune", "epochs=5000000000");
        assert!(large.contains("finetune: epochs is too large"), "{large}");
        assert!(refusal("finetune", "epochs").contains("NAME=VALUE"));
        assert!(refusal("finetune", "epochs=0").contains("epochs is 0"));
        assert!(refusal("finetune", "train=most").contains("most is neither"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "epochs = 3\nbatch = = 4\n").unwrap();
        let told = refusal(path.to_str().unwrap(), "seed=1");
        assert!(told.contains("line 2, column 9\n") && told.contains("\n2 | batch = = 4\n"), "{told}");
        assert!(refusal("nowhere.toml", "epochs=1").contains("nowhere.toml"));
    }

    #[test]
    fn deep_and_long_recipes_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.toml");
        let file = |text: String| {
            std::fs::write(&path, text).unwrap();
            Recipe::compose(path.to_str().unwrap(), &[]).unwrap_err().to_string()
        };
        let deep = ["a.".repeat(30_000) + "a", "[".repeat(60_000), "{a=".repeat(20_000)];
        for value in &deep {
            let texts = [
                format!("{value} = 1"),
                format!("[{value}]"),
                format!("x = {value}"),
                format!("x = {{{value}=1}}"),
            ];
            for text in texts {
                assert!(file(text).contains("deep.toml: its tables lie deeper"));
            }
            for setting in [format!("{value}=1"), format!("x={value}"), format!("x={{{value}=1}}")] {
                let refusal = Recipe::compose("finetune", &[setting]).unwrap_err().to_string();
                assert!(refusal.len() < 200, "{refusal}");
            }
        }
        assert!(file("#".repeat(100_000)).contains("is longer than the 64 KB"));
        assert!(file("x = {\n".to_owned() + &"a = {\n".repeat(9000)).len() < 400);
        // What looks like the end of a text hides nothing.
        let dots = "a.".repeat(30_000);
        for quoted in [r#""\"""#, r#"'\'"#, r#""""a"""""#, "a", r#""""\""""""#] {
            let text = format!("x = {{b = {quoted}, {dots}a = 1}}");
            assert!(file(text).contains("deep.toml: its tables lie deeper"), "{quoted}");
        }
        let refusal = Recipe::compose("finetune", &[format!("\"{dots}a\"=1")]).unwrap_err().to_string();
        assert!(refusal.len() < 200, "{refusal}");
        // Texts and remarks may have as many dots as they like.
        let dots = ".[{".repeat(100);
        for quoted in [format!("'{dots}'"), format!("\"\"\"\n{dots}\"\"\""), format!("\"{dots}\"")] {
            std::fs::write(&path, format!("# {dots}\nabout = {quoted}\n")).unwrap();
            let recipe = Recipe::compose(path.to_str().unwrap(), &[]).unwrap();
            assert_eq!(recipe.about, dots);
            let printed = recipe.with(&[format!("about={}", Value::from(format!("\"'\n{dots}")))]).unwrap();
            std::fs::write(&path, printed.to_toml()).unwrap();
            assert_eq!(Recipe::compose(path.to_str().unwrap(), &[]).unwrap().about, printed.about);
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let recipe = Recipe::named("finetune").unwrap();
        let other = recipe.with(&["optimizer.rate=7".into(), "epochs=3".into()]).unwrap();
        let told: Vec<String> = recipe.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("epochs was ") && told[0].ends_with(" and would be 3"), "{told:?}");
        assert!(
            told[1].starts_with("optimizer.rate was ") && told[1].ends_with(" and would be 7.0"),
            "{told:?}"
        );
        assert_eq!(recipe.differences(&Recipe { name: "else".into(), ..recipe.clone() }), []);
        assert_eq!(recipe.with(&[]).unwrap(), recipe);
    }
}
