//! Texts: what is safe to print, what fits, how numbers are written.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{BAR, STYLES, styled};

/// Whether a character steers a terminal or the order in which text is read, or cannot be seen.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Foreign text without characters that steer: control characters, those that turn the direction of reading, and
/// those that cannot be seen become U+FFFD.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Text in which nothing steers but ends of lines and the program's own styles.
pub(crate) fn guarded(text: &str) -> String {
    if !text.chars().any(|c| c != '\n' && steers(c)) {
        return text.to_owned();
    }
    let marks: Vec<String> = STYLES
        .iter()
        .flat_map(|style| [style.render().to_string(), style.render_reset().to_string()])
        .collect();
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match marks.iter().find(|mark| !mark.is_empty() && rest.starts_with(mark.as_str())) {
            Some(mark) => {
                safe.push_str(mark);
                mark.len()
            }
            None => {
                safe.push(if c != '\n' && steers(c) { '\u{fffd}' } else { c });
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    safe
}

/// JSON text in which what steers is written as escapes: it means the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A count with a unit prefix and three digits: `3.50 M`.
pub(crate) fn count(n: u64) -> String {
    let (value, unit) = match n {
        0..1_000 => return n.to_string(),
        1_000..1_000_000 => (n as f64 / 1e3, "k"),
        1_000_000..1_000_000_000 => (n as f64 / 1e6, "M"),
        _ => (n as f64 / 1e9, "G"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// So many pictures.
pub(crate) fn pictures(count: usize) -> String {
    if count == 1 { "1 picture".into() } else { format!("{count} pictures") }
}

/// So many classes.
pub(crate) fn classes(count: usize) -> String {
    if count == 1 { "1 class".into() } else { format!("{count} classes") }
}

/// A shape as `3x224x224`.
pub(crate) fn shape(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// The start of a text that is wider than `width` columns.
pub(crate) fn start_of(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let mut kept: String = fitting(text.chars(), width).collect();
    kept.push('…');
    kept
}

/// The end of a name that is wider than `width` columns: it tells more than the start.
pub(crate) fn end_of(name: &str, width: usize) -> String {
    if name.width() <= width {
        return name.into();
    }
    let mut kept: Vec<char> = fitting(name.chars().rev(), width).collect();
    kept.push('…');
    kept.into_iter().rev().collect()
}

/// A path that is wider than `width` columns, without its middle: its start tells where it is, and its end is the name
/// of the file.
pub(crate) fn path_of(path: &str, width: usize) -> String {
    /// The fewest columns of a start that tells something.
    const LEAST: usize = 3;
    if path.width() <= width {
        return path.into();
    }
    let file = path.rfind(['/', '\\']).map_or("", |at| &path[at..]);
    // The sign that there is more takes a column.
    let room = width.saturating_sub(file.width());
    if file.is_empty() || room < LEAST + 1 {
        return end_of(path, width);
    }
    fitting(path.chars(), room).chain(['…']).chain(file.chars()).collect()
}

/// The characters that fit `width` columns beside a sign that there are more.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    let mut taken = 1;
    chars.take_while(move |c| {
        taken += c.width().unwrap_or(0);
        taken <= width
    })
}

/// Values, `gap` spaces apart, in lines of at most `width` columns, as many in each as fit; one that is wider than a
/// line fills several, which end at spaces where it has some.
pub(crate) fn wrapped<T: AsRef<str>>(values: &[T], gap: usize, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for value in values.iter().map(AsRef::as_ref) {
        if let Some(line) = lines.last_mut().filter(|line| line.width() + gap + value.width() <= width) {
            *line += &" ".repeat(gap);
            *line += value;
            continue;
        }
        let mut line = String::new();
        for c in value.chars() {
            if line.width() + c.width().unwrap_or(0) > width {
                let rest = line.rfind(' ').map_or_else(String::new, |at| line.split_off(at + 1));
                lines.push(std::mem::replace(&mut line, rest).trim_end().to_owned());
            }
            line.push(c);
        }
        lines.push(line);
    }
    lines
}

/// A line in lines of at most `width` columns that end at spaces. What is indented is a command, and what stands between
/// backticks may be one: they stay whole, and so do words.
pub(crate) fn folded(line: &str, width: usize) -> String {
    if line.starts_with(' ') || line.width() <= width {
        return line.into();
    }
    let mut folded = String::with_capacity(line.len());
    let (mut at, mut columns, mut is_command) = (0, 0, false);
    for word in line.split(' ') {
        let may_break = !is_command && columns > 0;
        is_command ^= word.matches('`').count() % 2 == 1;
        let rest = &line[at..];
        let whole = if is_command { &rest[..end_of_command(rest, word)] } else { word };
        if may_break && columns + 1 + whole.width() > width {
            folded.push('\n');
            columns = 0;
        } else if columns > 0 {
            folded.push(' ');
            columns += 1;
        }
        folded.push_str(word);
        columns += word.width();
        at += word.len() + 1;
    }
    folded
}

/// Where the command ends that begins in the first `word` of a text.
fn end_of_command(text: &str, word: &str) -> usize {
    let begin = word.rfind('`').map_or(0, |at| at + 1);
    text[begin..].find('`').map_or(word.len(), |end| begin + end + 1)
}

/// Text whose longest words lose their middles: names in files can be of any length.
pub(crate) fn shortened(line: &str) -> String {
    /// The most letters of a word, and those that stay on either side.
    const MOST: usize = 400;
    const KEPT: usize = 120;
    let cut = |word: &str| {
        let letters: Vec<char> = word.chars().collect();
        if letters.len() <= MOST {
            return word.to_owned();
        }
        let (start, end) = (&letters[..KEPT], &letters[letters.len() - KEPT..]);
        start.iter().chain(&['…']).chain(end).collect()
    };
    line.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// The words of a command; what stands between single quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_quoted = false;
    for word in command.split(' ') {
        match words.last_mut().filter(|_| is_quoted) {
            Some(last) => *last = format!("{last} {word}"),
            None => words.push(word.to_owned()),
        }
        is_quoted ^= word.matches('\'').count() % 2 == 1;
    }
    words
}

/// The examples of a help text in lines of at most `width` columns, whose ends say that they go on: what is copied of them is one
/// command. All else stays as it is.
pub(crate) fn with_folded_examples(help: &str, width: usize) -> String {
    /// Columns before an example, and before what goes on from it.
    const BEFORE: &str = "  ";
    const GOES_ON: &str = " \\\n    ";
    let is_example = |line: &str| line.starts_with("  cygnet ") || line.starts_with("  CYGNET_ISA=");
    let fold = |line: &str| {
        if !is_example(line) || line.width() <= width {
            return line.to_owned();
        }
        let words = words(line.trim_start());
        let room = width.saturating_sub(2 * BEFORE.len() + GOES_ON.len()).max(1);
        format!("{BEFORE}{}", wrapped(&words, 1, room).join(GOES_ON))
    };
    help.lines().map(fold).collect::<Vec<_>>().join("\n")
}

/// A bar of `width` characters filled to `share`.
pub(crate) fn bar(share: f32, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f32).round() as usize;
    let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
    let empty = width - bar.chars().count();
    format!("{}{}", styled(BAR, &bar), " ".repeat(empty))
}
