//! Every rewrite on a small graph: the graph before, the plan after, and the same values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::{Conv, Graph, Pool, Role, Scope, Value};
use cygnet_runtime::{Level, Plan, Reference, Rule, Session};

/// Numbers in (-1, 1) that differ.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    let values = |(i, param): (usize, cygnet_graph::Param)| {
        let numbers = numbers(param.shape.iter().product(), i);
        match param.role {
            Role::NormVar => numbers.into_iter().map(|x| 0.6 + 0.5 * x).collect(),
            Role::Weight => {
                let inputs: usize = param.shape[1..].iter().product();
                numbers.into_iter().map(|x| 2.0 * x / (inputs as f32).sqrt()).collect()
            }
            Role::Bias | Role::NormWeight | Role::NormBias | Role::NormMean => numbers,
        }
    };
    graph.params().into_iter().enumerate().map(values).collect()
}

/// Holds a network's text form, its plan's text form, and the plan's values against the reference executor.
fn check(network: impl for<'g> FnOnce(&Scope<'g>, Value<'g>) -> Value<'g>, before: &str, after: &str) {
    let graph = Graph::build("net", [4, 6, 7], network).unwrap();
    assert_eq!(graph.to_string(), before);
    let (weights, image) = (weights(&graph), numbers(4 * 6 * 7, 99));
    let wanted = Reference::<f64>::new(graph.clone(), &weights).unwrap();
    let wanted = wanted.run(&image.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()).unwrap();
    let largest = wanted.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    assert!(largest > 0.01, "{wanted:?}");
    for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
        let plan = Plan::new(graph.clone(), &weights, level).unwrap();
        assert_eq!(plan.outline().to_string(), after);
        assert_eq!(plan.outline(), &Plan::outline_of(&graph, level).unwrap());
        let mut session = Session::new(plan.into());
        let mut output = vec![0.0; session.outputs()];
        session.run(&image, &mut output).unwrap();
        for (x, wanted) in output.iter().zip(&wanted) {
            assert!((f64::from(*x) - wanted).abs() < 1e-5 * largest, "{x} is not {wanted}");
        }
    }
}

#[test]
fn batch_norm_is_folded_into_the_layer_before_it() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(8, 3).stride(2).bias());
            let x = net.at("a.bn").batch_norm(x);
            let x = net.at("b").depthwise(x, Conv::new(0, 3));
            let x = net.at("b.bn").batch_norm_without_scale(x);
            let x = net.at("c").conv(x.relu(), Conv::new(6, 1));
            let x = net.at("c.bn").batch_norm(x);
            let x = net.at("d").linear(x, 5);
            net.at("d.bn").batch_norm(x)
        },
        "\
net 4x6x7
%1 = conv 8 3x3 /2 pad 1 bias %0 -> 8x3x4  a
%2 = batch_norm eps 1e-5 %1 -> 8x3x4  a.bn
%3 = conv 8 3x3 pad 1 groups 8 %2 -> 8x3x4  b
%4 = batch_norm eps 1e-5 without scale %3 -> 8x3x4  b.bn
%5 = relu %4 -> 8x3x4
%6 = conv 6 1x1 %5 -> 6x3x4  c
%7 = batch_norm eps 1e-5 %6 -> 6x3x4  c.bn
%8 = linear 5 bias %7 -> 5  d
%9 = batch_norm eps 1e-5 %8 -> 5  d.bn
output %9
",
        "\
conv 3x3/2 + depthwise 3x3 -> 8x3x4  %1  %2 fold batch norm  %3 pair depthwise  %4 fold batch norm  %5 fuse activation
pointwise -> 6x3x4  %6  %7 fold batch norm
linear -> 5  %8 linear as conv  %9 fold batch norm
",
    );
}

#[test]
fn batch_norm_that_other_readers_would_miss_is_a_step() {
    check(
        |net, x| {
            let x = net.at("a.bn").batch_norm(x);
            let x = net.at("a").conv(x, Conv::new(4, 1));
            let y = net.at("b.bn").batch_norm(x);
            let z = net.at("c.bn").batch_norm(x.relu());
            y * z
        },
        "\
net 4x6x7
%1 = batch_norm eps 1e-5 %0 -> 4x6x7  a.bn
%2 = conv 4 1x1 %1 -> 4x6x7  a
%3 = batch_norm eps 1e-5 %2 -> 4x6x7  b.bn
%4 = relu %2 -> 4x6x7
%5 = batch_norm eps 1e-5 %4 -> 4x6x7  c.bn
%6 = mul %3 %5 -> 4x6x7
output %6
",
        "\
batch norm -> 4x6x7  %1
pointwise -> 4x6x7  %2
batch norm -> 4x6x7  %3
relu -> 4x6x7  %4
batch norm -> 4x6x7  %5
multiply -> 4x6x7  %6
",
    );
}

#[test]
fn a_constant_scale_is_folded_into_the_layer_before_it() {
    check(
        |net, x| {
            let x = x.scale([2.0], [-0.5]);
            let x = net.at("a").conv(x, Conv::new(3, 3));
            let x = net.at("a.bn").batch_norm(x).scale([0.5, 2.0, 1.0], [0.25]).relu();
            let x = net.at("b").depthwise(x, Conv::new(0, 3)).scale([3.0], [0.0, 1.0, -1.0]);
            net.at("c").linear(x.global_avg_pool(), 5).scale([0.1], [1.0])
        },
        "\
net 4x6x7
%1 = scale [2.0] [-0.5] %0 -> 4x6x7
%2 = conv 3 3x3 pad 1 %1 -> 3x6x7  a
%3 = batch_norm eps 1e-5 %2 -> 3x6x7  a.bn
%4 = scale [0.5, 2.0, 1.0] [0.25] %3 -> 3x6x7
%5 = relu %4 -> 3x6x7
%6 = conv 3 3x3 pad 1 groups 3 %5 -> 3x6x7  b
%7 = scale [3.0] [0.0, 1.0, -1.0] %6 -> 3x6x7
%8 = global_avg_pool %7 -> 3x1x1
%9 = linear 5 bias %8 -> 5  c
%10 = scale [0.1] [1.0] %9 -> 5
output %10
",
        "\
scale -> 4x6x7  %1
conv 3x3 + depthwise 3x3 -> 3x6x7  %2  %3 fold batch norm  %4 fold scale  %5 fuse activation  %6 pair depthwise  %7 fold scale
global mean -> 3x1x1  %8
linear -> 5  %9 linear as conv  %10 fold scale
",
    );
}

#[test]
fn a_sum_is_taken_by_the_dense_layer_that_comes_last() {
    check(
        |net, x| {
            let x = net.at("stem").conv(x, Conv::new(8, 1)).relu();
            let y = net.at("a").conv(x, Conv::new(8, 3));
            let x = (x + net.at("a.bn").batch_norm(y)).relu();
            let short = net.at("short").conv(x, Conv::new(6, 1));
            let y = net.at("b").conv(x, Conv::new(6, 3));
            let x = short + y;
            let y = net.at("c").depthwise(x, Conv::new(0, 3));
            x + y
        },
        "\
net 4x6x7
%1 = conv 8 1x1 %0 -> 8x6x7  stem
%2 = relu %1 -> 8x6x7
%3 = conv 8 3x3 pad 1 %2 -> 8x6x7  a
%4 = batch_norm eps 1e-5 %3 -> 8x6x7  a.bn
%5 = add %2 %4 -> 8x6x7
%6 = relu %5 -> 8x6x7
%7 = conv 6 1x1 %6 -> 6x6x7  short
%8 = conv 6 3x3 pad 1 %6 -> 6x6x7  b
%9 = add %7 %8 -> 6x6x7
%10 = conv 6 3x3 pad 1 groups 6 %9 -> 6x6x7  c
%11 = add %9 %10 -> 6x6x7
output %11
",
        "\
pointwise -> 8x6x7  %1  %2 fuse activation
conv 3x3 -> 8x6x7  %3  %4 fold batch norm  %5 fuse add  %6 fuse activation
pointwise -> 6x6x7  %7
conv 3x3 -> 6x6x7  %8  %9 fuse add
depthwise 3x3 -> 6x6x7  %10
add -> 6x6x7  %11
",
    );
}

#[test]
fn an_activation_is_applied_by_the_layer_before_it() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(8, 3)).relu();
            let x = net.at("b").depthwise(x, Conv::new(0, 5)).hard_swish();
            let x = net.at("c").conv(x, Conv::new(6, 1)).relu6();
            let gate = net.at("d").linear(x.global_avg_pool(), 6).hard_sigmoid();
            x.relu() * gate
        },
        "\
net 4x6x7
%1 = conv 8 3x3 pad 1 %0 -> 8x6x7  a
%2 = relu %1 -> 8x6x7
%3 = conv 8 5x5 pad 2 groups 8 %2 -> 8x6x7  b
%4 = hard_swish %3 -> 8x6x7
%5 = conv 6 1x1 %4 -> 6x6x7  c
%6 = relu6 %5 -> 6x6x7
%7 = global_avg_pool %6 -> 6x1x1
%8 = linear 6 bias %7 -> 6  d
%9 = hard_sigmoid %8 -> 6
%10 = relu %6 -> 6x6x7
%11 = mul %10 %9 -> 6x6x7
output %11
",
        "\
conv 3x3 + depthwise 5x5 -> 8x6x7  %1  %2 fuse activation  %3 pair depthwise  %4 fuse activation
pointwise -> 6x6x7  %5  %6 fuse activation
global mean -> 6x1x1  %7
linear -> 6  %8 linear as conv  %9 fuse activation
relu -> 6x6x7  %10
multiply -> 6x6x7  %11
",
    );
}

#[test]
fn a_costly_activation_and_a_second_one_are_steps() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(8, 3)).sigmoid();
            let x = net.at("b").conv(x, Conv::new(4, 1)).relu6().hard_swish();
            net.at("c").depthwise(x, Conv::new(0, 3)).activation(cygnet_graph::Activation::Swish)
        },
        "\
net 4x6x7
%1 = conv 8 3x3 pad 1 %0 -> 8x6x7  a
%2 = sigmoid %1 -> 8x6x7
%3 = conv 4 1x1 %2 -> 4x6x7  b
%4 = relu6 %3 -> 4x6x7
%5 = hard_swish %4 -> 4x6x7
%6 = conv 4 3x3 pad 1 groups 4 %5 -> 4x6x7  c
%7 = swish %6 -> 4x6x7
output %7
",
        "\
conv 3x3 -> 8x6x7  %1
sigmoid -> 8x6x7  %2
pointwise -> 4x6x7  %3  %4 fuse activation
hard swish -> 4x6x7  %5
depthwise 3x3 -> 4x6x7  %6
swish -> 4x6x7  %7
",
    );
}

#[test]
fn dropout_is_dropped() {
    check(
        |net, x| {
            let x = net.at("a").conv(x.dropout(0.1), Conv::new(8, 3)).dropout(0.2).relu();
            let x = x.pool(Pool::max(2, 2)).dropout(0.3);
            net.at("b").linear(x.global_avg_pool().dropout(0.4), 5).dropout(0.5)
        },
        "\
net 4x6x7
%1 = dropout 0.1 %0 -> 4x6x7
%2 = conv 8 3x3 pad 1 %1 -> 8x6x7  a
%3 = dropout 0.2 %2 -> 8x6x7
%4 = relu %3 -> 8x6x7
%5 = max_pool 2x2 /2 %4 -> 8x3x3
%6 = dropout 0.3 %5 -> 8x3x3
%7 = global_avg_pool %6 -> 8x1x1
%8 = dropout 0.4 %7 -> 8x1x1
%9 = linear 5 bias %8 -> 5  b
%10 = dropout 0.5 %9 -> 5
output %10
",
        "\
conv 3x3 -> 8x6x7  %2  %3 drop dropout  %4 fuse activation  %1 drop dropout
max pool 2x2/2 -> 8x3x3  %5  %6 drop dropout
global mean -> 8x1x1  %7  %8 drop dropout
linear -> 5  %9 linear as conv  %10 drop dropout
",
    );
}

#[test]
fn a_concatenation_is_where_its_inputs_are_written() {
    check(
        |net, x| {
            let a = net.at("a").conv(x, Conv::new(3, 1)).relu();
            let b = net.at("b").conv(x, Conv::new(5, 3));
            let c = x.pool(Pool::avg(3, 1).pad(1));
            let y = a.concat(&[b, c]);
            let d = net.at("d").conv(y, Conv::new(2, 1));
            let e = net.at("e").depthwise(y.concat(&[d, a]), Conv::new(0, 3));
            net.at("f").conv(e, Conv::new(6, 1).groups(1))
        },
        "\
net 4x6x7
%1 = conv 3 1x1 %0 -> 3x6x7  a
%2 = relu %1 -> 3x6x7
%3 = conv 5 3x3 pad 1 %0 -> 5x6x7  b
%4 = avg_pool 3x3 pad 1 %0 -> 4x6x7
%5 = concat %2 %3 %4 -> 12x6x7
%6 = conv 2 1x1 %5 -> 2x6x7  d
%7 = concat %5 %6 %2 -> 17x6x7
%8 = conv 17 3x3 pad 1 groups 17 %7 -> 17x6x7  e
%9 = conv 6 1x1 %8 -> 6x6x7  f
output %9
",
        "\
pointwise -> 3x6x7  %1  %2 fuse activation
conv 3x3 -> 5x6x7  %3
mean pool 3x3 -> 4x6x7  %4  %5 view concat
pointwise -> 2x6x7  %6  %7 view concat
depthwise 3x3 -> 17x6x7  %8
pointwise -> 6x6x7  %9
",
    );
}

#[test]
fn slices_and_shuffles_are_read_where_they_are() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(12, 1)).relu();
            let [left, right] = x.channel_shuffle(3).halves();
            let right = net.at("b").conv(right, Conv::new(6, 1)).relu();
            let right = net.at("c").depthwise(right, Conv::new(0, 3));
            let x = left.concat(&[right]).channel_shuffle(2);
            let [left, right] = x.halves();
            let x = net.at("d").depthwise(left, Conv::new(0, 3)).concat(&[right.relu()]);
            net.at("e").conv(x, Conv::new(6, 1).groups(2))
        },
        "\
net 4x6x7
%1 = conv 12 1x1 %0 -> 12x6x7  a
%2 = relu %1 -> 12x6x7
%3 = channel_shuffle groups 3 %2 -> 12x6x7
%4 = slice 0..6 %3 -> 6x6x7
%5 = slice 6..12 %3 -> 6x6x7
%6 = conv 6 1x1 %5 -> 6x6x7  b
%7 = relu %6 -> 6x6x7
%8 = conv 6 3x3 pad 1 groups 6 %7 -> 6x6x7  c
%9 = concat %4 %8 -> 12x6x7
%10 = channel_shuffle groups 2 %9 -> 12x6x7
%11 = slice 0..6 %10 -> 6x6x7
%12 = slice 6..12 %10 -> 6x6x7
%13 = conv 6 3x3 pad 1 groups 6 %11 -> 6x6x7  d
%14 = relu %12 -> 6x6x7
%15 = concat %13 %14 -> 12x6x7
%16 = conv 6 1x1 groups 2 %15 -> 6x6x7  e
output %16
",
        "\
pointwise -> 12x6x7  %1  %2 fuse activation  %3 view shuffle  %4 view slice  %5 view slice
pointwise + depthwise 3x3 -> 6x6x7  %6  %7 fuse activation  %8 pair depthwise  %9 view concat  %10 view shuffle  %11 view slice  %12 view slice
depthwise 3x3 -> 6x6x7  %13
relu -> 6x6x7  %14  %15 view concat
grouped conv 1x1 -> 6x6x7  %16
",
    );
}

#[test]
fn a_linear_layer_is_a_convolution_as_large_as_its_input() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(6, 1)).relu();
            let x = net.at("b").linear(x, 7);
            let x = net.at("b.bn").batch_norm(x).relu();
            net.at("c").linear_without_bias(x, 5).softmax()
        },
        "\
net 4x6x7
%1 = conv 6 1x1 %0 -> 6x6x7  a
%2 = relu %1 -> 6x6x7
%3 = linear 7 bias %2 -> 7  b
%4 = batch_norm eps 1e-5 %3 -> 7  b.bn
%5 = relu %4 -> 7
%6 = linear 5 %5 -> 5  c
%7 = softmax %6 -> 5
output %7
",
        "\
pointwise -> 6x6x7  %1  %2 fuse activation
linear -> 7  %3 linear as conv  %4 fold batch norm  %5 fuse activation
linear -> 5  %6 linear as conv
softmax -> 5  %7
",
    );
}

#[test]
fn what_the_output_does_not_need_is_left_out_and_branches_save_memory() {
    check(
        |net, x| {
            let _unused = net.at("unused").conv(x, Conv::new(64, 3)).relu();
            let wide = net.at("wide").conv(x, Conv::new(64, 1)).relu();
            let narrow = net.at("narrow").conv(x, Conv::new(96, 1)).relu();
            let narrow = net.at("narrower").conv(narrow, Conv::new(2, 3).stride(2));
            let wide = net.at("pool").conv(wide, Conv::new(64, 3).stride(2));
            narrow.concat(&[wide])
        },
        "\
net 4x6x7
%1 = conv 64 3x3 pad 1 %0 -> 64x6x7  unused
%2 = relu %1 -> 64x6x7
%3 = conv 64 1x1 %0 -> 64x6x7  wide
%4 = relu %3 -> 64x6x7
%5 = conv 96 1x1 %0 -> 96x6x7  narrow
%6 = relu %5 -> 96x6x7
%7 = conv 2 3x3 /2 pad 1 %6 -> 2x3x4  narrower
%8 = conv 64 3x3 /2 pad 1 %4 -> 64x3x4  pool
%9 = concat %7 %8 -> 66x3x4
output %9
",
        "\
pointwise -> 96x6x7  %5  %6 fuse activation
conv 3x3/2 -> 2x3x4  %7
pointwise -> 64x6x7  %3  %4 fuse activation
conv 3x3/2 -> 64x3x4  %8  %9 view concat
",
    );
}

#[test]
fn a_value_in_pieces_is_copied_for_a_kernel_that_wants_one() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(4, 1)).channel_shuffle(2);
            x.softmax().channel_shuffle(2)
        },
        "\
net 4x6x7
%1 = conv 4 1x1 %0 -> 4x6x7  a
%2 = channel_shuffle groups 2 %1 -> 4x6x7
%3 = softmax %2 -> 4x6x7
%4 = channel_shuffle groups 2 %3 -> 4x6x7
output %4
",
        "\
pointwise -> 4x6x7  %1  %2 view shuffle
copy -> 4x6x7
softmax -> 4x6x7  %3  %4 view shuffle
copy -> 4x6x7
",
    );
}

#[test]
fn a_depthwise_layer_works_on_the_rows_of_the_layer_before_it() {
    check(
        |net, x| {
            let x = net.at("a").conv(x, Conv::new(24, 1));
            let x = net.at("a.bn").batch_norm(x).relu6();
            let x = net.at("b").depthwise(x, Conv::new(0, 3).stride(2)).relu6();
            let x = net.at("c").conv(x, Conv::new(8, 1));
            let y = net.at("d").conv(x, Conv::new(8, 1));
            net.at("e").depthwise(y, Conv::new(0, 3)) + y
        },
        "\
net 4x6x7
%1 = conv 24 1x1 %0 -> 24x6x7  a
%2 = batch_norm eps 1e-5 %1 -> 24x6x7  a.bn
%3 = relu6 %2 -> 24x6x7
%4 = conv 24 3x3 /2 pad 1 groups 24 %3 -> 24x3x4  b
%5 = relu6 %4 -> 24x3x4
%6 = conv 8 1x1 %5 -> 8x3x4  c
%7 = conv 8 1x1 %6 -> 8x3x4  d
%8 = conv 8 3x3 pad 1 groups 8 %7 -> 8x3x4  e
%9 = add %8 %7 -> 8x3x4
output %9
",
        "\
pointwise + depthwise 3x3/2 -> 24x3x4  %1  %2 fold batch norm  %3 fuse activation  %4 pair depthwise  %5 fuse activation
pointwise -> 8x3x4  %6
pointwise -> 8x3x4  %7
depthwise 3x3 -> 8x3x4  %8
add -> 8x3x4  %9
",
    );
}

#[test]
fn names_of_rules_differ() {
    let mut names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
}
