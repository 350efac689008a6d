//! Files that mean harm: clear errors, bounded memory, no panic.

use proptest::prelude::*;
use prost::Message;

use super::File;
use crate::schema::tensor_proto::DataLocation;
use crate::schema::{AttributeProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto};
use crate::{Imported, Options, import};

#[test]
fn circles_and_values_made_twice_are_told() {
    let circle = File::of(&[1, 2, 4, 4]).node("a = Add(x, b)").node("b = Relu(a)").node("y = Relu(b)");
    assert!(circle.refusal().contains("nothing before it makes"), "{}", circle.refusal());
    let twice = File::of(&[1, 2, 4, 4]).node("y = Relu(x)").node("y = Sigmoid(x)");
    assert!(twice.refusal().contains("a second time"), "{}", twice.refusal());
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let mut huge = File::of(&[1, 2, 4, 4]).node("y = Conv(x, w)");
    let dims = vec![1 << 30, 1 << 30];
    huge.graph().initializer.push(TensorProto {
        dims,
        data_type: Some(1),
        name: Some("w".into()),
        ..TensorProto::default()
    });
    assert!(huge.refusal().contains("over the limit"), "{}", huge.refusal());
    let negative = File::of(&[1, 2, 4, 4]).floats("w", &[-1], &[1.0]).node("y = Conv(x, w)");
    assert!(negative.refusal().contains("a dimension of -1"), "{}", negative.refusal());
    let image = File::of(&[1, 3, 1 << 40, 1 << 40]).node("y = Relu(x)");
    assert!(image.refusal().contains("over the limit"), "{}", image.refusal());
    let filled =
        File::of(&[1, 2, 4, 4]).ints("s", &[1 << 30]).node("w = ConstantOfShape(s)").node("y = Mul(x, w)");
    assert!(filled.refusal().contains("take too much memory"), "{}", filled.refusal());
    let split = File::of(&[1, 2, 4, 4]).ints("s", &[1 << 62, 1 << 62]).node("y, z = Split(x, s) axis=1");
    assert!(split.refusal().contains("are not the parts"), "{}", split.refusal());
}

#[test]
fn other_files_lie_in_the_folder_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let numbers = [1.0f32, 2.0].map(f32::to_le_bytes).concat();
    std::fs::write(folder.path().join("outside"), &numbers).unwrap();
    std::fs::write(models.join("inside"), &numbers).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside", models.join("link")).unwrap();
    let read = |location: &str, offset: &str| {
        let mut file = File::of(&[1, 2, 4, 4]).node("y = Conv(x, w)");
        let entry = |(key, value): (&str, &str)| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        };
        file.graph().initializer.push(TensorProto {
            dims: vec![1, 2, 1, 1],
            data_type: Some(1),
            name: Some("w".into()),
            data_location: Some(DataLocation::External as i32),
            external_data: [("location", location), ("offset", offset)].map(entry).to_vec(),
            ..TensorProto::default()
        });
        let options = Options { folder: Some(models.clone()), ..Options::default() };
        import(file.bytes(), &options).map_err(|error| error.to_string())
    };
    assert_eq!(&*read("inside", "0").unwrap().weights.iter().next().unwrap().1.to_f32(), [1.0, 2.0]);
    let absolute = folder.path().join("outside");
    for (location, offset, why) in [
        ("../outside", "0", "outside of the model's folder"),
        (absolute.to_str().unwrap(), "0", "outside of the model's folder"),
        #[cfg(unix)]
        ("link", "0", "outside of the model's folder"),
        ("inside", "4", "is no file of 8 bytes from 4"),
        ("inside", "18446744073709551615", "is no file of 8 bytes"),
        ("inside", "-1", "is no number"),
        ("nowhere", "0", "nowhere"),
    ] {
        let told = read(location, offset).unwrap_err();
        assert!(told.contains(why), "{location} {offset}: {told}");
    }
}

#[test]
fn depth_and_numbers_of_messages_are_limited() {
    let mut graph = GraphProto::default();
    for _ in 0..90 {
        let attribute =
            AttributeProto { name: Some("body".into()), g: Some(graph), ..AttributeProto::default() };
        let node = NodeProto { attribute: vec![attribute], output: vec!["y".into()], ..NodeProto::default() };
        graph = GraphProto { node: vec![node], ..GraphProto::default() };
    }
    let mut deep = File::of(&[1, 2, 4, 4]);
    deep.graph().node = graph.node;
    assert!(import(deep.bytes(), &Options::default()).is_err());
    let mut many = File::of(&[1, 2, 4, 4]);
    many.graph().node = vec![NodeProto::default(); 1 << 19];
    assert!(many.refusal().contains("more than"), "{}", many.refusal());
}

#[test]
fn wrong_types_and_counts_are_told() {
    for (file, why) in [
        (File::of(&[1, 2, 4, 4]).node("y = Conv(x, x)"), "must be a constant"),
        (File::of(&[1, 2, 4, 4]).ints("w", &[1]).node("y = Conv(x, w)"), "its weight has the shape"),
        (
            File::of(&[1, 2, 4, 4]).weight("w", &[1, 2, 1, 1]).node("y = Conv(x, w) strides=[0,0]"),
            "a step of 0",
        ),
        (
            File::of(&[1, 2, 4, 4]).weight("w", &[1, 2, 1, 1]).node("y = Conv(x, w) strides=[1]"),
            "strides has 1",
        ),
        (File::of(&[1, 2, 4, 4]).weight("w", &[1, 2, 1, 1]).node("y = Conv(x, w) group=7"), "in 7 groups"),
        (File::of(&[1, 2, 4, 4]).node("y = Concat(x, x) axis=9"), "dimension 9 of 4"),
        (File::of(&[1, 2, 4, 4]).node("y = Transpose(x) perm=[0,0,1,2]"), "is no order"),
        (File::of(&[1, 2, 4, 4]).node("y = Relu()"), "is missing"),
        (File::of(&[1, 2, 4, 4, 4, 4]).node("y = Relu(x)"), "6 dimensions"),
        (File::of(&[1, 2, 4, 4]).node("z = Relu(x)"), "no operator makes it"),
    ] {
        assert!(file.refusal().contains(why), "{why}: {}", file.refusal());
    }
    assert!(import(b"no model".to_vec(), &Options::default()).is_err());
    assert!(import(Vec::new(), &Options::default()).is_err());
}

/// A file with a little of everything.
fn mixed() -> Vec<u8> {
    let file = File::of(&[0, 4, 8, 8]).weight("w", &[6, 4, 3, 3]).weight("b", &[6]).ints("s", &[0, 2, 3, -1]);
    let file = file.weight("fc", &[216, 3]).ints("axes", &[2, 3]);
    let file = file.node("c = Conv(x, w, b) pads=[1,1,0,0] strides=[1,1]").node("r = Clip(c)");
    let file = file.node("v = Reshape(r, s)").node("t = Transpose(v) perm=[0,2,1,3]").node("z = Flatten(t)");
    let file =
        file.node("g = MaxPool(r) kernel_shape=[2,2] ceil_mode=1").node("m = ReduceMean(g) axes=[2,3]");
    file.node("a = Shape(m)").node("y = Identity(m)").node("l = Sigmoid(z)").bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_do_not_panic(cut in 0usize..2000, changes in prop::collection::vec((0usize..2000, any::<u8>()), 0..8)) {
        for mut bytes in [mixed(), super::bytes::rounded().bytes()] {
            for (at, byte) in &changes {
                let length = bytes.len();
                bytes[at % length] = *byte;
            }
            // Damage of numbers alone leaves files that are read.
            let whole = import(bytes.clone(), &Options::default());
            if let Ok(Imported { graph, weights, quantization: Some(record), .. }) = whole {
                prop_assert_eq!(record.check(&graph, &weights), Ok(()));
            }
            bytes.truncate(bytes.len().max(1) - cut % bytes.len().max(1));
            let _ = import(bytes, &Options::default());
        }
    }
}

#[test]
fn the_mixed_file_is_read() {
    assert!(import(mixed(), &Options::default()).is_ok());
    assert!(crate::schema::ModelProto::decode(&mixed()[..]).is_ok());
}
