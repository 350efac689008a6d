//! Files far longer than what they hold: each reader looks at the first bytes and the size, and takes neither memory nor time
//! for the rest.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{Bench, MODEL};

/// Bytes of a file of holes.
const LENGTH: u64 = 5 << 30;

/// What a reader may take of memory, with the program itself, in kB.
const MEMORY: u32 = 600_000;

const PATIENCE: Duration = Duration::from_secs(20);

impl Bench {
    /// Writes a file that begins so and has holes up to `length`.
    fn sparse(&self, name: &str, beginning: &[u8], length: u64) {
        let mut file = File::create(self.path(name)).unwrap();
        file.write_all(beginning).unwrap();
        file.set_len(length).unwrap();
    }

    /// Whether a command refuses a file by its name at once.
    fn refuses(&self, args: &[&str], file: &str) {
        let began = Instant::now();
        let run = self.within(MEMORY, args);
        let told = run.err + &run.out;
        assert!(run.code == 1 && told.contains(file), "{args:?}: {} {told}", run.code);
        assert!(began.elapsed() < PATIENCE, "{args:?}: {:?}", began.elapsed());
    }
}

#[test]
fn pictures_of_holes_are_refused_at_once() {
    let bench = Bench::new().with_model();
    let ihdr = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0, 0, 0, 9, 0, 0, 0, 9, 8, 2, 0, 0, 0]].concat();
    let bmp =
        [&b"BM"[..], &[0; 8], &[54, 0, 0, 0, 40, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 24, 0]].concat();
    let beginnings: [(&str, &[u8]); 9] = [
        ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        ("png", &ihdr),
        ("bmp", &bmp),
        ("gif", b"GIF89a\x09\0\x09\0\0\0\0"),
        ("webp", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff"),
        ("tiff", b"II*\0\x08\0\0\0"),
        ("bigtiff", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"),
        ("zeros", b""),
        ("text", b"# notes"),
    ];
    for (name, beginning) in beginnings {
        for length in [200 << 20, LENGTH] {
            bench.sparse(name, beginning, length);
            // Behind a whole picture there may be anything, within reason.
            if name != "bmp" || length == LENGTH {
                bench.refuses(&["classify", MODEL[0], MODEL[1], name], name);
            }
        }
    }
    let all: Vec<&str> = beginnings.iter().map(|(name, _)| *name).collect();
    bench.refuses(&[&["classify", MODEL[0], MODEL[1], "-j", "4"], &all[..]].concat(), "webp");
}

#[test]
fn checkpoints_of_holes_are_refused_at_once() {
    let bench = Bench::new().with_model();
    let beginnings: [(&str, &[u8]); 11] = [
        ("zeros", b""),
        ("safetensors", b"\x10\0\0\0\0\0\0\0{}"),
        ("long-header", b"\0\0\0\0\x01\0\0\0{}"),
        ("index", b"{\"weight_map\": {}}"),
        ("zip", b"PK\x03\x04"),
        ("pickle", b"\x80\x02"),
        ("legacy", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
        ("tflite", b"\x1c\0\0\0TFL3"),
        ("ncnn", b"7767517\n"),
        ("onnx", b"\x08\x07\x12\0"),
        ("onnx-graph", b"\x08\x07\x3a\xff\xff\xff\xff\x06"),
    ];
    for (name, beginning) in beginnings {
        let file = format!("{name}.file");
        for length in [LENGTH, (2 << 30) - 1] {
            bench.sparse(&file, beginning, length);
            bench.refuses(&["convert", &file, "out.safetensors"], &file);
        }
        bench.refuses(&["show", &file], &file);
    }
    for name in ["labels.txt", "labels.json"] {
        bench.sparse(name, b"[", LENGTH);
        let args = ["convert", "light.safetensors", "out.safetensors", "--labels", name];
        bench.refuses(&args, name);
    }
    bench.sparse("golden.json", b"{", LENGTH);
    bench.refuses(&["verify", "golden.json"], "golden.json");
    assert!(!bench.path("out.safetensors").exists());
}

#[test]
fn data_sets_of_holes_are_refused_at_once() {
    let bench = Bench::new().with_model();
    let idx = |kind: u8| [0, 0, 8, kind, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2];
    bench.sparse("some-labels-idx1-ubyte", &idx(1)[..8], 10);
    let beginnings: [(&str, &[u8]); 7] = [
        ("zeros.tar", b""),
        ("some.zip", b"PK\x03\x04"),
        ("table.csv", b"path,label\n"),
        ("zeros.tsv", b""),
        ("some-images-idx3-ubyte", &idx(3)),
        ("some.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("some.tar.zst", b"\x28\xb5\x2f\xfd"),
    ];
    for (name, beginning) in beginnings {
        for length in [LENGTH, 900 << 20] {
            bench.sparse(name, beginning, length);
            bench.refuses(&["eval", MODEL[0], MODEL[1], name], name);
        }
        bench.refuses(&["train", name, "--from", "scratch"], name);
    }
    for folder in ["photos/a", "photos/b"] {
        bench.picture(&format!("{folder}/1.bmp"), 9);
    }
    bench.sparse("recipe.toml", b"epochs = 1\n", LENGTH);
    bench.refuses(&["train", "photos", "--recipe", "recipe.toml"], "recipe.toml");
    bench.sparse("run.state.safetensors", b"", LENGTH);
    bench.refuses(&["train", "photos", "--resume", "--out", "run.safetensors"], "run.state.safetensors");
}

/// Weights of a network are mapped, and become numbers once: a file whose weights fit into memory is read there.
#[test]
fn weights_of_graphs_are_held_once_or_refused() {
    let bench = Bench::new();
    let pair = |name: &str, outputs: u64, surplus: u64| {
        let weights = 150_528 * outputs;
        let text = format!(
            "7767517\n2 2\nInput in0 0 1 in0 0=224 1=224 2=3\nInnerProduct fc 1 1 in0 out0 0={outputs} 1=0 2={weights}\n"
        );
        bench.sparse(&format!("{name}.param"), text.as_bytes(), text.len() as u64);
        bench.sparse(&format!("{name}.bin"), &[], 4 + 4 * weights + surplus);
    };
    pair("fits", 256, 0);
    let run = bench.within(MEMORY, &["show", "fits.param"]);
    assert!(run.code == 0 && run.out.contains("classes      256"), "{} {} {}", run.code, run.out, run.err);
    for (name, outputs, surplus, why) in [
        ("large", 600, 0, "fc (InnerProduct): with it the weights are more than"),
        ("surplus", 10, 300 << 20, "314572800 bytes more than the numbers of its layers"),
        ("larger", 10, LENGTH, "in larger.bin, which cannot be read: is larger than 2 GB"),
    ] {
        pair(name, outputs, surplus);
        let file = format!("{name}.param");
        bench.refuses(&["show", &file], &file);
        let told = bench.within(MEMORY, &["show", &file]).err;
        assert!(told.contains(why), "{told}");
    }
    bench.sparse("holes.tflite", b"\0\0\0\0TFL3", 1 << 30);
    bench.refuses(&["show", "holes.tflite"], "holes.tflite");
}
