//! Kernel calls in order, over one arena.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cygnet_cpu::{
    FAR, Level, Memory, Number, SCRATCH,
    pool::{Pool, share},
    product,
};

use crate::bf16::Bf16Linear;
use crate::conv::Conv;
use crate::depthwise::Depthwise;
use crate::int8::ByteCall;
use crate::map::{Element, Map};
use crate::pair::Pair;
use crate::plain::PlainCall;
use crate::winograd::Winograd;

/// One step of a [`Program`].
#[derive(Clone, Debug)]
pub enum Call {
    /// A dense convolution, a 1×1 convolution or a linear layer.
    Conv(Box<Conv>),
    /// A depthwise convolution.
    Depthwise(Box<Depthwise>),
    /// A dense convolution and the depthwise one that alone reads it.
    Pair(Box<Pair>),
    /// A dense 3×3 convolution with fewer products.
    Winograd(Box<Winograd>),
    /// A linear layer in bf16.
    Bf16Linear(Box<Bf16Linear>),
    /// Anything else over f32s.
    Plain(Box<PlainCall>),
    /// Over bytes.
    Bytes(Box<ByteCall>),
}

impl Call {
    /// The maps it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Map> {
        match self {
            Call::Conv(call) => call.reads().collect(),
            Call::Depthwise(call) => vec![call.reads()],
            Call::Pair(call) => call.reads().collect(),
            Call::Winograd(call) => call.reads().collect(),
            Call::Bf16Linear(call) => call.reads().collect(),
            Call::Plain(call) => call.reads().to_vec(),
            Call::Bytes(call) => call.work().reads(),
        }
    }

    /// The map it writes.
    #[must_use]
    pub fn writes(&self) -> Map {
        match self {
            Call::Conv(call) => call.writes(),
            Call::Depthwise(call) => call.writes(),
            Call::Pair(call) => call.writes(),
            Call::Winograd(call) => call.writes(),
            Call::Bf16Linear(call) => call.writes(),
            Call::Plain(call) => call.writes(),
            Call::Bytes(call) => call.work().writes(),
        }
    }

    /// Bytes of packed weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match self {
            Call::Conv(call) => call.weight_bytes(),
            Call::Depthwise(call) => call.weight_bytes(),
            Call::Pair(call) => call.weight_bytes(),
            Call::Winograd(call) => call.weight_bytes(),
            Call::Bf16Linear(call) => call.weight_bytes(),
            Call::Bytes(call) => call.work().weight_bytes(),
            Call::Plain(_) => 0,
        }
    }

    /// The instruction set it is made for, if this CPU lacks it.
    fn lacks(&self) -> Option<&'static str> {
        let level = match self {
            Call::Conv(call) => call.level(),
            Call::Depthwise(call) => call.level(),
            Call::Pair(call) => call.level(),
            Call::Winograd(call) => call.level(),
            Call::Bf16Linear(call) => call.level(),
            Call::Plain(call) => call.level(),
            Call::Bytes(call) => {
                let level = call.work().level();
                return (!level.is_supported()).then(|| level.name());
            }
        };
        (!level.is_supported()).then(|| level.name())
    }

    /// Multiply-accumulates, those with padding too.
    #[must_use]
    pub fn macs(&self) -> u64 {
        match self {
            Call::Conv(call) => call.macs(),
            Call::Depthwise(call) => call.macs(),
            Call::Pair(call) => call.macs(),
            Call::Winograd(call) => call.macs(),
            Call::Bf16Linear(call) => call.macs(),
            Call::Bytes(call) => call.work().macs(),
            Call::Plain(_) => 0,
        }
    }

    /// Parts that can be computed independently.
    #[must_use]
    pub fn units(&self) -> usize {
        match self {
            Call::Conv(call) => call.units(),
            Call::Depthwise(call) => call.units(),
            Call::Pair(call) => call.units(),
            Call::Winograd(call) => call.units(),
            Call::Bf16Linear(call) => call.units(),
            Call::Plain(call) => call.units(),
            Call::Bytes(call) => call.work().units(),
        }
    }

    /// Bytes of a thread's own memory that it works in.
    fn scratch(&self) -> usize {
        match self {
            Call::Pair(call) => call.scratch(),
            Call::Winograd(call) => call.scratch(),
            Call::Bf16Linear(call) => call.scratch(),
            Call::Bytes(call) => call.work().scratch(),
            Call::Conv(_) | Call::Depthwise(_) | Call::Plain(_) => 0,
        }
    }

    /// # Safety
    /// As [`Conv::run`], of an arena that begins where any element may; `scratch` must be the thread's own, begin there too,
    /// and hold [`Call::scratch`] bytes and [`SLACK`].
    unsafe fn run(&self, arena: *mut u8, scratch: *mut u8, units: Range<usize>) {
        let [bytes, own] = [arena, scratch];
        let [arena, scratch] = [arena, scratch].map(|memory| memory.cast::<f32>());
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Call::Conv(call) => call.run(arena, units),
                Call::Depthwise(call) => call.run(arena, units),
                Call::Pair(call) => call.run(arena, scratch, units),
                Call::Winograd(call) => call.run(arena, scratch, units),
                Call::Bf16Linear(call) => call.run(arena, scratch, units),
                Call::Plain(call) => call.run(arena, units),
                Call::Bytes(call) => call.work().run(bytes, own, units),
            }
        }
    }
}

/// Checked calls, an arena's size, and where the image goes.
#[derive(Clone, Debug)]
pub struct Program {
    calls: Vec<Call>,
    image: Vec<Map>,
    /// Rows of all planes of the image.
    rows: usize,
    /// Bytes of the arena.
    arena: usize,
    /// Bytes from one thread's own memory to the next one's.
    scratch: usize,
}

/// Memory that a [`Program`] works in.
#[derive(Clone, Debug)]
pub struct Arena {
    values: Memory,
    /// Memory of each thread's own.
    scratch: Memory,
}

/// The arena's address for all threads of a run.
struct Shared(*mut u8);

impl Shared {
    fn get(&self) -> *mut u8 {
        self.0
    }
}

// SAFETY: whoever uses the address says why threads do not get in each other's way.
unsafe impl Sync for Shared {}

/// Bytes after those of a thread's own memory that loads of whole vectors may read.
const SLACK: usize = 64;

impl Program {
    /// Checks calls over an arena of `arena` bytes. `image` has one map of one channel of f32s for each plane of the image.
    ///
    /// Constructors of calls check that their maps fit each other, their windows, their weights and the type of elements that
    /// they compute with; this checks what lies
    /// where, which all that is `unsafe` in a call relies on:
    /// - every place of every map and its halo lies in the arena, and no size, stride or product of them wraps;
    /// - no two elements of a map that is written share a place, so that the parts of a call may run at once;
    /// - no call reads a byte that it writes, and no two planes of the image share one;
    /// - the CPU has the instruction set of every call.
    ///
    /// # Errors
    /// Which call does not fit and why, or that the CPU lacks an instruction set.
    pub fn new(level: Level, image: Vec<Map>, calls: Vec<Call>, arena: usize) -> Result<Program, String> {
        if !level.is_supported() {
            return Err(format!("this CPU has no {}", level.name()));
        }
        if arena / size_of::<f32>() > FAR {
            return Err(format!("an arena of {arena} bytes is too large"));
        }
        for (i, call) in calls.iter().enumerate() {
            let of_call = |problem: String| format!("call {i}: {problem}");
            let (reads, writes) = (call.reads(), call.writes());
            for map in reads.iter().chain([&writes]) {
                map.check(arena).map_err(of_call)?;
            }
            writes.check_written().map_err(of_call)?;
            if let Some(map) = reads.iter().find(|map| !map.is_apart(&writes)) {
                return Err(of_call(format!("reads {map:?} while it writes {writes:?}")));
            }
            if let Some(level) = call.lacks() {
                return Err(of_call(format!("needs {level}, which this CPU lacks")));
            }
        }
        let rows = check_image(&image, arena)?;
        let most = calls.iter().map(Call::scratch).max().unwrap_or(0);
        if most / size_of::<f32>() > SCRATCH {
            return Err(format!("scratch memory of {most} bytes is too large"));
        }
        let scratch = if most > 0 { (most + SLACK).next_multiple_of(SLACK) } else { 0 };
        Ok(Program { calls, image, rows, arena, scratch })
    }

    /// Memory for one run at a time.
    #[must_use]
    pub fn arena(&self) -> Arena {
        Arena { values: Memory::zeros(self.arena), scratch: Memory::zeros(self.scratch) }
    }

    /// Bytes of [`Program::arena`].
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.arena + self.scratch
    }

    /// Bytes of packed weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.calls.iter().map(Call::weight_bytes).sum()
    }

    /// Runs all calls on an image `[channels, height, width]`.
    ///
    /// # Panics
    /// If the arena is another program's or the image has another size.
    pub fn run(&self, arena: &mut Arena, image: &[f32]) {
        self.check(arena, image);
        let (values, scratch) = (arena.values.as_mut_ptr(), arena.scratch.as_mut_ptr());
        // SAFETY: `check` compared the sizes.
        unsafe { self.import(values.cast(), image, 0..self.rows) };
        for call in &self.calls {
            // SAFETY: `new` checked that the arena holds every map and that the CPU has the level; `&mut` keeps others away.
            unsafe { call.run(values, scratch, 0..call.units()) }
        }
    }

    /// As [`Program::run`], with the parts of every call spread over the pool's threads. The results are the same.
    ///
    /// # Panics
    /// If the arena is another program's or the image has another size.
    pub fn run_on(&self, pool: &mut Pool, arena: &mut Arena, image: &[f32]) {
        if pool.threads() == 1 {
            return self.run(arena, image);
        }
        self.team(pool, arena, image, |_| {});
    }

    /// As [`Program::run_on`]; adds to `times` what each of [`Program::calls`] took until all threads had done their part.
    ///
    /// # Panics
    /// If the arena is another program's, the image has another size, or there are fewer times than calls.
    pub fn run_timed_on(&self, pool: &mut Pool, arena: &mut Arena, image: &[f32], times: &mut [Duration]) {
        let times = Mutex::new((Instant::now(), &mut times[..self.calls.len()]));
        self.team(pool, arena, image, |call| {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let end = Instant::now();
            if let Some(call) = call {
                let took = end - times.0;
                times.1[call] += took;
            }
            times.0 = end;
        });
    }

    /// Runs all calls on the pool's threads; the first calls `after` when the image has its place and after each call.
    fn team(&self, pool: &mut Pool, arena: &mut Arena, image: &[f32], after: impl Fn(Option<usize>) + Sync) {
        self.check(arena, image);
        let wanted = self.scratch.checked_mul(pool.threads()).expect("memory can be addressed");
        if arena.scratch.len() < wanted {
            arena.scratch = Memory::zeros(wanted);
        }
        let memory = Shared(arena.values.as_mut_ptr());
        let own = Shared(arena.scratch.as_mut_ptr());
        pool.run(|worker| {
            let scratch = own.get().wrapping_add(worker.index() * self.scratch);
            let part = |units: usize| share(units, worker.count(), worker.index());
            let meet = |call| {
                worker.barrier();
                if worker.index() == 0 {
                    after(call);
                }
            };
            // SAFETY: `check` compared the sizes; threads write different rows.
            unsafe { self.import(memory.get().cast(), image, part(self.rows)) };
            meet(None);
            for (i, call) in self.calls.iter().enumerate() {
                // SAFETY: as in `run`; threads compute different units, and meet before any reads what another wrote.
                unsafe { call.run(memory.get(), scratch, part(call.units())) };
                meet(Some(i));
            }
        });
    }

    /// The calls, in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    fn check(&self, arena: &Arena, image: &[f32]) {
        assert_eq!(arena.values.len(), self.arena);
        assert!(arena.scratch.len() >= self.scratch);
        assert_eq!(image.len(), self.image.iter().map(|map| map.height * map.width).sum::<usize>());
    }

    /// Copies some rows of the image's planes to their places.
    ///
    /// # Safety
    /// `values` must be the memory of a checked arena, the image's size be checked, and nobody else write the rows.
    unsafe fn import(&self, values: *mut f32, image: &[f32], rows: Range<usize>) {
        let (mut image, mut first) = (image, 0);
        for map in &self.image {
            let (plane, rest) = image.split_at(map.height * map.width);
            let mine = rows.start.max(first)..rows.end.min(first + map.height);
            for y in mine.start..mine.end.max(mine.start) {
                let y = y - first;
                // SAFETY: `new` checked that the map with its halo lies in the arena.
                unsafe {
                    let row = values.add(map.row_start(y));
                    row.copy_from_nonoverlapping(plane[y * map.width..].as_ptr(), map.width);
                    map.zero_halo(values, y, 0..1);
                }
            }
            (image, first) = (rest, first + map.height);
        }
    }
}

/// Checks where the image goes; the rows of all its planes.
fn check_image(image: &[Map], arena: usize) -> Result<usize, String> {
    let (mut rows, mut pixels) = (0usize, 0usize);
    for (i, map) in image.iter().enumerate() {
        let of_plane = |problem: String| format!("plane {i} of the image: {problem}");
        map.check(arena).and_then(|()| map.check_written()).map_err(of_plane)?;
        if (map.element, [map.channels, map.pixel]) != (Element::F32, [1, 1]) {
            return Err(of_plane(format!("is none of one channel of f32s without gaps: {map:?}")));
        }
        if let Some(other) = image[..i].iter().find(|other| !other.is_apart(map)) {
            return Err(of_plane(format!("shares numbers with another: {map:?}, {other:?}")));
        }
        let size = product(&[map.height, map.width]);
        let sum = || Some((rows.checked_add(map.height)?, pixels.checked_add(size?)?));
        (rows, pixels) = sum().ok_or_else(|| of_plane("is too large".into()))?;
    }
    Ok(rows)
}

impl Arena {
    /// Copies the values of a map of f32s in channel-major order `[channels, height, width]`.
    ///
    /// # Panics
    /// If the map is of other elements or leaves the arena, or `out` has another size.
    pub fn read(&self, map: &Map, out: &mut [f32]) {
        assert_eq!(map.element, Element::F32);
        read(self.values.numbers(), map, out);
    }

    /// As [`Arena::read`], of a map of bytes.
    ///
    /// # Panics
    /// As [`Arena::read`].
    pub fn read_bytes(&self, map: &Map, out: &mut [u8]) {
        assert_eq!(map.element, Element::U8);
        read(self.values.numbers(), map, out);
    }
}

fn read<T: Number>(values: &[T], map: &Map, out: &mut [T]) {
    assert_eq!(out.len(), map.channels * map.height * map.width);
    for y in 0..map.height {
        for x in 0..map.width {
            let pixel = &values[map.row_start(y) + x * map.pixel..][..map.channels];
            for (c, value) in pixel.iter().enumerate() {
                out[(c * map.height + y) * map.width + x] = *value;
            }
        }
    }
}
