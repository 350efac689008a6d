//! Numbers of things, in words.

/// So many things, whose name has a plural in -s or -es.
pub(crate) fn counted(count: usize, name: &str) -> String {
    let plural = if name.ends_with('s') { "es" } else { "s" };
    format!("{count} {name}{}", if count == 1 { "" } else { plural })
}
