//! Class folders and lists of pictures. The files are empty: only names matter.

#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::fs;
use std::path::Path;

use cygnet_image::{DecodeLimits, ImageError, Splits, collect_images, collect_readable, without_name};

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
    let refusal = |files: &[&str]| {
        let root = folder(files);
        let error = Splits::open(root.path()).unwrap_err();
        without_name(&error.to_string(), &root.path().display().to_string()).to_owned()
    };
    let none = "no pictures and no class folders inside; expected a folder of pictures for each class, such as \
    cats/1.jpg";
    assert!(refusal(&[]).starts_with(none));
    assert!(refusal(&["notes.txt"]).starts_with(none));
    let flat = refusal(&["a.jpg", "b.jpg"]);
    assert!(flat.starts_with("2 pictures, but no class folders inside; expected a folder"), "{flat}");
    assert!(flat.ends_with("or a .csv table of pictures and labels"), "{flat}");
    let bare = refusal(&["a/x.txt", "b/x.txt", "c/x.txt", "d/x.txt", "e/x.txt"]);
    assert!(bare.starts_with("no picture in its folders a, b, c, 2 more; looked for JPEG"), "{bare}");
    let beside = refusal(&["cat/notes.txt", "a.jpg"]);
    assert!(beside.starts_with("no picture in its folders cat, but 1 beside them;"), "{beside}");
    let undivided = refusal(&["train/1.jpg", "train/2.jpg", "val/1.jpg"]);
    assert!(
        undivided.starts_with("has pictures in train and val but no class folders there; "),
        "{undivided}"
    );
    let flat = folder(&["a.jpg"]);
    let missing = Splits::open(flat.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("nowhere"), "{missing}");
}

#[cfg(unix)]
#[test]
fn links_that_lead_to_nothing_are_told() {
    let root = folder(&["cat/a.jpg", "dog/a.jpg"]);
    std::os::unix::fs::symlink("gone", root.path().join("fox")).unwrap();
    std::os::unix::fs::symlink("gone", root.path().join("owl")).unwrap();
    let splits = Splits::open(root.path()).unwrap();
    let [note] = &splits.notes[..] else { panic!("{:?}", splits.notes) };
    assert!(note.ends_with("fox: a link that leads to nothing, and 1 more such links; left out"), "{note}");
}

/// Of root nothing is hidden; then there is nothing to see.
#[cfg(unix)]
#[test]
fn folders_that_cannot_be_read_are_named() {
    use std::os::unix::fs::PermissionsExt;

    let root = folder(&["cat/a.jpg", "dog/a.jpg", "fox/in/a.jpg"]);
    let locked = root.path().join("fox");
    let lock = |mode| fs::set_permissions(&locked, fs::Permissions::from_mode(mode)).unwrap();
    lock(0);
    if fs::read_dir(&locked).is_err() {
        let named = |told: String| assert!(told.contains("fox: ") && told.contains("denied"), "{told}");
        named(Splits::open(root.path()).unwrap_err().to_string());
        named(collect_images([root.path()]).unwrap_err().to_string());
        for pattern in ["*/*/*.jpg", "**/*.jpg"] {
            let found = collect_readable(root.path().join(pattern), DecodeLimits::default());
            named(match found {
                Ok(found) => found.unreadable[0].to_string(),
                Err(error) => error.to_string(),
            });
        }
    }
    lock(0o755);
    // Where nothing is, nothing is refused.
    let nothing = collect_readable(root.path().join("gone/*.jpg"), DecodeLimits::default()).unwrap_err();
    assert!(matches!(nothing, ImageError::NoImages { .. }), "{nothing}");
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
