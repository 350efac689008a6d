//! Genes: their text, their graphs, and the networks of the zoo that are some.

use cygnet_graph::Graph;
use cygnet_zoo::gene::{Block, Kind};
use cygnet_zoo::{Gene, Spec, find};

/// Networks of the zoo, and the genes that describe them but for names and constants without weights.
const KNOWN: &[(&str, &str)] = &[
    (
        "fbnet_a_dense",
        "gene:224-16b-16_x-24s2_m3e3_m3e1d_2x-32s2_m5e6_m3e3_m5e1d_m3e3-64s2_m5e6_m5e3_m5e1g2d_m5e6-\
         112_m3e6_m5e1g2d_m5e3_m3e1g2d-184s2_2m5e6_m5e3_m5e6-352_m5e6-1504b",
    ),
    (
        "fbnet_a",
        "gene:224-16b-16_x-24s2_m3e3b_m3e1b_2x-32s2_m5e6b_m3e3b_m5e1b_m3e3b-64s2_m5e6b_m5e3b_m5e1g2b_m5e6b-\
         112_m3e6b_m5e1g2b_m5e3b_m3e1g2b-184s2_2m5e6b_m5e3b_m5e6b-352_m5e6b-1504b",
    ),
    (
        "fbnet_b_dense",
        "gene:224-16b-16_m3e1d-24s2_m3e6_m5e1d_2m3e1d-32s2_m5e6_m5e3_m3e6_m5e6-64s2_2m5e6_x_m5e3-\
         112_m5e6_m3e1d_m5e1d_m5e3-184s2_m5e6_m5e1d_2m5e6-352_m3e6-1984b",
    ),
    (
        "fbnet_b_paper",
        "gene:224-16b-16_m3e1d-24s2_m3e6_m5e1d_2m3e1d-32s2_m5e6_m5e3_m3e6_m5e6-64s2_m5e6_m5e1d_x_m5e3-\
         112_m5e6_m3e1d_m5e1d_m5e3-184s2_m5e6_m5e1d_2m5e6-352_m3e6-1984b",
    ),
    (
        "fbnet_c_dense",
        "gene:224-16b-16_m3e1d-24s2_m3e6_x_2m3e1d-32s2_m5e6_m5e3_m5e6_m3e6-64s2_m5e6_m5e3_2m5e6-\
         112_3m5e6_m5e3-184s2_4m5e6-352_m3e6-1984b",
    ),
    (
        "fbnet_c_timm",
        "gene:224-16-16_m3e1d-24s2_m3e6_2m3e1d-32s2_m5e6_m5e3_m5e6_m3e6-64s2_m5e6_m5e3_2m5e6-\
         112_3m5e6_m5e3-184s2_4m5e6-352_m3e6-1984",
    ),
    (
        "fbnet_s8",
        "gene:224-16b-16_m3e1d-24s2_m3e3_m3e1d_2x-32s2_m5e6_2m3e3_m3e6-64s2_m5e6_3m5e3-112_m3e6_3m5e3-\
         184s2_2m5e6_m5e3_m5e6-352_m5e6-1504b",
    ),
    ("fbnet_96", "gene:96-8b-8_m3e1-16s2_2m3e6-16s2_2m5e6-24s2_m5e6-40_m3e6-72s2_2m5e6-128_m5e6-1416b"),
    (
        "mnasnet_a1",
        "gene:224-32-16_m3e1-24s2_2m3e6-40s2_3m5e3i-80s2_4m3e6-112_2m3e6i-160s2_3m5e6i-320_m3e6-1280",
    ),
    ("mnasnet_b1", "gene:224-32-16_m3e1-24s2_3m3e3-40s2_3m5e3-80s2_3m5e6-96_2m3e6-192s2_4m5e6-320_m3e6-1280"),
    (
        "mnasnet_small",
        "gene:224-8-8_m3e1-16s2_m3e3-16s2_2m3e6-32s2_4m5e6i-32_3m3e6i-88s2_3m5e6i-144_m3e6-1280",
    ),
    (
        "proxylessnas_cpu",
        "gene:224-40c-24_m3e1c-32s2_m3e6c_3m3e3c-48s2_m3e6c_2m3e3c_m5e3c-88s2_m3e6c_2x_m3e3c-104_m5e6c_3m3e3c-\
         216s2_m5e6c_2m5e3c_m3e3c-360_m5e6c-1432c",
    ),
    (
        "proxylessnas_gpu",
        "gene:224-40c-24_m3e1c-32s2_m5e3c_3x-56s2_m7e3c_2x_m3e3c-112s2_m7e6c_2x_m5e3c-128_m5e6c_x_m3e3c_m5e3c-\
         256s2_3m7e6c_m5e6c-432_m7e6c-1728c",
    ),
    (
        "proxylessnas_mobile",
        "gene:224-32c-16_m3e1c-32s2_m5e3c_m3e3c_2x-40s2_m7e3c_m3e3c_2m5e3c-80s2_m7e6c_3m5e3c-96_m5e6c_3m5e3c-\
         192s2_2m7e6c_2m7e3c-320_m7e6c-1280c",
    ),
    (
        "spnasnet",
        "gene:224-32-16_m3e1-24s2_3m3e3-40s2_m5e6_3m3e3-80s2_m5e6_3m3e3-96_m5e6_3m5e3-192s2_4m5e6-320_m3e6-1280",
    ),
    (
        "mobilenet_v2",
        "gene:224-32c-16_m3e1c-24s2_2m3e6c-32s2_3m3e6c-64s2_4m3e6c-96_3m3e6c-160s2_3m3e6c-320_m3e6c-1280c",
    ),
    (
        "mobilenet_v3_small",
        "gene:224-16h-16s2_m3e1q-24s2_m3w72_m3w88-40s2_m5w96qh_2m5w240qh-48_m5w120qh_m5w144qh-\
         96s2_m5w288qh_2m5w576qh-576hl1024",
    ),
    (
        "ghostnet",
        "gene:224-16-16_g3e1-24s2_g3w48-24_g3w72-40s2_g5w72q-40_g5w120q-80s2_g3w240-80_g3w200_2g3w184-\
         112_g3w480q_g3w672q-160s2_g5w672q_g5w960_g5w960q_g5w960_g5w960q-960l1280",
    ),
    ("shufflenet_v2", "gene:224-24p-116s2_4s3-232s2_8s3-464s2_4s3-1024"),
    (
        "mobilenext_dli14",
        "gene:224-32c-96s2_n3e2-144_n3e6-192s2_3n3e6-288s2_3n3e6-384_4n3e6-576s2_4n3e6-960_3n3e6-1280_n3e6-0",
    ),
];

#[test]
fn searched_networks_of_the_zoo_are_genes_that_cost_the_same() {
    for &(id, text) in KNOWN {
        let gene: Gene = text.parse().unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(gene.to_string(), text, "{id}");
        let (known, built) = (find(id).unwrap().build().unwrap(), find(text).unwrap().build().unwrap());
        let cost = |graph: &Graph| (graph.cost().params, graph.cost().macs);
        assert_eq!(cost(&built), cost(&known), "{id}");
        assert_eq!(built.input_shape(), known.input_shape(), "{id}");
    }
}

#[test]
fn parameters_of_inverted_residuals_have_the_names_of_searched_networks() {
    let (id, text) = ("fbnet_c_timm", KNOWN[5].1);
    let params = |name: &str| find(name).unwrap().build().unwrap().params();
    let shapes =
        |name: &str| -> Vec<_> { params(name).into_iter().map(|param| (param.name, param.shape)).collect() };
    assert_eq!(KNOWN[5].0, id);
    assert_eq!(shapes(text), shapes(id));
}

#[test]
fn a_graph_tells_its_gene_for_other_classes_and_images_too() {
    for &(_, text) in KNOWN {
        let gene: Gene = text.parse().unwrap();
        let spec = Spec { classes: 7, image: [3, 64, 96], ..gene.spec() };
        assert_eq!(Gene::of(&gene.build(&spec).unwrap()).as_ref(), Some(&gene), "{text}");
    }
    let other = Spec::new(KNOWN[0].1).build(|_, image| image.relu()).unwrap();
    assert_eq!(Gene::of(&other), None);
    assert_eq!(Gene::of(&find("mobilenet_v2").unwrap().build().unwrap()), None);
}

#[test]
fn what_may_be_written_in_several_ways_is_told_in_one() {
    for (written, told) in [
        ("gene:32-16s2-24s1_m3-8", "gene:32-16-24_m3e1-8"),
        ("gene:032-16hs1k5-24_m3e2_1m3e2_x_x-8", "gene:32-16k5s1h-24_2m3e2_2x-8"),
        ("gene:32-16-24_m3nqhe4-8l9h", "gene:32-16-24_m3e4qhn-8hl9"),
        ("gene:32-16-24_f3_r5c_s7h_g3qe2_n3e4-0", "gene:32-16-24_f3e1_r5c_s7h_g3e2q_n3e4-0"),
    ] {
        let gene: Gene = written.parse().unwrap();
        assert_eq!(gene.to_string(), told);
        assert_eq!(told.parse::<Gene>().unwrap(), gene);
        let network = find(written).unwrap();
        assert_eq!((network.id.as_str(), network.side()), (told, 32));
        assert_eq!(network.build().unwrap().name(), told);
        let json = serde_json::to_string(&gene).unwrap();
        assert_eq!(serde_json::from_str::<Gene>(&json).unwrap(), gene);
    }
}

#[test]
fn every_kind_of_block_builds_with_every_setting_it_has() {
    for kind in Kind::ALL {
        let letter = kind.letter();
        for setting in kind.settings().chars() {
            let value = if "ewg".contains(setting) { "8" } else { "" };
            for stride in ["", "s2"] {
                let text = format!(
                    "gene:32-16-16{stride}_2{letter}3{setting}{value}-32_{letter}5{setting}{value}-8"
                );
                let gene: Gene = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
                let graph = gene.build(&gene.spec()).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(Gene::of(&graph), Some(gene), "{text}");
            }
        }
    }
}

/// What is wrong, and words of the message.
const WRONG: &[(&str, &str)] = &[
    ("gen:32-16-16_m3-8", "does not begin with gene:"),
    ("gene:", "incomplete"),
    ("gene:32-16-8", "0 stages"),
    ("gene:0-16-16_m3-8", "image (0): the side of images in pixels is 0; write 1 to 4096"),
    ("gene:32x32-16-16_m3-8", "image (32x32): ends in what is not read"),
    ("gene:32--16_m3-8", "stem (): the number of channels is missing"),
    ("gene:32-16z-16_m3-8", "stem (16z): 'z' is no setting here; there are k, s, p, h, c, b"),
    ("gene:32-16hc-16_m3-8", "stem (16hc): has h and c; keep one"),
    ("gene:32-16s3-16_m3-8", "the stride is 3; write 1 to 2"),
    ("gene:32-16-16-8", "stage 0 (16): has no block"),
    (
        "gene:32-16-16_-8",
        "stage 0, block 0 (): no block begins so; write x for none, or one of m, f, r, s, g, n",
    ),
    ("gene:32-16-16_m4e6-8", "stage 0, block 0 (m4e6): a kernel of 4 has no centre"),
    ("gene:32-16-16_m3e6_3k3-8", "stage 0, block 1 (3k3): no block begins so"),
    ("gene:32-16-16_m3e6e3-8", "e stands twice"),
    ("gene:32-16-16_m3e6w3-8", "has e and w; keep one"),
    ("gene:32-16-16_m3e6d-8", "d is for e1"),
    ("gene:32-16-16_r3e6-8", "'e' is no setting here; there are h, c"),
    ("gene:32-16-16_0m3-8", "a number of blocks is 1 or more"),
    ("gene:32-16-16_600m3-8", "more than 512 blocks in all"),
    ("gene:32-16-16_300m3-16_300m3-8", "stage 1, block 0 (300m3): are more than 512 blocks in all"),
    ("gene:32-16-16s2_x_m3-8", "stage 0: changes the map, so its first block cannot be left out"),
    ("gene:32-16-16_m3-24_x-8", "stage 1: changes the map"),
    ("gene:32-16-16_m99999999999999999999999999-8", "the side of the kernel is missing"),
    (
        "gene:32-99999999999999999999-16_m3-8",
        "the number of channels is 99999999999999999999; write 1 to 65536",
    ),
    ("gene:32-16-16_mé3-8", "the side of the kernel is missing"),
    ("gene:32-16-é_m3-8", "the number of channels is missing"),
    ("gene:32-16-16_m3-0h", "a head of 0 channels has no convolution to set"),
];

#[test]
fn wrong_texts_are_refused_with_their_place_and_what_to_write() {
    for &(text, reason) in WRONG {
        let error = text.parse::<Gene>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(find(text).is_none(), "{text}");
    }
    let long = format!("gene:32-16-{}-8", "16_m3-".repeat(2000));
    assert!(long.parse::<Gene>().unwrap_err().to_string().contains("are too long"));
    assert!(Block::read("m3e6_m3").is_err() && Block::read("2m3").is_err());
}

#[test]
fn genes_that_no_machine_can_hold_or_that_do_not_fit_are_refused_before_memory_is_taken() {
    for (text, reason) in [
        ("gene:4096-65536-65536_512m3e64-65536", "over the limit"),
        ("gene:4096-1024s1-16_s3-8", "over the limit"),
        ("gene:32-65536-65536_512f15-65536", "over the limit"),
        ("gene:1024-256-512_9f3e2-8", "multiply-accumulates, the limit is"),
        ("gene:32-16-24_2m5e1g5-8", "16 channels cannot be cut into 5 groups"),
        ("gene:32-16-17_2s3-8", "cannot be cut into 2 groups"),
    ] {
        let gene: Gene = text.parse().unwrap();
        let error = gene.build(&gene.spec()).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
