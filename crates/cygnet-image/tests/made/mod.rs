//! Small pictures, and files of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The bytes of a small PNG of one colour with a dot.
pub(crate) fn png(colour: [u8; 3], side: usize) -> Vec<u8> {
    let mut pixels = colour.repeat(side * side);
    pixels[..3].copy_from_slice(&[255, 255, 255]);
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let size = side as u32;
    image::ImageEncoder::write_image(encoder, &pixels, size, size, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// Files by path: `counts` pictures in class folders below `root`.
pub(crate) fn pictures(root: &str, counts: &[(&str, usize)]) -> BTreeMap<String, Vec<u8>> {
    let class = |(number, (class, count)): (usize, &(&str, usize))| {
        let (root, class) = (root.to_owned(), (*class).to_owned());
        (0..*count).map(move |i| {
            let colour = [(40 * number) as u8, i as u8, root.len() as u8];
            (format!("{root}{class}/{i:03}.png"), png(colour, 12))
        })
    };
    counts.iter().enumerate().flat_map(class).collect()
}

pub(crate) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
