//! The 1000 classes of ILSVRC 2012: WordNet ids and their lemmas, in the order of sorted ids that all published
//! weights use.

const TABLE: &str = include_str!("../data/imagenet.tsv");

/// WordNet id (`n02099601`) and lemmas (`golden retriever`), by class.
pub fn classes() -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    let rows: Vec<_> = TABLE.lines().filter_map(|line| line.split_once('\t')).collect();
    rows.into_iter()
}

/// Labels for `count` outputs: ImageNet's for 1000, the same after `background` for 1001, else none.
#[must_use]
pub fn labels(count: usize) -> Vec<String> {
    let names = classes().map(|(_, lemmas)| lemmas.to_owned());
    match count {
        1000 => names.collect(),
        1001 => std::iter::once("background".to_owned()).chain(names).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_thousand_classes_in_the_order_of_their_ids() {
        let ids: Vec<_> = classes().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.is_sorted());
        assert_eq!(classes().nth(207), Some(("n02099601", "golden retriever")));
    }

    #[test]
    fn a_background_class_shifts_the_labels_by_one() {
        assert_eq!(labels(1001)[208], labels(1000)[207]);
        assert!(labels(10).is_empty());
    }
}
