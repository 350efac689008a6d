//! What is known of the machine: how many threads it runs, its processor's name and caches, its memory.

#[cfg(target_os = "macos")]
mod sysctl;

use std::sync::OnceLock;
use std::time::Instant;

/// The threads that this process can run at once, at least 1: the CPUs of the affinity mask, or fewer where a
/// control group (version 1 or 2, on Linux) has a smaller quota. A quota is rounded down, so 1.5 CPUs mean 1.
///
/// Asked anew each time, as both limits may change; see [`std::thread::available_parallelism`].
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The time, where the system tells it. WebAssembly alone has no clock, and to ask [`Instant`] there is a panic.
#[must_use]
pub fn now() -> Option<Instant> {
    const HAS_CLOCK: bool = !cfg!(all(target_family = "wasm", target_os = "unknown"));
    HAS_CLOCK.then(Instant::now)
}

/// Bytes of memory that this process may have: the machine's, or less where a control group (version 1 or 2), a limit
/// of the process's address space or its 32 bits say so. None where the system does not tell, as Linux and macOS do.
pub fn memory_bytes() -> Option<u64> {
    static MEMORY: OnceLock<Option<u64>> = OnceLock::new();
    *MEMORY.get_or_init(|| {
        #[cfg(target_os = "macos")]
        let memory = sysctl::number(c"hw.memsize");
        #[cfg(not(target_os = "macos"))]
        let memory = read_memory(|file| std::fs::read_to_string(file).ok());
        let addressable = (usize::BITS == 32).then_some(1 << 32);
        memory.into_iter().chain(addressable).min()
    })
}

/// The smallest of what Linux's files say.
#[cfg(any(test, not(target_os = "macos")))]
fn read_memory(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let after = |file: &str, key: &str| {
        read(file)?
            .lines()
            .find_map(|line| line.strip_prefix(key)?.split_whitespace().next().and_then(number))
    };
    let machine = after("/proc/meminfo", "MemTotal:").and_then(|kilobytes| kilobytes.checked_mul(1024));
    let group = |file: &str| read(file).and_then(|text| number(&text));
    let limits = [
        machine,
        group("/sys/fs/cgroup/memory.max"),
        group("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        after("/proc/self/limits", "Max address space"),
    ];
    limits.into_iter().flatten().min()
}

/// The processor's model name, `unknown` if it does not say.
pub fn brand() -> String {
    static BRAND: OnceLock<String> = OnceLock::new();
    BRAND.get_or_init(|| read_brand().unwrap_or_else(|| "unknown".to_owned())).clone()
}

/// Sizes of the data caches in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First level, one core's.
    pub l1d: usize,
    /// Second level, one core's or shared by few.
    pub l2: usize,
    /// Third level, shared by many cores.
    pub l3: usize,
}

impl Default for Caches {
    /// What a core has at least, nowadays: 32 KiB, 512 KiB and 8 MiB.
    fn default() -> Self {
        Self { l1d: 32 << 10, l2: 512 << 10, l3: 8 << 20 }
    }
}

/// The caches of the first CPU as Linux describes them, of the fastest ones as macOS does. A level that is not described
/// has its [default](Caches::default) size.
pub fn cache_bytes() -> Caches {
    static CACHES: OnceLock<Caches> = OnceLock::new();
    *CACHES.get_or_init(|| {
        #[cfg(target_os = "macos")]
        let caches = sysctl::caches();
        #[cfg(not(target_os = "macos"))]
        let caches = read_caches(|index, file| {
            std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{file}")).ok()
        });
        caches
    })
}

/// Reads caches `0..`, up to the first without a level, from what `read` returns for a cache's number and file.
#[cfg(any(test, not(target_os = "macos")))]
fn read_caches(read: impl Fn(usize, &str) -> Option<String>) -> Caches {
    let mut caches = Caches::default();
    for index in 0.. {
        let Some(level) = read(index, "level") else { break };
        let kind = read(index, "type").unwrap_or_default();
        let Some(size) = read(index, "size").and_then(|size| parse_size(size.trim())) else { continue };
        match (level.trim(), kind.trim()) {
            ("1", "Data" | "Unified") => caches.l1d = size,
            ("2", "Data" | "Unified") => caches.l2 = size,
            ("3", "Data" | "Unified") => caches.l3 = size,
            _ => {}
        }
    }
    caches
}

/// Bytes of a positive size such as `48K`.
#[cfg(any(test, not(target_os = "macos")))]
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit).filter(|&size| size > 0)
}

#[cfg(target_arch = "x86_64")]
fn read_brand() -> Option<String> {
    // Safe in newer versions of Rust, which would complain of the block.
    #[allow(unused_unsafe)]
    let cpuid = |leaf: u32| {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { std::arch::x86_64::__cpuid(leaf) }
    };
    const LEAVES: std::ops::RangeInclusive<u32> = 0x8000_0002..=0x8000_0004;
    if cpuid(0x8000_0000).eax < *LEAVES.end() {
        return None;
    }
    let registers = LEAVES.map(cpuid).flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    let bytes: Vec<u8> = registers.flat_map(u32::to_le_bytes).take_while(|&byte| byte != 0).collect();
    tidy(&String::from_utf8_lossy(&bytes))
}

#[cfg(all(target_os = "macos", not(target_arch = "x86_64")))]
fn read_brand() -> Option<String> {
    tidy(&sysctl::text(c"machdep.cpu.brand_string")?)
}

#[cfg(not(any(target_os = "macos", target_arch = "x86_64")))]
fn read_brand() -> Option<String> {
    brand_in(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The model name in the text of `/proc/cpuinfo`, whose key depends on the architecture; without one, what the numbers of
/// an Arm core say.
#[cfg(any(test, not(any(target_os = "macos", target_arch = "x86_64"))))]
fn brand_in(cpuinfo: &str) -> Option<String> {
    let value = |key: &str| {
        let mut entries = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        entries.find(|(name, _)| name.trim() == key).and_then(|(_, value)| tidy(value))
    };
    let name = ["model name", "cpu model", "Hardware", "Model"].iter().find_map(|&key| value(key));
    name.or_else(|| Some(arm_core(&value("CPU implementer")?, &value("CPU part")?)))
}

/// Parts of the implementer `0x41`, Arm itself.
#[cfg(any(test, not(any(target_os = "macos", target_arch = "x86_64"))))]
const ARM_CORES: &[(&str, &str)] = &[
    ("0xd03", "Cortex-A53"),
    ("0xd05", "Cortex-A55"),
    ("0xd07", "Cortex-A57"),
    ("0xd08", "Cortex-A72"),
    ("0xd09", "Cortex-A73"),
    ("0xd0a", "Cortex-A75"),
    ("0xd0b", "Cortex-A76"),
    ("0xd0c", "Neoverse-N1"),
    ("0xd40", "Neoverse-V1"),
    ("0xd41", "Cortex-A78"),
    ("0xd44", "Cortex-X1"),
    ("0xd49", "Neoverse-N2"),
    ("0xd4f", "Neoverse-V2"),
];

/// The name of a core by the numbers of who designed it and which part it is.
#[cfg(any(test, not(any(target_os = "macos", target_arch = "x86_64"))))]
fn arm_core(implementer: &str, part: &str) -> String {
    let known = ARM_CORES.iter().find(|(number, _)| implementer == "0x41" && *number == part);
    known.map_or_else(|| format!("Arm {implementer} {part}"), |(_, name)| (*name).to_owned())
}

/// `text` with single spaces; none if that is nothing.
fn tidy(text: &str) -> Option<String> {
    let words: Vec<_> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_describes_itself() {
        assert!(available_threads() >= 1);
        assert_eq!(brand(), brand());
        assert!(!brand().is_empty());
        let Caches { l1d, l2, l3 } = cache_bytes();
        assert!(l1d >= 4 << 10 && l2 >= l1d && l3 > 0, "{l1d} {l2} {l3}");
    }

    #[test]
    fn memory_is_the_least_that_any_file_says() {
        let of = |files: &[(&str, &str)]| {
            read_memory(|file| {
                files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned())
            })
        };
        let total = ("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:        1 kB\n");
        assert_eq!((of(&[]), of(&[total])), (None, Some(16 << 20)));
        assert_eq!(of(&[total, ("/sys/fs/cgroup/memory.max", "max\n")]), Some(16 << 20));
        assert_eq!(of(&[total, ("/sys/fs/cgroup/memory.max", "4096\n")]), Some(4096));
        let space = "Limit  Soft Limit  Hard Limit  Units\nMax address space   8192   unlimited   bytes\n";
        assert_eq!(of(&[total, ("/proc/self/limits", space)]), Some(8192));
        assert!(memory_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn caches_are_read_by_level_and_type() {
        let files =
            [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "1M"), ("3", "Unified", "")];
        let caches = read_caches(|index, file| {
            let (level, kind, size) = files.get(index)?;
            let value = match file {
                "level" => level,
                "type" => kind,
                _ => size,
            };
            Some(format!("{value}\n"))
        });
        assert_eq!(caches, Caches { l1d: 48 << 10, l2: 1 << 20, ..Caches::default() });
        assert_eq!(read_caches(|_, _| None), Caches::default());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("32768K"), Some(32 << 20));
        assert_eq!(parse_size("512"), Some(512));
        for wrong in ["", "K", "0K", "1KK", "1T", "-1K", "99999999999999999999K", "18446744073709551615K"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn model_names_are_found_and_tidied() {
        let x86 = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some  CPU @ 3.00GHz \nflags\t: fpu\n";
        assert_eq!(brand_in(x86).as_deref(), Some("Some CPU @ 3.00GHz"));
        assert_eq!(brand_in("processor : 0\n\nModel : A Board\n").as_deref(), Some("A Board"));
        assert_eq!(brand_in("processor : 0\nmodel name :\n"), None);
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n";
        assert_eq!(brand_in(arm).as_deref(), Some("Neoverse-N1"));
        assert_eq!(brand_in(&arm.replace("d0c", "fff")).as_deref(), Some("Arm 0x41 0xfff"));
    }
}
