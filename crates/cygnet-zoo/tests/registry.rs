//! Networks of another crate beside Cygnet's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cygnet_graph::Conv;
use cygnet_zoo::registry::{Family, Name, Registry, Row, Variant};
use cygnet_zoo::{Built, Spec, find, networks};

fn plain(spec: &Spec) -> Built {
    spec.build(|net, image| {
        let x = net.at("conv").conv(image, Conv::new(spec.scaled(16), 3).stride(2)).relu();
        net.at("fc").linear(x.global_avg_pool(), spec.classes)
    })
}

const fn row(id: &'static str, variants: &'static [Variant]) -> Row {
    Row::new(id, Family::Other, "mine", plain, variants)
}

const PLAIN: &[Row] =
    &[row("plain", &[Variant::new(&[Name::same("mine", "simple")], &[]), Variant::width(0.5, &[], &[])])
        .side(64)
        .classes(7)
        .any_width()];

#[test]
fn networks_that_are_added_are_found_by_every_kind_of_name() {
    let registry = Registry::default().with(PLAIN).unwrap();
    let ids = |query: &str| registry.find(query).map(|network| (network.id.clone(), network.width));
    assert_eq!(ids("plain"), Some(("plain".into(), 1.0)));
    assert_eq!(ids("plain_0.5"), Some(("plain_0.5".into(), 0.5)));
    assert_eq!(ids("plain_0.75"), Some(("plain_0.75".into(), 0.75)));
    assert_eq!(ids("mine/simple"), Some(("plain".into(), 1.0)));
    assert_eq!(ids("simplest"), None);
    let graph = registry.find("plain_0.5").unwrap().build().unwrap();
    assert_eq!((graph.input_shape(), graph.classes(), graph.params()[0].shape[0]), ([3, 64, 64], 7, 8));
    assert_eq!(registry.networks().count(), networks().count() + 2);
    assert!(registry.find("mobilenet_v2").is_some() && find("plain").is_none());
}

#[test]
fn an_id_or_name_that_stands_for_another_network_is_refused() {
    const ID: &[Row] = &[row("mobilenet_v2", &[Variant::new(&[], &[])])];
    const NAME: &[Row] = &[row("other", &[Variant::new(&[Name::same("torchvision", "squeezenet1_1")], &[])])];
    let taken = |rows| Registry::default().with(rows).unwrap_err().name;
    assert_eq!((taken(ID).as_str(), taken(NAME).as_str()), ("mobilenet_v2", "torchvision/squeezenet1_1"));
    let error = Registry::default().with(PLAIN).unwrap().with(PLAIN).unwrap_err().to_string();
    assert_eq!(error, "plain: another network has this name; choose another");
}
