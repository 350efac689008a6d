//! What is refused or left out, and what is told about it.

use crate::{Bench, SMALL};

#[test]
fn what_is_misspelt_or_does_not_exist_is_told_with_what_there_is() {
    let bench = Bench::new(3);
    let print = |more: &[&str]| bench.refusal(&[&["train", "--print-recipe"][..], more].concat());
    assert!(print(&["--recipe", "fintune"]).contains("did you mean finetune?"));
    assert!(print(&["--set", "optimizer.ratte=1"]).contains("did you mean optimizer.rate?"));
    let misplaced = bench.run(&["train", "--print-recipe", "finetune"]);
    assert_eq!(misplaced.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&misplaced.stderr).contains("--recipe finetune --print-recipe"));
    assert!(print(&["--network", "mobilenetv2"]).contains("no network is called mobilenetv2"));
    let deep = format!("{}a=1", "a.".repeat(50_000));
    assert!(print(&["--set", &deep]).contains("lies deeper"));
    let stages = bench.refusal(&[&["train", "photos", "--train", "last-99"][..], &SMALL].concat());
    assert!(stages.contains("has 5 stages"), "{stages}");
    let typed = bench.run(&["train", "photos", "--model", "ghostnet_100"]);
    assert_eq!(typed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&typed.stderr).contains("--network"));
    let small = bench.train("small.safetensors", &["--epochs", "1"]);
    assert!(String::from_utf8_lossy(&small.stderr).contains("early strides become 1 (smallest_map=3)"));
}

#[test]
fn a_run_that_fails_leaves_no_log_and_its_name_to_others() {
    let bench = Bench::new(20);
    let rate = ["--set", "optimizer.rate=1e6", "--set", "optimizer.clip=0"];
    let refusal = bench.refusal(&[&["train", "photos"][..], &SMALL, &rate].concat());
    assert!(refusal.contains("the loss is no longer finite in epoch 1"), "{refusal}");
    bench.refusal(&[&["train", "nowhere"][..], &SMALL].concat());
    let files = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = files.filter(|name| name.to_string_lossy().starts_with("model")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let bench = Bench::new(3);
    let none = bench.refusal(&["train", "photos"]);
    assert!(none.contains("--from scratch"), "{none}");
    let out = ["--out", "model.safetensors"];
    let args = [&["train", "photos", "--epochs", "1"][..], &SMALL, &out].concat();
    assert!(bench.refusal(&[&args[..], &["--resume"]].concat()).contains("no run to resume"));
    assert!(bench.run(&args).status.success());
    assert!(bench.refusal(&args).contains("--overwrite"));
    let other = [&args[..], &["--resume", "--set", "optimizer.rate=7"]].concat();
    assert!(bench.refusal(&other).contains("another recipe"));
    let resumed = ["train", "photos", "--resume"];
    assert!(
        bench.refusal(&[&resumed[..], &["--network", "ghostnet_100"]].concat()).contains("not ghostnet_100")
    );
    assert!(bench.run(&[&resumed[..], &["--network", "mobilenet_v2_0.1"]].concat()).status.success());
    std::fs::rename(bench.path("photos/right"), bench.path("photos/wrong")).unwrap();
    assert!(bench.refusal(&resumed).contains("class right is now wrong"));
    std::fs::rename(bench.path("photos/wrong"), bench.path("photos/right")).unwrap();
    std::fs::copy(bench.path("photos/left/000.png"), bench.path("photos/right/new.png")).unwrap();
    assert!(bench.refusal(&[&args[..], &["--resume"]].concat()).contains("other pictures"));
    assert!(bench.refusal(&["train", "photos", "--out", "model.pth"]).contains(".safetensors"));
    assert!(bench.refusal(&["train", "photos/left", "--overwrite"]).contains("no class folders"));
    let recipe = bench.refusal(&["train", "photos", "--from", "scratch", "--recipe", "x", "--overwrite"]);
    assert!(recipe.contains("there are finetune"), "{recipe}");
}

#[test]
fn unreadable_files_and_pictures_in_both_parts_are_told() {
    let bench = Bench::new(6);
    std::fs::create_dir_all(bench.path("parted/train")).unwrap();
    for class in ["left", "right"] {
        std::fs::rename(bench.path("photos").join(class), bench.path("parted/train").join(class)).unwrap();
        std::fs::create_dir_all(bench.path("parted/val").join(class)).unwrap();
        let from = bench.path("parted/train").join(class).join("001.png");
        std::fs::copy(from, bench.path("parted/val").join(class).join("copy.png")).unwrap();
    }
    std::fs::write(bench.path("parted/train/left/broken.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let output = bench.run(&[&["train", "parted", "--epochs", "1"][..], &SMALL].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("broken.png") && told.contains("left out"), "{told}");
    assert!(told.contains("2 pictures for validation or test are also trained on"), "{told}");
    assert!(!told.contains("does not tell"), "{told}");
    // A class without a picture for validation is told.
    std::fs::remove_dir_all(bench.path("parted/val/right")).unwrap();
    let output = bench.run(&[&["train", "parted", "--epochs", "1", "--overwrite"][..], &SMALL].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("no pictures of class right for validation; the accuracy does not tell of them"),
        "{told}"
    );
    // Of a class whose photos all cannot be read the reason is told.
    std::fs::create_dir_all(bench.path("parted/train/phone")).unwrap();
    std::fs::write(bench.path("parted/train/phone/1.heic"), b"\0\0\0\x18ftypheic").unwrap();
    let told = bench.refusal(&[&["train", "parted", "--out", "other.safetensors"][..], &SMALL].concat());
    assert!(told.contains("no picture of class phone is left"), "{told}");
    assert!(told.contains("1.heic: HEIC is not decoded; convert it"), "{told}");
}
