//! Other dimensions, orders and parts of the same numbers.

use cygnet_graph::Op;

use super::File;

#[test]
fn reshape_transpose_reshape_is_a_channel_shuffle() {
    let file = File::of(&[0, 6, 4, 4]).ints("apart", &[0, 2, 3, 4, 4]).ints("whole", &[0, 6, 4, 4]);
    let file = file
        .node("a = Reshape(x, apart)")
        .node("b = Transpose(a) perm=[0,2,1,3,4]")
        .node("c = Reshape(b, whole)")
        .node("y = Relu(c)");
    let imported = file.import();
    assert_eq!(file.operators(), "relu channel_shuffle");
    assert_eq!(imported.graph.nodes()[2].op, Op::ChannelShuffle { groups: 2 });
}

#[test]
fn every_second_channel_is_a_shuffle_and_a_slice() {
    let file = File::of(&[1, 8, 4, 4]).weight("w", &[2, 4, 1, 1]).ints("p", &[1, 3, 5, 7]);
    let file = file.node("a = Gather(x, p) axis=1").node("y = Conv(a, w)");
    assert_eq!(file.operators(), "channel_shuffle slice conv");
}

#[test]
fn halves_of_shuffled_channels_are_shuffled_once() {
    let file = File::of(&[1, 8, 4, 4]).ints("apart", &[1, 2, 4, 4, 4]).ints("whole", &[1, 8, 4, 4]);
    let file = file
        .node("a = Reshape(x, apart)")
        .node("b = Transpose(a) perm=[0,2,1,3,4]")
        .node("c = Reshape(b, whole)")
        .node("l, r = Split(c) axis=1")
        .node("s = Relu(l)")
        .node("y = Concat(s, r) axis=1");
    assert_eq!(file.operators(), "channel_shuffle slice relu slice concat");
}

#[test]
fn channels_last_are_followed_through_the_network_and_into_the_weights_of_its_head() {
    let file =
        File::of(&[0, 8, 8, 3]).weight("w", &[2, 3, 1, 1]).weight("fc", &[128, 2]).ints("flat", &[-1, 128]);
    let imported = file
        .node("t = Transpose(x) perm=[0,3,1,2]")
        .node("c = Conv(t, w)")
        .node("b = Transpose(c) perm=[0,2,3,1]")
        .node("f = Reshape(b, flat)")
        .node("y = MatMul(f, fc)")
        .import();
    assert!(imported.input.channels_last);
    assert_eq!(imported.graph.input_shape(), [3, 8, 8]);
    let head = imported.weights.get("matmul.weight").unwrap().to_f32().into_owned();
    // The second number of the file's order is the second channel of the first pixel: place 64 of the graph's.
    assert_eq!((head[0], head[64], head[1]), (0.5, 1.5, 2.5));
}

#[test]
fn shapes_that_are_computed_are_known() {
    let file = File::of(&[0, 4, 2, 2])
        .ints("zero", &[0])
        .ints("one", &[1])
        .ints("rest", &[-1])
        .weight("w", &[16, 3]);
    let file = file
        .node("s = Shape(x)")
        .node("n = Slice(s, zero, one)")
        .node("t = Concat(n, rest) axis=0")
        .node("f = Reshape(x, t)")
        .node("y = MatMul(f, w)");
    assert_eq!(file.operators(), "linear");
}

#[test]
fn an_output_in_another_order_is_put_in_order_when_it_is_returned() {
    let file = File::of(&[1, 2, 1, 2]).node("a = Relu(x)").node("y = Transpose(a) perm=[0,2,3,1]");
    let imported = file.import();
    let output = &imported.outputs[0];
    assert_eq!((output.shape.as_slice(), output.is_as_stored()), (&[1, 1, 2, 2][..], false));
    assert_eq!(output.tensor([&[1.0, 2.0, 3.0, 4.0][..]]), [1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn all_that_cannot_be_held_is_told_at_once() {
    let file = File::of(&[1, 4, 8, 8])
        .node("a = Exp(x)")
        .node("b = Relu(a)")
        .node("c = Einsum(x)")
        .node("y = Add(b, c)");
    let told = file.refusal();
    assert!(
        told.starts_with("2 operators cannot be held:\n  a (Exp): no rule") && told.contains("c (Einsum)"),
        "{told}"
    );
    let unknown = File::of(&[1, 4, 8, 8]).node("y = Relu(x) slope=2");
    assert!(unknown.refusal().contains("the attribute slope is not known here"));
    let old = File::of(&[1, 4, 8, 8]).opset(99).node("y = Relu(x)");
    assert!(old.refusal().contains("operator set 99"));
}
