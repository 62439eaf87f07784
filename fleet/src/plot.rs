//! The plot of the report, as SVG. Both axes are logarithmic.

use std::fmt::Write as _;

use crate::report::{number, slowdowns};
use crate::stats::share;
use crate::world::Outcome;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 230.0;
const STYLE: &str = "text{font:12px sans-serif;fill:#1f2328}.title{font-weight:bold}.grid{stroke:#d8dee4}.back{fill:#fff}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.back{fill:#0d1117}}";
const COLOURS: [&str; 3] = ["#0969da", "#bc4c00", "#cf222e"];

struct Panel<'a> {
    title: &'a str,
    /// What the vertical axis has, with its unit.
    axis: &'a str,
    /// The exponents of 10 at both ends of the vertical axis.
    range: (i32, i32),
    lines: Vec<(&'a str, Vec<f64>)>,
}

/// Draws how the runs grow with the number of clients.
pub fn draw(runs: &[Outcome]) -> String {
    let clients: Vec<f64> = runs.iter().map(|run| run.config.clients.into()).collect();
    let of = |value: &dyn Fn(&Outcome) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let names = |last| [("median", 50), ("99 %", 99), (last, 100)];
    let back = |percent| {
        of(&|run| {
            let times = run.stats.recovery.first().map_or(&[][..], |times| times);
            share(times, percent) as f64 / 1e6
        })
    };
    let slow = |percent| of(&|run| share(&slowdowns(run), percent) as f64 / 100.0);
    let memory = |run: &Outcome| (run.state * run.connections + run.heap) as f64 / 1_048_576.0;
    let panels = [
        Panel {
            title: "Clients are connected again after a restart",
            axis: "seconds after the listener's start",
            range: (0, 3),
            lines: names("last client").map(|(name, percent)| (name, back(percent))).into(),
        },
        Panel {
            title: "Uploads, unless their client crashed",
            axis: "duration, in times of what the link needs",
            range: (0, 3),
            lines: names("slowest upload").map(|(name, percent)| (name, slow(percent))).into(),
        },
        Panel {
            title: "Memory of the listener's connections",
            axis: "MiB, at the end",
            range: (0, 3),
            lines: vec![("state and heap of all connections", of(&memory))],
        },
    ];
    // Half of the last number stands to the right of its panel.
    let width = panels.len() as f64 * (WIDTH + 80.0) + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" role=\"img\" \
         aria-label=\"Growth with the number of clients\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n",
        HEIGHT + 140.0
    );
    for (at, panel) in panels.iter().enumerate() {
        let _ =
            writeln!(svg, "<g transform=\"translate({} 60)\">", 60.0 + at as f64 * (WIDTH + 80.0));
        draw_panel(&mut svg, panel, &clients);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_panel(svg: &mut String, panel: &Panel<'_>, clients: &[f64]) {
    let (low, high) = panel.range;
    let first = clients.first().map_or(0.0, |n| n.log10());
    let span = clients.last().map_or(1.0, |n| n.log10() - first).max(1.0);
    let x = |n: f64| (n.log10() - first) / span * WIDTH;
    let y = |value: f64| {
        let part = (value.max(1e-9).log10() - f64::from(low)) / f64::from(high - low);
        HEIGHT * (1.0 - part.clamp(0.0, 1.0))
    };
    let _ = writeln!(
        svg,
        "<text x=\"-40\" y=\"-36\" class=\"title\">{}</text>\
         <text x=\"-40\" y=\"-18\">{}</text>",
        panel.title, panel.axis,
    );
    for power in low..=high {
        let (value, y) = (10f64.powi(power), y(10f64.powi(power)));
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M0 {y:.1}H{WIDTH}\"/>\
             <text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y + 4.0,
            number(value as u64),
        );
    }
    for n in clients {
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{0:.1} 0V{HEIGHT}\"/>\
             <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{2}</text>",
            x(*n),
            HEIGHT + 18.0,
            number(*n as u64),
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">clients</text>",
        WIDTH / 2.0,
        HEIGHT + 36.0,
    );
    for (at, (name, values)) in panel.lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let points: Vec<_> =
            clients.iter().zip(values).map(|(n, v)| format!("{:.1},{:.1}", x(*n), y(*v))).collect();
        let (at, points) = (at as f64 * 100.0, points.join(" "));
        let (line_at, name_at, text_at) = (HEIGHT + 60.0, at + 24.0, HEIGHT + 64.0);
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <path d=\"M{at} {line_at}h18\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{name_at}\" y=\"{text_at}\">{name}</text>",
        );
        for (n, value) in clients.iter().zip(values) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(*n),
                y(*value),
            );
        }
        // Also as text, since a line alone is hard to read.
        let labels: Vec<_> = values.iter().map(|value| format!("{value:.1}")).collect();
        let _ = writeln!(svg, "<desc>{name}: {} ({})</desc>", labels.join(", "), panel.axis);
    }
}
