//! The JSON form of graphs, and what can be read off a graph without weights.

use cygnet_graph::Graph;
use cygnet_zoo::Gene;

/// A graph of the JSON form; whatever is read is written and read again, and looked at from all sides.
pub fn graph_json(bytes: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice(bytes) else { return false };
    let Ok(graph) = Graph::from_json(&json) else { return false };
    assert_eq!(Graph::from_json(&graph.to_json()).unwrap(), graph);
    let [_, height, width] = graph.input_shape();
    let _ = (graph.cost(), graph.peak_activation_bytes(), graph.to_string(), graph.classifiers());
    let others = [
        graph.resized(height, width).map(|same| assert_eq!(same.nodes(), graph.nodes())),
        graph.for_small_images(height.div_ceil(3), 2).map(drop),
        graph.with_classes(5).map(|graph| assert_eq!(graph.classes(), 5)),
        graph.with_dropout(0.5).map(drop),
        graph.without_softmax().map(|graph| assert!(!graph.gives_probabilities())),
        graph.body_and_head().map(|(body, head)| assert!(body.nodes().len() + head.nodes().len() > 2)),
    ];
    assert!(graph.without_auxiliary().auxiliary().is_empty());
    #[cfg(feature = "networks")]
    let _ = cygnet_runtime::Plan::outline_of(&graph, cygnet_runtime::Level::Scalar);
    others.len() == 6
}

/// The text of a gene: what is read is written and read again, and so is the network, if it can be.
pub fn gene(bytes: &[u8]) -> bool {
    let Some(gene) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Gene>().ok()) else {
        return false;
    };
    assert_eq!(gene.to_string().parse::<Gene>().as_ref(), Ok(&gene));
    if let Ok(graph) = gene.build(&gene.spec()) {
        assert_eq!(Gene::of(&graph), Some(gene));
    }
    true
}

/// ncnn's pairs of files, a text and its numbers after a byte that no text has.
pub fn ncnn(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, numbers) = bytes.split_at(end);
    let imported = cygnet_onnx::import_ncnn(text, numbers.get(1..).unwrap_or_default(), &Default::default());
    imported.is_ok_and(|imported| imported.weights.select(&imported.graph).is_ok())
}

/// TFLite files: as [`onnx`].
pub fn tflite(bytes: &[u8]) -> bool {
    cygnet_onnx::is_tflite(bytes) && onnx(bytes)
}

/// ONNX files: the graph that one becomes has all its weights, and is written and read again.
pub fn onnx(bytes: &[u8]) -> bool {
    let Ok(imported) = cygnet_onnx::import(bytes.to_vec(), &cygnet_onnx::Options::default()) else {
        return false;
    };
    imported.weights.select(&imported.graph).unwrap();
    let options = cygnet_onnx::ExportOptions { quantization: imported.quantization, ..Default::default() };
    if let Some(record) = &options.quantization {
        record.check(&imported.graph, &imported.weights).unwrap();
    }
    if let Ok(again) = cygnet_onnx::export(&imported.graph, &imported.weights, &options) {
        assert!(cygnet_onnx::is_onnx(&again));
    }
    true
}
