//! Key maps: how a source names the parameters of a network that Cygnet names otherwise. Data, not code.

/// A table from Cygnet's parameter paths to a source's.
///
/// A rule is a pattern of a path and a template. Patterns and templates are literal but for braces:
///
/// | in a pattern | matches |
/// |---|---|
/// | `{#}` | the number of a block in one flat sequence that starts at [`KeyMap::first`] |
/// | `{S}.{B}` | the number of a stage and of a block in it, with [`KeyMap::stages`] blocks a stage |
/// | `{a}` … `{z}` | one segment of the path |
/// | `{*}` | the rest of the path |
///
/// Templates use the same words, where `{#}` is the block counted from 0 through all stages, and `{S}` and `{B}`
/// its stage and number in [`KeyMap::source_stages`]; each may carry an offset, as in `{S+1}`. With an offset, a
/// segment that is one lower-case letter counts as its place in the alphabet, from `a` = 1. The first rule that
/// matches counts; a path that none matches stays as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyMap {
    /// Whose names they are.
    pub source: &'static str,
    /// Blocks in each of Cygnet's stages, for `{S}.{B}` in patterns.
    pub stages: &'static [usize],
    /// Number of the first block, for `{#}` in patterns.
    pub first: usize,
    /// Blocks in each of the source's stages, for `{S}` and `{B}` in templates.
    pub source_stages: &'static [usize],
    /// Pairs of pattern and template for the path of a layer.
    pub rules: &'static [(&'static str, &'static str)],
    /// Pairs of PyTorch's name of a tensor in a layer and the source's; the first that fits counts. PyTorch's may
    /// follow a pattern of the source's path of the layer: `{a}_bn.weight` is for layers that end in `_bn` only.
    pub tensors: &'static [(&'static str, &'static str)],
    /// Whether weights are stored as `[height, width, in, out]` and `[in, out]`, as TensorFlow does.
    pub channels_last: bool,
}

/// A map that renames nothing, to fill the fields that a table does not need.
pub const SAME_KEYS: KeyMap = KeyMap {
    source: "",
    stages: &[],
    first: 0,
    source_stages: &[],
    rules: &[],
    tensors: &[],
    channels_last: false,
};

#[derive(Default)]
struct Captures<'p> {
    block: Option<usize>,
    segments: Vec<(char, &'p str)>,
    rest: &'p str,
}

impl KeyMap {
    /// The source's name of the parameter that Cygnet calls `name`, e.g. `features.0.0.weight`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        let (path, tensor) = name.rsplit_once('.').unwrap_or(("", name));
        let path = self.path(path);
        let fits = |own: &str| match own.rsplit_once('.') {
            Some((layer, own)) => own == tensor && self.captures(layer, &path).is_some(),
            None => own == tensor,
        };
        let tensor = self.tensors.iter().find(|(own, _)| fits(own)).map_or(tensor, |(_, theirs)| theirs);
        format!("{path}.{tensor}")
    }

    /// The source's name of the layer that Cygnet calls `path`.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        let hit =
            self.rules.iter().find_map(|(pattern, template)| Some((self.captures(pattern, path)?, template)));
        hit.map_or_else(|| path.to_owned(), |(captures, template)| self.fill(template, &captures))
    }

    fn captures<'p>(&self, pattern: &str, path: &'p str) -> Option<Captures<'p>> {
        let (mut pattern, mut path) = (pattern, path);
        let mut captures = Captures::default();
        let mut stage = None;
        while let Some((literal, after)) = pattern.split_once('{') {
            path = path.strip_prefix(literal)?;
            let (word, after) = after.split_once('}')?;
            pattern = after;
            if word == "*" {
                captures.rest = std::mem::take(&mut path);
                continue;
            }
            let end = path.find('.').unwrap_or(path.len());
            let literal = &after[..after.find(['{', '.']).unwrap_or(after.len())];
            let segment = path[..end].strip_suffix(literal)?;
            path = &path[segment.len()..];
            match word.chars().next()? {
                '#' => captures.block = Some(segment.parse::<usize>().ok()?.checked_sub(self.first)?),
                'S' => stage = Some(segment.parse::<usize>().ok()?),
                'B' => {
                    let before: usize = self.stages.get(..stage?)?.iter().sum();
                    captures.block = Some(before + segment.parse::<usize>().ok()?);
                }
                letter => captures.segments.push((letter, segment)),
            }
        }
        (pattern == path).then_some(captures)
    }

    fn fill(&self, template: &str, captures: &Captures<'_>) -> String {
        let mut filled = String::new();
        let mut template = template;
        while let Some((literal, after)) = template.split_once('{') {
            filled.push_str(literal);
            let Some((word, after)) = after.split_once('}') else { break };
            template = after;
            let (name, offset) = word.split_at(word.find(['+', '-']).unwrap_or(word.len()));
            let is_offset = !offset.is_empty();
            let offset = offset.parse::<isize>().unwrap_or(0);
            let block = captures.block.unwrap_or(0);
            let number = |n: usize| n.saturating_add_signed(offset).to_string();
            let word = match name.chars().next() {
                Some('*') => captures.rest.to_owned(),
                Some('#') => number(block),
                Some('S') => number(self.source_block(block).0),
                Some('B') => number(self.source_block(block).1),
                letter => {
                    let hit = captures.segments.iter().find(|(name, _)| Some(*name) == letter);
                    let segment = hit.map_or("", |(_, segment)| *segment);
                    match segment.as_bytes() {
                        &[place @ b'a'..=b'z'] if is_offset => number(usize::from(place - b'a') + 1),
                        _ => segment.parse().map_or_else(|_| segment.to_owned(), number),
                    }
                }
            };
            filled.push_str(&word);
        }
        filled + template
    }

    fn source_block(&self, mut block: usize) -> (usize, usize) {
        let stages = if self.source_stages.is_empty() { self.stages } else { self.source_stages };
        for (stage, &blocks) in stages.iter().enumerate() {
            if block < blocks {
                return (stage, block);
            }
            block -= blocks;
        }
        (stages.len(), block)
    }
}
