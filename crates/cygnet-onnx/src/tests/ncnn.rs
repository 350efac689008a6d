//! ncnn's texts, made here: what becomes of them, and of damaged ones.

use half::f16;
use proptest::prelude::*;

use crate::{ImportError, Imported, Options, import_ncnn, is_ncnn};

/// Layers of a kind that pnnx writes, with their numbers.
const TEXT: &str = "\
7767517
14 16
Input                    in0       0 1 in0
Convolution              convrelu  1 1 in0 1 0=8 1=3 11=3 12=1 13=2 14=1 2=1 3=2 4=1 5=1 6=216 9=1
Pooling                  pool      1 1 1 2 0=0 1=3 11=3 12=2 13=1 2=2 3=1 5=1
Split                    split     1 2 2 3 4
ConvolutionDepthWise     convdw    1 1 4 5 0=8 1=3 11=3 12=1 13=1 14=1 2=1 3=1 4=1 5=0 6=72 7=8
Concat                   cat       2 1 3 5 6 0=0
ShuffleChannel           shuffle   1 1 6 7 0=2 1=0
Slice                    parts     1 2 7 8 9 -23300=2,6,-233 1=0
Pooling                  gap       1 1 9 9p 0=1 4=1
InnerProduct             fc1       1 1 9p 10 0=6 1=1 2=60
HardSigmoid              gate      1 1 10 11 0=0.166666672 1=0.5
BinaryOp                 mul       2 1 11 8 12 0=2
Reduction                mean      1 1 12 13 0=3 1=0 -23303=2,1,2 4=0 5=1
InnerProduct             fc2       1 1 13 out0 0=3 1=1 2=18 9=6 -23310=2,0.166666672,0.5
";

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn raw(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The numbers of the layers: those of the depthwise one in halves, those of the first linear one by a table.
fn stream() -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend([raw(&numbers(216, 1)), raw(&numbers(8, 2))].concat());
    bytes.extend(0x0130_6B47u32.to_le_bytes());
    bytes.extend(numbers(72, 3).iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(raw(&numbers(256, 4)));
    bytes.extend(0..60u8);
    bytes.extend(raw(&numbers(6, 5)));
    bytes.extend([0; 4]);
    bytes.extend([raw(&numbers(18, 6)), raw(&numbers(3, 7))].concat());
    bytes
}

fn read(text: &str, numbers: &[u8]) -> Result<Imported, ImportError> {
    let options = Options { image: Some([16, 16]), ..Options::default() };
    import_ncnn(text.as_bytes(), numbers, &options)
}

#[test]
fn layers_become_operators_with_their_numbers() {
    assert!(is_ncnn(TEXT.as_bytes()) && !is_ncnn(b"77675170\n"));
    let imported = read(TEXT, &stream()).unwrap();
    let told = imported.graph.to_string();
    assert_eq!(
        told,
        "\
ncnn 3x16x16
%1 = conv 8 3x3 /2 pad 1 bias %0 -> 8x8x8  convrelu
%2 = relu %1 -> 8x8x8
%3 = max_pool 3x3 /2 pad 1 %2 -> 8x4x4
%4 = conv 8 3x3 pad 1 groups 8 %3 -> 8x4x4  convdw
%5 = concat %3 %4 -> 16x4x4
%6 = channel_shuffle groups 2 %5 -> 16x4x4
%7 = slice 6..16 %6 -> 10x4x4
%8 = global_avg_pool %7 -> 10x1x1
%9 = linear 6 bias %8 -> 6  fc1
%10 = hard_sigmoid %9 -> 6
%11 = slice 0..6 %6 -> 6x4x4
%12 = mul %10 %11 -> 6x4x4
%13 = global_avg_pool %12 -> 6x1x1
%14 = linear 3 bias %13 -> 3  fc2
%15 = hard_swish %14 -> 3
output %15 out0
"
    );
    assert_eq!((imported.graph.input_shape(), imported.graph.classes()), ([3, 16, 16], 3));
    let weight = |name: &str| imported.weights.get(name).unwrap().to_f32().into_owned();
    assert_eq!((weight("convrelu.weight"), weight("convrelu.bias")), (numbers(216, 1), numbers(8, 2)));
    assert_eq!(
        weight("convdw.weight"),
        numbers(72, 3).iter().map(|&x| f16::from_f32(x).to_f32()).collect::<Vec<_>>()
    );
    assert_eq!(weight("fc1.weight"), numbers(256, 4)[..60]);
    assert_eq!((weight("fc2.weight"), weight("fc2.bias")), (numbers(18, 6), numbers(3, 7)));
    assert_eq!(imported.producer, crate::NCNN);
}

#[test]
fn what_is_wrong_is_told() {
    let told = |text: &str, numbers: &[u8]| read(text, numbers).unwrap_err().to_string();
    let text = TEXT;
    assert!(
        told(text, &stream()[..500]).contains("convdw")
            || told(text, &stream()[..500]).contains("ends before")
    );
    assert!(told(&text.replace("HardSigmoid", "GroupNorm"), &stream()).contains("gate (GroupNorm): no rule"));
    assert!(told(&text.replace("12 0=2", "12 0=77"), &stream()).contains("its operation is 77"));
    assert!(told(&text.replace("9=6", "9=5"), &stream()).contains("the activation 5"));
    assert!(told(&text.replace("-23303=2,1,2", "-23303=3,1,2"), &stream()).contains("line 15: a list"));
    assert!(told("7767517\n", &[]).contains("line 2"));
    assert!(told("7767517\n1 1\nInput in0 0 99999999999\n", &[]).contains("line 3: the line is cut"));
    let second = text.replace("Convolution              convrelu", "Input in1 0 1 in1\nConvolution convrelu");
    let second = second.replace("14 16", "15 17");
    assert!(told(&second, &stream()).contains("several inputs"));
    let bytes = [&0x000D_4B38u32.to_le_bytes()[..], &[0; 300]].concat();
    assert!(told(text, &bytes).contains("whole numbers of ncnn"));
}

#[test]
fn settings_are_of_their_kind() {
    for (given, wrong, why) in [
        ("0=8 1=3", "0=8.5 1=3", "convrelu (Convolution): its setting 0 is 8.5, which is no whole number"),
        ("3=2 4=1 5=1 6=216", "3=2.25 4=1 5=1 6=216", "convrelu (Convolution): its setting 3 is 2.25"),
        ("0=2 1=0", "0=nan 1=0", "shuffle (ShuffleChannel): its setting 0 is NaN"),
        ("6=72 7=8", "6=72 7=1e12", "convdw (ConvolutionDepthWise): its setting 7 is 1000000000000"),
        ("6=72 7=8", "6=72 7=-8", "convdw (ConvolutionDepthWise): its setting 7 is -8"),
        ("0=0 1=3 11=3", "-23300=1,0 1=3 11=3", "pool (Pooling): its setting 0 is a list of 1, not a number"),
        ("-23300=2,6,-233", "0=6", "parts (Slice): its setting 0 is 6, not a list"),
        ("-23300=2,6,-233", "-23300=2,6.5,-233", "parts (Slice): its setting 0 is 6.5"),
        ("-23303=2,1,2", "-23303=2,1,2.5", "mean (Reduction): its setting 3 is 2.5"),
    ] {
        assert!(TEXT.contains(given), "{given}");
        let told = read(&TEXT.replacen(given, wrong, 1), &stream()).unwrap_err().to_string();
        assert!(told.contains(why), "{wrong}: {told}");
    }
}

#[test]
fn counts_and_numbers_are_those_of_the_layers() {
    let told = |text: &str, numbers: &[u8]| read(text, numbers).unwrap_err().to_string();
    let more = [stream(), vec![0; 8]].concat();
    assert!(told(TEXT, &more).contains("8 bytes more than the numbers of its layers, and fc2 is the last"));
    for (counts, why) in [
        ("15 16", "tells of 15 layers, up to the layer fc2 there are 14"),
        ("13 16", "tells of 13 layers"),
        ("14 15", "tells of 15 blobs, up to the layer fc2 there are 16"),
        ("14 17", "tells of 17 blobs"),
        ("14", "are missing"),
        ("14 16 3", "are missing"),
        ("-1 16", "are missing"),
    ] {
        let told = told(&TEXT.replacen("14 16", counts, 1), &stream());
        assert!(told.contains(why), "{counts}: {told}");
    }
    let cut = TEXT.rsplit_once("InnerProduct").unwrap().0;
    assert!(told(cut, &stream()).contains("tells of 14 layers, up to the layer mean there are 13"));
    let twice = TEXT.replace("1 1 12 13 ", "1 1 12 11 ");
    assert!(told(&twice, &stream()).contains("the layer mean makes 11, which another made"));
}

#[test]
fn a_network_is_called_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (text, numbers) = (folder.path().join("squeeze.ncnn.param"), folder.path().join("squeeze.ncnn.bin"));
    std::fs::write(&text, TEXT).unwrap();
    let open = || crate::open(&text, &Options { image: Some([16, 16]), ..Options::default() });
    let told = || open().unwrap_err().to_string();
    assert!(told().contains("in squeeze.ncnn.bin, which is not beside it"), "{}", told());
    std::fs::create_dir(&numbers).unwrap();
    assert!(told().contains("in squeeze.ncnn.bin, which cannot be read: is a folder"), "{}", told());
    std::fs::remove_dir(&numbers).unwrap();
    std::fs::write(&numbers, stream()).unwrap();
    assert_eq!(open().unwrap().graph.name(), "squeeze.ncnn");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_are_refused_or_still_networks(at in 0usize..2000, byte in 32u8..127, cut in 0usize..4000) {
        let mut text = TEXT.as_bytes().to_vec();
        let place = at % text.len();
        text[place] = byte;
        let numbers = stream();
        if let Ok(imported) = read(&String::from_utf8(text).unwrap(), &numbers[..cut.min(numbers.len())]) {
            imported.weights.select(&imported.graph).unwrap();
        }
    }
}
