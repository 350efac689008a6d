//! What stands below the options in the help of each command. Paragraphs are one line each, which is wrapped where it is
//! shown; lines of examples and tables keep to 80 columns.

pub(super) const CYGNET: &str = "\
Environment:
  CYGNET_CACHE    folder of fetched weights (else cygnet in the user's cache)
  CYGNET_MIRROR   folders or URLs with weights by file name, tried first;
                  separated by ;
  CYGNET_OFFLINE  1, true or yes: never use the network; 0, false, no or
                  nothing: where it is needed
  CYGNET_ISA      best instruction set to use, of those that --version lists;
                  bench has --isa for the same names
  HTTPS_PROXY     proxy for downloads
  PIP_INDEX_URL   index of Python packages, which some weights come from
  NO_COLOR        no colours; CLICOLOR_FORCE=1: colours in pipes too

Results go to standard output, everything else to standard error. On a terminal tables fit its width; in pipes \
and files nothing is cut.

Exit codes:
  0    all went well
  1    something failed, or some of many things: standard error says which;
       also a name of something that there is not: a file, network, tag,
       family, recipe, setting or instruction set of CYGNET_ISA
  2    wrong usage, whatever there is on this machine: an option or command
       that there is not, a value out of range, options or endings of files
       that do not go together or do not apply
  130  training was interrupted; its state is saved";

pub(super) const CLASSIFY: &str = "\
Examples:
  cygnet classify photo.jpg
  cygnet classify -m ghostnet_100 -k 3 photos/ 'more/*.png'
  cygnet classify --json - < photo.jpg
  cygnet classify --csv photos/ > guesses.csv
  cygnet classify https://example.org/photo.jpg

A photo or folder that cannot be read does not end the rest: with --json its line is {\"path\": …, \"error\": …}, with \
--csv its line has an error, and the exit code is 1. In CSV what would steer a terminal is replaced; JSON has names as they \
are.";

pub(super) const LIST: &str = "\
Examples:
  cygnet list --family mobilenetv3
  cygnet list --family 'mobile*'
  cygnet list --weights
  cygnet list --json | jq -r 'select(.macs < 1e8) | .id'";

pub(super) const SHOW: &str = "\
A gene, gene:IMAGE-STEM-STAGE-...-HEAD, describes a network of one's own and stands wherever an ID does. Its blocks are m \
(inverted residual), f (fused), r (two convolutions and a shortcut), s (ShuffleNetV2's unit), g (ghost) and n (sandglass), each \
with the side of its kernel and settings: e4 widens four times inside, q has squeeze-and-excitation, h is hard-swish, s2 after a \
stage's channels halves the map. docs/genes.md has all of them.

Examples:
  cygnet show mobilenet_v2
  cygnet show gene:32-16s1-24_m3e4-40s2_2m5e6-256
  cygnet show mobilenet_v2_0.6 --image 160 --layers
  cygnet show shufflenet_v2_x1_0 --plan
  cygnet show model.safetensors --json
  cygnet show mobilenet_v2 --csv > layers.csv";

pub(super) const PULL: &str = "\
Examples:
  cygnet pull mobilenet_v2
  cygnet pull timm/mobilenetv2_100.ra_in1k";

#[cfg(feature = "train")]
pub(super) const SEARCH: &str = "\
Networks of a space are tried: each is trained from random weights for a few epochs, a sixth of them for twice and half of \
those for four times as long, and the best is trained as `cygnet train --from scratch` does. Validation photos are split from \
DATA; those for a test are not looked at. It takes thousands of photos to tell networks apart.

Beside the model: NAME.search/log.jsonl (all that was tried), and what `cygnet train` writes. A search that was stopped, \
however that was, goes on with --resume and ends in the same model. The number of threads changes no result.

--method random draws networks instead of evolving them: what a method is worth is what it finds beyond that.

Examples:
  cygnet search photos/ --macs 5M
  cygnet search cifar10.tar.xz --macs 4M --space mobilenet_v3 --work 96
  cygnet search photos/ --params 200k --method random -o random.safetensors
  cygnet search photos/ --macs 5M --resume";

#[cfg(feature = "train")]
pub(super) const TRAIN: &str = "\
DATA is a folder with one folder of photos a class, or with such folders in train/ and val/ or test/ (also \
training_set/, val2017/, eval/, seg_test/ and the like); a .zip of such folders, or a .tar, plain or compressed (.gz, \
.xz, .bz2, .zst); a .csv or .tsv of paths and labels, with headings (path, label, perhaps split) or without; or IDX \
files (MNIST). Without pictures for validation a share of each class is set aside.

Recipes: finetune, head, int8, scratch, scratch-small, and published ones for reference: mobilenet_v2, mobilenet_v3, \
shufflenet, squeezenet, mnasnet, ghostnet. Without --recipe the one that fits is taken.

GoogLeNet and Inception v3 learn with their auxiliary heads, which the model then lacks, where these start from \
random weights or from the same checkpoint; --set auxiliary=0 leaves them out.

--quantize int8 goes on from a trained model of the same classes with the rounding of whole numbers, where `cygnet \
quantize` loses too much, and ends in an int8 model; its recipe is int8, unless --recipe names one.

Beside the model: NAME.last.safetensors (the last model), NAME.state.safetensors (for --resume), NAME.log.jsonl \
(metrics), NAME.html (report). Ctrl-C, SIGTERM and SIGHUP finish the step, save, and end with exit code 130; --resume \
goes on, also with more --time or --epochs than before: the learning rate then follows the curve over the new length. \
With --time the curve is over the time where that does not suffice for all epochs.

Examples:
  cygnet train photos/
  cygnet train photos/ --train head -o birds.safetensors
  cygnet train photos/ --network ghostnet_100 --time 30m
  cygnet train cifar10.tar.xz --network shufflenet_v2 --from scratch
  cygnet train photos/ --recipe finetune --set mix.mixup=0.2
  cygnet train photos/ --from mine.safetensors --quantize int8 --epochs 3
  cygnet train photos/ --resume --epochs 40
  cygnet train --recipe finetune --print-recipe > mine.toml
  cygnet train --print-recipe model.safetensors";

#[cfg(feature = "train")]
pub(super) const EVAL: &str = "\
DATA is a folder with one folder of photos a class, or anything else that `cygnet train` reads, of which the test \
pictures are taken, or else those for validation, or else all. Classes are named by label, WordNet id (n02099601) \
or, unless labels are numbers, index.

Top-1 is the share of photos whose likeliest class is right, top-5 that of photos with the right one among the first five. \
The calibration error tells how far probabilities can be believed: of guesses of like probability the share that is right, \
and how far that is from the probability, on the average.

Examples:
  cygnet eval -m mobilenet_v2 imagenet/val
  cygnet eval -m mine.safetensors test/ --json
  cygnet eval -m mine.safetensors photos.zip";

#[cfg(feature = "train")]
pub(super) const QUANTIZE: &str = "\
PHOTOS is anything that `cygnet train` reads, or a folder of pictures, which then have no labels. A handful will do, a hundred \
are better; without --data ranges are found from generated images, which is for timing only. Nothing is trained: batch norms are \
folded, ranges are found, weights rounded and biases corrected, and the most sensitive layers stay in floating point if more is \
lost than --drop: in int8 they alone compute so; in bf16 their weights stay f32, and then all layers compute in f32.

The loss is judged on these photos, and counts only beyond what so many leave to chance, two standard errors: with \
100 photos that are some points, with 10000 a few tenths. What is lost on other photos at most, 95 times of 100, stands behind \
the loss.

The new model is held against the old one on the same photos: agreement is the share with the same first guess, and KL how far \
the probabilities are from those before, in nats. classify, eval and train take the file like any other.

Examples:
  cygnet quantize mobilenet_v2 --data photos/
  cygnet quantize mine.safetensors --data val.zip --drop 0.3 -o small.safetensors
  cygnet quantize mine.safetensors --data photos/ --precision bf16 --json";

#[cfg(feature = "train")]
pub(super) const COMPRESS: &str = "\
DATA is anything that `cygnet train` reads, of the model's own classes; train the model on them first. Channels that the network \
would miss least for what they cost on this machine are cut, through residuals, concatenations, shuffles, gates and ghosts, and \
what is left learns on, also from the answers of the whole network. With int8 it is quantised at the end.

What comes out is measured beside what went in, in turns, and never slower, unless --size is asked for. With --latency, \
--size or --macs the file is written if it keeps to them, and to --drop; else the best is kept in NAME.best.safetensors and \
the exit code is 1. With --drop alone several sizes are tried; if none pays, no file is written and the exit code is 0. \
Accuracy is that on the test photos, or where there are none on those for validation.

Ctrl-C ends after the step, and --resume goes on, also after a crash. classify, eval, train, quantize and convert take the file like \
any other.

Examples:
  cygnet compress mine.safetensors --data photos/ --drop 1
  cygnet compress mine.safetensors --data photos/ --latency 3ms --epochs 4 -o fast.safetensors
  cygnet compress mine.safetensors --data photos/ --size 500kB --with prune,int8 --time 30m --json";

pub(super) const CONVERT: &str = "\
Examples:
  cygnet convert mobilenet_v2-b0353104.pth mobilenet_v2.safetensors
  cygnet convert mine.pth mine.safetensors -n shufflenet_v2_x1_0
  cygnet convert mobilenet_v2-b0353104.pth start.safetensors --classes 10
  cygnet convert last.ckpt mine.safetensors --weights-key model_ema --labels classes.txt
  cygnet convert mine.pth mine.safetensors --ignore loss. --ignore temperature
  cygnet convert theirs.onnx mine.safetensors --network mobilenet_v2
  cygnet convert theirs.onnx mine.safetensors --resize shorter=256 --mean 0.5 --std 0.5
  cygnet convert mine.safetensors mine.onnx --preprocess --softmax";

pub(super) const BENCH: &str = "\
Examples:
  cygnet bench mobilenet_v2 ghostnet_100
  cygnet bench mobilenet_v3_small --image 160 --isa scalar --json
  cygnet bench mobilenet_v2 -j 2 --batch 8
  cygnet bench mobilenet_v2 --layers
  cygnet bench mobilenet_v2 --precision int8
  cygnet bench mobilenet_v2 --train --image 64 --batch 32
  cygnet bench model.safetensors --cold";

pub(super) const LATENCY: &str = "\
Examples:
  cygnet latency build --image 224
  cygnet latency predict mobilenet_v2 --image 224
  cygnet latency check --networks 50 --json
  cygnet latency show board.jsonl
  cygnet latency predict mobilenet_v2 --table board.jsonl --json";

pub(super) const LATENCY_BUILD: &str = "\
Networks of the space are run in turns, and what each of their steps takes within them goes into the table, network by \
network: about three minutes, and at most five. Ctrl-C keeps what is measured, and the same command goes on with it. Nothing \
else should run meanwhile. A table of another size of image is added to the same file.

Without --out the table is in the cache folder, where `predict`, `bench` and `show` find it.";

pub(super) const LATENCY_PREDICT: &str = "\
Nothing is run and no weights are needed. Steps that are not in the table are estimated by steps of their kind and counted as \
missing keys: where they are many, build a table of a space with such networks, or for images of that size.

The table is that of this device in the cache folder, for so many threads. With --table it may be of any device: the \
network is then planned as it would be there.";

pub(super) const KERNELS: &str = "\
Examples:
  cygnet kernels --json
  cygnet kernels --csv > kernels.csv
  CYGNET_ISA=scalar cygnet kernels";

pub(super) const VERIFY: &str = "\
Examples:
  cygnet verify goldens/inference/*.json
  CYGNET_ISA=scalar cygnet verify --fast goldens/inference/*.json
  cygnet verify pets.safetensors --against pets.onnx --data pets/";

pub(super) const COMPLETIONS: &str = "\
Examples:
  cygnet completions bash > ~/.local/share/bash-completion/completions/cygnet
  cygnet completions zsh > ~/.zfunc/_cygnet
  cygnet completions fish > ~/.config/fish/completions/cygnet.fish";

pub(super) const MAN: &str = "\
Examples:
  cygnet man | man -l -
  cygnet man classify | man -l -
  cygnet man --out ~/.local/share/man/man1";
