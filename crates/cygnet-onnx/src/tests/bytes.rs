//! Quantised files: what of them is a record of quantisation, and what is wrong with those that are damaged.

use cygnet_graph::{Activation, NodeId, Op};
use cygnet_weights::{Dtype, Grid};

use super::File;
use crate::schema::TensorProto;
use crate::schema::tensor_proto::DataType;
use crate::{ExportOptions, Imported, Options, export, import};

impl File {
    /// Integers of a type.
    fn integers(mut self, name: &str, shape: &[i64], kind: DataType, numbers: &[i32]) -> File {
        self.graph().initializer.push(TensorProto {
            dims: shape.to_vec(),
            data_type: Some(kind as i32),
            name: Some(name.into()),
            int32_data: numbers.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// With a value `d` that is `x` on a grid, and real weights `f` and bias `g` of integers, of two outputs.
    fn on_grid(self, zero: i32) -> File {
        self.floats("s", &[], &[0.5])
            .integers("z", &[], DataType::Uint8, &[zero])
            .integers("w", &[2, 2, 1, 1], DataType::Int8, &[1, -2, 127, -127])
            .floats("ws", &[2], &[0.25, 0.75])
            .integers("b", &[2], DataType::Int32, &[8, -9])
            .floats("bs", &[2], &[0.125, 0.375])
            .node("q = QuantizeLinear(x, s, z)")
            .node("d = DequantizeLinear(q, s, z)")
            .node("f = DequantizeLinear(w, ws) axis=0")
            .node("g = DequantizeLinear(b, bs) axis=0")
    }
}

fn file() -> File {
    File::of(&[1, 2, 4, 4])
}

/// A convolution of bytes.
pub(super) fn rounded() -> File {
    file().on_grid(128).node("y = Conv(d, f, g)")
}

fn integers(imported: &Imported) -> Vec<i8> {
    let weight = imported.weights.iter().find(|(name, _)| name.ends_with("weight")).unwrap().1;
    weight.bytes().iter().map(|byte| byte.cast_signed()).collect()
}

#[test]
fn rounded_values_and_integers_are_a_record() {
    let imported = rounded().import();
    assert_eq!(imported.graph.nodes().len(), 2);
    let record = imported.quantization.clone().unwrap();
    assert_eq!(record.values[&NodeId(0)], Grid::of_one(128, 0.5));
    assert_eq!(integers(&imported), [1, -2, 127, -127]);
    assert_eq!(record.weights.values().next().unwrap().scales, [0.125, 0.375]);
    let bias = imported.weights.iter().find(|(name, _)| name.ends_with("bias")).unwrap().1;
    assert_eq!(&*bias.to_f32(), [1.0, -3.375]);
    let options = ExportOptions { quantization: imported.quantization.clone(), ..ExportOptions::default() };
    let again = export(&imported.graph, &imported.weights, &options).unwrap();
    let again = import(again, &Options::default()).unwrap();
    assert_eq!((&again.quantization, &again.weights), (&imported.quantization, &imported.weights));
}

#[test]
fn signed_bytes_are_unsigned_ones_further_on() {
    let imported = file()
        .floats("s", &[], &[0.5])
        .integers("z", &[], DataType::Int8, &[-28])
        .node("q = QuantizeLinear(x, s, z)")
        .node("y = DequantizeLinear(q, s, z)")
        .import();
    assert_eq!(imported.quantization.unwrap().values[&NodeId(0)], Grid::of_one(100, 0.5));
}

#[test]
fn scales_of_channels_divide_the_weights_of_who_reads_them() {
    let file = file()
        .floats("s", &[2], &[0.5, 2.0])
        .integers("z", &[2], DataType::Uint8, &[3, 3])
        .integers("w", &[1, 2, 1, 1], DataType::Int8, &[5, -6])
        .floats("ws", &[1], &[0.25])
        .floats("by", &[1, 2, 1, 1], &[0.5, 2.0])
        .integers("b", &[1], DataType::Int32, &[8])
        .node("q = QuantizeLinear(x, s, z) axis=1")
        .node("d = DequantizeLinear(q, s, z) axis=1")
        .node("f = DequantizeLinear(w, ws) axis=0")
        .node("v = Div(f, by)")
        .node("g = DequantizeLinear(b, ws) axis=0")
        .node("y = Conv(d, v, g)");
    let imported = file.import();
    let record = imported.quantization.clone().unwrap();
    assert_eq!(record.values[&NodeId(0)], Grid { zero: 3, scales: vec![0.5, 2.0] });
    assert_eq!(integers(&imported), [5, -6]);
    assert_eq!(record.weights.values().next().unwrap().scales, [0.25]);
}

#[test]
fn weights_that_signed_bytes_do_not_hold_are_unsigned() {
    let imported = file()
        .on_grid(0)
        .integers("v", &[1, 2, 1, 1], DataType::Uint8, &[0, 255])
        .integers("vz", &[], DataType::Uint8, &[100])
        .node("h = DequantizeLinear(v, s, vz)")
        .node("y = Conv(d, h)")
        .import();
    let weight = imported.weights.iter().next().unwrap().1;
    assert_eq!((weight.dtype(), weight.bytes()), (Dtype::U8, &[0, 255][..]));
    assert_eq!(imported.quantization.unwrap().weights.values().next().unwrap().zeros, [100]);
}

#[test]
fn a_value_that_others_read_unrounded_is_rounded_beside_them() {
    let imported = file().on_grid(128).node("r = Relu(x)").node("y = Add(d, r)").import();
    let clamp = Op::Activation { function: Activation::Clamp { low: -64.0, high: 63.5 } };
    assert_eq!(imported.graph.nodes()[1].op, clamp);
    assert_eq!(imported.quantization.unwrap().values.into_keys().collect::<Vec<_>>(), [NodeId(1)]);
}

#[test]
fn longer_numbers_become_real_ones_and_say_so() {
    let imported = file()
        .floats("s", &[], &[0.5])
        .integers("z", &[], DataType::Uint16, &[7])
        .node("q = QuantizeLinear(x, s, z)")
        .node("y = DequantizeLinear(q, s, z)")
        .import();
    assert!(imported.is_quantised && imported.quantization.is_none());
    assert!(imported.notes.iter().any(|note| note.contains("not to bytes")), "{:?}", imported.notes);
}

#[test]
fn scales_and_zeros_by_which_nothing_can_be_computed_are_told() {
    let rounded = |scales: &[f32], zeros: &[i32]| {
        let [s, z] =
            [scales.len(), zeros.len()].map(|count| if count == 1 { vec![] } else { vec![count as i64] });
        file()
            .floats("s", &s, scales)
            .integers("z", &z, DataType::Uint8, zeros)
            .node("q = QuantizeLinear(x, s, z) axis=1")
            .node("y = DequantizeLinear(q, s, z) axis=1")
            .refusal()
    };
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let refusal = rounded(&[scale], &[0]);
        assert!(refusal.contains(&format!("a scale of {scale} makes no sense")), "{refusal}");
    }
    for (scales, zeros, wanted) in [
        (&[1.0, 2.0][..], &[0][..], "2 scales and 1 zeros"),
        (&[1.0, 2.0, 3.0], &[0, 0, 0], "3 scales along dimension 1"),
        (&[1.0, 2.0], &[0, 1], "different zeros"),
        (&[1.0], &[300], "a zero of 300"),
        (&[], &[], "0 scales"),
    ] {
        let refusal = rounded(scales, zeros);
        assert!(refusal.contains(wanted), "{refusal}");
    }
    let weight =
        file().on_grid(0).floats("bad", &[2], &[0.5, 0.0]).node("v = DequantizeLinear(w, bad) axis=0");
    let refusal = weight.node("y = Conv(d, v)").refusal();
    assert!(refusal.contains("a scale of 0 makes no sense"), "{refusal}");
    let counts = file().on_grid(0).floats("bad", &[3], &[0.5; 3]).node("v = DequantizeLinear(w, bad) axis=0");
    let refusal = counts.node("y = Conv(d, v)").refusal();
    assert!(refusal.contains("scales of [3]"), "{refusal}");
}

#[test]
fn scales_that_no_record_has_leave_real_numbers() {
    let tiny = file()
        .floats("s", &[], &[1e-30])
        .integers("z", &[], DataType::Uint8, &[0])
        .node("q = QuantizeLinear(x, s, z)")
        .node("y = DequantizeLinear(q, s, z)")
        .import();
    assert!(tiny.quantization.is_none());
    assert!(tiny.notes.iter().any(|note| note.contains("scale")), "{:?}", tiny.notes);
}

#[test]
fn whole_numbers_are_not_written_with_half_precision() {
    let imported = rounded().import();
    let quantization = imported.quantization;
    let options = ExportOptions { quantization, half: true, ..ExportOptions::default() };
    let error = export(&imported.graph, &imported.weights, &options).unwrap_err();
    assert!(error.to_string().contains("--fp16"), "{error}");
}
