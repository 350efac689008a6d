//! Pieces of a file that are one operator of the graph.

use cygnet_graph::{Activation, Op, Padding};

use super::File;
use crate::{Options, import};

/// The only operator of a file's graph after the image.
fn only(file: &File) -> Op {
    let imported = file.import();
    assert_eq!(imported.graph.nodes().len(), 2, "{}", file.operators());
    imported.graph.nodes()[1].op.clone()
}

#[test]
fn a_hard_swish_in_pieces_is_one() {
    let bounds =
        |file: File| file.floats("three", &[], &[3.0]).floats("zero", &[], &[0.0]).floats("six", &[], &[6.0]);
    let gate_first = bounds(File::of(&[1, 4, 8, 8]))
        .node("a = Add(x, three)")
        .node("b = Clip(a, zero, six)")
        .node("c = Div(b, six)")
        .node("y = Mul(x, c)");
    let product_first = bounds(File::of(&[1, 4, 8, 8]))
        .node("a = Add(x, three)")
        .node("b = Clip(a, zero, six)")
        .node("c = Mul(x, b)")
        .node("y = Div(c, six)");
    let whole =
        File::of(&[1, 4, 8, 8]).node("a = HardSigmoid(x) alpha=0.16666667 beta=0.5").node("y = Mul(a, x)");
    for file in [gate_first, product_first, whole] {
        assert_eq!(only(&file), Op::Activation { function: Activation::HardSwish });
    }
}

#[test]
fn a_value_times_its_sigmoid_is_swish_unless_others_read_the_sigmoid() {
    let file = File::of(&[1, 4, 8, 8]).node("a = Sigmoid(x)").node("y = Mul(x, a)");
    assert_eq!(only(&file), Op::Activation { function: Activation::Swish });
    let file = File::of(&[1, 4, 8, 8]).node("a = Sigmoid(x)").node("b = Mul(x, a)").node("y = Add(a, b)");
    assert_eq!(file.operators(), "sigmoid mul add");
}

#[test]
fn a_product_with_a_matrix_and_a_sum_are_a_linear_layer() {
    let file = File::of(&[0, 4]).weight("fc.weight", &[4, 3]).weight("b", &[3]);
    let imported = file.node("a = MatMul(x, fc.weight)").node("y = Add(a, b)").import();
    let names: Vec<&str> = imported.weights.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["fc.weight", "fc.bias"]);
    let weight = imported.weights.get("fc.weight").unwrap();
    assert_eq!((weight.shape(), weight.to_f32()[1]), (&[3, 4][..], 2.0));
}

#[test]
fn factors_and_terms_are_one_scale_and_terms_of_a_convolution_its_bias() {
    let file = File::of(&[1, 2, 8, 8]).weight("f", &[2, 1, 1]).weight("t", &[2, 1, 1]);
    let file = file.node("a = Mul(x, f)").node("y = Add(a, t)");
    assert_eq!(only(&file), Op::Scale { scale: vec![0.5, 1.0], shift: vec![0.5, 1.0] });
    let file = File::of(&[1, 2, 8, 8]).weight("w", &[3, 2, 1, 1]).weight("t", &[3, 1, 1]);
    let imported = file.node("a = Conv(x, w)").node("y = Add(a, t)").import();
    assert_eq!((imported.graph.nodes().len(), imported.weights.len()), (2, 2));
}

#[test]
fn padding_joins_the_window_that_reads_it() {
    let file = File::of(&[1, 2, 8, 8]).weight("w", &[3, 2, 3, 3]).ints("p", &[0, 0, 0, 1, 0, 0, 1, 2]);
    let file = file.node("a = Pad(x, p)").node("y = Conv(a, w) strides=[2,2]");
    let Op::Conv(conv) = only(&file) else { panic!("no convolution") };
    assert_eq!(conv.padding, Some(Padding::Explicit { top: 0, left: 1, bottom: 1, right: 2 }));
    let file = File::of(&[1, 2, 8, 8]).ints("p", &[0, 0, 0, 0, 0, 0, 1, 1]);
    let pooled = file.node("a = Pad(x, p)").node("y = MaxPool(a) kernel_shape=[2,2]");
    assert!(
        pooled.refusal().contains("padded with zeros, which would be the largest"),
        "{}",
        pooled.refusal()
    );
    let relu = File::of(&[1, 2, 8, 8]).ints("p", &[0, 0, 0, 0, 0, 0, 1, 1]).node("r = Relu(x)");
    let pooled = relu.node("a = Pad(r, p)").node("y = MaxPool(a) kernel_shape=[2,2]");
    assert_eq!(pooled.operators(), "relu max_pool");
}

#[test]
fn a_mean_over_the_whole_map_is_global_however_it_is_said() {
    for node in [
        "y = AveragePool(x) kernel_shape=[8,8]",
        "y = ReduceMean(x) axes=[2,3]",
        "y = ReduceMean(x) axes=[-1,-2] keepdims=0",
        "y = GlobalAveragePool(x)",
    ] {
        assert_eq!(only(&File::of(&[1, 4, 8, 8]).node(node)), Op::GlobalAvgPool, "{node}");
    }
}

#[test]
fn quantised_weights_are_what_they_stand_for_and_values_are_bounded_by_their_range() {
    let mut file = File::of(&[1, 1, 4, 4]).floats("s", &[], &[0.5]).floats("ws", &[1], &[0.25]);
    let weight = crate::schema::TensorProto {
        dims: vec![1, 1, 1, 1],
        data_type: Some(crate::schema::tensor_proto::DataType::Int8 as i32),
        name: Some("w".into()),
        raw_data: Some(vec![0xfe].into()),
        ..Default::default()
    };
    let zero = crate::schema::TensorProto {
        dims: vec![],
        data_type: Some(crate::schema::tensor_proto::DataType::Uint8 as i32),
        name: Some("z".into()),
        raw_data: Some(vec![128].into()),
        ..Default::default()
    };
    file.graph().initializer.extend([weight, zero]);
    let file = file
        .node("f = DequantizeLinear(w, ws) axis=0")
        .node("q = QuantizeLinear(x, s, z)")
        .node("d = DequantizeLinear(q, s, z)")
        .node("y = Conv(d, f)");
    let options = Options { real_numbers: true, ..Options::default() };
    let imported = import(file.bytes(), &options).unwrap();
    assert!(imported.is_quantised);
    let clamp = Op::Activation { function: Activation::Clamp { low: -64.0, high: 63.5 } };
    assert_eq!(imported.graph.nodes()[1].op, clamp);
    assert_eq!(&*imported.weights.iter().next().unwrap().1.to_f32(), [-0.5]);
}
