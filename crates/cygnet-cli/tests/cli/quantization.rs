//! What `quantize` writes and tells.

use serde_json::json;

use crate::{Bench, MODEL};

/// Dark and bright pictures in class folders, and without.
fn bench() -> Bench {
    let bench = Bench::new().with_model();
    for number in 0..4u8 {
        bench.picture(&format!("val/dark/{number}.bmp"), 20 * number);
        bench.picture(&format!("val/bright/{number}.bmp"), 255 - 20 * number);
        bench.picture(&format!("flat/{number}.bmp"), 80 * number);
    }
    bench
}

#[test]
fn a_model_of_bytes_is_written_told_and_used_like_any_other() {
    let bench = bench();
    let run = bench.run(&["quantize", MODEL[1], "--data", "val", "--json", "-o", "small.safetensors"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let report = run.json().remove(0);
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    let wanted = [
        "file",
        "page",
        "precision",
        "images",
        "agreement",
        "kl",
        "top1_before",
        "top1",
        "lost",
        "lost_at_most",
        "ms_before",
        "ms",
        "bytes_before",
        "bytes",
        "layers",
        "sensitivity",
    ];
    let mut sorted = wanted.to_vec();
    sorted.sort_unstable();
    let mut found = keys.clone();
    found.sort_unstable();
    assert_eq!(found, sorted);
    assert_eq!(report["layers"], json!({"int8": 2, "bf16": 0, "f32": 0}));
    assert_eq!((&report["precision"], &report["images"]), (&json!("int8"), &json!(8)));
    assert_eq!((&report["agreement"], &report["top1"]), (&json!(100.0), &json!(100.0)));
    assert_eq!((&report["lost"], &report["lost_at_most"]), (&json!(0.0), &json!(37.5)), "of 8 photos");
    assert!(
        run.err.contains("are lost on 8 photos, 0.5 are allowed; but so few leave open a loss of up to"),
        "{}",
        run.err
    );
    let args = ["quantize", MODEL[1], "--data", "val", "--drop", "40", "--json", "-o", "told.safetensors"];
    assert!(!bench.run(&args).err.contains("leave open"));
    assert_eq!(report["sensitivity"].as_array().unwrap().len(), 2);
    assert_eq!(report["sensitivity"][0]["precision"], json!("int8"));
    let page = std::fs::read_to_string(bench.path("small.html")).unwrap();
    assert_eq!(report["page"], json!("small.html"));
    for part in ["on 8 photos", "agreement", "conv", "fc: inputs", "fc: weights", "</html>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("http"), "{page}");
    let evaluation = bench.run(&["eval", "-m", "small.safetensors", "--json", "val"]).json().remove(0);
    assert_eq!(evaluation["top1"], json!(100.0));

    let again = bench.run(&["quantize", "small.safetensors", "--data", "val", "-o", "smaller.safetensors"]);
    assert!(again.code != 0 && again.err.contains("computes with whole numbers already"), "{}", again.err);
    let taken = bench.run(&["quantize", MODEL[1], "--data", "val", "-o", "small.safetensors"]);
    assert!(taken.code != 0 && taken.err.contains("exists already"), "{}", taken.err);
    std::fs::remove_file(bench.path("small.safetensors")).unwrap();
    let taken = bench.run(&["quantize", MODEL[1], "--data", "val", "-o", "small.safetensors"]);
    assert!(taken.code != 0 && taken.err.contains("small.html: exists already"), "{}", taken.err);
    assert!(!bench.path("small.safetensors").exists());
}

#[test]
fn pictures_without_labels_or_none_at_all_will_do() {
    let bench = bench();
    let flat = bench.run(&["quantize", MODEL[1], "--data", "flat", "-o", "flat.safetensors"]);
    assert_eq!(flat.code, 0, "{}", flat.err);
    assert!(flat.out.contains("agreement") && !flat.out.contains("top-1"), "{}", flat.out);
    assert!(flat.out.contains("2 of 2"), "{}", flat.out);
    let none = bench.run(&["quantize", MODEL[1], "--images", "3", "--json"]);
    assert_eq!(
        none.err.matches("note: without photos, the figures are those of generated").count(),
        1,
        "{}",
        none.err
    );
    assert_eq!([&none.json()[0]["lost"], &none.json()[0]["lost_at_most"]], [&json!(null); 2]);
    assert_eq!(none.json()[0]["file"], json!("light-int8.safetensors"));
    assert!(bench.path("light-int8.safetensors").is_file());
    assert_eq!(none.json()[0]["layers"]["int8"], json!(2), "whatever is lost on such images: {}", none.out);
    let card = bench.run(&["show", "light-int8.safetensors", "--json"]).json().remove(0);
    assert_eq!(card["precision"], json!("int8"));
    assert!(bench.run(&["show", "light-int8.safetensors"]).out.contains("int8"));
    std::fs::copy(bench.path("light.safetensors"), bench.path("my.birds.safetensors")).unwrap();
    let own = bench.run(&["quantize", "my.birds.safetensors", "--images", "2", "--json"]);
    assert_eq!(own.json()[0]["file"], json!("my.birds-int8.safetensors"), "{}", own.err);
    let shown = bench.run(&["quantize", MODEL[1], "--images", "3", "-o", "shown.safetensors"]).out;
    assert!(shown.contains("on 3 generated images") && !shown.contains("lost"), "{shown}");
    for precision in ["int8", "bf16"] {
        let args = ["quantize", MODEL[1], "--drop", "1", "--precision", precision, "-o", "no.safetensors"];
        let unjudged = bench.run(&args);
        assert!(unjudged.code == 2 && unjudged.err.contains("--data"), "{}", unjudged.err);
    }
    let missing = bench.run(&["quantize", MODEL[1], "--data", "nowhere"]);
    assert!(missing.code != 0 && missing.err.contains("nowhere"), "{}", missing.err);
}

#[test]
fn photos_that_cannot_be_read_are_left_out_and_of_none_it_is_told_why() {
    let bench = bench();
    for folder in ["broken/dark", "broken/light", "loose"] {
        std::fs::create_dir_all(bench.path(folder)).unwrap();
        std::fs::write(bench.path(&format!("{folder}/0.bmp")), b"BM no picture").unwrap();
    }
    for precision in ["int8", "bf16"] {
        for photos in ["broken", "loose"] {
            let args =
                ["quantize", MODEL[1], "--data", photos, "--precision", precision, "-o", "no.safetensors"];
            let run = bench.run(&args);
            assert!(run.code == 1 && run.err.contains("0.bmp: "), "{photos} {precision}: {}", run.err);
            assert!(!bench.path("no.safetensors").exists());
        }
    }
    bench.picture("broken/dark/1.bmp", 20);
    let run = bench.run(&["quantize", MODEL[1], "--data", "broken", "-o", "one.safetensors"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let note = run.err.lines().find(|line| line.contains("dark/0.bmp")).unwrap_or_default();
    assert_eq!(note.matches("0.bmp").count(), 1, "{}", run.err);
}

#[test]
fn half_the_bits_of_floats_are_another_precision() {
    let bench = bench();
    let run = bench.run(&["quantize", MODEL[1], "--data", "val", "--precision", "bf16", "--json"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.json()[0]["layers"], json!({"int8": 0, "bf16": 2, "f32": 0}));
    let guess = bench.run(&["classify", "-m", "light-bf16.safetensors", "--json", "val/dark/0.bmp"]).json();
    assert_eq!(guess[0]["top"][0]["label"], json!("dark"));
    // The file stays what it is where it is written again, and computes in its own precision.
    let [file, copy] = ["light-bf16.safetensors", "copy.safetensors"];
    assert_eq!(bench.run(&["convert", file, copy]).code, 0);
    let size = |name: &str| std::fs::metadata(bench.path(name)).unwrap().len();
    assert!(size(copy).abs_diff(size(file)) < 64 && size(file) < size(MODEL[1]));
    let plan = bench.run(&["show", copy, "--plan"]).out;
    assert!(plan.contains("linear bf16"), "{plan}");
    let [whole, of_floats] =
        [copy, MODEL[1]].map(|file| bench.run(&["show", file, "--json"]).json()[0].clone());
    assert_eq!(whole["precision"], json!("bf16"));
    assert_eq!(of_floats.get("precision"), None);
}

#[test]
fn training_with_rounding_ends_in_a_model_of_bytes() {
    let bench = Bench::new();
    for number in 0..12u8 {
        bench.picture(&format!("photos/dark/{number}.bmp"), 10 * number);
        bench.picture(&format!("photos/bright/{number}.bmp"), 255 - 10 * number);
    }
    let few = ["--image", "16", "--epochs", "2", "--batch", "6", "-j", "1"];
    let network =
        ["train", "photos", "--network", "mobilenet_v2_0.1", "--from", "scratch", "-o", "f.safetensors"];
    let float = bench.run(&[&network[..], &few].concat());
    assert_eq!(float.code, 0, "{}", float.err);
    let rounded = ["train", "photos", "--from", "f.safetensors", "--quantize", "int8", "-o", "i.safetensors"];
    let run = bench.run(&[&rounded[..], &["--batch", "6", "--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    let lines = run.json();
    assert_eq!(lines.len(), 4, "three epochs and the end: {}", run.out);
    assert_eq!((&lines[3]["precision"], &lines[3]["event"]), (&json!("int8"), &json!("end")));
    let recipe = bench.run(&["train", "i.safetensors", "--print-recipe"]).out;
    assert!(recipe.contains("name = \"int8\"") && recipe.contains("quantize = \"int8\""), "{recipe}");
    let card = bench.run(&["show", "i.safetensors", "--json"]).json().remove(0);
    assert_eq!(card["precision"], json!("int8"));
    let [bytes, floats] =
        ["i.safetensors", "f.safetensors"].map(|name| std::fs::metadata(bench.path(name)).unwrap().len());
    assert!(bytes < floats, "{bytes} for {floats}");
    let guess = bench.run(&["classify", "-m", "i.safetensors", "--json", "photos/dark/0.bmp"]);
    assert_eq!(guess.code, 0, "{}", guess.err);
    let part =
        bench.run(&["train", "photos", "--from", "f.safetensors", "--quantize", "int8", "--train", "head"]);
    assert!(part.code != 0 && part.err.contains("must be all for quantize=int8"), "{}", part.err);
    let word = bench.run(&["train", "photos", "--quantize", "int4"]);
    assert!(word.code == 2 && word.err.contains("int8"), "{}", word.err);
}

#[test]
fn layers_that_would_lose_more_than_may_be_keep_their_floats_in_bf16_too() {
    let bench = bench();
    // Two classes whose weights are the same in bf16.
    let mut model = cygnet::Model::open(bench.path(MODEL[1])).unwrap();
    let near = cygnet::weights::Tensor::from_f32([2, 1], &[1.0, 1.001]).unwrap();
    model.weights.insert("fc.weight", near);
    model.write(bench.path("near.safetensors")).unwrap();
    for number in 0..10u8 {
        bench.picture(&format!("bright/{number}.bmp"), 200 + 5 * number);
    }
    let run = |drop: &str| {
        let args = ["quantize", "near.safetensors", "--data", "bright", "--precision", "bf16", "--json"];
        let run = bench.run(&[&args[..], &["--overwrite", "--drop", drop]].concat());
        assert_eq!(run.code, 0, "{}", run.err);
        (run.json().remove(0), run.err)
    };
    let (all, told) = run("100");
    assert_eq!(
        (&all["layers"]["bf16"], &all["agreement"], &all["lost"]),
        (&json!(2), &json!(0.0), &json!(100.0))
    );
    assert!(!told.contains("stay"), "{told}");
    let (some, told) = run("0.5");
    assert_eq!(
        (&some["layers"], &some["agreement"]),
        (&json!({"int8": 0, "bf16": 1, "f32": 1}), &json!(100.0))
    );
    assert!(told.contains("1 layer stays in f32, as more would be lost"), "{told}");
    assert_eq!(some["sensitivity"][1]["precision"], json!("f32"));
    let answer = bench.run(&["classify", "-m", "near-bf16.safetensors", "--json", "bright/0.bmp"]).json();
    assert_eq!(answer[0]["top"][0]["label"], json!("bright"));
}

#[test]
fn what_a_model_is_made_of_is_never_replaced() {
    let bench = Bench::new().with_model();
    let before = std::fs::read(bench.path(MODEL[1])).unwrap();
    let mut names = vec![MODEL[1].to_owned(), format!("./{}", MODEL[1])];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(MODEL[1], bench.path("link.safetensors")).unwrap();
        std::fs::hard_link(bench.path(MODEL[1]), bench.path("hard.safetensors")).unwrap();
        names.extend(["link.safetensors", "hard.safetensors"].map(str::to_owned));
    }
    for name in &names {
        for args in [
            &["quantize", MODEL[1], "--overwrite", "--images", "1", "-o", name][..],
            &["quantize", MODEL[1], "--overwrite", "--precision", "bf16", "-o", name],
            &["convert", MODEL[1], name, "--overwrite"],
        ] {
            let run = bench.run(args);
            assert!(run.code == 1 && run.err.contains("its own source"), "{args:?}: {}", run.err);
            assert!(run.err.starts_with(&format!("error: {name}: ")), "{args:?}: {}", run.err);
        }
    }
    assert!(std::fs::read(bench.path(MODEL[1])).unwrap() == before);
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let bench = Bench::new().with_model();
    for number in [f32::NAN, f32::NEG_INFINITY] {
        let mut model = cygnet::Model::open(bench.path(MODEL[1])).unwrap();
        let name = model.weights.iter().map(|(name, _)| name.to_owned()).next().unwrap();
        let tensor = model.weights.get(&name).unwrap();
        let (shape, mut numbers) = (tensor.shape().to_vec(), tensor.to_f32().into_owned());
        numbers[0] = number;
        model.weights.insert(name.clone(), cygnet::weights::Tensor::from_numbers(shape, numbers).unwrap());
        model.write(bench.path("broken.safetensors")).unwrap();
        for precision in ["int8", "bf16"] {
            let args = ["quantize", "broken.safetensors", "--precision", precision, "-o", "out.safetensors"];
            let run = bench.run(&args);
            let told = format!("there are NaN or infinite numbers in {name}");
            assert!(run.code == 1 && run.err.contains(&told), "{}", run.err);
            assert!(run.err.starts_with("error: broken.safetensors: "), "{}", run.err);
            assert!(!bench.path("out.safetensors").exists());
        }
    }
}
