//! Class folders and lists of pictures. The files are empty: only names matter.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::fs;
use std::path::Path;

use cygnet_image::{ClassFolder, ImageError, collect_images};

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
        "loose.jpg",
        "empty/readme.md",
    ]);
    let found = ClassFolder::open(root.path()).unwrap();
    assert_eq!(found.classes, ["cat", "dog", "empty"]);
    let (paths, labels): (Vec<_>, Vec<_>) = found.samples.into_iter().unzip();
    assert_eq!(names(root.path(), &paths), ["cat/deep/er/c.WebP", "cat/z.gif", "dog/a.png", "dog/b.JPEG"]);
    assert_eq!(labels, [0, 0, 1, 1]);
}

#[test]
fn a_folder_without_classes_or_without_pictures_is_refused() {
    let flat = folder(&["a.jpg"]);
    assert!(matches!(ClassFolder::open(flat.path()).unwrap_err(), ImageError::NoClasses { .. }));
    let bare = folder(&["cat/notes.txt"]);
    assert!(matches!(ClassFolder::open(bare.path()).unwrap_err(), ImageError::NoImages { .. }));
    let missing = ClassFolder::open(flat.path().join("nowhere")).unwrap_err();
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
    for name in ["missing.jpg", "*.webp", "texts"] {
        let error = collect_images([root.path().join("a.jpg"), root.path().join(name)]).unwrap_err();
        assert!(matches!(&error, ImageError::NoImages { .. }) && error.to_string().contains(name), "{error}");
    }
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
