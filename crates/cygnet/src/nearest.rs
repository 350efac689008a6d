//! What may have been meant by a name that nothing has.

use std::collections::HashSet;

use cygnet_zoo::{Family, Network, networks};

/// Most names that are proposed.
const MOST: usize = 3;
/// The least likeness of a name that is proposed, of 1.
const LIKE: f64 = 0.6;

/// The names of networks that are nearest to `name`: those that begin with it, one of each family first, else those
/// that are spelt most alike. Case and separators do not count.
pub(crate) fn networks_like(name: &str) -> Vec<String> {
    let wanted = plain(name.rsplit('/').next().unwrap_or(name));
    if wanted.is_empty() {
        return Vec::new();
    }
    // Keras has other names for what others call as here, and networks of its own, which who names it means.
    let is_meant = |network: &Network| wanted.contains("kera") || !network.id.ends_with("_keras");
    let known: Vec<Network> = networks().filter(is_meant).collect();
    let begins: Vec<&Network> =
        known.iter().filter(|network| plain(&network.id).starts_with(&wanted)).collect();
    if !begins.is_empty() {
        let mut families = HashSet::new();
        let is_first = |network: &&&Network| families.insert(network.row.family);
        let (first, rest): (Vec<&Network>, Vec<&Network>) = begins.iter().partition(is_first);
        return first.into_iter().chain(rest).take(MOST).map(|network| network.id.clone()).collect();
    }
    let names = known.iter().flat_map(|network| {
        let aliases = network.names().iter().filter(|alias| alias.source != "keras");
        let aliases = aliases.map(|alias| alias.name.to_owned());
        [network.id.clone()].into_iter().chain(aliases)
    });
    let mut scored: Vec<(f64, String)> =
        names.map(|known| (strsim::normalized_levenshtein(&wanted, &plain(&known)), known)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut seen = HashSet::new();
    let alike = scored.into_iter().filter(|(score, name)| *score > LIKE && seen.insert(name.clone()));
    alike.take(MOST).map(|(_, known)| known).collect()
}

/// The family that is called `name`, and if there is none those that are meant: spelt alike, or with networks whose
/// names begin so.
///
/// # Errors
/// The families that may be meant, in the table's order.
pub fn family(name: &str) -> Result<Family, Vec<Family>> {
    let wanted = plain(name);
    let spelt = |family: Family| plain(&format!("{family:?}"));
    if let Some(family) = Family::ALL.into_iter().find(|&family| spelt(family) == wanted) {
        return Ok(family);
    }
    let with_such: HashSet<Family> = networks()
        .filter(|network| !wanted.is_empty() && plain(&network.id).starts_with(&wanted))
        .map(|network| network.row.family)
        .collect();
    let is_like = |family: &Family| {
        with_such.contains(family) || strsim::normalized_levenshtein(&wanted, &spelt(*family)) > LIKE
    };
    Err(Family::ALL.into_iter().filter(is_like).collect())
}

/// Lower case without separators.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_proposed() {
        assert_eq!(networks_like("mobilenet"), ["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large"]);
        assert_eq!(networks_like("mobilenetv2")[0], "mobilenet_v2");
        assert_eq!(networks_like("MobileNet-V2")[0], "mobilenet_v2");
        assert_eq!(networks_like("timm/mobilenet_v2")[0], "mobilenet_v2");
        assert_eq!(networks_like("resnet")[0], "resnet18");
        assert_eq!(networks_like("squeezenet")[0], "squeezenet1_0");
        assert_eq!(networks_like("mobilnet_v2")[0], "mobilenet_v2");
        let of_keras =
            ["InceptionV", "incption_v3", "mobilnetv2", "NASNetMobil", "Xcepton"].map(networks_like);
        let is_keras = |name: &String| name.contains("keras") || name.chars().any(char::is_uppercase);
        assert!(!of_keras.iter().flatten().any(is_keras), "{of_keras:?}");
        assert_eq!(networks_like("inception_v3_kera")[0], "inception_v3_keras");
        assert!(networks_like("elephant").is_empty() && networks_like("").is_empty());
    }

    #[test]
    fn families_are_told_by_the_names_of_their_networks() {
        assert_eq!(family("mobilenet-v2"), Ok(Family::MobileNetV2));
        assert_eq!(family("resnet"), Err(vec![Family::SENet]));
        assert_eq!(
            family("mobilenet"),
            Err(vec![Family::MobileNetV1, Family::MobileNetV2, Family::MobileNetV3, Family::MobileNeXt])
        );
        assert_eq!(family("elephant"), Err(Vec::new()));
    }
}
