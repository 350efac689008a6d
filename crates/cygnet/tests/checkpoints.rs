//! Checkpoints that hold a network as a part of something larger, or with another last layer.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use cygnet::graph::{Conv, Graph, Op, Role};
use cygnet::verify::synthetic;
use cygnet::weights::{Dtype, Head, Naming, Tensor, Tensors, fit, locate, safetensors};
use cygnet::zoo::registry::{Family, Row, Variant};
use cygnet::zoo::{Built, Registry, Spec};
use cygnet::{Conversion, Converted, Error};
use tempfile::TempDir;

const NETWORK: &str = "shufflenet_v2_x0_5";
const CLASSES: usize = 5;

/// The tensors of the network for five classes.
fn tensors() -> Tensors {
    let network = cygnet::network(NETWORK).unwrap();
    let graph = network.build().unwrap().with_classes(CLASSES).unwrap();
    let params = graph.params().into_iter();
    let tensor = |shape: Vec<usize>, name: &str, one: f64| {
        let values = synthetic(name, shape.iter().product(), |v| one + 0.1 * v);
        Tensor::from_f32(shape, &values).unwrap()
    };
    params
        .map(|param| {
            let one = f64::from(u8::from(param.role == Role::NormVar));
            (param.name.clone(), tensor(param.shape, &param.name, one))
        })
        .collect()
}

fn renamed(tensors: &Tensors, name: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(key, tensor)| (name(key), tensor.clone())).collect()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn checkpoint(&self, tensors: &Tensors) -> PathBuf {
        let path = self.0.path().join("last.safetensors");
        safetensors::write(&path, tensors, &safetensors::Metadata::default()).unwrap();
        path
    }

    fn named(&self, tensors: &Tensors) -> Result<Converted, Error> {
        let conversion = Conversion { network: Some(NETWORK.into()), ..Conversion::default() };
        conversion.run(self.checkpoint(tensors))
    }
}

#[test]
fn what_all_names_start_with_is_left_out_and_told() {
    let (folder, plain) = (Folder::new(), tensors());
    let expected = folder.named(&plain).unwrap();
    assert_eq!(expected.notes, [""; 0]);
    for prefix in [
        "module.",
        "model.",
        "net.",
        "backbone.",
        "encoder.",
        "lit_model.",
        "_orig_mod.",
        "my.own.wrapper.",
        "model._orig_mod.module.",
        "_orig_mod.module.encoder.net.",
    ] {
        let given = renamed(&plain, |name| format!("{prefix}{name}"));
        let converted = folder.named(&given).unwrap();
        assert_eq!(converted.model.weights, expected.model.weights, "{prefix}");
        let told = format!("the names of the network's tensors start with {prefix}");
        assert!(converted.notes[0].starts_with(&told), "{:?}", converted.notes);
    }
    let given = renamed(&plain, |name| format!("model._orig_mod.{name}"));
    let recognised = Conversion::default().run(folder.checkpoint(&given)).unwrap();
    assert_eq!(
        (&*recognised.model.id, recognised.model.weights),
        ("shufflenet_v2_0.5", expected.model.weights)
    );
}

#[test]
fn tensors_beside_the_network_are_left_out_and_told() {
    let (folder, plain) = (Folder::new(), tensors());
    let expected = folder.named(&plain).unwrap().model.weights;
    let mut averaged = renamed(&plain, |name| format!("module.{name}"));
    averaged.insert("n_averaged".into(), Tensor::new([], Dtype::I64, vec![0; 8]).unwrap());
    let converted = folder.named(&averaged).unwrap();
    assert_eq!(converted.model.weights, expected);
    assert!(converted.notes[0].contains("under module.; n_averaged is left out"), "{:?}", converted.notes);
    assert!(converted.notes[1].contains("the average of a run"), "{:?}", converted.notes);
    let mut inside = plain.clone();
    inside.insert("criterion.weight".into(), Tensor::from_f32([5], &[1.0; 5]).unwrap());
    let message = folder.named(&inside).unwrap_err().to_string();
    assert!(message.contains("1 unexpected") && message.contains("criterion.weight"), "{message}");
}

#[test]
fn of_a_network_and_its_average_the_network_is_taken_and_a_key_chooses() {
    let (folder, plain) = (Folder::new(), tensors());
    let zero =
        |tensor: &Tensor| Tensor::from_f32(tensor.shape(), &vec![0.0; tensor.element_count()]).unwrap();
    for (first, second, taken) in [("ema_model", "model", 1), ("student", "teacher", 0), ("a", "b", 0)] {
        let mut both = renamed(&plain, |name| format!("{first}.{name}"));
        both.extend(plain.iter().map(|(name, tensor)| (format!("{second}.{name}"), zero(tensor))));
        let converted = folder.named(&both).unwrap();
        let (_, first_tensor) = converted.model.weights.iter().next().unwrap();
        let is_second = first_tensor.to_f32().iter().all(|&value| value == 0.0);
        assert_eq!(usize::from(is_second), taken, "{first} {second}");
        let (own, other) = if taken == 0 { (first, second) } else { (second, first) };
        assert!(converted.notes[0].contains(&format!("under {own}.")), "{:?}", converted.notes);
        assert!(
            converted.notes[1].starts_with(&format!("{other} would fit as well")),
            "{:?}",
            converted.notes
        );
        let conversion = Conversion { weights_key: Some(other.into()), ..Conversion::default() };
        let chosen = conversion.run(folder.checkpoint(&both)).unwrap();
        assert_ne!(chosen.model.weights, converted.model.weights);
    }
}

#[test]
fn a_last_layer_of_another_name_is_taken_where_shapes_leave_one_reading() {
    let (folder, plain) = (Folder::new(), tensors());
    let expected = folder.named(&plain).unwrap().model.weights;
    for layer in ["fc.1", "fc.0", "fc.1.1", "head", "classifier.out"] {
        let given = renamed(&plain, |name| match name.strip_prefix("fc.") {
            Some(tensor) => format!("net.{layer}.{tensor}"),
            None => format!("net.{name}"),
        });
        let converted = folder.named(&given).unwrap();
        assert_eq!(converted.model.weights, expected, "{layer}");
        assert!(
            converted.notes[1].starts_with(&format!("net.{layer} is taken for fc")),
            "{:?}",
            converted.notes
        );
        if layer == "fc.1" {
            assert_eq!(Conversion::default().run(folder.checkpoint(&given)).unwrap().model.weights, expected);
        }
    }
    let beside = renamed(&plain, |name| match name.strip_prefix("fc.") {
        Some(tensor) => format!("head.fc.{tensor}"),
        None => format!("backbone.{name}"),
    });
    let converted = folder.named(&beside).unwrap();
    assert_eq!(converted.model.weights, expected);
    assert!(converted.notes[1].starts_with("head.fc is taken for fc"), "{:?}", converted.notes);
    let linear = |outputs: usize, inputs: usize| {
        Tensor::from_f32([outputs, inputs], &vec![0.5; outputs * inputs]).unwrap()
    };
    let bias = |outputs: usize| Tensor::from_f32([outputs], &vec![0.5; outputs]).unwrap();
    let two_layers: &[(&str, Tensor)] = &[
        ("fc.0.weight", linear(5, 1024)),
        ("fc.0.bias", bias(5)),
        ("fc.2.weight", linear(5, 1024)),
        ("fc.2.bias", bias(5)),
    ];
    let hidden: &[(&str, Tensor)] = &[
        ("fc.0.weight", linear(256, 1024)),
        ("fc.0.bias", bias(256)),
        ("fc.2.weight", linear(5, 256)),
        ("fc.2.bias", bias(5)),
    ];
    let narrow: &[(&str, Tensor)] = &[("fc.1.weight", linear(5, 512)), ("fc.1.bias", bias(5))];
    let no_bias: &[(&str, Tensor)] = &[("fc.1.weight", linear(5, 1024))];
    let odd: &[(&str, Tensor)] = &[("fc.1.weight", linear(5, 1024)), ("fc.1.bias", bias(4))];
    for head in [two_layers, hidden, narrow, no_bias, odd] {
        let mut given = plain.clone();
        given.retain(|name, _| !name.starts_with("fc."));
        given.extend(head.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())));
        let message = folder.named(&given).unwrap_err().to_string();
        assert!(message.contains("fc.weight"), "{message}");
    }
}

#[test]
fn weights_that_are_stored_as_what_they_are_computed_from_are_explained() {
    let (folder, plain) = (Folder::new(), tensors());
    let parts: [(&[&str], &str); 3] = [
        (&["fc.weight_g", "fc.weight_v"], "weight normalisation; call torch.nn.utils.remove_weight_norm"),
        (&["fc.weight_orig", "fc.weight_u"], "spectral normalisation"),
        (
            &["fc.parametrizations.weight.original0", "fc.parametrizations.weight.original1"],
            "remove_parametrizations",
        ),
    ];
    for (names, reason) in parts {
        let mut given = plain.clone();
        let weight = given.shift_remove("fc.weight").unwrap();
        given.extend(names.iter().map(|name| ((*name).to_owned(), weight.clone())));
        let message = folder.named(&given).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn names_of_classes_become_labels_where_there_are_as_many() {
    let (folder, plain) = (Folder::new(), tensors());
    let path = folder.0.path().join("named.safetensors");
    let labels = folder.0.path().join("labels.txt");
    let names = ["ant", "bee", "cat", "dog", "eel"];
    let convert = |classes: &str, labels: Option<&PathBuf>| {
        let metadata = safetensors::Metadata::from([("class_to_idx".into(), classes.into())]);
        safetensors::write(&path, &plain, &metadata).unwrap();
        Conversion { network: Some(NETWORK.into()), labels: labels.cloned(), ..Conversion::default() }
            .run(&path)
    };
    let five = r#"{"ant": 0, "bee": 1, "cat": 2, "dog": 3, "eel": 4}"#;
    let converted = convert(five, None).unwrap();
    assert_eq!(converted.model.labels, names);
    assert_eq!(converted.notes, ["the labels are the 5 class names of the checkpoint"]);
    let converted = convert(r#"{"ant": 0, "bee": 1}"#, None).unwrap();
    assert!(converted.model.labels.is_empty());
    assert_eq!(converted.notes, ["the checkpoint has 2 class names for 5 classes; they are left out"]);
    std::fs::write(&labels, "1\n2\n3\n4\n5\n").unwrap();
    assert_eq!(convert(five, Some(&labels)).unwrap().model.labels, ["1", "2", "3", "4", "5"]);
    std::fs::write(&labels, "1\n2\n").unwrap();
    let message = convert(five, Some(&labels)).unwrap_err().to_string();
    assert!(message.ends_with("labels.txt: 2 names for 5 classes"), "{message}");
}

#[test]
fn names_tell_a_source_from_others_of_the_same_shapes() {
    let folder = Folder::new();
    for (network, recognised) in [
        ("shufflenet_v2_0.5", "shufflenet_v2_0.5"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("mobilenet_v2_0.35", "mobilenet_v2_0.35"),
        ("seresnet50", "seresnet50"),
    ] {
        let graph = cygnet::network(network).unwrap().build().unwrap();
        let tensor = |shape: Vec<usize>| {
            let count = shape.iter().product();
            Tensor::new(shape, Dtype::I8, vec![1; count]).unwrap()
        };
        let given: Tensors =
            graph.params().into_iter().map(|param| (param.name, tensor(param.shape))).collect();
        let converted = Conversion::default().run(folder.checkpoint(&given)).unwrap();
        assert_eq!(converted.model.id, recognised);
        assert!(converted.notes[0].contains("their shapes would also be those of"), "{:?}", converted.notes);
    }
}

#[test]
fn a_shape_over_no_data_ends_at_once() {
    let graph = Graph::build("tiny", [3, 8, 8], |net, image| {
        net.at("fc").linear(net.at("conv").conv(image, Conv::new(4, 1)).global_avg_pool(), 2)
    })
    .unwrap();
    let huge: [&[usize]; 4] =
        [&[0, 0, 1 << 40, 1 << 20], &[1 << 40, 1 << 20, 0, 0], &[0, 1 << 60], &[1 << 60, 0]];
    for shape in huge {
        let given: Tensors = graph
            .params()
            .into_iter()
            .map(|param| (param.name, Tensor::new(shape, Dtype::F32, Vec::new()).unwrap()))
            .collect();
        for channels_last in [false, true] {
            let naming = Naming { channels_last, ..locate(&graph, &given, Naming::own()).naming };
            let mismatch = fit(&graph, &given, &naming, Head::Keep).unwrap_err();
            assert_eq!(mismatch.misshapen.len(), given.len());
        }
    }
}

#[test]
fn merged_batch_norms_are_recognised_and_of_pruned_tensors_the_nearest_networks_are_told() {
    let folder = Folder::new();
    let graph = cygnet::network(NETWORK).unwrap().build().unwrap().with_classes(CLASSES).unwrap();
    let mut merged = tensors();
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))) {
        for name in ["weight", "running_mean", "running_var"] {
            merged.shift_remove(&format!("{}.{name}", node.path)).unwrap();
        }
        let bias = merged.shift_remove(&format!("{}.bias", node.path)).unwrap();
        merged.insert(format!("{}.bias", graph.node(node.inputs[0]).path), bias);
    }
    let named = folder.named(&merged).unwrap().model;
    let found = Conversion::default().run(folder.checkpoint(&merged)).unwrap().model;
    assert_eq!((&found.id, &found.weights), (&named.id, &named.weights));

    let mut pruned = tensors();
    let first = &graph.params()[0];
    let [outputs, inputs, height, width] = first.shape[..] else { panic!("{first:?}") };
    let values = vec![0.5; (outputs - 4) * inputs * height * width];
    let tensor = Tensor::from_f32([outputs - 4, inputs, height, width], &values).unwrap();
    pruned.insert(first.name.clone(), tensor);
    let error = Conversion::default().run(folder.checkpoint(&pruned)).unwrap_err().to_string();
    let told = format!("{}: 1 misshapen ({}: [20, 3, 3, 3], needs [24, 3, 3, 3])", named.id, first.name);
    assert!(error.contains("no known network; nearest are\n  ") && error.contains(&told), "{error}");
    assert!(error.ends_with(&format!("MODEL.safetensors --network {}", named.id)), "{error}");
    let foreign = Tensors::from([("elephant".to_owned(), Tensor::from_f32([1], &[1.0]).unwrap())]);
    let error = Conversion::default().run(folder.checkpoint(&foreign)).unwrap_err().to_string();
    assert!(!error.contains("nearest") && error.contains("--network ID"), "{error}");
}

fn plain(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = net.at("only").conv(image, Conv::new(spec.scaled(16), 3).stride(2)).relu();
        net.at("fc").linear(x.global_avg_pool(), spec.classes)
    })
}

const OWN: &[Row] = &[Row::new("plain", Family::Other, "own", plain, &[Variant::new(&[], &[])]).side(32)];

#[test]
fn networks_that_a_program_adds_are_named_and_recognised() {
    let folder = Folder::new();
    let registry = Registry::default().with(OWN).unwrap();
    let graph = registry.find("plain").unwrap().build().unwrap();
    let values = cygnet::bench::random_weights(&graph);
    let tensors: Tensors = (graph.params().into_iter().zip(&values))
        .map(|(param, values)| (param.name, Tensor::from_f32(param.shape, values).unwrap()))
        .collect();
    let file = folder.checkpoint(&tensors);
    let own = Conversion { registry, ..Conversion::default() };
    for network in [None, Some("plain".to_owned())] {
        let model = Conversion { network, ..own.clone() }.run(&file).unwrap().model;
        assert_eq!((model.id.as_str(), model.preprocess.size), ("plain", [32, 32]));
    }
    assert!(matches!(Conversion::default().run(&file), Err(Error::Unrecognised { .. })));
}

#[test]
fn of_a_body_with_names_of_its_own_the_networks_of_such_shapes_are_told() {
    let folder = Folder::new();
    let graph = cygnet::network(NETWORK).unwrap().build().unwrap().with_classes(CLASSES).unwrap();
    let head = graph.params().last().unwrap().name.rsplit_once('.').unwrap().0.to_owned();
    let mut body = tensors();
    body.retain(|name, _| !name.starts_with(&head));
    let body = renamed(&body, |name| format!("mine.{}", name.replace(['.', '_'], "-")));
    let error = Conversion::default().run(folder.checkpoint(&body)).unwrap_err().to_string();
    assert!(
        error.contains("no known network; nearest are\n  ") && error.contains("shufflenet_v2_0.5: "),
        "{error}"
    );
    let few = Tensors::from([("elephant".to_owned(), Tensor::from_f32([2, 2], &[1.0; 4]).unwrap())]);
    let error = Conversion::default().run(folder.checkpoint(&few)).unwrap_err().to_string();
    assert!(!error.contains("nearest are"), "{error}");
}
