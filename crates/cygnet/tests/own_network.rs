//! A network that is no part of the zoo, trained by the short way: named, saved, resumed, used, trained further.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use cygnet::graph::{BuildError, Conv, Graph};
use cygnet::image::Image;
use cygnet::train::{Callback, Ended, RunFiles, Start, StepReport, Trained, Training, train};
use cygnet::{Classifier, Error, Model};

fn tiny(classes: usize) -> Result<Graph, BuildError> {
    Graph::build("tiny", [3, 16, 16], |net, image| {
        let x = net.at("bn").batch_norm(net.at("conv").conv(image, Conv::new(8, 3).stride(2))).relu();
        net.at("fc").linear(x.global_avg_pool(), classes)
    })
}

/// Ten pictures of each of two greys.
fn pictures(folder: &Path) {
    for (class, level) in [("dark", 40u8), ("light", 200)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..10 {
            let picture = Image::from_rgb(16, 16, vec![level + i; 16 * 16 * 3]).unwrap();
            std::fs::write(folder.join(class).join(format!("{i}.png")), picture.to_png().unwrap()).unwrap();
        }
    }
}

struct Stop {
    after: usize,
}

impl Callback for Stop {
    fn step(&mut self, _: &StepReport) -> std::ops::ControlFlow<()> {
        self.after -= 1;
        if self.after == 0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }
}

#[test]
fn a_network_of_ones_own_is_trained_saved_resumed_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    pictures(&photos);
    let ask = || -> Training {
        train(&photos)
            .graph("tiny", tiny)
            .batch(8)
            .epochs(6)
            .set("optimizer.rate=0.1")
            .set("augment.crop=fit")
    };
    let out = |name: &str| folder.path().join(name);

    let run = ask().out(out("whole.safetensors")).run().unwrap();
    assert_eq!(run.outcome.ended, Ended::Finished);
    assert_eq!(run.outcome.model.graph.input_shape(), [3, 16, 16]);
    let files = run.files.clone().unwrap();
    assert!(files.report().exists() && files.log().exists());
    let model = run.into_model();
    assert_eq!((model.id.as_str(), model.labels.len()), ("tiny", 2));
    let dark = std::fs::read(photos.join("dark/3.png")).unwrap();
    let guess =
        |model: Model| Classifier::new(model).unwrap().classify(&dark, 1).unwrap().top[0].label.clone();
    assert_eq!(guess(model), "dark");
    // The file holds the graph: no code of the network is needed.
    let read = Model::open(out("whole.safetensors")).unwrap();
    assert_eq!(read.id, "tiny");
    assert_eq!(guess(read), "dark");

    // Interrupted, it goes on to the same bytes.
    let torn = ask().out(out("torn.safetensors"));
    let stopped = torn.prepare(&mut ()).unwrap().run(&mut Stop { after: 3 }).unwrap();
    assert_eq!(stopped.outcome.ended, Ended::Interrupted);
    assert!(
        matches!(torn.run(), Err(Error::Train(error)) if error.to_string().contains("overwrite"))
            || !out("torn.safetensors").exists()
    );
    torn.clone().resume(true).run().unwrap();
    let bytes = |name: &str| std::fs::read(out(name)).unwrap();
    assert!(bytes("torn.safetensors") == bytes("whole.safetensors"));

    // And it is something to start from.
    let tuned =
        train(&photos).from(Start::File(out("whole.safetensors"))).part(Trained::Head).batch(8).epochs(1);
    let tuned = tuned.run().unwrap();
    assert!(tuned.files.is_none());
    assert_eq!(tuned.outcome.record.training.unwrap().from.file.as_deref(), Some("whole.safetensors"));
}

#[test]
fn a_new_run_over_an_old_one_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    pictures(&photos);
    let files = RunFiles::of(folder.path().join("a.safetensors"));
    let ask = |epochs| {
        train(&photos).graph("tiny", tiny).batch(8).epochs(epochs).out(&files.model).tensorboard(true)
    };
    ask(1).run().unwrap();
    assert!(ask(1).run().unwrap_err().to_string().contains("is there already"));
    // Stopped before anything is saved, it must not be taken for the old run.
    let error = ask(2).overwrite(true).set("optimizer.rate=1e6").set("optimizer.clip=0").run();
    assert!(error.is_err() || files.state().exists());
    ask(2).overwrite(true).run().unwrap();
    assert_eq!(std::fs::read_dir(files.events()).unwrap().count(), 1);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    pictures(&photos);
    let refusal = |training: Training| training.run().unwrap_err().to_string();
    let classes = refusal(train(&photos).graph("tiny", |_| tiny(7)));
    assert!(classes.contains("tiny: the graph is for 7 classes, the pictures are of 2"), "{classes}");
    let weights = refusal(train(&photos).graph("tiny", tiny).from(Start::Pretrained));
    assert!(weights.contains("tiny has no published weights"), "{weights}");
    assert!(refusal(train(&photos).graph("tiny", tiny).out("a.onnx")).contains(".safetensors"));
    assert!(refusal(train(&photos).network("mobilenetv2_")).contains("no network is called"));
}
