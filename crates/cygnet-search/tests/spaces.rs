//! Spaces: every gene of one is a network, and the searched networks of the zoo are in theirs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use cygnet_image::Rng;
use cygnet_search::Space;
use cygnet_zoo::{Gene, find};

fn spaces() -> impl Iterator<Item = Space> {
    Space::names().into_iter().map(|name| Space::named(name).unwrap())
}

/// A space small enough to have all of its genes looked at: skips, depths, kinds, and blocks that are alike.
const SMALL: &str = r#"
image = [16, 24]
stem = ["8"]
head = ["16"]

[[stage]]
channels = [8]
depth = [1, 2]
blocks = ["m3e{1,2}", "x"]

[[stage]]
channels = [8, 16]
stride = 2
depth = [1, 2]
choose = "kind"
blocks = ["m3e{1,2}", "r3"]

[[stage]]
channels = [24]
depth = [1, 3]
choose = "alike"
blocks = ["s3", "g3e2"]
"#;

#[test]
fn random_genes_come_back_from_text_choices_and_graph() {
    let mut seen = 0;
    for (number, space) in spaces().enumerate() {
        let small = space.for_image(32);
        for draw in 0..1700 {
            let space = if draw % 2 == 0 { &small } else { &space };
            let choices = space.sample(&mut Rng::keyed(&[number as u64, draw]));
            let gene = space.gene(&choices);
            let text = gene.to_string();
            assert_eq!(text.parse::<Gene>().as_ref(), Ok(&gene), "{text}");
            assert_eq!(space.choices(&gene).as_ref(), Some(&choices), "{text}");
            let graph = gene.build(&gene.spec()).unwrap_or_else(|error| panic!("{error}"));
            // A graph takes longer to compare than to build.
            assert!(draw % 20 != 0 || Gene::of(&graph) == Some(gene), "{text}");
            seen += 1;
        }
    }
    assert!(seen >= 10_000, "{seen}");
}

#[test]
fn neighbours_and_offspring_are_genes_of_the_space() {
    for (number, space) in spaces().enumerate() {
        for draw in 0..60 {
            let mut rng = Rng::keyed(&[7, number as u64, draw]);
            let [mother, father] = [0, 1].map(|_| space.sample(&mut rng));
            let child = space.cross(&mother, &father, &mut rng);
            let near = space.mutate(&mother, 0.0, &mut rng);
            let far = space.mutate(&mother, 0.5, &mut rng);
            for choices in [&child, &near, &far] {
                let gene = space.gene(choices);
                assert_eq!(space.choices(&gene).as_ref(), Some(choices), "{gene}");
                gene.build(&gene.spec()).unwrap();
            }
            let changed = (0..near.len()).filter(|&index| {
                near[index] != mother[index] && space.matters(index, &mother) && space.matters(index, &near)
            });
            assert_eq!(changed.count(), 1);
            assert!(space.distance(&near, &mother) >= 1 && near != mother && far != mother);
            assert_eq!(space.distance(&mother, &father), space.distance(&father, &mother));
            // What the child has, one of its parents has, where it matters to one.
            for index in (0..child.len()).filter(|&index| space.matters(index, &child)) {
                let parents =
                    [&mother, &father].map(|parent| space.matters(index, parent).then(|| parent[index]));
                let of_none = parents == [None, None];
                assert!(of_none || parents.contains(&Some(child[index])), "{space:?}");
            }
        }
    }
}

#[test]
fn a_small_space_lists_each_gene_once_and_counts_them() {
    let space = Space::read("small", SMALL).unwrap();
    let genes: Vec<Gene> = space.all().map(|choices| space.gene(&choices)).collect();
    let texts: HashSet<String> = genes.iter().map(Gene::to_string).collect();
    // Two images; 3 + 9 in the first stage; two widths of 2 + 4 or 1 + 1 in the second; two depths of two blocks.
    assert_eq!(genes.len(), 2 * 12 * (2 * 8) * 4);
    assert_eq!((texts.len(), space.count()), (genes.len(), genes.len() as u128));
    for gene in &genes {
        gene.build(&gene.spec()).unwrap();
        assert!(space.choices(gene).is_some());
    }
    // Every gene is drawn, and no two are at no distance.
    let drawn: HashSet<String> =
        (0..60_000).map(|draw| space.gene(&space.sample(&mut Rng::keyed(&[draw]))).to_string()).collect();
    assert_eq!(drawn, texts);
    let all: Vec<_> = space.all().step_by(17).collect();
    for (i, a) in all.iter().enumerate() {
        assert!(all.iter().enumerate().all(|(j, b)| (space.distance(a, b) == 0) == (i == j)));
    }
}

#[test]
fn spaces_have_as_many_genes_as_their_papers_say() {
    let count = |name: &str| Space::named(name).unwrap().count();
    // Nine candidates at 22 places but for the five whose first block changes the map and the two heads.
    assert_eq!(count("fbnet"), 2 * 9u128.pow(16) * 8u128.pow(6));
    // Seven candidates at 20 places but for the five that change the map, and six at the last.
    assert_eq!(count("proxylessnas"), 6u128.pow(6) * 7u128.pow(15));
    // Of five stages the paper counts 10^13.
    assert!((10u128.pow(15)..10u128.pow(17)).contains(&count("mnasnet")), "{}", count("mnasnet"));
    assert!(count("mobilenet_v3") > 10u128.pow(18), "{}", count("mobilenet_v3"));
    assert!(count("cpu") > 10u128.pow(18), "{}", count("cpu"));
}

#[test]
fn published_networks_are_genes_of_their_spaces() {
    for (space, gene, id) in [
        (
            "fbnet",
            "gene:224-16b-16_x-24s2_m3e3_m3e1d_2x-32s2_m5e6_m3e3_m5e1d_m3e3-64s2_m5e6_m5e3_m5e1g2d_m5e6-\
             112_m3e6_m5e1g2d_m5e3_m3e1g2d-184s2_2m5e6_m5e3_m5e6-352_m5e6-1504b",
            "fbnet_a_dense",
        ),
        (
            "fbnet",
            "gene:224-16b-16_m3e1d-24s2_m3e6_m5e1d_2m3e1d-32s2_m5e6_m5e3_m3e6_m5e6-64s2_m5e6_m5e1d_x_m5e3-\
             112_m5e6_m3e1d_m5e1d_m5e3-184s2_m5e6_m5e1d_2m5e6-352_m3e6-1984b",
            "fbnet_b_paper",
        ),
        (
            "fbnet",
            "gene:224-16b-16_m3e1d-24s2_m3e6_x_2m3e1d-32s2_m5e6_m5e3_m5e6_m3e6-64s2_m5e6_m5e3_2m5e6-\
             112_3m5e6_m5e3-184s2_4m5e6-352_m3e6-1984b",
            "fbnet_c_dense",
        ),
        (
            "mnasnet",
            "gene:224-32-16_m3e1-24s2_2m3e6-40s2_3m5e3i-80s2_4m3e6-112_2m3e6i-160s2_3m5e6i-320_m3e6-1280",
            "mnasnet_a1",
        ),
        (
            "mnasnet",
            "gene:224-32-16_m3e1-24s2_3m3e3-40s2_3m5e3-80s2_3m5e6-96_2m3e6-192s2_4m5e6-320_m3e6-1280",
            "mnasnet_b1",
        ),
        (
            "proxylessnas",
            "gene:224-32c-16_m3e1c-32s2_m5e3c_m3e3c_2x-40s2_m7e3c_m3e3c_2m5e3c-80s2_m7e6c_3m5e3c-\
             96_m5e6c_3m5e3c-192s2_2m7e6c_2m7e3c-320_m7e6c-1280c",
            "proxylessnas_mobile",
        ),
        (
            "spnasnet",
            "gene:224-32-16_m3e1-24s2_3m3e3-40s2_m5e6_3m3e3-80s2_m5e6_3m3e3-96_m5e6_3m5e3-192s2_4m5e6-\
             320_m3e6-1280",
            "spnasnet",
        ),
    ] {
        let gene: Gene = gene.parse().unwrap();
        assert!(Space::named(space).unwrap().choices(&gene).is_some(), "{id} is not in {space}");
        let [ours, known] =
            [gene.to_string().as_str(), id].map(|name| find(name).unwrap().build().unwrap().cost());
        assert_eq!((ours.params, ours.macs), (known.params, known.macs), "{id}");
    }
}

#[test]
fn small_images_are_not_halved_away() {
    for space in spaces() {
        for (side, rows) in [(32, 4), (48, 3), (96, 3), (224, 7)] {
            let space = space.for_image(side);
            let gene = space.gene(&space.sample(&mut Rng::keyed(&[side as u64])));
            let graph = gene.build(&gene.spec()).unwrap();
            let last = graph.features().last().unwrap();
            assert_eq!(graph.node(last.node).shape[1], rows, "{} at {side}", space.name());
        }
    }
}

/// A stage that is right.
const STAGE: &str = "[[stage]]\nchannels = [8]\ndepth = [1]\nblocks = [\"m3e2\"]\n";

#[test]
fn wrong_spaces_are_refused_with_their_place() {
    let ends = "image = [32]\nstem = [\"8\"]\nhead = [\"8\"]\n";
    let stage = |lines: &str| format!("{ends}[[stage]]\n{lines}");
    let blocks =
        |blocks: &str| stage(&format!("channels = [8]\ndepth = [2]\nstride = 2\nblocks = {blocks}\n"));
    for (text, reason) in [
        (String::new(), "space: missing field"),
        (ends.into(), "missing field `stage`"),
        (format!("{ends}what = 1\n{STAGE}"), "unknown field `what`"),
        (
            format!("image = [0]\nstem = [\"8\"]\nhead = [\"8\"]\n{STAGE}"),
            "image: image has 0; write 1 to 4096",
        ),
        (
            format!("image = [32]\nstem = [\"8z\"]\nhead = [\"8\"]\n{STAGE}"),
            "stem (8z): 'z' is no setting here",
        ),
        (format!("image = [32]\nstem = [\"{{8,8}}\"]\nhead = [\"8\"]\n{STAGE}"), "8 stands twice"),
        (format!("image = [32]\nstem = []\nhead = [\"8\"]\n{STAGE}"), "stem: is empty"),
        (stage("channels = []\ndepth = [1]\nblocks = [\"m3\"]\n"), "stage 0: channels has 0 numbers"),
        (stage("channels = [8, 8]\ndepth = [1]\nblocks = [\"m3\"]\n"), "channels has 8 twice"),
        (stage("channels = [8]\ndepth = [0]\nblocks = [\"m3\"]\n"), "depth has 0"),
        (stage("channels = [8]\ndepth = [600]\nblocks = [\"m3\"]\n"), "depth has 600; write 1 to 512"),
        (stage("channels = [8]\ndepth = [1]\nstride = 3\nblocks = [\"m3\"]\n"), "its stride is 3"),
        (blocks("[]"), "has no blocks"),
        (blocks("[\"x\"]"), "its first place needs a block"),
        (blocks("[\"m4\"]"), "a kernel of 4 has no centre"),
        (blocks("[\"m3e{1,2\"]"), "{ is not closed"),
        (blocks("[\"m3e{1,1}\"]"), "the block m3e1 stands twice"),
        (blocks(&format!("[\"{}\"]", "m{3,5}{3,5}{3,5}{3,5}{3,5}{3,5}{3,5}".repeat(2))), "more than 4096"),
        (blocks(&format!("[\"{}\"]", "{1,2}".repeat(2000))), "more than 4096"),
        (format!("{ends}{}", STAGE.repeat(65)), "has 65 stages"),
        (format!("{ends}{}", STAGE.replace("[1]", "[300]").repeat(2)), "has 600 places"),
        (" ".repeat(70_000), "longer than 65536 bytes"),
    ] {
        let error = Space::read("my.toml", &text).unwrap_err().to_string();
        assert!(error.starts_with("my.toml: ") && error.contains(reason), "{reason}: {error}");
    }
    assert!(Space::read("my.toml", &format!("{ends}{STAGE}")).is_ok());
    let unknown = Space::named("phone").unwrap_err().to_string();
    assert!(unknown.contains("no space is called phone; there are cpu, fbnet"), "{unknown}");
    assert!(
        Space::named("/nowhere/my.toml")
            .unwrap_err()
            .to_string()
            .starts_with("/nowhere/my.toml: cannot read")
    );
}
