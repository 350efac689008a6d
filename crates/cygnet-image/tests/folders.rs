//! Class folders and lists of pictures. The files are empty: only names matter.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::fs;
use std::path::Path;

use cygnet_image::{DecodeLimits, ImageError, Splits, collect_images};

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn names(root: &Path, paths: &[std::path::PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn classes_are_sorted_folders_and_samples_their_pictures_at_any_depth() {
    let root = folder(&[
        "dog/b.JPEG",
        "dog/a.png",
        "cat/deep/er/c.WebP",
        "cat/z.gif",
        "cat/notes.txt",
        "cat/.hidden.jpg",
        ".cache/x.jpg",
        "__MACOSX/cat/x.jpg",
        "cat/@eaDir/x.jpg",
        "loose.jpg",
        "empty/readme.md",
    ]);
    let found = Splits::open_any(root.path(), DecodeLimits::default()).unwrap();
    assert_eq!(found.train.classes, ["cat", "dog", "empty"]);
    let samples = &found.train.samples;
    let paths: Vec<_> = samples.iter().map(|sample| sample.path().unwrap().to_owned()).collect();
    assert_eq!(names(root.path(), &paths), ["cat/deep/er/c.WebP", "cat/z.gif", "dog/a.png", "dog/b.JPEG"]);
    assert_eq!(samples.iter().map(|sample| sample.class).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(found.notes, ["1 picture beside the class folders left out"]);
}

#[test]
fn a_folder_without_classes_or_without_pictures_is_refused() {
    let flat = folder(&["a.jpg"]);
    assert!(matches!(Splits::open(flat.path()).unwrap_err(), ImageError::NoClasses { .. }));
    let bare = folder(&["cat/notes.txt"]);
    assert!(matches!(Splits::open(bare.path()).unwrap_err(), ImageError::NoImages { .. }));
    let missing = Splits::open(flat.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("nowhere"), "{missing}");
}

#[test]
fn files_folders_and_patterns_become_one_sorted_list() {
    let root = folder(&["b/2.jpg", "b/1.png", "b/.no.png", "a.bmp", "c.jpg", "c.txt", "odd.name"]);
    let at = |name: &str| root.path().join(name);
    let list = collect_images([at("c.jpg"), at("b"), at("*.bmp"), at("c.*"), at("odd.name")]).unwrap();
    assert_eq!(names(root.path(), &list), ["a.bmp", "b/1.png", "b/2.jpg", "c.jpg", "odd.name"]);
    assert_eq!(names(root.path(), &collect_images([at("**/*.jpg")]).unwrap()), ["b/2.jpg", "c.jpg"]);
}

#[test]
fn what_leads_to_no_picture_is_named() {
    let root = folder(&["a.jpg", "texts/a.txt"]);
    for name in ["*.webp", "texts"] {
        let error = collect_images([root.path().join("a.jpg"), root.path().join(name)]).unwrap_err();
        assert!(matches!(&error, ImageError::NoImages { .. }) && error.to_string().contains(name), "{error}");
    }
    let error = collect_images([root.path().join("missing.jpg")]).unwrap_err();
    assert!(matches!(error, ImageError::Missing { .. }), "{error}");
    assert!(error.to_string().ends_with("missing.jpg: no such file or folder"), "{error}");
    let error = collect_images([root.path().join("a[")]).unwrap_err();
    assert!(matches!(error, ImageError::Pattern { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_parent_folder_ends() {
    let root = folder(&["a/1.jpg"]);
    std::os::unix::fs::symlink(root.path(), root.path().join("a/up")).unwrap();
    let list = collect_images([root.path()]).unwrap();
    assert_eq!(names(root.path(), &list), ["a/1.jpg"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_that_holds_it_is_not_learnt_again() {
    let root = folder(&["a/1.jpg", "a/in/2.jpg", "b/3.jpg", "elsewhere.d/4.jpg"]);
    let link =
        |to: &str, at: &str| std::os::unix::fs::symlink(root.path().join(to), root.path().join(at)).unwrap();
    link("", "a/up");
    link("", "c");
    link("a", "a/in/up");
    link("elsewhere.d", "b/more");
    let found = Splits::open_any(root.path(), DecodeLimits::default()).unwrap();
    assert_eq!(found.train.classes, ["a", "b", "elsewhere.d"]);
    let paths: Vec<_> = found.train.samples.iter().map(|sample| sample.path().unwrap().to_owned()).collect();
    let expected = ["a/1.jpg", "a/in/2.jpg", "b/3.jpg", "b/more/4.jpg", "elsewhere.d/4.jpg"];
    assert_eq!(names(root.path(), &paths), expected);
    assert!(
        found.notes[0].contains("a/in/up: a link to a folder that holds it, and 2 more"),
        "{:?}",
        found.notes
    );
}
