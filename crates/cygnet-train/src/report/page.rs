//! What pages of reports are made of: one HTML file that needs nothing else, for light screens and dark ones.

use std::fmt::Write as _;

use crate::files::REPORT_HAS;

/// What a figure is, and the figure.
pub type Fact = (String, String);

/// What ends a page.
pub const END: &str = "</body></html>\n";

const STYLE: &str = "<style>\
:root{color-scheme:light dark;--a:#1f77b4;--b:#d62728;--c:#2a8a2a;--line:#8886}html{background:Canvas;color:CanvasText}\
@media(prefers-color-scheme:dark){:root{--a:#6cb6ff;--b:#ff8a80;--c:#7edc7e}}\
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}h3{font-size:1rem}table{border-collapse:collapse}\
th,td{padding:.15rem .7rem .15rem 0;text-align:left;vertical-align:top}th{font-weight:600}\
.facts th{white-space:nowrap;font-weight:normal;opacity:.75}.classes th,.m th,.m td{overflow-wrap:normal}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.wide{overflow-x:auto}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:1rem}\
svg{background:#8881;border-radius:4px;width:100%;height:auto;max-width:26rem}\
svg text{font:11px system-ui,sans-serif;fill:currentColor;opacity:.85}svg .t{font-weight:600}\
svg .mid{text-anchor:middle}svg .end{text-anchor:end}svg .grid{stroke:var(--line)}\
svg .best{stroke:currentColor;stroke-dasharray:3 3;opacity:.5}svg .line{fill:none;stroke-width:1.8}\
svg text.a,svg circle.a,svg .bar.a{fill:var(--a)}svg text.b,svg circle.b,svg .bar.b{fill:var(--b)}svg circle.c{fill:var(--c)}\
svg .line.a{stroke:var(--a)}svg .line.b{stroke:var(--b)}svg .line.c{stroke:var(--c)}\
.bars{display:grid;grid-template-columns:minmax(4rem,max-content) 1fr max-content;gap:.15rem .7rem;max-width:40rem}\
.bars>span:nth-child(3n+1){max-width:min(13rem,42vw)}.bars i{display:block;height:.8rem;margin-top:.3rem;background:var(--a);border-radius:2px}\
.m td{padding:.2rem .35rem;text-align:center;font-size:12px;border:1px solid var(--line)}.m th{font-size:12px;font-weight:normal}\
.m thead th{writing-mode:vertical-rl;padding:.3rem 0}.m tbody span{max-width:8rem}.m thead span{max-height:8rem}\
.m span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.row{display:flex;flex-wrap:wrap;gap:.7rem}\
.pairs{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:0 1.5rem}\
figure{margin:0;width:128px}figure img{display:block;max-width:100%}\
figure img.small{width:128px;height:128px;object-fit:contain;image-rendering:pixelated}figcaption{font-size:12px;line-height:1.25;padding-top:.2rem}\
pre{font-size:13px;background:#8881;border-radius:4px;padding:.5rem .7rem;white-space:pre-wrap;margin:.4rem 0}\
.copy{user-select:all}</style>";

/// A page up to its title, which is there.
#[must_use]
pub fn begin(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{REPORT_HAS}\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>{STYLE}\
         </head><body><h1>{title}</h1>"
    )
}

/// Text as it stands in HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table of names and what they are.
pub fn facts(html: &mut String, facts: &[Fact]) {
    html.push_str("<table class=\"facts\">");
    for (name, value) in facts {
        _ = write!(html, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    html.push_str("</table>");
}

/// Bars from the left: a name, a share of the whole width and a figure for each.
pub fn bars(html: &mut String, rows: impl IntoIterator<Item = (String, f64, String)>) {
    html.push_str("<div class=\"bars\">");
    for (name, share, figure) in rows {
        let (name, figure, width) = (escape(&name), escape(&figure), 100.0 * share);
        _ = write!(html, "<span>{name}</span><i style=\"width:{width:.1}%\"></i><span>{figure}</span>");
    }
    html.push_str("</div>");
}
