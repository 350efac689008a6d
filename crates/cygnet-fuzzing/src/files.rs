//! Readers of tensors, pictures and data sets.

use std::fs;
use std::path::Path;

use cygnet_image::{DecodeLimits, Image, Preprocess, Splits};
use tempfile::TempDir;

/// Pictures of more pixels are refused, so that time goes into finding others.
const PIXELS: DecodeLimits =
    DecodeLimits { max_pixels: 1 << 18, max_bytes: 1 << 24, max_pictures: 1 << 16, max_unpacked: 1 << 26 };

/// Larger tensors are not converted, which takes time and tells nothing more.
const CONVERTED: usize = 1 << 12;

/// A folder of this thread's own, in memory where the system has such.
pub(crate) fn in_folder<T>(work: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FOLDER: TempDir = {
            let memory = Path::new("/dev/shm");
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
        };
    }
    FOLDER.with(|folder| work(folder.path()))
}

/// Safetensors, and what is written of them is read again.
pub fn safetensors(bytes: &[u8]) -> bool {
    let Ok((tensors, metadata)) = cygnet_weights::safetensors::parse(bytes.to_vec()) else { return false };
    in_folder(|folder| {
        let path = folder.join("again.safetensors");
        cygnet_weights::safetensors::write(&path, &tensors, &metadata).unwrap();
        let (again, said) = cygnet_weights::safetensors::read(&path).unwrap();
        assert!(again.len() == tensors.len() && said == metadata);
    });
    true
}

/// Checkpoints of any format.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(checkpoint) = cygnet_weights::parse(bytes.to_vec()) else { return false };
    for tensor in checkpoint.tensors.values() {
        let elements = tensor.shape().iter().product::<usize>();
        assert_eq!(tensor.element_count(), elements);
        if elements <= CONVERTED {
            assert_eq!(tensor.to_f32().len(), elements);
        }
    }
    true
}

/// Pictures of any format, prepared for a network.
pub fn picture(bytes: &[u8]) -> bool {
    let Ok(image) = Image::decode(bytes, PIXELS) else { return false };
    assert_eq!(image.pixels.len(), image.width * image.height * 3);
    Preprocess::torchvision(8, 9).apply(&image).unwrap();
    true
}

/// Opens a data set and reads the bytes of its first pictures, which other targets decode.
fn data_set(path: &Path) -> bool {
    let Ok(splits) = Splits::open(path) else { return false };
    splits.train.samples.iter().take(4).for_each(|sample| drop(sample.bytes(PIXELS)));
    true
}

/// Files of images and labels, whose lengths the first two bytes divide; gzipped or not.
pub fn idx(bytes: &[u8]) -> bool {
    let Some((at, rest)) = bytes.split_first_chunk::<2>() else { return false };
    let (labels, images) = rest.split_at((u16::from_le_bytes(*at) as usize).min(rest.len()));
    in_folder(|folder| {
        let suffix = |bytes: &[u8]| if bytes.starts_with(&[0x1f, 0x8b]) { ".gz" } else { "" };
        let path = |name: &str, bytes: &[u8]| folder.join(format!("{name}-ubyte{}", suffix(bytes)));
        let [of_images, of_labels] = [path("some-images-idx3", images), path("some-labels-idx1", labels)];
        fs::write(&of_images, images).unwrap();
        fs::write(&of_labels, labels).unwrap();
        let was = data_set(&of_images);
        fs::remove_file(of_images).unwrap();
        fs::remove_file(of_labels).unwrap();
        was
    })
}

/// Tables: with tabs, if the first byte is odd. Beside them lie pictures `0.bmp` to `3.bmp`.
pub fn table(bytes: &[u8]) -> bool {
    let Some((kind, text)) = bytes.split_first() else { return false };
    in_folder(|folder| {
        if !folder.join("3.bmp").exists() {
            (0..4).for_each(|number| fs::write(folder.join(format!("{number}.bmp")), BMP).unwrap());
        }
        let path = folder.join(if kind % 2 == 1 { "some.tsv" } else { "some.csv" });
        fs::write(&path, text).unwrap();
        data_set(&path)
    })
}

/// Archives, whose first byte chooses the name's ending.
pub fn archive(bytes: &[u8]) -> bool {
    const ENDINGS: [&str; 4] = ["tar", "tar.gz", "tar.xz", "zip"];
    let Some((kind, data)) = bytes.split_first() else { return false };
    in_folder(|folder| {
        let path = folder.join(format!("some.{}", ENDINGS[usize::from(*kind) % ENDINGS.len()]));
        fs::write(&path, data).unwrap();
        data_set(&path)
    })
}

/// One grey pixel.
const BMP: &[u8] = &[
    b'B', b'M', 58, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 24, 0, 0, 0,
    0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 128, 128, 0,
];
