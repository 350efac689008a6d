//! How others name Inception's parameters.

use crate::keymap::{KeyMap, SAME_KEYS};

pub(super) const CAFFE_V1: KeyMap =
    KeyMap { source: "official", rules: &[("{a}.{b}", "{a}/{b}")], ..SAME_KEYS };

pub(super) const PYTORCHCV_V3: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("Conv2d_1a_3x3.{*}", "features.init_block.conv1.{*}"),
        ("Conv2d_2a_3x3.{*}", "features.init_block.conv2.{*}"),
        ("Conv2d_2b_3x3.{*}", "features.init_block.conv3.{*}"),
        ("Conv2d_3b_1x1.{*}", "features.init_block.conv4.{*}"),
        ("Conv2d_4a_3x3.{*}", "features.init_block.conv5.{*}"),
        ("Mixed_5{a}.branch1x1.{*}", "features.stage1.unit{a-1}.branches.branch1.conv.{*}"),
        ("Mixed_5{a}.branch5x5_{b}.{*}", "features.stage1.unit{a-1}.branches.branch2.conv_list.conv{b}.{*}"),
        (
            "Mixed_5{a}.branch3x3dbl_{b}.{*}",
            "features.stage1.unit{a-1}.branches.branch3.conv_list.conv{b}.{*}",
        ),
        ("Mixed_5{a}.branch_pool.{*}", "features.stage1.unit{a-1}.branches.branch4.conv.{*}"),
        ("Mixed_6a.branch3x3.{*}", "features.stage2.unit1.branches.branch1.conv_list.conv1.{*}"),
        ("Mixed_6a.branch3x3dbl_{b}.{*}", "features.stage2.unit1.branches.branch2.conv_list.conv{b}.{*}"),
        ("Mixed_6{a}.branch1x1.{*}", "features.stage2.unit{a+0}.branches.branch1.conv.{*}"),
        ("Mixed_6{a}.branch7x7_{b}.{*}", "features.stage2.unit{a+0}.branches.branch2.conv_list.conv{b}.{*}"),
        (
            "Mixed_6{a}.branch7x7dbl_{b}.{*}",
            "features.stage2.unit{a+0}.branches.branch3.conv_list.conv{b}.{*}",
        ),
        ("Mixed_6{a}.branch_pool.{*}", "features.stage2.unit{a+0}.branches.branch4.conv.{*}"),
        ("Mixed_7a.branch3x3_{b}.{*}", "features.stage3.unit1.branches.branch1.conv_list.conv{b}.{*}"),
        ("Mixed_7a.branch7x7x3_{b}.{*}", "features.stage3.unit1.branches.branch2.conv_list.conv{b}.{*}"),
        ("Mixed_7{a}.branch1x1.{*}", "features.stage3.unit{a+0}.branches.branch1.conv.{*}"),
        ("Mixed_7{a}.branch3x3_2a.{*}", "features.stage3.unit{a+0}.branches.branch2.conv1x3.{*}"),
        ("Mixed_7{a}.branch3x3_2b.{*}", "features.stage3.unit{a+0}.branches.branch2.conv3x1.{*}"),
        ("Mixed_7{a}.branch3x3_1.{*}", "features.stage3.unit{a+0}.branches.branch2.conv_list.conv1.{*}"),
        ("Mixed_7{a}.branch3x3dbl_3a.{*}", "features.stage3.unit{a+0}.branches.branch3.conv1x3.{*}"),
        ("Mixed_7{a}.branch3x3dbl_3b.{*}", "features.stage3.unit{a+0}.branches.branch3.conv3x1.{*}"),
        (
            "Mixed_7{a}.branch3x3dbl_{b}.{*}",
            "features.stage3.unit{a+0}.branches.branch3.conv_list.conv{b}.{*}",
        ),
        ("Mixed_7{a}.branch_pool.{*}", "features.stage3.unit{a+0}.branches.branch4.conv.{*}"),
        ("fc", "output.fc"),
    ],
    ..SAME_KEYS
};

pub(super) const PYTORCHCV_V4: KeyMap = KeyMap {
    source: "pytorchcv",
    first: 6,
    source_stages: &[4, 8, 4],
    rules: &[
        ("features.3.conv.{*}", "features.init_block.block1.branches.branch2.conv.{*}"),
        ("features.4.branch0.{n}.{*}", "features.init_block.block2.branches.branch1.conv_list.conv{n+1}.{*}"),
        ("features.4.branch1.{n}.{*}", "features.init_block.block2.branches.branch2.conv_list.conv{n+1}.{*}"),
        ("features.5.conv.{*}", "features.init_block.block3.branches.branch1.conv.{*}"),
        ("features.10.branch0.{*}", "features.stage2.unit1.branches.branch1.conv_list.conv1.{*}"),
        ("features.18.branch0.{n}.{*}", "features.stage3.unit1.branches.branch1.conv_list.conv{n+1}.{*}"),
        ("features.{#}.branch0.{*}", "features.stage{S+1}.unit{B+1}.branches.branch1.conv.{*}"),
        (
            "features.{#}.branch1.{n}.{*}",
            "features.stage{S+1}.unit{B+1}.branches.branch2.conv_list.conv{n+1}.{*}",
        ),
        (
            "features.{#}.branch2.{n}.{*}",
            "features.stage{S+1}.unit{B+1}.branches.branch3.conv_list.conv{n+1}.{*}",
        ),
        ("features.{#}.branch3.1.{*}", "features.stage{S+1}.unit{B+1}.branches.branch4.conv.{*}"),
        ("features.{#}.branch1_0.{*}", "features.stage{S+1}.unit{B+1}.branches.branch2.conv_list.conv1.{*}"),
        ("features.{#}.branch1_1a.{*}", "features.stage{S+1}.unit{B+1}.branches.branch2.conv1x3.{*}"),
        ("features.{#}.branch1_1b.{*}", "features.stage{S+1}.unit{B+1}.branches.branch2.conv3x1.{*}"),
        ("features.{#}.branch2_3a.{*}", "features.stage{S+1}.unit{B+1}.branches.branch3.conv1x3.{*}"),
        ("features.{#}.branch2_3b.{*}", "features.stage{S+1}.unit{B+1}.branches.branch3.conv3x1.{*}"),
        (
            "features.{#}.branch2_{n}.{*}",
            "features.stage{S+1}.unit{B+1}.branches.branch3.conv_list.conv{n+1}.{*}",
        ),
        ("features.{n}.{*}", "features.init_block.conv{n+1}.{*}"),
        ("last_linear", "output.fc"),
    ],
    ..SAME_KEYS
};

pub(super) const PYTORCHCV_RESNET_V1: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv2d_1a.{*}", "features.init_block.conv1.{*}"),
        ("conv2d_2a.{*}", "features.init_block.conv2.{*}"),
        ("conv2d_2b.{*}", "features.init_block.conv3.{*}"),
        ("conv2d_3b.{*}", "features.init_block.conv4.{*}"),
        ("conv2d_4a.{*}", "features.init_block.conv5.{*}"),
        ("conv2d_4b.{*}", "features.init_block.conv6.{*}"),
        ("repeat_1.{n}.conv2d", "features.stage1.unit{n+1}.conv"),
        ("repeat_1.{n}.branch0.{*}", "features.stage1.unit{n+1}.branches.branch1.conv.{*}"),
        (
            "repeat_1.{n}.branch1.{m}.{*}",
            "features.stage1.unit{n+1}.branches.branch2.conv_list.conv{m+1}.{*}",
        ),
        (
            "repeat_1.{n}.branch2.{m}.{*}",
            "features.stage1.unit{n+1}.branches.branch3.conv_list.conv{m+1}.{*}",
        ),
        ("mixed_6a.branch0.{*}", "features.stage2.unit1.branches.branch1.conv_list.conv1.{*}"),
        ("mixed_6a.branch1.{m}.{*}", "features.stage2.unit1.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("repeat_2.{n}.conv2d", "features.stage2.unit{n+2}.conv"),
        ("repeat_2.{n}.branch0.{*}", "features.stage2.unit{n+2}.branches.branch1.conv.{*}"),
        (
            "repeat_2.{n}.branch1.{m}.{*}",
            "features.stage2.unit{n+2}.branches.branch2.conv_list.conv{m+1}.{*}",
        ),
        ("mixed_7a.branch0.{m}.{*}", "features.stage3.unit1.branches.branch1.conv_list.conv{m+1}.{*}"),
        ("mixed_7a.branch1.{m}.{*}", "features.stage3.unit1.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("mixed_7a.branch2.{m}.{*}", "features.stage3.unit1.branches.branch3.conv_list.conv{m+1}.{*}"),
        ("repeat_3.{n}.conv2d", "features.stage3.unit{n+2}.conv"),
        ("repeat_3.{n}.branch0.{*}", "features.stage3.unit{n+2}.branches.branch1.conv.{*}"),
        (
            "repeat_3.{n}.branch1.{m}.{*}",
            "features.stage3.unit{n+2}.branches.branch2.conv_list.conv{m+1}.{*}",
        ),
        ("block8.conv2d", "features.stage3.unit7.conv"),
        ("block8.branch0.{*}", "features.stage3.unit7.branches.branch1.conv.{*}"),
        ("block8.branch1.{m}.{*}", "features.stage3.unit7.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("last_linear", "output.fc1"),
        ("last_bn", "output.bn"),
        ("logits", "output.fc2"),
    ],
    ..SAME_KEYS
};

pub(super) const PYTORCHCV_RESNET_V2: KeyMap = KeyMap {
    source: "pytorchcv",
    rules: &[
        ("conv2d_1a.{*}", "features.init_block.conv1.{*}"),
        ("conv2d_2a.{*}", "features.init_block.conv2.{*}"),
        ("conv2d_2b.{*}", "features.init_block.conv3.{*}"),
        ("conv2d_3b.{*}", "features.init_block.conv4.{*}"),
        ("conv2d_4a.{*}", "features.init_block.conv5.{*}"),
        ("mixed_5b.branch0.{*}", "features.init_block.block.branches.branch1.conv.{*}"),
        ("mixed_5b.branch1.{m}.{*}", "features.init_block.block.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("mixed_5b.branch2.{m}.{*}", "features.init_block.block.branches.branch3.conv_list.conv{m+1}.{*}"),
        ("mixed_5b.branch3.1.{*}", "features.init_block.block.branches.branch4.conv.{*}"),
        ("repeat.{n}.conv2d", "features.stage1.unit{n+1}.conv"),
        ("repeat.{n}.branch0.{*}", "features.stage1.unit{n+1}.branches.branch1.conv.{*}"),
        ("repeat.{n}.branch1.{m}.{*}", "features.stage1.unit{n+1}.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("repeat.{n}.branch2.{m}.{*}", "features.stage1.unit{n+1}.branches.branch3.conv_list.conv{m+1}.{*}"),
        ("mixed_6a.branch0.{*}", "features.stage2.unit1.branches.branch1.conv_list.conv1.{*}"),
        ("mixed_6a.branch1.{m}.{*}", "features.stage2.unit1.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("repeat_1.{n}.conv2d", "features.stage2.unit{n+2}.conv"),
        ("repeat_1.{n}.branch0.{*}", "features.stage2.unit{n+2}.branches.branch1.conv.{*}"),
        (
            "repeat_1.{n}.branch1.{m}.{*}",
            "features.stage2.unit{n+2}.branches.branch2.conv_list.conv{m+1}.{*}",
        ),
        ("mixed_7a.branch0.{m}.{*}", "features.stage3.unit1.branches.branch1.conv_list.conv{m+1}.{*}"),
        ("mixed_7a.branch1.{m}.{*}", "features.stage3.unit1.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("mixed_7a.branch2.{m}.{*}", "features.stage3.unit1.branches.branch3.conv_list.conv{m+1}.{*}"),
        ("repeat_2.{n}.conv2d", "features.stage3.unit{n+2}.conv"),
        ("repeat_2.{n}.branch0.{*}", "features.stage3.unit{n+2}.branches.branch1.conv.{*}"),
        (
            "repeat_2.{n}.branch1.{m}.{*}",
            "features.stage3.unit{n+2}.branches.branch2.conv_list.conv{m+1}.{*}",
        ),
        ("block8.conv2d", "features.stage3.unit11.conv"),
        ("block8.branch0.{*}", "features.stage3.unit11.branches.branch1.conv.{*}"),
        ("block8.branch1.{m}.{*}", "features.stage3.unit11.branches.branch2.conv_list.conv{m+1}.{*}"),
        ("conv2d_7b.{*}", "features.final_conv.{*}"),
        ("classif", "output.fc"),
    ],
    ..SAME_KEYS
};
