//! The plot of the report: how long a small frame takes here and with each peer, and what a byte costs
//! over TCP.
//!
//! The sizes of the second are on a logarithmic axis: the coordinates are logarithms, and the labels say
//! what they are of.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::case::bytes_name;
use crate::results::{Results, median};
use crate::tcp;

/// The colours of a plot.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    background: RGBColor,
    text: RGBColor,
    lines: RGBColor,
    /// For `unstick`, its copying path, tokio-util, its tuned form, another, the floors, one more.
    series: [RGBColor; 7],
}

/// On a white page.
pub const LIGHT: Theme = Theme {
    background: RGBColor(255, 255, 255),
    text: RGBColor(31, 35, 40),
    lines: RGBColor(216, 222, 228),
    series: [
        RGBColor(9, 105, 218),
        RGBColor(26, 127, 55),
        RGBColor(207, 34, 46),
        RGBColor(188, 76, 0),
        RGBColor(130, 80, 223),
        RGBColor(110, 119, 129),
        RGBColor(191, 57, 137),
    ],
};

/// On a dark one.
pub const DARK: Theme = Theme {
    background: RGBColor(13, 17, 23),
    text: RGBColor(230, 237, 243),
    lines: RGBColor(48, 54, 61),
    series: [
        RGBColor(88, 166, 255),
        RGBColor(63, 185, 80),
        RGBColor(255, 123, 114),
        RGBColor(240, 136, 62),
        RGBColor(188, 140, 255),
        RGBColor(139, 148, 158),
        RGBColor(247, 120, 186),
    ],
};

/// A line: its name, its colour in the theme, and its points.
type Line = (&'static str, usize, Vec<(f64, f64)>);
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The plot as SVG.
///
/// # Panics
/// It cannot be drawn.
#[must_use]
pub fn draw(results: &Results, theme: &Theme) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1000, 440)).into_drawing_area();
        area.fill(&theme.background).unwrap();
        let (left, right) = area.split_horizontally(500);
        decoding(&left, results, theme);
        one_way(&right, results, theme);
        area.present().unwrap();
    }
    svg
}

/// The contenders of the bars: a name, a colour in the theme, and the name in the results.
const BARS: [(&str, usize, &str); 8] = [
    ("tokio-util FramedRead", 2, "tokio-util-framed"),
    ("tokio-util decode", 2, "tokio-util-codec"),
    ("wire-codec", 4, "wire-codec-codec"),
    ("asynchronous-codec", 4, "asynchronous-codec"),
    ("framez", 6, "framez"),
    ("unstick tokio reader", 1, "unstick-u32be-tokio"),
    ("unstick FrameBuf", 1, "unstick-u32be-framebuf"),
    ("unstick pieces, for_each", 0, "unstick-u32be-for_each"),
];
/// What the factors of the bars are relative to.
const BASE: &str = "unstick-u32be-framebuf";

/// Bars from zero, each with its time and, for a peer, how many times that of [`BASE`] it is.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // pixels
fn decoding(area: &Area<'_>, results: &Results, theme: &Theme) {
    let (left, right, top, step) = (172, 108, 56, 44);
    let time = |who: &str| {
        let rounds = results.get("decode/64B/chunk-64KiB", who)?;
        Some(median(&rounds.wall))
    };
    let text = |size: i32| ("sans-serif", size).into_font().color(&theme.text);
    let (width, _) = area.dim_in_pixel();
    let (Some(base), Some(longest)) =
        (time(BASE), BARS.iter().filter_map(|bar| time(bar.2)).max_by(f64::total_cmp))
    else {
        return;
    };
    let title = "Time to decode a frame of 64 bytes (shorter is better)";
    area.draw(&Text::new(title, (16, 16), text(15))).unwrap();
    let scale = f64::from(width as i32 - left - right) / longest;
    for (row, (name, colour, who)) in BARS.iter().enumerate() {
        let Some(time) = time(who) else { continue };
        let top = top + step * row as i32;
        let end = left + (time * scale).round().max(1.0) as i32;
        area.draw(&Text::new(*name, (16, top + 7), text(13))).unwrap();
        let bar = [(left, top), (end, top + 26)];
        area.draw(&Rectangle::new(bar, theme.series[*colour].filled())).unwrap();
        let label = if name.starts_with("unstick") {
            format!("{time:.1} ns")
        } else {
            format!("{time:.1} ns, {:.1} ×", time / base)
        };
        area.draw(&Text::new(label, (end + 6, top + 7), text(13))).unwrap();
    }
    let note = "4-byte prefixes in chunks of 64 KiB; × is relative to unstick FrameBuf";
    area.draw(&Text::new(note, (16, top + step * BARS.len() as i32 + 4), text(12))).unwrap();
}

fn one_way(area: &Area<'_>, results: &Results, theme: &Theme) {
    let line = |name, colour, who: &str| -> Line {
        let points = tcp::SIZES.into_iter().filter_map(|len| {
            let rounds = results.get(&format!("tcp-oneway/{}", bytes_name(len)), who)?;
            let of_a_byte = median(&rounds.wall) / len as f64;
            Some(((len as f64).log2(), of_a_byte))
        });
        (name, colour, points.collect())
    };
    let lines = [
        line("tokio-util", 2, "tokio-util"),
        line("tokio-util, 256 KiB buffers", 3, "tokio-util-tuned"),
        line("unstick", 0, "unstick"),
        line("no frames: write_all and read", 5, "raw"),
    ];
    panel(area, theme, "TCP loopback: time for a byte, by frame size (less is better)", &lines);
}

fn panel(area: &Area<'_>, theme: &Theme, title: &str, lines: &[Line]) {
    let points = || lines.iter().flat_map(|(_, _, points)| points.iter().copied());
    if points().next().is_none() {
        return;
    }
    let xs = || points().map(|point| point.0);
    let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
    let top = points().map(|point| point.1).fold(0.0, f64::max);
    let text = |size: i32| ("sans-serif", size).into_font().color(&theme.text);
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(15))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right + 0.01).step(2.0), (0.0..1.1 * top).step(0.2))
        .unwrap();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(theme.lines)
        .light_line_style(theme.background)
        .axis_style(theme.text)
        .label_style(text(12))
        .x_label_formatter(&|log2: &f64| size(*log2))
        .y_label_formatter(&|time: &f64| format!("{time:.1} ns"))
        .draw()
        .unwrap();
    for (name, colour, points) in lines {
        let colour = theme.series[*colour];
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
            .unwrap()
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart
            .draw_series(points.iter().map(|&point| Circle::new(point, 3, colour.filled())))
            .unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(text(12))
        .background_style(theme.background.mix(0.8))
        .draw()
        .unwrap();
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // powers of two within the plot
fn size(log2: f64) -> String {
    bytes_name(log2.exp2() as usize)
}
