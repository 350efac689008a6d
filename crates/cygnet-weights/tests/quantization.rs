//! Records of quantisation: what comes back from a file, and what is said of damaged ones.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use cygnet_graph::{Conv, Graph, NodeId, Pool};
use cygnet_weights::{
    BadQuantization, Dtype, Grid, Quantization, Tensor, Tensors, WeightGrid, WeightSet, safetensors,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn graph() -> Graph {
    Graph::build("tiny", [3, 4, 4], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(2, 1).bias()).relu();
        net.at("fc").linear(x.pool(Pool::max(2, 2)).global_avg_pool(), 5)
    })
    .unwrap()
}

fn weights() -> WeightSet {
    let mut weights = WeightSet::default();
    weights.insert("stem.weight", Tensor::new([2, 3, 1, 1], Dtype::I8, vec![1, 2, 3, 129, 127, 0]).unwrap());
    weights.insert("stem.bias", Tensor::from_f32([2], &[0.5, -3.0]).unwrap());
    weights.insert("fc.weight", Tensor::new([5, 2], Dtype::U8, (0..10).collect()).unwrap());
    weights.insert("fc.bias", Tensor::from_f32([5], &[0.0; 5]).unwrap());
    weights
}

fn record() -> Quantization {
    let mut record = Quantization::default();
    record.values.insert(NodeId(0), Grid::of_one(128, 0.017));
    record.values.insert(NodeId(2), Grid { zero: 0, scales: vec![0.5, 0.25] });
    let grid = WeightGrid { scales: vec![0.001, 0.002], zeros: vec![] };
    record.weights.insert("stem.weight".into(), grid);
    record.weights.insert("fc.weight".into(), WeightGrid { scales: vec![0.5; 5], zeros: vec![4] });
    record
}

/// The record as it comes back after `change` was made to what is in the file.
fn reread(change: impl FnOnce(&mut Value, &mut Tensors)) -> Result<Quantization, BadQuantization> {
    let (mut json, mut tensors) = record().to_file();
    change(&mut json, &mut tensors);
    let record = Quantization::take(&json, &mut tensors, &graph())?;
    record.check(&graph(), &weights())?;
    assert!(tensors.is_empty(), "all is taken");
    Ok(record)
}

#[test]
fn a_record_comes_back_as_written() {
    assert_eq!(reread(|_, _| {}), Ok(record()));
    let (json, tensors) = record().to_file();
    assert_eq!(json["values"][1], json!({"node": 2, "type": "u8", "zero": 0, "scales": 2}));
    let dtypes: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dtype())).collect();
    let wanted = [
        ("quantization.scales", Dtype::F32),
        ("fc.weight_scale", Dtype::BF16),
        ("fc.weight_zero", Dtype::U8),
        ("stem.weight_scale", Dtype::F32),
    ];
    assert_eq!(dtypes, wanted, "what loses nothing by it takes half the size");
}

#[test]
fn damaged_records_are_refused_with_their_place() {
    let bad = |wanted: &str, change: &dyn Fn(&mut Value, &mut Tensors)| {
        assert_eq!(reread(change).map_err(|error| error.to_string()), Err(wanted.to_owned()));
    };
    let scales = |name: &'static str, values: &'static [f32]| {
        move |_: &mut Value, tensors: &mut Tensors| {
            tensors.insert(name.into(), Tensor::from_f32([values.len()], values).unwrap());
        }
    };
    bad("damaged record of quantisation: missing field `values`", &|json, _| *json = json!({}));
    bad("damaged record of quantisation: unknown variant `u4`, expected `u8`", &|json, _| {
        json["values"][0]["type"] = json!("u4")
    });
    bad("a grid for node 7, but the graph has 6", &|json, _| json["values"][0]["node"] = json!(7));
    bad("node 2 (relu): two grids for one value", &|json, tensors| {
        json["values"][0]["node"] = json!(2);
        scales("quantization.scales", &[1.0, 1.0, 1.0])(json, tensors);
    });
    bad("node 3 (max_pool): its grid is that of what it reads; the record must not have one", &|json, _| {
        json["values"][1]["node"] = json!(3)
    });
    bad("node 0 (input): zero point 256, which is not from 0 to 255", &|json, _| {
        json["values"][0]["zero"] = json!(256);
    });
    bad("node 0 (input): zero point -1, which is not from 0 to 255", &|json, _| {
        json["values"][0]["zero"] = json!(-1);
    });
    bad("node 0 (input): 3 scales for 3 channels", &|json, _| {
        json["values"][0]["scales"] = json!(1u64 << 60)
    });
    bad("node 2 (relu): 0 scales for 2 channels", &|json, tensors| {
        json["values"][1]["scales"] = json!(0);
        scales("quantization.scales", &[1.0])(json, tensors);
    });
    bad(
        "damaged record of quantisation: 1 scales belong to no value",
        &scales("quantization.scales", &[1.0; 4]),
    );
    for (name, scale) in [("0", 0.0), ("NaN", f32::NAN), ("-1", -1.0), ("inf", f32::INFINITY)] {
        let wanted =
            format!("fc.weight: scale {name} of channel 1, which is not from 9.094947e-13 to 1.0995116e12");
        bad(&wanted, &|_, tensors| {
            let scales = [1.0, scale, 1.0, 1.0, 1.0];
            tensors.insert("fc.weight_scale".into(), Tensor::from_f32([5], &scales).unwrap());
        });
    }
    bad("stem.weight: 1 scales for 2 channels", &scales("stem.weight_scale", &[1.0]));
    bad("stem.weight: weights of type I8 without scales", &|_, tensors| {
        tensors.shift_remove("stem.weight_scale");
    });
    bad("stem.weight: zero points for signed weights, whose zero is 0", &|_, tensors| {
        tensors.insert("stem.weight_zero".into(), Tensor::new([1], Dtype::U8, vec![3]).unwrap());
    });
    bad("fc.weight: 0 zero points for 5 channels", &|_, tensors| {
        tensors.shift_remove("fc.weight_zero");
    });
    bad("fc.weight: zero points of type F32, not U8", &scales("fc.weight_zero", &[1.0]));
    bad(
        "stem.weight: its sums could leave 32 bits; keep this layer in floating point",
        &scales("stem.weight_scale", &[1e-11, 1e-3]),
    );
}

#[test]
fn a_record_of_other_weights_is_refused() {
    let refused = |weights: &WeightSet, record: &Quantization| {
        record.check(&graph(), weights).map_err(|error| error.to_string())
    };
    let mut smallest = weights();
    smallest.insert("stem.weight", Tensor::new([2, 3, 1, 1], Dtype::I8, vec![128; 6]).unwrap());
    let wanted = "stem.weight: a weight is -128; they go from -127 to 127";
    assert_eq!(refused(&smallest, &record()), Err(wanted.into()));
    let mut real = weights();
    real.insert("stem.weight", Tensor::from_f32([2, 3, 1, 1], &[0.0; 6]).unwrap());
    assert_eq!(refused(&real, &record()), Err("stem.weight: scales for weights of type F32".into()));
    let mut unknown = record();
    unknown.weights.insert("stem.bias".into(), WeightGrid { scales: vec![1.0; 2], zeros: vec![] });
    assert_eq!(refused(&weights(), &unknown), Err("stem.bias: no layer has such weights".into()));
    assert_eq!(
        refused(&WeightSet::default(), &record()),
        Err("stem.weight: there are no such weights".into())
    );
}

#[test]
fn integers_stay_integers_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.safetensors");
    let (_, mut tensors) = record().to_file();
    tensors.extend(Tensors::from(weights()));
    safetensors::write(&path, &tensors, &safetensors::Metadata::new()).unwrap();
    let (read, _) = safetensors::read(&path).unwrap();
    assert_eq!([read["stem.weight"].dtype(), read["fc.weight"].dtype()], [Dtype::I8, Dtype::U8]);
}

proptest! {
    #[test]
    fn whatever_a_record_says_it_is_taken_or_refused(
        entries in prop::collection::vec((0usize..9, -2i64..260, 0usize..5), 0..5),
        scales in prop::collection::vec(any::<f32>(), 0..12),
        own in prop::collection::vec(any::<f32>(), 0..4),
    ) {
        let value = |&(node, zero, scales): &(usize, i64, usize)| {
            json!({"node": node, "type": "u8", "zero": zero, "scales": scales})
        };
        let json = json!({"values": entries.iter().map(value).collect::<Vec<_>>()});
        let mut tensors = Tensors::from_iter([
            ("quantization.scales".to_owned(), Tensor::from_f32([scales.len()], &scales).unwrap()),
            ("stem.weight_scale".to_owned(), Tensor::from_f32([own.len()], &own).unwrap()),
            ("fc.weight_scale".to_owned(), Tensor::from_f32([5], &[0.5; 5]).unwrap()),
            ("fc.weight_zero".to_owned(), Tensor::new([1], Dtype::U8, vec![4]).unwrap()),
        ]);
        if let Ok(record) = Quantization::take(&json, &mut tensors, &graph())
            && record.check(&graph(), &weights()).is_ok()
        {
            let (json, mut tensors) = record.to_file();
            prop_assert_eq!(Quantization::take(&json, &mut tensors, &graph()), Ok(record));
        }
    }
}
