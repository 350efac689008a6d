//! The text form of genes: `gene:IMAGE-STEM-STAGE-…-HEAD`, in letters and numbers that shells and file names leave
//! alone.
//!
//! A stage is its channels, `s2` if it halves the map, and its blocks, each after a `_`: how many alike, a letter for
//! the kind, the kernel, and settings. docs/genes.md has the table.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::{Block, Gene, GeneError, Head, Inner, Kind, Nonlinearity, Squeeze, Stage, Stem};

/// Most bytes of a text.
const TEXT: usize = 8192;
/// Most stages, and most blocks of all stages together.
const STAGES: usize = 64;
const BLOCKS: usize = 512;
/// Largest sides of images and kernels.
const IMAGE: usize = 4096;
const KERNEL: usize = 15;
/// Most channels of a map that a gene names.
const CHANNELS: usize = 1 << 16;
/// Largest expansion, and most groups.
const EXPANSION: usize = 64;
const GROUPS: usize = 64;

impl FromStr for Gene {
    type Err = GeneError;

    fn from_str(text: &str) -> Result<Gene, GeneError> {
        let whole = |reason: String| GeneError { place: "gene".into(), reason };
        if text.len() > TEXT {
            return Err(whole(format!("{} bytes are too long; at most {TEXT} are read", text.len())));
        }
        let body = text.strip_prefix(Gene::PREFIX).ok_or_else(|| {
            whole(format!(
                "does not begin with {}; write {}IMAGE-STEM-STAGE-HEAD",
                Gene::PREFIX,
                Gene::PREFIX
            ))
        })?;
        let parts: Vec<&str> = body.split('-').collect();
        let [image, stem, stages @ .., head] = &parts[..] else {
            return Err(whole("is incomplete; write gene:IMAGE-STEM-STAGE-HEAD".into()));
        };
        if stages.is_empty() || stages.len() > STAGES {
            return Err(whole(format!(
                "has {} stages; write 1 to {STAGES} between stem and head",
                stages.len()
            )));
        }
        let mut image = Cursor::new("image".into(), image);
        let side = image.number("the side of images in pixels", 1..=IMAGE)?;
        image.end()?;
        let (mut read, mut blocks) = (Vec::new(), 0);
        for (number, part) in stages.iter().enumerate() {
            let stage = stage(number, part, BLOCKS - blocks)?;
            blocks += stage.blocks.len();
            read.push(stage);
        }
        let gene = Gene { image: side, stem: self::stem(stem)?, stages: read, head: self::head(head)? };
        gene.check_skips()?;
        Ok(gene)
    }
}

impl Gene {
    /// Refuses to leave out a block that would change the map.
    fn check_skips(&self) -> Result<(), GeneError> {
        let mut channels = self.stem.channels;
        for (number, stage) in self.stages.iter().enumerate() {
            let changes = stage.stride != 1 || stage.channels != channels;
            if changes && matches!(stage.blocks.first(), Some(None)) {
                let reason = "changes the map, so its first block cannot be left out; write a block for x";
                return Err(GeneError { place: format!("stage {number}"), reason: reason.into() });
            }
            channels = stage.channels;
        }
        Ok(())
    }
}

/// A part of the text on its way through a reader.
struct Cursor<'t> {
    place: String,
    whole: &'t str,
    rest: &'t str,
    /// The settings that were read.
    seen: String,
}

impl<'t> Cursor<'t> {
    fn new(place: String, text: &'t str) -> Cursor<'t> {
        Cursor { place, whole: text, rest: text, seen: String::new() }
    }

    fn wrong(&self, reason: impl Display) -> GeneError {
        let shown: String = self.whole.chars().take(40).collect();
        GeneError { place: format!("{} ({shown})", self.place), reason: reason.to_string() }
    }

    /// The digits that come next, none if there are none.
    fn digits(&mut self) -> Option<&'t str> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        (digits > 0).then_some(number)
    }

    fn number(&mut self, what: &str, range: std::ops::RangeInclusive<usize>) -> Result<usize, GeneError> {
        let (least, most) = (*range.start(), *range.end());
        let digits = self.digits();
        let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| match digits {
            Some(digits) if digits.len() <= 20 => {
                self.wrong(format!("{what} is {digits}; write {least} to {most}"))
            }
            _ => self.wrong(format!("{what} is missing; write {least} to {most}")),
        })
    }

    /// The side of a kernel, after its letter.
    fn kernel(&mut self) -> Result<usize, GeneError> {
        let kernel = self.number("the side of the kernel", 1..=KERNEL)?;
        if kernel % 2 == 0 {
            return Err(self.wrong(format!("a kernel of {kernel} has no centre; write an odd side")));
        }
        Ok(kernel)
    }

    /// The next letter, which is one of `known` and stands here once.
    fn setting(&mut self, known: &str) -> Result<Option<char>, GeneError> {
        let Some(letter) = self.rest.chars().next() else { return Ok(None) };
        if !known.contains(letter) {
            let known: Vec<String> = known.chars().map(String::from).collect();
            return Err(self.wrong(format!("{letter:?} is no setting here; there are {}", known.join(", "))));
        }
        if self.seen.contains(letter) {
            return Err(self.wrong(format!("{letter} stands twice; leave one out")));
        }
        self.seen.push(letter);
        self.rest = &self.rest[letter.len_utf8()..];
        Ok(Some(letter))
    }

    fn end(&self) -> Result<(), GeneError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("ends in what is not read; leave it out")) }
    }

    /// Refuses two settings of which a layer has one.
    fn one_of(&self, letters: &str) -> Result<(), GeneError> {
        let both: Vec<String> =
            letters.chars().filter(|&letter| self.seen.contains(letter)).map(String::from).collect();
        if both.len() > 1 { Err(self.wrong(format!("has {}; keep one", both.join(" and ")))) } else { Ok(()) }
    }
}

impl Nonlinearity {
    fn of(letter: char) -> Option<Nonlinearity> {
        match letter {
            'h' => Some(Nonlinearity::HardSwish),
            'c' => Some(Nonlinearity::Relu6),
            _ => None,
        }
    }

    /// Its letter in the text form, nothing for ReLU.
    const fn letter(self) -> &'static str {
        match self {
            Nonlinearity::Relu => "",
            Nonlinearity::Relu6 => "c",
            Nonlinearity::HardSwish => "h",
        }
    }
}

fn stem(text: &str) -> Result<Stem, GeneError> {
    let mut cursor = Cursor::new("stem".into(), text);
    let channels = cursor.number("the number of channels", 1..=CHANNELS)?;
    let mut stem =
        Stem { channels, kernel: 3, stride: 2, pools: false, activation: Nonlinearity::Relu, bias: false };
    while let Some(letter) = cursor.setting("ksphcb")? {
        match letter {
            'k' => stem.kernel = cursor.kernel()?,
            's' => stem.stride = cursor.number("the stride", 1..=2)?,
            'p' => stem.pools = true,
            'b' => stem.bias = true,
            _ => stem.activation = Nonlinearity::of(letter).unwrap_or_default(),
        }
    }
    cursor.one_of("hc")?;
    Ok(stem)
}

fn head(text: &str) -> Result<Head, GeneError> {
    let mut cursor = Cursor::new("head".into(), text);
    let channels = cursor.number("the number of channels", 0..=CHANNELS)?;
    let mut head = Head { channels, activation: Nonlinearity::Relu, bias: false, hidden: 0 };
    while let Some(letter) = cursor.setting("hcbl")? {
        match letter {
            'b' => head.bias = true,
            'l' => head.hidden = cursor.number("the width of the hidden layer", 1..=CHANNELS)?,
            _ => head.activation = Nonlinearity::of(letter).unwrap_or_default(),
        }
    }
    cursor.one_of("hc")?;
    if channels == 0 && (head.bias || (head.hidden == 0 && head.activation != Nonlinearity::Relu)) {
        return Err(cursor.wrong("a head of 0 channels has no convolution to set; write 0 alone"));
    }
    Ok(head)
}

/// The stage at `number`, of `room` blocks at most.
fn stage(number: usize, text: &str, room: usize) -> Result<Stage, GeneError> {
    let mut parts = text.split('_');
    let mut cursor = Cursor::new(format!("stage {number}"), parts.next().unwrap_or_default());
    let channels = cursor.number("the number of channels", 1..=CHANNELS)?;
    let mut stride = 1;
    if cursor.setting("s")?.is_some() {
        stride = cursor.number("the stride", 1..=2)?;
    }
    cursor.end()?;
    let mut blocks = Vec::new();
    for part in parts {
        let mut cursor = Cursor::new(format!("stage {number}, block {}", blocks.len()), part);
        let left = room - blocks.len();
        let count = match cursor.digits() {
            None => 1,
            Some(digits) => digits.parse().ok().filter(|&count| count > 0).ok_or_else(|| {
                cursor.wrong("a number of blocks is 1 or more; leave the place out for none")
            })?,
        };
        if count > left {
            return Err(cursor.wrong(format!("are more than {BLOCKS} blocks in all; write fewer")));
        }
        let block = block(&mut cursor)?;
        blocks.extend(std::iter::repeat_n(block, count));
    }
    if blocks.is_empty() {
        return Err(cursor.wrong("has no block; write one after a _, such as _m3e6"));
    }
    Ok(Stage { channels, stride, blocks })
}

/// A block after its count: none for `x`.
fn block(cursor: &mut Cursor<'_>) -> Result<Option<Block>, GeneError> {
    let letter = cursor.rest.chars().next();
    if cursor.rest == "x" {
        return Ok(None);
    }
    let kind = Kind::ALL.into_iter().find(|kind| letter == Some(kind.letter())).ok_or_else(|| {
        let letters: Vec<String> = Kind::ALL.iter().map(|kind| kind.letter().to_string()).collect();
        cursor.wrong(format!("no block begins so; write x for none, or one of {}", letters.join(", ")))
    })?;
    cursor.rest = &cursor.rest[1..];
    let mut block = Block::new(kind, cursor.kernel()?);
    while let Some(letter) = cursor.setting(kind.settings())? {
        match letter {
            'e' => block.inner = Inner::Times(cursor.number("the expansion", 1..=EXPANSION)?),
            'w' => block.inner = Inner::Channels(cursor.number("the width inside", 1..=CHANNELS)?),
            'g' => block.groups = cursor.number("the number of groups", 2..=GROUPS)?,
            'd' => block.dense = true,
            'i' => block.squeeze = Some(Squeeze::Input),
            'q' => block.squeeze = Some(Squeeze::Inner),
            'b' => block.bias = true,
            'n' => block.shortcut = false,
            _ => block.activation = Nonlinearity::of(letter).unwrap_or_default(),
        }
    }
    ["ew", "iq", "hc"].iter().try_for_each(|letters| cursor.one_of(letters))?;
    if block.dense && block.inner != Inner::Times(1) {
        return Err(cursor.wrong("d is for e1, whose 1×1 convolution would else be left out; leave it out"));
    }
    Ok(Some(block))
}

impl Display for Gene {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}-{}", Gene::PREFIX, self.image, self.stem)?;
        for stage in &self.stages {
            write!(f, "-{stage}")?;
        }
        write!(f, "-{}", self.head)
    }
}

impl Display for Stem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.channels)?;
        if self.kernel != 3 {
            write!(f, "k{}", self.kernel)?;
        }
        if self.stride != 2 {
            write!(f, "s{}", self.stride)?;
        }
        let bias = if self.bias { "b" } else { "" };
        write!(f, "{}{}{bias}", if self.pools { "p" } else { "" }, self.activation.letter())
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.channels)?;
        if self.stride != 1 {
            write!(f, "s{}", self.stride)?;
        }
        for alike in self.blocks.chunk_by(PartialEq::eq) {
            f.write_str("_")?;
            if alike.len() > 1 {
                write!(f, "{}", alike.len())?;
            }
            match &alike[0] {
                Some(block) => write!(f, "{block}")?,
                None => f.write_str("x")?,
            }
        }
        Ok(())
    }
}

impl Display for Head {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bias = if self.bias { "b" } else { "" };
        write!(f, "{}{}{bias}", self.channels, self.activation.letter())?;
        if self.hidden > 0 {
            write!(f, "l{}", self.hidden)?;
        }
        Ok(())
    }
}

impl Display for Block {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.letter(), self.kernel)?;
        match self.inner {
            Inner::Times(times) if self.kind.settings().contains('e') => write!(f, "e{times}")?,
            Inner::Times(_) => {}
            Inner::Channels(channels) => write!(f, "w{channels}")?,
        }
        if self.groups > 1 {
            write!(f, "g{}", self.groups)?;
        }
        if self.dense {
            f.write_str("d")?;
        }
        f.write_str(match self.squeeze {
            None => "",
            Some(Squeeze::Input) => "i",
            Some(Squeeze::Inner) => "q",
        })?;
        f.write_str(self.activation.letter())?;
        if self.bias {
            f.write_str("b")?;
        }
        if !self.shortcut {
            f.write_str("n")?;
        }
        Ok(())
    }
}

impl FromStr for Stem {
    type Err = GeneError;

    fn from_str(text: &str) -> Result<Stem, GeneError> {
        stem(text)
    }
}

impl FromStr for Head {
    type Err = GeneError;

    fn from_str(text: &str) -> Result<Head, GeneError> {
        head(text)
    }
}

impl Block {
    /// Reads the text form of a place for a block: none for `x`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<Option<Block>, GeneError> {
        block(&mut Cursor::new("block".into(), text))
    }
}

impl TryFrom<String> for Gene {
    type Error = GeneError;

    fn try_from(text: String) -> Result<Gene, GeneError> {
        text.parse()
    }
}

impl From<Gene> for String {
    fn from(gene: Gene) -> String {
        gene.to_string()
    }
}
