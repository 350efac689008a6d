//! What macOS says of the machine.

use std::ffi::CStr;

use super::Caches;

/// The bytes of a value; none if there is no such.
fn value(name: &CStr) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; 256];
    let mut len = bytes.len();
    // SAFETY: the name ends in 0, and `bytes` has room for what `len` allows.
    let failed = unsafe {
        libc::sysctlbyname(name.as_ptr(), bytes.as_mut_ptr().cast(), &raw mut len, std::ptr::null_mut(), 0)
    };
    bytes.truncate(len);
    (failed == 0).then_some(bytes)
}

/// A number of 4 or 8 bytes; none if it is not positive.
pub(super) fn number(name: &CStr) -> Option<u64> {
    let bytes = value(name)?;
    let number = match bytes.len() {
        4 => u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
        _ => u64::from_ne_bytes(bytes.try_into().ok()?),
    };
    (number > 0).then_some(number)
}

/// A text.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn text(name: &CStr) -> Option<String> {
    Some(CStr::from_bytes_until_nul(&value(name)?).ok()?.to_string_lossy().into_owned())
}

/// The caches of the fastest cores, or of all where cores are alike.
pub(super) fn caches() -> Caches {
    let size = |names: [&CStr; 2]| names.into_iter().find_map(number).and_then(|size| size.try_into().ok());
    let default = Caches::default();
    Caches {
        l1d: size([c"hw.perflevel0.l1dcachesize", c"hw.l1dcachesize"]).unwrap_or(default.l1d),
        l2: size([c"hw.perflevel0.l2cachesize", c"hw.l2cachesize"]).unwrap_or(default.l2),
        l3: size([c"hw.perflevel0.l3cachesize", c"hw.l3cachesize"]).unwrap_or(default.l3),
    }
}
