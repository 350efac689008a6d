//! TFLite files made here: what becomes of them, and of damaged ones.

use cygnet_runtime::{QuantizedReference, Reference};
use cygnet_weights::{Dtype, Grid};
use proptest::prelude::*;

use crate::{Imported, Options, import, is_tflite};

/// What a field of a table is.
#[derive(Clone)]
enum Field {
    Byte(i8),
    Int(i32),
    Float(f32),
    Text(&'static str),
    Bytes(Vec<u8>),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
    Longs(Vec<i64>),
    Table(Vec<(usize, Field)>),
    Tables(Vec<Vec<(usize, Field)>>),
}

use Field::{Byte, Bytes, Float, Floats, Int, Ints, Longs, Table, Tables, Text};

type Fields = Vec<(usize, Field)>;

/// Writes tables, each before what it points to.
#[derive(Default)]
struct File(Vec<u8>);

impl File {
    fn of(model: Fields) -> Vec<u8> {
        let mut file = File(vec![0; 8]);
        file.0[4..].copy_from_slice(b"TFL3");
        let root = file.table(&model);
        file.0[..4].copy_from_slice(&(root as u32).to_le_bytes());
        file.0
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }

    fn table(&mut self, fields: &Fields) -> usize {
        self.align();
        let slots = fields.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        let vtable = self.0.len();
        let mut offsets = vec![0u16; slots];
        fields.iter().enumerate().for_each(|(place, (number, _))| offsets[*number] = 4 + 4 * place as u16);
        let sizes = [4 + 2 * slots as u16, 4 + 4 * fields.len() as u16];
        self.0.extend(sizes.into_iter().chain(offsets).flat_map(u16::to_le_bytes));
        self.align();
        let table = self.0.len();
        self.0.extend(((table - vtable) as i32).to_le_bytes());
        self.0.resize(table + 4 + 4 * fields.len(), 0);
        for (place, (_, field)) in fields.iter().enumerate() {
            let at = table + 4 + 4 * place;
            let inline = match field {
                Byte(byte) => i32::from(*byte).to_le_bytes(),
                Int(int) => int.to_le_bytes(),
                Float(float) => float.to_le_bytes(),
                other => ((self.child(other) - at) as u32).to_le_bytes(),
            };
            self.0[at..at + 4].copy_from_slice(&inline);
        }
        table
    }

    fn child(&mut self, field: &Field) -> usize {
        let list = |file: &mut File, len: usize, bytes: Vec<u8>| {
            file.align();
            // Lists of long numbers begin where these may lie.
            file.0.extend([0; 4]);
            let at = file.0.len();
            file.0.extend((len as u32).to_le_bytes());
            file.0.extend(bytes);
            file.0.push(0);
            at
        };
        match field {
            Text(text) => list(self, text.len(), text.as_bytes().to_vec()),
            Bytes(bytes) => list(self, bytes.len(), bytes.clone()),
            Ints(ints) => list(self, ints.len(), ints.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Floats(floats) => list(self, floats.len(), floats.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Longs(longs) => list(self, longs.len(), longs.iter().flat_map(|n| n.to_le_bytes()).collect()),
            Table(fields) => self.table(fields),
            Tables(tables) => {
                let at = list(self, tables.len(), vec![0; 4 * tables.len()]);
                for (i, fields) in tables.iter().enumerate() {
                    let from = at + 4 + 4 * i;
                    let offset = (self.table(fields) - from) as u32;
                    self.0[from..from + 4].copy_from_slice(&offset.to_le_bytes());
                }
                at
            }
            Byte(_) | Int(_) | Float(_) => unreachable!("these are inline"),
        }
    }
}

/// A network as it is put together.
#[derive(Default)]
struct Network {
    tensors: Vec<Fields>,
    buffers: Vec<Fields>,
    operators: Vec<Fields>,
    codes: Vec<i32>,
}

/// Bytes per scale and zero.
type Scale = Option<(f32, i64)>;

impl Network {
    fn tensor(
        &mut self,
        name: &'static str,
        shape: &[i32],
        kind: i8,
        scale: Scale,
        data: Option<Vec<u8>>,
    ) -> i32 {
        if self.buffers.is_empty() {
            self.buffers.push(vec![]);
        }
        let mut fields = vec![(0, Ints(shape.to_vec())), (1, Byte(kind)), (3, Text(name))];
        if let Some(data) = data {
            fields.push((2, Int(self.buffers.len() as i32)));
            self.buffers.push(vec![(0, Bytes(data))]);
        }
        if let Some((scale, zero)) = scale {
            fields.push((4, Table(vec![(2, Floats(vec![scale])), (3, Longs(vec![zero]))])));
        }
        self.tensors.push(fields);
        self.tensors.len() as i32 - 1
    }

    fn value(&mut self, name: &'static str, shape: &[i32]) -> i32 {
        self.tensor(name, shape, 0, None, None)
    }

    fn floats(&mut self, name: &'static str, shape: &[i32], numbers: &[f32]) -> i32 {
        let data = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, shape, 0, None, Some(data))
    }

    fn operator(&mut self, code: i32, inputs: &[i32], output: i32, options: Fields) {
        let place = self.codes.iter().position(|&known| known == code).unwrap_or_else(|| {
            self.codes.push(code);
            self.codes.len() - 1
        });
        self.operators.push(vec![
            (0, Int(place as i32)),
            (1, Ints(inputs.to_vec())),
            (2, Ints(vec![output])),
            (4, Table(options)),
        ]);
    }

    fn file(self, inputs: &[i32], outputs: &[i32]) -> Vec<u8> {
        let codes =
            self.codes.iter().map(|&code| vec![(0, Byte(code.min(127) as i8)), (3, Int(code))]).collect();
        let graph = vec![
            (0, Tables(self.tensors)),
            (1, Ints(inputs.to_vec())),
            (2, Ints(outputs.to_vec())),
            (3, Tables(self.operators)),
            (4, Text("net")),
        ];
        File::of(vec![(0, Int(3)), (1, Tables(codes)), (2, Tables(vec![graph])), (4, Tables(self.buffers))])
    }
}

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Padding SAME, strides of 2, an activation; a depthwise layer; a sum; a pool, a linear layer and a softmax.
fn network() -> Vec<u8> {
    let mut net = Network::default();
    let image = net.value("image", &[1, 5, 6, 2]);
    let weight = net.floats("net/conv/weights", &[4, 3, 3, 2], &numbers(72, 1));
    let bias = net.floats("net/conv/bias", &[4], &numbers(4, 2));
    let conv = net.value("conv", &[1, 3, 3, 4]);
    net.operator(3, &[image, weight, bias], conv, vec![(0, Byte(0)), (1, Int(2)), (2, Int(2)), (3, Byte(3))]);
    let weight = net.floats("net/dw/depthwise_weights", &[1, 3, 3, 4], &numbers(36, 3));
    let depthwise = net.value("depthwise", &[1, 3, 3, 4]);
    net.operator(
        4,
        &[conv, weight, -1],
        depthwise,
        vec![(0, Byte(0)), (1, Int(1)), (2, Int(1)), (3, Int(1))],
    );
    let sum = net.value("sum", &[1, 3, 3, 4]);
    net.operator(0, &[conv, depthwise], sum, vec![(0, Byte(1))]);
    let pooled = net.value("pooled", &[1, 1, 1, 4]);
    let window = vec![(0, Byte(1)), (1, Int(1)), (2, Int(1)), (3, Int(3)), (4, Int(3))];
    net.operator(1, &[sum], pooled, window);
    let weight = net.floats("net/fc/MatMul", &[3, 4], &numbers(12, 4));
    let logits = net.value("logits", &[1, 3]);
    net.operator(9, &[pooled, weight, -1], logits, vec![]);
    let output = net.value("output", &[1, 3]);
    net.operator(25, &[logits], output, vec![(0, Float(1.0))]);
    net.file(&[image], &[output])
}

/// What that network computes, channels last, as TensorFlow defines it.
fn computed(image: &[f32]) -> Vec<f32> {
    // Of 5 rows and 6 columns with windows of 3 and steps of 2: a row and no column above and to the left, and one more each.
    let at = |y: isize, x: isize, c: usize| match (0..5).contains(&y) && (0..6).contains(&x) {
        true => image[((y * 6 + x) * 2) as usize + c],
        false => 0.0,
    };
    let (weight, bias) = (numbers(72, 1), numbers(4, 2));
    let mut conv = [0.0f32; 36];
    for (i, out) in conv.iter_mut().enumerate() {
        let (y, x, o) = ((i / 12) as isize, (i / 4 % 3) as isize, i % 4);
        *out = bias[o];
        for (k, w) in weight[o * 18..][..18].iter().enumerate() {
            *out += w * at(2 * y + (k / 6) as isize - 1, 2 * x + (k / 2 % 3) as isize, k % 2);
        }
        *out = out.clamp(0.0, 6.0);
    }
    let weight = numbers(36, 3);
    let mut mean = [0.0f32; 4];
    for (i, x) in conv.iter().enumerate() {
        let (y, column, c) = ((i / 12) as isize, (i / 4 % 3) as isize, i % 4);
        let mut out = 0.0;
        for k in 0..9 {
            let (row, col) = (y + k / 3 - 1, column + k % 3 - 1);
            if (0..3).contains(&row) && (0..3).contains(&col) {
                out += weight[k as usize * 4 + c] * conv[(row * 3 + col) as usize * 4 + c];
            }
        }
        mean[c] += (out + x).max(0.0) / 9.0;
    }
    let fc = numbers(12, 4);
    let logits = fc.chunks(4).map(|row| row.iter().zip(&mean).map(|(w, x)| w * x).sum::<f32>().exp());
    let logits: Vec<f32> = logits.collect();
    let sum: f32 = logits.iter().sum();
    logits.into_iter().map(|x| x / sum).collect()
}

fn read(bytes: Vec<u8>) -> Imported {
    assert!(is_tflite(&bytes));
    import(bytes, &Options::default()).unwrap()
}

fn refusal(bytes: Vec<u8>) -> String {
    import(bytes, &Options::default()).unwrap_err().to_string()
}

/// Channels first.
fn planes(image: &[f32], channels: usize) -> Vec<f32> {
    let pixels = image.len() / channels;
    (0..image.len()).map(|i| image[i % pixels * channels + i / pixels]).collect()
}

#[test]
fn a_network_computes_what_its_file_defines() {
    let imported = read(network());
    assert_eq!(imported.graph.input_shape(), [2, 5, 6]);
    let image = numbers(60, 9);
    let weights = imported.weights.select(&imported.graph).unwrap();
    let reference = Reference::<f32>::new(imported.graph.clone(), &weights).unwrap();
    let given = reference.run(&planes(&image, 2)).unwrap();
    for (given, wanted) in given.iter().zip(computed(&image)) {
        assert!((given - wanted).abs() < 1e-5, "{given} is not {wanted}");
    }
    let paths: Vec<&str> =
        imported.graph.nodes().iter().map(|node| &*node.path).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths, ["net.conv", "net.dw", "net.fc"]);
    assert!(imported.quantization.is_none() && !imported.is_quantised);
    assert_eq!(imported.producer, crate::TFLITE);
}

/// A layer of bytes with a zero point of its weights, as the first quantised files have it.
fn quantised(zero: i64, bias_scale: f32) -> Vec<u8> {
    let mut net = Network::default();
    let image = net.tensor("image", &[1, 4, 4, 3], 3, Some((0.5, 128)), None);
    let weights = (0..6u8).map(|i| 40 * i).collect();
    let weight = net.tensor("conv/weights_quant", &[2, 1, 1, 3], 3, Some((0.25, zero)), Some(weights));
    let bias = [8i32, -8].iter().flat_map(|x| x.to_le_bytes()).collect();
    let bias = net.tensor("conv/bias", &[2], 2, Some((bias_scale, 0)), Some(bias));
    let out = net.tensor("out", &[1, 4, 4, 2], 3, Some((4.0, 10)), None);
    net.operator(3, &[image, weight, bias], out, vec![(0, Byte(1)), (1, Int(1)), (2, Int(1)), (3, Byte(1))]);
    net.file(&[image], &[out])
}

#[test]
fn bytes_become_a_record_of_quantisation() {
    let imported = read(quantised(100, 0.125));
    let record = imported.quantization.clone().unwrap();
    assert_eq!(record.values.values().next(), Some(&Grid::of_one(128, 0.5)));
    let weight = imported.weights.get("conv.weight").unwrap();
    let grid = &record.weights["conv.weight"];
    assert_eq!((weight.dtype(), &grid.scales), (Dtype::I8, &vec![0.125; 2]));
    assert_eq!(
        weight.bytes().iter().map(|b| b.cast_signed()).collect::<Vec<_>>(),
        [-100, -60, -20, 20, 60, 100]
    );
    let reference = QuantizedReference::new(imported.graph.clone(), &imported.weights, &record).unwrap();
    let image: Vec<f32> = (0..48).map(|i| (i % 7) as f32 / 2.0).collect();
    let given = reference.run(&image).unwrap();
    for (i, given) in given.iter().enumerate() {
        let (o, pixel) = (i / 16, i % 16);
        let sum: i32 = (0..3)
            .map(|c| (c as i32 * 40 + o as i32 * 120 - 100) * (image[c * 16 + pixel] * 2.0) as i32)
            .sum();
        let real = f64::from(sum + [8, -8][o]) * 0.125;
        let byte = ((real.max(0.0) / 4.0).round_ties_even() + 10.0).clamp(10.0, 255.0);
        assert_eq!(f64::from(*given), (byte - 10.0) * 4.0, "output {o} of pixel {pixel}");
    }
    // Weights that no signed byte holds keep their zero point.
    let wide = read(quantised(10, 0.125));
    let note =
        "between which the network computes in floating point: the weights of its layers are no signed";
    assert!(wide.notes.iter().any(|told| told.contains(note)), "{:?}", wide.notes);
    assert!(!imported.notes.iter().any(|told| told.contains("floating point")), "{:?}", imported.notes);
    let record = wide.quantization.unwrap();
    assert_eq!(wide.weights.get("conv.weight").unwrap().dtype(), Dtype::U8);
    assert_eq!(record.weights["conv.weight"].zeros, [10, 0]);
}

#[test]
fn what_cannot_be_held_is_told_at_once() {
    let mut net = Network::default();
    let image = net.value("image", &[1, 4, 4, 3]);
    let [a, b] = [net.value("a", &[1, 4, 4, 3]), net.value("b", &[1, 4, 4, 3])];
    net.operator(16, &[image], a, vec![]);
    net.operator(47, &[image], b, vec![]);
    let told = refusal(net.file(&[image], &[b]));
    assert!(
        told.starts_with("2 operators") && told.contains("operator 16") && told.contains("operator 47"),
        "{told}"
    );

    let mut net = Network::default();
    let [image, other] = [net.value("image", &[1, 4, 4, 3]), net.value("other", &[1, 4, 4, 3])];
    net.operator(0, &[image, other], other, vec![]);
    assert!(refusal(net.file(&[image, other], &[other])).contains("2 inputs"));

    let mut net = Network::default();
    let image = net.value("image", &[1, 4, 4, 3]);
    let long = net.tensor("long", &[3, 3], 0, None, Some(vec![0; 8]));
    net.operator(0, &[image, long], image, vec![]);
    assert!(refusal(net.file(&[image], &[image])).contains("8 bytes for a shape of [3, 3]"));

    let mut net = Network::default();
    let image = net.value("image", &[1, 4, 4, 3]);
    net.operator(0, &[image, 7], image, vec![]);
    assert!(refusal(net.file(&[image], &[image])).contains("no tensor 7"));
}

#[test]
fn numbers_that_are_read_again_and_again_are_refused() {
    let mut net = Network::default();
    let image = net.value("image", &[1, 2, 2, 1]);
    let first = net.floats("c", &[1, 1, 1, 40_000], &vec![0.0; 40_000]);
    let mut last = image;
    for _ in 0..200 {
        // Each is a tensor of its own over the same numbers.
        let fields = net.tensors[first as usize].clone();
        net.tensors.push(fields);
        let constant = net.tensors.len() as i32 - 1;
        let next = net.value("v", &[1, 2, 2, 40_000]);
        net.operator(18, &[last, constant], next, vec![]);
        last = next;
    }
    assert!(refusal(net.file(&[image], &[last])).contains("more often than any network"));
}

/// A convolution of a value of floats, whose weight is a tensor of any type.
fn weighted(kind: i8, record: Option<Fields>, data: Vec<u8>) -> Vec<u8> {
    let mut net = Network::default();
    let image = net.value("image", &[1, 4, 4, 3]);
    let weight = net.tensor("conv/weights", &[2, 1, 1, 3], kind, None, Some(data));
    net.tensors[weight as usize].extend(record.map(|record| (4, Table(record))));
    let out = net.value("out", &[1, 4, 4, 2]);
    net.operator(3, &[image, weight, -1], out, vec![(0, Byte(1)), (1, Int(1)), (2, Int(1))]);
    net.file(&[image], &[out])
}

#[test]
fn integers_stand_for_numbers_by_scales_of_their_own_dimension() {
    let scales = |scales: &[f32], dimension: i32| {
        Some(vec![(2, Floats(scales.to_vec())), (3, Longs(vec![0; scales.len()])), (6, Int(dimension))])
    };
    let bytes = || (0..6u8).collect::<Vec<u8>>();
    read(weighted(9, scales(&[0.5], 0), bytes()));
    read(weighted(9, scales(&[0.5], 9), bytes()));
    read(weighted(9, scales(&[0.5, 0.25], 0), bytes()));
    for (dimension, count) in [(4, 2), (7, 2), (-1, 2), (3, 2), (0, 3), (1, 2)] {
        let told = refusal(weighted(9, scales(&vec![0.5; count], dimension), bytes()));
        assert!(told.contains("conv/weights") && told.contains("scales along dimension"), "{told}");
    }
    let ints = (0..6i32).flat_map(i32::to_le_bytes).collect::<Vec<u8>>();
    let longs = (0..6i64).flat_map(i64::to_le_bytes).collect::<Vec<u8>>();
    for (kind, data) in [(2, ints), (3, bytes()), (4, longs), (6, bytes()), (9, bytes())] {
        let told = refusal(weighted(kind, None, data));
        assert!(
            told.contains("conv/weights holds numbers of type") && told.contains("out (CONV_2D)"),
            "{told}"
        );
    }
    let mut net = Network::default();
    let image = net.value("image", &[1, 4, 4, 3]);
    let out = net.tensor("out", &[1, 4, 4, 3], 2, None, None);
    net.operator(19, &[image], out, vec![]);
    assert!(refusal(net.file(&[image], &[out])).contains("its output is of type I32"));
}

/// A classifier over features, as it is left when the body of a network is cut off.
#[test]
fn an_image_of_one_pixel_has_its_channels_last_too() {
    for shape in [&[1, 1, 1, 8][..], &[1, 8], &[1, 3, 1, 8], &[1, 1, 3, 8]] {
        let mut net = Network::default();
        let image = net.value("image", shape);
        let pixels: i32 = shape[1..].iter().product::<i32>() / 8;
        let maps = if shape.len() == 4 { image } else { net.value("maps", &[1, 1, 1, 8]) };
        if shape.len() == 2 {
            net.operator(22, &[image], maps, vec![]);
        }
        let weight = net.floats("head/weights", &[2, 1, 1, 8], &numbers(16, 1));
        let out_shape = if shape.len() == 4 { [1, shape[1], shape[2], 2] } else { [1, 1, 1, 2] };
        let out = net.value("out", &out_shape);
        net.operator(3, &[maps, weight, -1], out, vec![(0, Byte(1)), (1, Int(1)), (2, Int(1))]);
        let imported = read(net.file(&[image], &[out]));
        assert_eq!(imported.graph.input_shape()[0], 8, "{shape:?}");
        assert_eq!(imported.graph.input_shape().iter().product::<usize>(), 8 * pixels as usize);
    }
}

#[test]
fn a_network_is_called_as_its_file() {
    let named = Options { name: Some("flowers".into()), ..Options::default() };
    assert_eq!(import(network(), &named).unwrap().graph.name(), "flowers");
    assert_eq!(read(network()).graph.name(), "tflite");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("birds.V1.tflite");
    std::fs::write(&path, network()).unwrap();
    assert_eq!(crate::open(&path, &Options::default()).unwrap().graph.name(), "birds.V1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_are_refused_or_still_networks(at in 0usize..4000, byte: u8, cut in 0usize..8000, is_bytes: bool) {
        let mut file = if is_bytes { quantised(100, 0.125) } else { network() };
        let place = at % file.len();
        if place >= 8 {
            file[place] = byte;
        }
        file.truncate(if cut < 4000 { cut.max(8) } else { file.len() });
        if let Ok(imported) = import(file, &Options::default()) {
            imported.weights.select(&imported.graph).unwrap();
        }
    }
}
