//! JPEG to samples: baseline, extended and progressive Huffman files of 8 bits, any integer subsampling.
//!
//! The arithmetic is libjpeg's accurate integer inverse DCT, its triangle ("fancy") chroma upsampling and its
//! YCbCr conversion, so that pixels equal libjpeg-turbo's and Pillow's bit for bit. Damage inside the
//! compressed data is concealed as libjpeg does (bad codes read as zero, missing blocks are grey); a file that
//! ends before its end marker is refused.
//!
//! Refuses arithmetic coding, lossless and hierarchical files, 12-bit samples and files that give their height
//! after the first scan. Knows nothing of EXIF but where it lies.

/// Why a JPEG cannot be decoded.
#[derive(Debug, PartialEq)]
pub(crate) enum JpegError {
    /// The data ends before the end-of-image marker.
    Truncated,
    /// A structure that no decoder could make sense of.
    Corrupt(&'static str),
    /// A valid kind of JPEG that this decoder does not read.
    Unsupported(&'static str),
}

type Result<T> = std::result::Result<T, JpegError>;

/// What the samples of [`Jpeg::decode`] mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ColorSpace {
    Grey,
    Rgb,
    /// As stored: Adobe's writers store the complement of the ink.
    Cmyk,
}

/// A parsed header. `data` is the whole file; nothing of the picture's size is allocated yet.
pub(crate) struct Jpeg<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// The TIFF structure of the first EXIF segment.
    pub(crate) exif: Option<&'a [u8]>,
    reader: Reader<'a>,
    progressive: bool,
    components: Vec<Component>,
    jfif: bool,
    adobe_transform: Option<u8>,
    tables: Tables,
}

#[derive(Clone, Default)]
struct Tables {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart_interval: usize,
}

struct Component {
    id: u8,
    h: usize,
    v: usize,
    table: usize,
    /// Size in samples, without padding.
    width: usize,
    height: usize,
    /// Size in blocks, padded to whole interleaved units.
    blocks_across: usize,
    blocks_down: usize,
    quantization: Option<[u16; 64]>,
    samples: Vec<u8>,
    coefficients: Vec<[i16; 64]>,
}

struct Scan {
    /// Index of the component, its DC table and its AC table.
    parts: Vec<(usize, usize, usize)>,
    spectral_start: usize,
    spectral_end: usize,
    high: u32,
    low: u32,
}

const MAX_SCANS: usize = 500;

const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

impl<'a> Jpeg<'a> {
    /// Reads up to and including the frame header.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Jpeg<'a>> {
        let mut jpeg = Jpeg {
            width: 0,
            height: 0,
            exif: None,
            reader: Reader { data, position: 0 },
            progressive: false,
            components: Vec::new(),
            jfif: false,
            adobe_transform: None,
            tables: Tables::default(),
        };
        if jpeg.reader.u16()? != 0xFFD8 {
            return Err(JpegError::Corrupt("no start-of-image marker"));
        }
        while jpeg.components.is_empty() {
            let marker = jpeg.reader.marker()?;
            match marker {
                0xC0..=0xC2 => {
                    let mut segment = jpeg.reader.segment()?;
                    jpeg.frame(&mut segment, marker == 0xC2)?;
                }
                0xDA => return Err(JpegError::Corrupt("scan before the frame header")),
                0xD9 => return Err(JpegError::Corrupt("no picture before the end marker")),
                _ => jpeg.segment(marker)?,
            }
        }
        Ok(jpeg)
    }

    /// What [`Jpeg::decode`] returns, by libjpeg's rules. Known for certain once all segments before the first
    /// scan are read, so ask after decoding.
    fn color_space(&self) -> (ColorSpace, bool) {
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        match (self.components.len(), self.adobe_transform) {
            (1, _) => (ColorSpace::Grey, false),
            (3, _) if self.jfif => (ColorSpace::Rgb, true),
            (3, Some(transform)) => (ColorSpace::Rgb, transform != 0),
            (3, None) => (ColorSpace::Rgb, ids != *b"RGB"),
            (_, Some(transform)) => (ColorSpace::Cmyk, transform != 0),
            (_, None) => (ColorSpace::Cmyk, false),
        }
    }

    fn frame(&mut self, segment: &mut Reader, progressive: bool) -> Result<()> {
        if segment.u8()? != 8 {
            return Err(JpegError::Unsupported("samples of other than 8 bits"));
        }
        (self.height, self.width) = (segment.u16()?, segment.u16()?);
        if self.height == 0 {
            return Err(JpegError::Unsupported("height given after the first scan"));
        }
        if self.width == 0 {
            return Err(JpegError::Corrupt("width of zero"));
        }
        self.progressive = progressive;
        let count = segment.u8()?;
        if !matches!(count, 1 | 3 | 4) {
            return Err(JpegError::Unsupported("other than 1, 3 or 4 components"));
        }
        for _ in 0..count {
            let (id, sampling, table) =
                (segment.u8()?, usize::from(segment.u8()?), usize::from(segment.u8()?));
            let (h, v) = (sampling >> 4, sampling & 15);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || table > 3 {
                return Err(JpegError::Corrupt("bad component in the frame header"));
            }
            self.components.push(Component {
                id,
                h,
                v,
                table,
                width: 0,
                height: 0,
                blocks_across: 0,
                blocks_down: 0,
                quantization: None,
                samples: Vec::new(),
                coefficients: Vec::new(),
            });
        }
        let (h_max, v_max) = self.largest_sampling();
        let (units_across, units_down) = self.units();
        for component in &mut self.components {
            if h_max % component.h != 0 || v_max % component.v != 0 {
                return Err(JpegError::Unsupported("fractional subsampling"));
            }
            component.width = (self.width * component.h).div_ceil(h_max);
            component.height = (self.height * component.v).div_ceil(v_max);
            component.blocks_across = units_across * component.h;
            component.blocks_down = units_down * component.v;
        }
        Ok(())
    }

    fn largest_sampling(&self) -> (usize, usize) {
        let h = self.components.iter().map(|component| component.h).max().unwrap_or(1);
        let v = self.components.iter().map(|component| component.v).max().unwrap_or(1);
        (h, v)
    }

    fn units(&self) -> (usize, usize) {
        let (h, v) = self.largest_sampling();
        (self.width.div_ceil(8 * h), self.height.div_ceil(8 * v))
    }

    /// Reads one segment that is neither frame nor scan.
    fn segment(&mut self, marker: u8) -> Result<()> {
        match marker {
            0x01 | 0xD0..=0xD7 => return Ok(()),
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => {
                return Err(JpegError::Unsupported("lossless or hierarchical coding"));
            }
            0xC9 | 0xCA | 0xCC => return Err(JpegError::Unsupported("arithmetic coding")),
            0xC0..=0xC2 => return Err(JpegError::Corrupt("second frame header")),
            0xD8 => return Err(JpegError::Corrupt("second start-of-image marker")),
            _ => {}
        }
        let mut segment = self.reader.segment()?;
        match marker {
            0xDB => {
                while !segment.is_empty() {
                    let head = segment.u8()?;
                    let table = self.tables.quantization.get_mut(usize::from(head & 15));
                    let slot = table.ok_or(JpegError::Corrupt("bad quantization table"))?;
                    let mut values = [0; 64];
                    for &place in &ZIGZAG {
                        let value =
                            if head >> 4 == 0 { usize::from(segment.u8()?) } else { segment.u16()? };
                        values[usize::from(place)] = value as u16;
                    }
                    *slot = Some(values);
                }
            }
            0xC4 => {
                while !segment.is_empty() {
                    let head = segment.u8()?;
                    let is_dc = head & 0xF0 == 0;
                    let tables = if is_dc { &mut self.tables.dc } else { &mut self.tables.ac };
                    let slot = tables.get_mut(usize::from(head & 0xEF));
                    *slot.ok_or(JpegError::Corrupt("bad Huffman table"))? =
                        Some(Huffman::read(&mut segment, is_dc)?);
                }
            }
            0xDD => self.tables.restart_interval = segment.u16()?,
            0xE0 if segment.rest().starts_with(b"JFIF\0") => self.jfif = true,
            0xE1 if self.exif.is_none() => self.exif = segment.rest().strip_prefix(b"Exif\0\0"),
            0xEE if segment.rest().starts_with(b"Adobe") => {
                self.adobe_transform = segment.rest().get(11).copied();
            }
            _ => {}
        }
        Ok(())
    }

    /// Decodes all scans; interleaved samples, one, three or four a pixel.
    pub(crate) fn decode(&mut self) -> Result<(ColorSpace, Vec<u8>)> {
        for component in &mut self.components {
            let blocks = component.blocks_across * component.blocks_down;
            component.samples = vec![128; blocks * 64];
            if self.progressive {
                component.coefficients = vec![[0; 64]; blocks];
            }
        }
        let mut scans = 0;
        loop {
            match self.reader.marker()? {
                0xD9 => break,
                0xDA => {
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(JpegError::Unsupported("more than 500 scans"));
                    }
                    let mut segment = self.reader.segment()?;
                    let scan = self.scan_header(&mut segment)?;
                    self.scan(&scan)?;
                }
                marker => self.segment(marker)?,
            }
        }
        if scans == 0 {
            return Err(JpegError::Corrupt("no scan"));
        }
        for component in self.components.iter_mut().filter(|component| !component.coefficients.is_empty()) {
            let Some(quantization) = component.quantization else { continue };
            let stride = component.blocks_across * 8;
            for (index, block) in component.coefficients.iter().enumerate() {
                let (row, column) = (index / component.blocks_across, index % component.blocks_across);
                let last = if block[1..].iter().any(|&value| value != 0) { 63 } else { 0 };
                inverse_dct(
                    block,
                    &quantization,
                    last,
                    &mut component.samples[(row * stride + column) * 8..],
                    stride,
                );
            }
            component.coefficients = Vec::new();
        }
        Ok(self.assemble())
    }

    fn scan_header(&mut self, segment: &mut Reader) -> Result<Scan> {
        const BAD: JpegError = JpegError::Corrupt("bad scan header");
        let mut parts: Vec<(usize, usize, usize)> = Vec::new();
        for _ in 0..segment.u8()? {
            let (id, tables) = (segment.u8()?, usize::from(segment.u8()?));
            let index = self.components.iter().position(|component| component.id == id).ok_or(BAD)?;
            if tables >> 4 > 3 || tables & 15 > 3 || parts.iter().any(|&(other, ..)| other == index) {
                return Err(BAD);
            }
            parts.push((index, tables >> 4, tables & 15));
        }
        let (start, end, approximation) = (segment.u8()?, segment.u8()?, segment.u8()?);
        let mut scan = Scan {
            parts,
            spectral_start: usize::from(start),
            spectral_end: usize::from(end),
            high: u32::from(approximation >> 4),
            low: u32::from(approximation & 15),
        };
        if scan.parts.is_empty() {
            return Err(BAD);
        }
        if self.progressive {
            let is_dc = start == 0 && end == 0;
            if !is_dc && (start == 0 || start > end || end > 63 || scan.parts.len() != 1) || scan.low > 13 {
                return Err(BAD);
            }
        } else {
            (scan.spectral_start, scan.spectral_end, scan.high, scan.low) = (0, 63, 0, 0);
        }
        for &(index, dc, ac) in &scan.parts {
            let component = &mut self.components[index];
            if component.quantization.is_none() || !self.progressive {
                component.quantization = self.tables.quantization[component.table];
            }
            if component.quantization.is_none() {
                return Err(JpegError::Corrupt("scan without its quantization table"));
            }
            let needs_dc = scan.spectral_start == 0 && scan.high == 0;
            if needs_dc && self.tables.dc[dc].is_none()
                || scan.spectral_end > 0 && self.tables.ac[ac].is_none()
            {
                return Err(JpegError::Corrupt("scan without its Huffman table"));
            }
        }
        Ok(scan)
    }

    fn scan(&mut self, scan: &Scan) -> Result<()> {
        let (units_across, units_down) = match scan.parts[..] {
            [(index, ..)] => {
                (self.components[index].width.div_ceil(8), self.components[index].height.div_ceil(8))
            }
            _ => self.units(),
        };
        let interleaved = scan.parts.len() > 1;
        if interleaved
            && scan.parts.iter().map(|p| self.components[p.0].h * self.components[p.0].v).sum::<usize>() > 10
        {
            return Err(JpegError::Corrupt("more than 10 blocks in an interleaved unit"));
        }
        let mut bits = Bits { reader: self.reader, ..Bits::default() };
        let mut state = EntropyState::default();
        let mut restarts = 0;
        for unit in 0..units_across * units_down {
            let interval = self.tables.restart_interval;
            if interval > 0 && unit > 0 && unit % interval == 0 {
                bits.restart(restarts)?;
                restarts = (restarts + 1) % 8;
                state = EntropyState::default();
            }
            if bits.exhausted {
                if interval == 0 {
                    break;
                }
                continue;
            }
            if bits.truncated {
                return Err(JpegError::Truncated);
            }
            let (row, column) = (unit / units_across, unit % units_across);
            for &(index, dc, ac) in &scan.parts {
                let component = &mut self.components[index];
                let (h, v) = if interleaved { (component.h, component.v) } else { (1, 1) };
                for sub in 0..h * v {
                    let (row, column) = (row * v + sub / h, column * h + sub % h);
                    let tables = (self.tables.dc[dc].as_ref(), self.tables.ac[ac].as_ref());
                    if self.progressive {
                        let block = &mut component.coefficients[row * component.blocks_across + column];
                        progressive_block(&mut bits, tables, scan, index, &mut state, block);
                    } else if let ((Some(dc), Some(ac)), Some(quantization)) =
                        (tables, &component.quantization)
                    {
                        let mut block = [0; 64];
                        let last = sequential_block(&mut bits, dc, ac, &mut state.dc[index], &mut block);
                        let stride = component.blocks_across * 8;
                        let samples = &mut component.samples[(row * stride + column) * 8..];
                        inverse_dct(&block, quantization, last, samples, stride);
                    }
                }
            }
        }
        self.reader = bits.reader;
        Ok(())
    }

    /// Upsamples and converts row by row.
    fn assemble(&mut self) -> (ColorSpace, Vec<u8>) {
        let (h_max, v_max) = self.largest_sampling();
        let (space, from_ycc) = self.color_space();
        let (width, count) = (self.width, self.components.len());
        let mut pixels = vec![0; width * self.height * count];
        let mut rows: Vec<Vec<u8>> =
            self.components.iter().map(|part| vec![0; part.width * h_max / part.h]).collect();
        let mut sums = Vec::new();
        for (y, out) in pixels.chunks_exact_mut(width * count).enumerate() {
            for (component, row) in self.components.iter().zip(&mut rows) {
                component.upsample(y, h_max / component.h, v_max / component.v, &mut sums, row);
            }
            if let ([first, second, third, ..], true) = (&mut rows[..], from_ycc) {
                for ((first, second), third) in first.iter_mut().zip(second).zip(third) {
                    let rgb = ycc_to_rgb(*first, *second, *third);
                    let [red, green, blue] = if count == 4 { rgb.map(|value| 255 - value) } else { rgb };
                    (*first, *second, *third) = (red, green, blue);
                }
            }
            match &rows[..] {
                [grey] => out.copy_from_slice(&grey[..width]),
                [first, second, third] => {
                    for (((pixel, &a), &b), &c) in out.chunks_exact_mut(3).zip(first).zip(second).zip(third) {
                        pixel.copy_from_slice(&[a, b, c]);
                    }
                }
                [first, second, third, fourth] => {
                    let inks = first.iter().zip(second).zip(third).zip(fourth);
                    for (pixel, (((&a, &b), &c), &k)) in out.chunks_exact_mut(4).zip(inks) {
                        pixel.copy_from_slice(&[a, b, c, k]);
                    }
                }
                _ => {}
            }
        }
        (space, pixels)
    }
}

impl Component {
    fn row(&self, y: usize) -> &[u8] {
        let stride = self.blocks_across * 8;
        &self.samples[y * stride..][..self.width]
    }

    /// Row `y` of the full picture: triangle filter for factors of two, replication for the others.
    fn upsample(&self, y: usize, across: usize, down: usize, sums: &mut Vec<u16>, out: &mut [u8]) {
        let near = self.row(y / down);
        let even = y.is_multiple_of(2);
        let far =
            || self.row(if even { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(self.height - 1) });
        match (across, down) {
            (1, 1) => out.copy_from_slice(near),
            (1, 2) => {
                for ((out, &near), &far) in out.iter_mut().zip(near).zip(far()) {
                    *out = ((u16::from(near) * 3 + u16::from(far) + if even { 1 } else { 2 }) >> 2) as u8;
                }
            }
            (2, 1) if self.width > 2 => {
                sums.clear();
                sums.extend(near.iter().map(|&near| u16::from(near)));
                triangle::<2, 1, 2>(sums, out);
            }
            (2, 2) if self.width > 2 => {
                sums.clear();
                sums.extend(near.iter().zip(far()).map(|(&near, &far)| u16::from(near) * 3 + u16::from(far)));
                triangle::<4, 8, 7>(sums, out);
            }
            _ => {
                for (out, &near) in out.chunks_exact_mut(across).zip(near) {
                    out.fill(near);
                }
            }
        }
    }
}

/// Doubles a row with weights 3 and 1, dividing by `1 << SHIFT` after adding the bias of left and right samples.
fn triangle<const SHIFT: u32, const LEFT: u16, const RIGHT: u16>(row: &[u16], out: &mut [u8]) {
    let last = row.len() - 1;
    for (pair, window) in out[2..].chunks_exact_mut(2).zip(row.windows(3)) {
        pair[0] = ((window[1] * 3 + window[0] + LEFT) >> SHIFT) as u8;
        pair[1] = ((window[1] * 3 + window[2] + RIGHT) >> SHIFT) as u8;
    }
    out[0] = ((row[0] * 4 + LEFT) >> SHIFT) as u8;
    out[1] = ((row[0] * 3 + row[1] + RIGHT) >> SHIFT) as u8;
    out[2 * last] = ((row[last] * 3 + row[last - 1] + LEFT) >> SHIFT) as u8;
    out[2 * last + 1] = ((row[last] * 4 + RIGHT) >> SHIFT) as u8;
}

/// ITU-R 601 with 16 fractional bits; whole parts of the factors are split off to leave 16-bit products.
#[inline]
fn ycc_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i16::from(y), i16::from(cb) - 128, i16::from(cr) - 128);
    let (wide_cb, wide_cr) = (i32::from(cb), i32::from(cr));
    let red = y + cr + ((wide_cr * 26_345 + HALF) >> 16) as i16;
    let green = y - cr + ((wide_cr * 18_734 - wide_cb * 22_554 + HALF) >> 16) as i16;
    let blue = y + 2 * cb + ((wide_cb * -14_942 + HALF) >> 16) as i16;
    let level = |value: i16| value.clamp(0, 255) as u8;
    [level(red), level(green), level(blue)]
}

#[derive(Clone, Copy, Default)]
struct Reader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn u8(&mut self) -> Result<u8> {
        let value = *self.data.get(self.position).ok_or(JpegError::Truncated)?;
        self.position += 1;
        Ok(value)
    }

    fn u16(&mut self) -> Result<usize> {
        Ok(usize::from(self.u8()?) << 8 | usize::from(self.u8()?))
    }

    /// The next marker, past any other bytes.
    fn marker(&mut self) -> Result<u8> {
        loop {
            while self.u8()? != 0xFF {}
            let mut code = 0xFF;
            while code == 0xFF {
                code = self.u8()?;
            }
            if code != 0 {
                return Ok(code);
            }
        }
    }

    fn segment(&mut self) -> Result<Reader<'a>> {
        let length = self.u16()?.checked_sub(2).ok_or(JpegError::Corrupt("bad segment length"))?;
        let data = self.rest().get(..length).ok_or(JpegError::Truncated)?;
        self.position += length;
        Ok(Reader { data, position: 0 })
    }
}

/// The entropy-coded bits of a scan. `reader` stays before the first marker met; from there on zeros are read.
#[derive(Default)]
struct Bits<'a> {
    reader: Reader<'a>,
    /// The next bits, from the top; zeros below `count`.
    buffer: u64,
    count: u32,
    /// Zeros were invented since the last restart.
    exhausted: bool,
    /// The data ended without a marker.
    truncated: bool,
}

impl Bits<'_> {
    /// Makes at least 32 bits available, unless a marker or the end comes first.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        match self.reader.rest().first_chunk::<4>() {
            Some(&four) if !four.contains(&0xFF) => {
                self.push(u32::from_be_bytes(four), 32);
                self.reader.position += 4;
            }
            _ => self.fill_bytes(),
        }
    }

    #[cold]
    fn fill_bytes(&mut self) {
        while self.count < 32 {
            match *self.reader.rest() {
                [0xFF, 0, ..] => {
                    self.push(0xFF, 8);
                    self.reader.position += 2;
                }
                [0xFF, 0xFF, ..] => self.reader.position += 1,
                [0xFF, _, ..] => break,
                [0xFF] | [] => {
                    self.truncated = true;
                    break;
                }
                [byte, ..] => {
                    self.push(u32::from(byte), 8);
                    self.reader.position += 1;
                }
            }
        }
    }

    fn push(&mut self, bits: u32, count: u32) {
        self.count += count;
        self.buffer |= u64::from(bits) << (64 - self.count);
    }

    fn peek(&self, count: u32) -> u32 {
        ((self.buffer >> 32) >> (32 - count)) as u32
    }

    fn consume(&mut self, count: u32) {
        self.buffer <<= count;
        self.exhausted |= count > self.count;
        self.count = self.count.saturating_sub(count);
    }

    /// `count` bits of those that [`Bits::fill`] made available.
    fn take(&mut self, count: u32) -> i32 {
        let value = self.peek(count) as i32;
        self.consume(count);
        value
    }

    /// A signed number whose category is `count`.
    fn receive(&mut self, count: u32) -> i32 {
        if count == 0 {
            return 0;
        }
        let value = self.take(count);
        if value < 1 << (count - 1) { value - (1 << count) + 1 } else { value }
    }

    fn bit(&mut self) -> bool {
        self.fill();
        self.take(1) == 1
    }

    /// Moves past the restart marker of the given number; where another marker stands, decides as libjpeg
    /// whether to skip it or to stay before it.
    fn restart(&mut self, expected: u8) -> Result<()> {
        (self.buffer, self.count) = (0, 0);
        loop {
            let mut ahead = self.reader;
            let marker = ahead.marker()?;
            let behind = marker.wrapping_sub(0xD0 + expected) & 7;
            match (marker, behind) {
                (0xD0..=0xD7, 1 | 2) => return Ok(()),
                (0xD0..=0xD7, 6 | 7) | (..0xC0, _) => self.reader = ahead,
                (0xD0..=0xD7, _) => {
                    (self.reader, self.exhausted) = (ahead, false);
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
    }
}

#[derive(Clone)]
struct Huffman {
    /// By the next nine bits: length and symbol of the code, length 0 for longer codes.
    short: [(u8, u8); 512],
    /// By length: the largest code, −1 for none, and what to add to a code for its place in `symbols`.
    longest: [(i32, i32); 17],
    symbols: Vec<u8>,
}

impl Huffman {
    fn read(segment: &mut Reader, is_dc: bool) -> Result<Huffman> {
        const BAD: JpegError = JpegError::Corrupt("bad Huffman table");
        let mut counts = [0; 17];
        for count in &mut counts[1..] {
            *count = usize::from(segment.u8()?);
        }
        let symbols = (0..counts.iter().sum()).map(|_| segment.u8()).collect::<Result<Vec<u8>>>()?;
        if symbols.len() > 256 || is_dc && symbols.iter().any(|&symbol| symbol > 15) {
            return Err(BAD);
        }
        let mut huffman = Huffman { short: [(0, 0); 512], longest: [(-1, 0); 17], symbols };
        let (mut code, mut place) = (0, 0);
        for (length, &count) in counts.iter().enumerate().skip(1) {
            if code + count > 1 << length {
                return Err(BAD);
            }
            if count > 0 {
                huffman.longest[length] = ((code + count - 1) as i32, place as i32 - code as i32);
            }
            for _ in 0..count {
                if length <= 9 {
                    let spread = 1 << (9 - length);
                    huffman.short[code * spread..][..spread].fill((length as u8, huffman.symbols[place]));
                }
                code += 1;
                place += 1;
            }
            code <<= 1;
        }
        Ok(huffman)
    }

    /// The next symbol; 0 for a code that is not in the table. Leaves 15 bits available.
    #[inline]
    fn decode(&self, bits: &mut Bits) -> u8 {
        bits.fill();
        let (length, symbol) = self.short[bits.peek(9) as usize];
        if length > 0 {
            bits.consume(u32::from(length));
            return symbol;
        }
        for length in 10..=16 {
            let code = bits.peek(length) as i32;
            let (longest, offset) = self.longest[length as usize];
            if code <= longest {
                bits.consume(length);
                return self.symbols.get((code + offset) as usize).copied().unwrap_or(0);
            }
        }
        bits.consume(17);
        0
    }
}

#[derive(Default)]
struct EntropyState {
    /// By component.
    dc: [i32; 4],
    end_of_band_run: u32,
}

fn next_dc(bits: &mut Bits, table: &Huffman, dc: &mut i32) -> i32 {
    let category = table.decode(bits);
    *dc = dc.wrapping_add(bits.receive(u32::from(category)));
    *dc
}

/// Fills a zeroed block in natural order; returns the zigzag place of the last coefficient read.
fn sequential_block(
    bits: &mut Bits,
    dc_table: &Huffman,
    ac_table: &Huffman,
    dc: &mut i32,
    block: &mut [i16; 64],
) -> usize {
    block[0] = next_dc(bits, dc_table, dc) as i16;
    let (mut place, mut last) = (1, 0);
    while place < 64 {
        let symbol = ac_table.decode(bits);
        let (run, category) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if category == 0 {
            if run != 15 {
                break;
            }
            place += 16;
            continue;
        }
        last = (place + run).min(63);
        block[usize::from(ZIGZAG[last])] = bits.receive(category) as i16;
        place += run + 1;
    }
    last
}

fn progressive_block(
    bits: &mut Bits,
    (dc_table, ac_table): (Option<&Huffman>, Option<&Huffman>),
    scan: &Scan,
    component: usize,
    state: &mut EntropyState,
    block: &mut [i16; 64],
) {
    match (scan.spectral_start, scan.high, dc_table, ac_table) {
        (0, 0, Some(table), _) => {
            block[0] = next_dc(bits, table, &mut state.dc[component]).wrapping_shl(scan.low) as i16;
        }
        (0, ..) => {
            block[0] |= i16::from(bits.bit()) << scan.low;
        }
        (_, 0, _, Some(table)) => first_ac(bits, table, scan, &mut state.end_of_band_run, block),
        (.., Some(table)) => refine_ac(bits, table, scan, &mut state.end_of_band_run, block),
        _ => {}
    }
}

fn first_ac(bits: &mut Bits, table: &Huffman, scan: &Scan, run_left: &mut u32, block: &mut [i16; 64]) {
    if *run_left > 0 {
        *run_left -= 1;
        return;
    }
    let mut place = scan.spectral_start;
    while place <= scan.spectral_end {
        let symbol = table.decode(bits);
        let (run, category) = (symbol >> 4, u32::from(symbol & 15));
        if category == 0 {
            if run < 15 {
                *run_left = (1 << run) - 1 + bits.take(u32::from(run)) as u32;
                break;
            }
            place += 16;
            continue;
        }
        place += usize::from(run);
        block[usize::from(ZIGZAG[place.min(63)])] = (bits.receive(category) << scan.low) as i16;
        place += 1;
    }
}

fn refine_ac(bits: &mut Bits, table: &Huffman, scan: &Scan, run_left: &mut u32, block: &mut [i16; 64]) {
    let step = 1_i16 << scan.low;
    let mut place = scan.spectral_start;
    while *run_left == 0 && place <= scan.spectral_end {
        let symbol = table.decode(bits);
        let (mut run, category) = (symbol >> 4, symbol & 15);
        let mut value = 0;
        if category != 0 {
            value = if bits.take(1) == 1 { step } else { -step };
        } else if run < 15 {
            *run_left = (1 << run) + bits.take(u32::from(run)) as u32;
            break;
        }
        while place <= scan.spectral_end {
            let coefficient = &mut block[usize::from(ZIGZAG[place])];
            if *coefficient != 0 {
                refine(bits, coefficient, step);
            } else if run == 0 {
                *coefficient = value;
                break;
            } else {
                run -= 1;
            }
            place += 1;
        }
        place += 1;
    }
    if *run_left > 0 {
        for &natural in ZIGZAG.get(place..=scan.spectral_end).unwrap_or_default() {
            let coefficient = &mut block[usize::from(natural)];
            if *coefficient != 0 {
                refine(bits, coefficient, step);
            }
        }
        *run_left -= 1;
    }
}

/// One more bit of a coefficient that is already known not to be zero.
fn refine(bits: &mut Bits, coefficient: &mut i16, step: i16) {
    if bits.bit() && *coefficient & step == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { step } else { -step });
    }
}

type Lanes = [i16; 8];

/// Dequantizes a block in natural order and writes its 8×8 samples. `last` is the zigzag place of the last
/// coefficient that may differ from zero.
fn inverse_dct(block: &[i16; 64], quantization: &[u16; 64], last: usize, samples: &mut [u8], stride: usize) {
    let level = |value: i16| (i32::from(value) + 128).clamp(0, 255) as u8;
    if last == 0 {
        let mean = i32::from(block[0].wrapping_mul(quantization[0] as i16));
        let grey = level(((mean + 4) >> 3) as i16);
        samples.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(grey));
        return;
    }
    let mut rows = [[0; 8]; 8];
    for (out, (&value, &step)) in rows.as_flattened_mut().iter_mut().zip(block.iter().zip(quantization)) {
        *out = value.wrapping_mul(step as i16);
    }
    let columns = one_dimension::<18>(&transposed(&one_dimension::<11>(&rows)));
    for (row, values) in samples.chunks_mut(stride).zip(transposed(&columns)) {
        for (sample, value) in row.iter_mut().zip(values) {
            *sample = level(value);
        }
    }
}

fn transposed(block: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| block[column][row]))
}

/// The Loeffler–Ligtenberg–Moschytz inverse DCT with 13 fractional bits down eight independent lanes; results are
/// rounded and shifted right by `SHIFT`. Its shared products are multiplied out, which changes no integer and
/// leaves only products of two 16-bit numbers.
fn one_dimension<const SHIFT: u32>(block: &[Lanes; 8]) -> [Lanes; 8] {
    let mut out = [[0; 8]; 8];
    for lane in 0..8 {
        let x = |place: usize| i32::from(block[place][lane]);
        let round = 1 << (SHIFT - 1);
        let sum = ((x(0) + x(4)) << 13) + round;
        let difference = ((x(0) - x(4)) << 13) + round;
        let low = x(2) * 4433 - x(6) * 10_704;
        let high = x(2) * 10_703 + x(6) * 4433;
        let even = [sum + high, difference + low, difference - low, sum - high];
        let odd = [
            x(1) * 11_363 + x(3) * 9633 + x(5) * 6437 + x(7) * 2260,
            x(1) * 9633 - x(3) * 2259 - x(5) * 11_362 - x(7) * 6436,
            x(1) * 6437 - x(3) * 11_362 + x(5) * 2261 + x(7) * 9633,
            x(1) * 2260 - x(3) * 6436 + x(5) * 9633 - x(7) * 11_363,
        ];
        let narrow = |value: i32| (value >> SHIFT).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        for place in 0..4 {
            out[place][lane] = narrow(even[place].wrapping_add(odd[place]));
            out[7 - place][lane] = narrow(even[place].wrapping_sub(odd[place]));
        }
    }
    out
}
